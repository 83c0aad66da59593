package http

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
)

// protocol is what response.proto and the tag proto say.
const protocol = "wRPC/0.0.1"

// transport carries the requests of one call of the script: one of them, or
// several where there are redirects, a digest or a batch.
type transport struct {
	exchanger Exchanger
	collector *collector
	reading   reading
}

// reading says what a script wants of bodies.
type reading struct{ ignore, discard bool }

var _ http.RoundTripper = &transport{}

// RoundTrip is called by k6's code, which measures between the hooks of httptrace.
func (transport *transport) RoundTrip(request *http.Request) (*http.Response, error) {
	ctx := request.Context()
	// The request before this one, where there was a redirect.
	transport.collector.flush(ctx)
	outcome := &outcome{timing: noTiming}
	hooks := httptrace.ContextClientTrace(ctx)
	if hooks == nil {
		hooks = &httptrace.ClientTrace{}
	}
	carried, err := transport.toRequest(request)
	if err != nil {
		return nil, err
	}
	if hooks.GetConn != nil {
		hooks.GetConn(carried.Authority)
	}
	if hooks.GotConn != nil {
		// There is no connection of this request's own: what the hook takes along is
		// how samples find their outcome.
		hooks.GotConn(httptrace.GotConnInfo{Conn: outcome, Reused: true})
	}
	carried.Sent = func() {
		if hooks.WroteRequest != nil {
			hooks.WroteRequest(httptrace.WroteRequestInfo{})
		}
	}
	outcome.sent = carried.size()
	answer, err := transport.exchanger.Exchange(ctx, carried)
	if err != nil {
		return nil, outcome.failed(err)
	}
	if hooks.GotFirstResponseByte != nil {
		hooks.GotFirstResponseByte()
	}
	outcome.timing = answer.Timing
	outcome.received.Add(answer.Unread)
	response, err := toResponse(request, answer, outcome)
	if err != nil {
		_ = answer.Body.Close()
		return nil, outcome.failed(err)
	}
	if carried.Ignore {
		_ = answer.Body.Close()
		response.Body = http.NoBody
	} else {
		response.Body = &body{from: answer.Body, outcome: outcome}
	}
	return response, nil
}

func (transport *transport) toRequest(request *http.Request) (*Request, error) {
	authority := request.Host
	if authority == "" {
		authority = request.URL.Host
	}
	carried := &Request{
		Method:    request.Method,
		Scheme:    request.URL.Scheme,
		Authority: authority,
		Target:    request.URL.RequestURI(),
		Ignore:    transport.reading.ignore,
		Discard:   transport.reading.discard,
	}
	carried.Header = make([]Field, 0, len(request.Header)+1)
	for name, values := range request.Header {
		lower := strings.ToLower(name)
		if lower == "host" {
			continue
		}
		for _, value := range values {
			carried.Header = append(carried.Header, Field{lower, value})
		}
	}
	if request.Body != nil {
		defer func() { _ = request.Body.Close() }()
		whole := bytes.NewBuffer(make([]byte, 0, max(request.ContentLength, 0)))
		if _, err := io.Copy(whole, request.Body); err != nil {
			return nil, err
		}
		carried.Body = whole.Bytes()
	}
	// As net/http does it: a method that expects a body says that there is none.
	expects := request.Method == http.MethodPost || request.Method == http.MethodPut || request.Method == http.MethodPatch
	if len(carried.Body) > 0 || expects {
		carried.Header = append(carried.Header, Field{"content-length", fmt.Sprint(len(carried.Body))})
	}
	return carried, nil
}

// toResponse checks what the peer says: it may be anyone.
func toResponse(request *http.Request, answer *Answer, outcome *outcome) (*http.Response, error) {
	if answer.Status < 200 || answer.Status > 999 {
		return nil, &Error{Code: invalidResponse, Text: fmt.Sprintf("the answer has the status %d", answer.Status)}
	}
	response := &http.Response{
		Status:        fmt.Sprintf("%d %s", answer.Status, http.StatusText(answer.Status)),
		StatusCode:    answer.Status,
		Proto:         protocol,
		Header:        make(http.Header, len(answer.Header)),
		Request:       request,
		ContentLength: -1,
	}
	for _, field := range answer.Header {
		if !isToken(field.Name) || !isFieldValue(field.Value) {
			return nil, &Error{Code: invalidResponse, Text: fmt.Sprintf("the answer's header %q isn't one", field.Name)}
		}
		response.Header.Add(field.Name, field.Value)
		outcome.received.Add(uint64(len(field.Name) + len(field.Value)))
	}
	return response, nil
}

// body is the answer's body as net/http wants it.
type body struct {
	from    io.ReadCloser
	outcome *outcome
	closed  bool
}

func (body *body) Read(into []byte) (int, error) {
	if body.closed {
		return 0, io.EOF // k6's code reads on to be sure
	}
	count, err := body.from.Read(into)
	body.outcome.received.Add(uint64(count))
	if err != nil && !errors.Is(err, io.EOF) {
		err = body.outcome.failed(err)
	}
	return count, err
}

// Close may be called more than once.
func (body *body) Close() error {
	if body.closed {
		return nil
	}
	body.closed = true
	return body.from.Close()
}

// outcome is what became of one request. It travels in the place of a connection
// from the transport to the samples.
type outcome struct {
	net.Conn

	timing   Timing
	code     string
	sent     int
	received atomic.Uint64
}

// RemoteAddr gives what k6 keeps of a connection.
func (outcome *outcome) RemoteAddr() net.Addr { return outcome }

// Network and String make it an address, an empty one.
func (*outcome) Network() string { return "wrpc" }
func (*outcome) String() string  { return "" }

// failed notes why, and gives the error that k6's code understands.
func (outcome *outcome) failed(err error) error {
	var failure *Error
	if !errors.As(err, &failure) {
		if errors.Is(err, context.DeadlineExceeded) {
			failure = &Error{Code: "timeout", Text: "the request timed out", Timing: outcome.timing}
		} else {
			outcome.code = "cancelled"
			return err
		}
	}
	outcome.code = failure.Code
	if failure.Timing != (Timing{}) {
		outcome.timing = failure.Timing
	}
	if failure.Timeout() {
		return failure // k6 gives it the code 1050
	}
	return k6Error(failure)
}
