package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go/http3"
)

// fetch sends requests to URL, whose numbers it appends, over as few connections as the
// server allows. It prints the number of answers with status 200, and the bytes of their
// bodies.
func fetch(args []string) error {
	flags := flag.NewFlagSet("fetch", flag.ContinueOnError)
	count := flags.Int64("n", 1, "the number of requests")
	duration := flags.Duration("for", 0, "send requests for so long, instead of a number of them")
	workers := flags.Int("streams", 1, "the number of requests at a time")
	length := flags.Int("body", 0, "the bytes of a request's body")
	if err := flags.Parse(args); err != nil {
		return err
	}
	transport := &http3.Transport{
		TLSClientConfig:    &tls.Config{InsecureSkipVerify: true},
		DisableCompression: true,
	}
	defer transport.Close()
	body := bytes.Repeat([]byte("x"), *length)
	var numbers, answers, received atomic.Int64
	end := time.Now().Add(*duration)
	goes := func(number int64) bool {
		if *duration > 0 {
			return time.Now().Before(end)
		}
		return number < *count
	}
	var failure error
	var once sync.Once
	var all sync.WaitGroup
	for range *workers {
		all.Go(func() {
			for {
				number := numbers.Add(1) - 1
				if !goes(number) {
					return
				}
				got, err := one(transport, fmt.Sprintf("%s%d", flags.Arg(0), number), body)
				if err != nil {
					once.Do(func() { failure = err })
					continue
				}
				answers.Add(1)
				received.Add(got)
			}
		})
	}
	all.Wait()
	fmt.Printf("%d answers, %d bytes\n", answers.Load(), received.Load())
	return failure
}

func one(transport *http3.Transport, url string, body []byte) (int64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	method := http.MethodGet
	if len(body) > 0 {
		method = http.MethodPost
	}
	request, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	answer, err := transport.RoundTrip(request)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	received, err := io.Copy(io.Discard, answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d", answer.StatusCode)
	}
	return received, err
}
