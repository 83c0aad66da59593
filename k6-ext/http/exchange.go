// Package http implements k6/http over another transport: its functions, params, responses and
// metrics, and additional metrics. It uses those parts of k6's own code that don't depend on its
// connections: jars, URLs, files, JSON selectors, HTML.
package http

import (
	"context"
	"time"
)

// Exchanger carries requests: the link of one client.
type Exchanger interface {
	// Wait sends a request and waits for its end. The end of the context also ends the
	// request.
	Wait(ctx context.Context, request *Request) *Outcome
	// Start sends a request. ended gets the outcome exactly once, on any goroutine, perhaps
	// before Start returns. It must not block.
	Start(request *Request, ended func(*Outcome))
	// Cancel ends all requests in flight at once.
	Cancel()
}

// Reading says what is done with an answer's body.
type Reading int

const (
	// Keep reads the body and keeps it.
	Keep Reading = iota
	// Discard reads the body and doesn't keep it.
	Discard
	// Ignore doesn't read the body, which is dropped as early as the wire allows.
	Ignore
)

// BodyBytesMax is the size of the largest body that is kept, before and after decompression.
const BodyBytesMax = 256 << 20

// Request is a request for the wire. An Exchanger copies it before Start returns.
type Request struct {
	Method    string
	Scheme    string // http or https
	Authority string // host, and the port if the URL has one
	Target    string // path and query
	Header    []Field
	Body      string
	Reading   Reading
	Timeout   time.Duration
}

// Field is a header field. Names are in lower case on the wire.
type Field struct{ Name, Value string }

// Outcome is the end of a request: an answer or an error.
type Outcome struct {
	Err    *Error
	Status int
	Header []Field
	Body   []byte
	Timing Timing
	// The bytes on the wire.
	Sent, Received uint64
	// The moment of the end.
	End time.Time
}

// Timing has the moments of a request that the library measured, counted from its submission. A
// moment that wasn't reached is negative.
type Timing struct {
	Sent     time.Duration // the request was handed to the connection
	Uploaded time.Duration // the end of a body after the head was, too; negative without such a body
	Accepted time.Duration // the receiver accepted the request
	Head     time.Duration // the head of the answer had arrived
	Finished time.Duration // the request succeeded or failed
}

// Error is the reason why there is no answer, or no complete one.
type Error struct {
	// Code is a code of the library's list, such as no_responders.
	Code string
	Text string
}

func (failure *Error) Error() string { return failure.Code + ": " + failure.Text }
