package wrpc

/*
#include "encarno.h"

#cgo noescape encarno_http_wait
#cgo nocallback encarno_http_wait
#cgo noescape encarno_http_submit
#cgo nocallback encarno_http_submit
#cgo noescape encarno_http_response_free
#cgo nocallback encarno_http_response_free
*/
import "C"

import (
	"context"
	"encoding/binary"
	"time"
	"unsafe"

	"github.com/encarno/encarno/k6-ext/http"
)

var (
	_ = [1]struct{}{}[unsafe.Sizeof(C.EncarnoHttpRequest{})-32]
	_ = [1]struct{}{}[unsafe.Sizeof(C.EncarnoHttpResponse{})-72]
	_ = [1]struct{}{}[unsafe.Offsetof(C.EncarnoHttpResponse{}.status)-64]
	_ = [1]struct{}{}[unsafe.Offsetof(C.EncarnoCompletion{}.response)-80]
)

// link carries the requests of one client.
type link struct {
	client *client
	head   []byte // the last request's head, whose memory the next one uses
}

var _ http.Exchanger = &link{}

// Wait makes a request and waits for its end. The end of the context also ends the request.
func (link *link) Wait(ctx context.Context, request *http.Request) *http.Outcome {
	call, err := link.client.begin(nil)
	if err != nil {
		return unsent(internal, err.Error())
	}
	carried := newHTTPRequest(call.tag, request)
	var done C.EncarnoCompletion
	var reason C.EncarnoOwnedBytes
	link.writeHead(request)
	status := C.encarno_http_wait(link.client.handle, &carried, view(link.head), view(bytesOf(request.Body)), &done, &reason)
	switch status {
	case C.ENCARNO_STATUS_OK:
		call.isDue.Store(false) // the queue gets no completion
		link.client.give(call)
		how := link.client.bridge.convert(&done, time.Now())
		return how.outcome()
	case C.ENCARNO_STATUS_PENDING:
		how := link.client.await(ctx, call)
		return how.outcome()
	default:
		link.client.refused(call, status)
		return refused(status, &reason)
	}
}

// Start makes a request. ended gets its end on the goroutine that reads the queue.
func (link *link) Start(request *http.Request, ended func(*http.Outcome)) {
	submitted, err := link.client.begin(func(call *call) {
		outcome := call.completion.outcome()
		link.client.give(call)
		ended(outcome)
	})
	if err != nil {
		ended(unsent(internal, err.Error()))
		return
	}
	carried := newHTTPRequest(submitted.tag, request)
	var reason C.EncarnoOwnedBytes
	link.writeHead(request)
	status := C.encarno_http_submit(link.client.handle, &carried, view(link.head), view(bytesOf(request.Body)), &reason)
	if status != C.ENCARNO_STATUS_OK && link.client.refused(submitted, status) {
		ended(refused(status, &reason))
	}
}

// Cancel ends the requests in flight.
func (link *link) Cancel() { link.client.cancel() }

func newHTTPRequest(tag uint64, request *http.Request) C.EncarnoHttpRequest {
	return C.EncarnoHttpRequest{
		tag:            C.uint64_t(tag),
		timeout_ns:     C.uint64_t(min(request.Timeout, timeoutMax)),
		body_bytes_max: http.BodyBytesMax,
		reading:        readings[request.Reading],
	}
}

var readings = [...]C.uint32_t{
	http.Keep:    C.ENCARNO_HTTP_KEEP,
	http.Discard: C.ENCARNO_HTTP_DISCARD,
	http.Ignore:  C.ENCARNO_HTTP_IGNORE,
}

// refused returns the outcome of a request that the library didn't accept.
func refused(status C.EncarnoStatus, reason *C.EncarnoOwnedBytes) *http.Outcome {
	switch status {
	case C.ENCARNO_STATUS_BAD_OPTIONS:
		return unsent(http.InvalidRequest, takeText(reason))
	case C.ENCARNO_STATUS_TOO_MANY_CALLS:
		return unsent(http.InvalidRequest, submitError(status).Error())
	default:
		return unsent(internal, submitError(status).Error())
	}
}

// unsent returns the outcome of a request that wasn't sent.
func unsent(code, text string) *http.Outcome {
	return &http.Outcome{
		Err:    &http.Error{Code: code, Text: text},
		Timing: http.Timing{Sent: never, Uploaded: never, Accepted: never, Head: never},
		End:    time.Now(),
	}
}

// outcome returns the outcome of an HTTP request.
func (done *completion) outcome() *http.Outcome {
	outcome := &http.Outcome{
		Timing: http.Timing{
			Sent: done.sent, Uploaded: done.uploaded, Accepted: done.accepted, Head: never, Finished: done.finished,
		},
		Sent:     done.bytesSent,
		Received: done.bytesReceived,
		End:      done.arrived,
	}
	if done.errorCode != "" {
		outcome.Err = &http.Error{Code: done.errorCode, Text: done.errorText}
		return outcome
	}
	outcome.Status = done.answer.status
	outcome.Header = done.answer.header
	outcome.Body = done.answer.body
	outcome.Timing.Head = done.answer.head
	return outcome
}

// httpAnswer is a response from the bridge.
type httpAnswer struct {
	status int
	header []http.Field
	body   []byte
	head   time.Duration
}

// writeHead writes a head in the library's format: texts, each with its length before it.
func (link *link) writeHead(request *http.Request) {
	head := link.head[:0]
	text := func(text string) {
		head = binary.LittleEndian.AppendUint32(head, uint32(len(text)))
		head = append(head, text...)
	}
	text(request.Method)
	text(request.Scheme)
	text(request.Authority)
	text(request.Target)
	for _, field := range request.Header {
		text(field.Name)
		text(field.Value)
	}
	link.head = head
}

// takeAnswer copies a response that the library has handed over, and frees it.
func takeAnswer(owned **C.EncarnoHttpResponse) *httpAnswer {
	response := *owned
	taken := &httpAnswer{
		header: make([]http.Field, 0, 8), // enough for most responses
		status: int(response.status),
		head:   duration(response.head_ns),
		body:   C.GoBytes(unsafe.Pointer(response.body.data), C.int(response.body.length)),
	}
	// Names and values are parts of this one copy.
	texts := C.GoStringN((*C.char)(unsafe.Pointer(response.headers.data)), C.int(response.headers.length))
	next := func() string {
		length := binary.LittleEndian.Uint32(bytesOf(texts[:4]))
		text := texts[4 : 4+length]
		texts = texts[4+length:]
		return text
	}
	for len(texts) > 0 {
		taken.header = append(taken.header, http.Field{Name: next(), Value: next()})
	}
	C.encarno_http_response_free(owned)
	return taken
}
