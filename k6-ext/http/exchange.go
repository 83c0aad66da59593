// Package http is k6/http over another way of carrying requests: its functions, params,
// responses and metrics, and some metrics more. What of k6's own code works apart from
// its connections is used: jars, URLs, files, JSON selectors, HTML.
package http

import (
	"context"
	"time"
)

// Exchanger carries requests: the link of one client.
type Exchanger interface {
	// Wait sends a request and waits for its end, or for that of the context, which
	// gives the request up.
	Wait(ctx context.Context, request *Request) *Outcome
	// Start sends a request. Its end is told exactly once, on any goroutine, perhaps
	// before Start returns; ended must not block.
	Start(request *Request, ended func(*Outcome))
	// Cancel gives up all requests that are in flight: they end at once.
	Cancel()
}

// Reading is what becomes of an answer's body.
type Reading int

const (
	// Keep it.
	Keep Reading = iota
	// Discard reads it and doesn't keep it.
	Discard
	// Ignore doesn't read it: it may be dropped as early as the wire allows.
	Ignore
)

// BodyBytesMax is the largest body that is kept, before and after decompression.
const BodyBytesMax = 256 << 20

// Request is a request as it goes over the wire. Whoever carries it copies it before
// Start returns.
type Request struct {
	Method    string
	Scheme    string // http or https
	Authority string // host, and port where the URL has one
	Target    string // path and query
	Header    []Field
	Body      string
	Reading   Reading
	Timeout   time.Duration
}

// Field is a header field. Names are in lower case on the wire.
type Field struct{ Name, Value string }

// Outcome is what became of a request: an answer, or an error.
type Outcome struct {
	Err    *Error
	Status int
	Header []Field
	Body   []byte
	Timing Timing
	// Bytes that went over the wire.
	Sent, Received uint64
	// When it ended.
	End time.Time
}

// Timing are moments of a request, counted from its submission, as the library took
// them. What was not reached is negative.
type Timing struct {
	Sent     time.Duration // it was handed to the connection
	Uploaded time.Duration // so was the last of a body that followed; negative if none did
	Accepted time.Duration // the receiver accepted it
	Head     time.Duration // the head of the answer was there
	Finished time.Duration // its result or its failure
}

// Error says why there is no answer, or no whole one.
type Error struct {
	// Code is of the closed list of the library, such as no_responders.
	Code string
	Text string
}

func (failure *Error) Error() string { return failure.Code + ": " + failure.Text }
