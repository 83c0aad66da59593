// The other end of HTTP/3, by quic-go: a server and a client. The tests of encarno run both, and
// bench/hits measures the client.
//
//	http3-peer serve [flags]       # listens on a free port, ends with its standard input, and prints its log
//	http3-peer fetch [flags] URL   # sends numbered requests, and prints how many were answered
package main

import (
	"fmt"
	"os"
)

func main() {
	var err error
	switch args := os.Args[1:]; {
	case len(args) >= 1 && args[0] == "serve":
		err = serve(args[1:])
	case len(args) >= 2 && args[0] == "fetch":
		err = fetch(args[1:])
	default:
		err = fmt.Errorf("usage: http3-peer serve [flags], or http3-peer fetch [flags] URL")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "http3-peer:", err)
		os.Exit(1)
	}
}
