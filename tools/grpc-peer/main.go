// The other end of gRPC, by grpc-go: a server of grpc.testing.TestService with reflection,
// and a client of any server with reflection. The tests of encarno run both.
//
//	grpc-peer serve [v1alpha | none]   # listens on a free port, and ends with its standard input
//	grpc-peer call ADDRESS SERVICE METHOD < messages.json > answers.json
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
	case len(args) == 4 && args[0] == "call":
		err = call(args[1], args[2], args[3])
	default:
		err = fmt.Errorf("usage: grpc-peer serve [v1alpha | none], or grpc-peer call ADDRESS SERVICE METHOD")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "grpc-peer:", err)
		os.Exit(1)
	}
}
