// The other end of WebSocket with compressed messages (permessage-deflate), by two libraries:
// coder/websocket, and gws, which has windows of fewer bits than 15. The tests of encarno run both.
//
//	websocket-peer serve KIND      # echoes at a free port, prints each message, ends with its standard input
//	websocket-peer call KIND URL < messages > echoes
//
// KIND is takeover, alone (each message is compressed by itself) or, with gws, the bits of both windows.
package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
)

// What each library does.
type library interface {
	// Echoes the messages of a client, each of which is printed first.
	serve(w http.ResponseWriter, r *http.Request)
	// Sends a message of each line, and prints what comes back.
	call(url string, lines *bufio.Scanner) error
}

func libraryOf(kind string) (library, error) {
	switch kind {
	case "takeover":
		return coder{alone: false}, nil
	case "alone":
		return coder{alone: true}, nil
	}
	bits, err := strconv.Atoi(kind)
	if err != nil {
		return nil, fmt.Errorf("%q is not takeover, alone, or a number of bits", kind)
	}
	return gwsOf(bits), nil
}

// Lines of many goroutines.
var (
	printing sync.Mutex
	out      = bufio.NewWriter(os.Stdout)
)

func say(line []byte) {
	printing.Lock()
	defer printing.Unlock()
	_, _ = out.Write(line)
	_ = out.WriteByte('\n')
}

func flush() {
	printing.Lock()
	defer printing.Unlock()
	_ = out.Flush()
}

func serve(peer library) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	say([]byte("listening on " + listener.Addr().String()))
	flush()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		flush()
		os.Exit(0)
	}()
	return http.Serve(listener, http.HandlerFunc(peer.serve))
}

func main() {
	err := fmt.Errorf("usage: websocket-peer serve KIND, or websocket-peer call KIND URL")
	if args := os.Args[1:]; len(args) >= 2 {
		var peer library
		switch peer, err = libraryOf(args[1]); {
		case err != nil:
		case args[0] == "serve":
			err = serve(peer)
		case args[0] == "call" && len(args) == 3:
			lines := bufio.NewScanner(os.Stdin)
			lines.Buffer(nil, 1<<24)
			err = peer.call(args[2], lines)
			flush()
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "websocket-peer:", err)
		os.Exit(1)
	}
}
