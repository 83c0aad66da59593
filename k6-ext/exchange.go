package wrpc

/*
#include "encarno.h"

#cgo noescape encarno_http_wait
#cgo nocallback encarno_http_wait
#cgo noescape encarno_http_response_free
#cgo nocallback encarno_http_response_free
*/
import "C"

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"sync"
	"time"
	"unsafe"

	"github.com/encarno/encarno/k6-ext/http"
)

var (
	_ = [1]struct{}{}[unsafe.Sizeof(C.EncarnoHttpRequest{})-32]
	_ = [1]struct{}{}[unsafe.Sizeof(C.EncarnoHttpResponse{})-72]
	_ = [1]struct{}{}[unsafe.Offsetof(C.EncarnoHttpResponse{}.status)-64]
	_ = [1]struct{}{}[unsafe.Offsetof(C.EncarnoCompletion{}.response)-72]
)

// A body that a script reads is at most that large.
const bodyBytesMax = 256 << 20

// link carries the requests of one client, for many goroutines.
type link struct {
	client *client
	mutex  sync.Mutex // of the client's idle calls
}

var _ http.Exchanger = &link{}

// httpAnswer is a response as it came over the bridge.
type httpAnswer struct {
	status    int
	header    []http.Field
	body      []byte
	bodyBytes uint64
	head      time.Duration
}

// Exchange makes a request and waits for its answer, or for the end of the context.
func (link *link) Exchange(ctx context.Context, request *http.Request) (*http.Answer, error) {
	done, err := link.call(ctx, request)
	if err != nil {
		return nil, err
	}
	timing := http.Timing{Queued: done.sent, Accepted: never, Answered: never}
	if done.sent != never && done.accepted != never {
		timing.Accepted = max(done.accepted-done.sent, 0)
	}
	if done.errorCode != "" {
		if done.errorCode == "cancelled" && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, &http.Error{Code: done.errorCode, Text: done.errorText, Timing: timing}
	}
	answer := done.answer
	if done.accepted != never {
		timing.Answered = max(answer.head-done.accepted, 0)
	}
	return &http.Answer{
		Status: answer.status,
		Header: answer.header,
		Body:   io.NopCloser(bytes.NewReader(answer.body)),
		Unread: answer.bodyBytes - uint64(len(answer.body)),
		Timing: timing,
	}, nil
}

func (link *link) call(ctx context.Context, request *http.Request) (completion, error) {
	link.mutex.Lock()
	call := link.client.take()
	link.mutex.Unlock()
	defer func() {
		link.mutex.Lock()
		defer link.mutex.Unlock()
		link.client.give(call)
	}()
	timeout := timeoutMax
	if deadline, ok := ctx.Deadline(); ok {
		timeout = min(max(time.Until(deadline), time.Nanosecond), timeoutMax)
	}
	carried := C.EncarnoHttpRequest{
		tag:            C.uint64_t(call.tag),
		timeout_ns:     C.uint64_t(timeout),
		body_bytes_max: bodyBytesMax,
		reading:        C.ENCARNO_HTTP_KEEP,
	}
	switch {
	case request.Ignore:
		carried.reading = C.ENCARNO_HTTP_IGNORE
	case request.Discard:
		carried.reading = C.ENCARNO_HTTP_DISCARD
	}
	var done C.EncarnoCompletion
	var reason C.EncarnoOwnedBytes
	request.Sent()
	head := headOf(request)
	status := C.encarno_http_wait(link.client.handle, &carried, view(head), view(request.Body), &done, &reason)
	switch status {
	case C.ENCARNO_STATUS_OK:
		return link.client.bridge.convert(&done, time.Now()), nil
	case C.ENCARNO_STATUS_PENDING:
	case C.ENCARNO_STATUS_BAD_OPTIONS:
		return completion{}, errors.New(takeText(&reason))
	default:
		return completion{}, submitError(status)
	}
	select {
	case <-call.done:
	case <-ctx.Done():
		// Its own deadline ends the call by itself, about now.
		if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
			link.client.cancel()
		}
		<-call.done
	}
	return call.completion, nil
}

// headOf writes a head as the library reads it: texts, each with its length.
func headOf(request *http.Request) []byte {
	var head []byte
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
	return head
}

// takeAnswer copies a response that belongs to us, and frees it.
func takeAnswer(owned **C.EncarnoHttpResponse) *httpAnswer {
	response := *owned
	taken := &httpAnswer{
		status:    int(response.status),
		bodyBytes: uint64(response.body_bytes),
		head:      duration(response.head_ns),
		body:      C.GoBytes(unsafe.Pointer(response.body.data), C.int(response.body.length)),
	}
	texts := C.GoBytes(unsafe.Pointer(response.headers.data), C.int(response.headers.length))
	next := func() string {
		length := binary.LittleEndian.Uint32(texts)
		text := string(texts[4 : 4+length])
		texts = texts[4+length:]
		return text
	}
	for len(texts) > 0 {
		taken.header = append(taken.header, http.Field{Name: next(), Value: next()})
	}
	C.encarno_http_response_free(owned)
	return taken
}
