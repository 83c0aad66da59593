package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// site answers requests, and keeps a log of them.
type site struct {
	mutex sync.Mutex
	lines []string
	// The number of requests after which a server leaves; 0 means never.
	leaveAfter int
	leave      chan struct{}
}

func serve(args []string) error {
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	streams := flags.Int64("streams", 100, "the most requests of a connection at a time")
	headBytes := flags.Int("head-bytes", 0, "the longest head of a request")
	early := flags.Bool("early", false, "accept 0-RTT")
	leaveAfter := flags.Int("leave-after", 0, "send GOAWAY on all connections after so many requests")
	if err := flags.Parse(args); err != nil {
		return err
	}
	certificate, err := ownCertificate()
	if err != nil {
		return err
	}
	socket, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return err
	}
	secured := http3.ConfigureTLSConfig(&tls.Config{Certificates: []tls.Certificate{certificate}})
	config := &quic.Config{MaxIncomingStreams: *streams, Allow0RTT: *early}
	listener, err := quic.ListenEarly(socket, secured, config)
	if err != nil {
		return err
	}
	requests := &site{leaveAfter: *leaveAfter, leave: make(chan struct{}, 1)}
	fmt.Printf("listening on %s\n", socket.LocalAddr())
	go accept(listener, requests, *headBytes)
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	requests.mutex.Lock()
	defer requests.mutex.Unlock()
	fmt.Println(strings.Join(requests.lines, "\n"))
	return nil
}

// accept serves the connections of a listener. After each GOAWAY, another server takes the
// connections that follow.
func accept(listener *quic.EarlyListener, requests *site, headBytes int) {
	next := func() *http3.Server {
		return &http3.Server{Handler: requests, MaxHeaderBytes: headBytes}
	}
	server := next()
	connections := make(chan *quic.Conn)
	go func() {
		for {
			connection, err := listener.Accept(context.Background())
			if err != nil {
				return
			}
			connections <- connection
		}
	}()
	for {
		select {
		case connection := <-connections:
			go func(server *http3.Server) { _ = server.ServeQUICConn(connection) }(server)
		case <-requests.leave:
			go func(server *http3.Server) { _ = server.Shutdown(context.Background()) }(server)
			server = next()
		}
	}
}

// ServeHTTP answers with as many bytes as the query asks for. A path that begins with
// /reset ends the stream after a part of the request's body; one that begins with /refuse
// answers 413 then, and reads no further.
func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	after, _ := strconv.ParseInt(r.URL.Query().Get("after"), 10, 64)
	length, _ := strconv.ParseInt(r.URL.Query().Get("bytes"), 10, 64)
	switch {
	case strings.HasPrefix(r.URL.Path, "/reset"):
		_, _ = io.CopyN(io.Discard, r.Body, after)
		s.note(r, after)
		panic(http.ErrAbortHandler)
	case strings.HasPrefix(r.URL.Path, "/refuse"):
		_, _ = io.CopyN(io.Discard, r.Body, after)
		s.note(r, after)
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		return
	}
	received, err := io.Copy(io.Discard, r.Body)
	if err != nil {
		return
	}
	s.note(r, received)
	w.Header().Set("Content-Length", strconv.FormatInt(length, 10))
	_, _ = io.CopyN(w, zeroes{}, length)
}

// note puts a request into the log: the last part of its path, the bytes of its body, and
// how its connection began.
func (s *site) note(r *http.Request, received int64) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	line := fmt.Sprintf("%s %d %s resumed=%v", path.Base(r.URL.Path), received, r.RemoteAddr, r.TLS.DidResume)
	s.lines = append(s.lines, line)
	if s.leaveAfter > 0 && len(s.lines)%s.leaveAfter == 0 {
		select {
		case s.leave <- struct{}{}:
		default:
		}
	}
}

type zeroes struct{}

func (zeroes) Read(bytes []byte) (int, error) {
	clear(bytes)
	return len(bytes), nil
}

func ownCertificate() (tls.Certificate, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	bytes, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	return tls.Certificate{Certificate: [][]byte{bytes}, PrivateKey: private}, err
}
