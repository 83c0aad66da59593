// Package http is k6/http over another way of carrying requests. The functions,
// params and responses that a script sees are k6's own code; this package gives
// them a transport, metrics of other names, and what k6/http doesn't have.
package http

import (
	"context"
	"io"
	"time"
)

// Exchanger carries requests: the link of one client.
type Exchanger interface {
	// Exchange sends a request and waits for the head of its answer, or for the
	// end of the context, which gives the request up. Many goroutines may call it.
	Exchange(ctx context.Context, request *Request) (*Answer, error)
}

// Request is a request as it goes over the wire.
type Request struct {
	Method    string
	Scheme    string // http or https
	Authority string // host, and port where the URL has one
	Target    string // path and query
	Header    []Field
	Body      []byte
	// Ignore says that nobody wants the answer's body: it may be dropped as early
	// as the wire allows.
	Ignore bool
	// Discard says that the answer's body is to be read, and not kept.
	Discard bool
	// Sent is called once the request is on its way.
	Sent func()
}

// size counts the bytes of the request's texts and of its body.
func (request *Request) size() int {
	size := len(request.Method) + len(request.Scheme) + len(request.Authority) + len(request.Target) + len(request.Body)
	for _, field := range request.Header {
		size += len(field.Name) + len(field.Value)
	}
	return size
}

// Field is a header field. Names are in lower case on the wire.
type Field struct{ Name, Value string }

// Answer is the head of an answer, and its body to be read.
type Answer struct {
	Status int
	Header []Field
	// Body must be closed. Reading it may fail with an [Error].
	Body io.ReadCloser
	// Unread are bytes of the body that were read and aren't in Body.
	Unread uint64
	Timing Timing
}

// Timing are the parts of an exchange up to its head, as the library took them.
// What did not happen is negative.
type Timing struct {
	Queued   time.Duration // until it was sent
	Accepted time.Duration // from there until the receiver accepted it
	Answered time.Duration // and from there until the head of the answer
}

var noTiming = Timing{-1, -1, -1}

// Error says why there is no answer, or no whole one.
type Error struct {
	// Code is of the closed list of the library, such as no_responders.
	Code string
	Text string
	// Timing is how far it came.
	Timing Timing
}

func (failure *Error) Error() string { return failure.Code + ": " + failure.Text }

// Timeout makes k6 take it for its own timeout.
func (failure *Error) Timeout() bool { return failure.Code == "timeout" }

// Is makes it the end of the time, wherever k6 asks for that.
func (failure *Error) Is(target error) bool {
	return failure.Timeout() && target == context.DeadlineExceeded
}

// Temporary completes net.Error.
func (failure *Error) Temporary() bool { return false }
