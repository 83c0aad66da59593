package wrpc

/*
#include "encarno.h"

// These functions don't keep pointers or call back into Go.
#cgo noescape encarno_blast_submit
#cgo nocallback encarno_blast_submit
#cgo noescape encarno_blast_wait
#cgo nocallback encarno_blast_wait
#cgo noescape encarno_call_submit
#cgo nocallback encarno_call_submit
#cgo noescape encarno_call_wait
#cgo nocallback encarno_call_wait
*/
import "C"

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"time"
	"unsafe"

	"github.com/encarno/encarno/k6-ext/http"
)

// Sizes and offsets, as in bridge.go.
var (
	_ = [1]struct{}{}[unsafe.Sizeof(C.EncarnoBlast{})-88]
	_ = [1]struct{}{}[unsafe.Offsetof(C.EncarnoBlast{}.trace)-64]
	_ = [1]struct{}{}[unsafe.Sizeof(C.EncarnoCall{})-24]
)

// The statuses of a submission, with names that tests can use.
const (
	statusPanic        = C.ENCARNO_STATUS_PANIC
	statusTooManyCalls = C.ENCARNO_STATUS_TOO_MANY_CALLS
)

// client has its own connection, or one that VUs share. The connection is made at the first
// call. Only the VU's goroutine may call its methods, except cancel and give.
type client struct {
	bridge *bridge
	handle C.uint64_t

	mutex sync.Mutex // give is called on another goroutine, too
	idle  []*call
}

// openClient opens a client, and checks its options, which are JSON.
func openClient(options []byte) (*client, error) {
	bridge, err := theBridge()
	if err != nil {
		return nil, err
	}
	return bridge.openClient(options)
}

func (bridge *bridge) openClient(options []byte) (*client, error) {
	opening := &client{bridge: bridge}
	var reason C.EncarnoOwnedBytes
	status := C.encarno_client_open(bridge.handle, view(options), &opening.handle, &reason)
	switch status {
	case C.ENCARNO_STATUS_OK:
		return opening, nil
	case C.ENCARNO_STATUS_BAD_OPTIONS:
		return nil, errors.New(takeText(&reason))
	default:
		return nil, statusError("the client cannot be opened", status, takeText(&reason))
	}
}

// blast makes a call and waits for its end. The end of the context also ends the call.
func (client *client) blast(ctx context.Context, id packetID, packet *packet) (completion, error) {
	call, err := client.begin(nil)
	if err != nil {
		return completion{}, err
	}
	blast := newBlast(call.tag, id, packet)
	var done C.EncarnoCompletion
	status := C.encarno_blast_wait(client.handle, &blast, view(packet.payload), &done)
	if ended, isMade := client.waited(ctx, call, status, &done); isMade {
		return ended, nil
	}
	return completion{}, submitError(status)
}

// waited gives the end of a call whose submission came back with that status, and whether
// it was made at all.
func (client *client) waited(
	ctx context.Context, call *call, status C.EncarnoStatus, done *C.EncarnoCompletion,
) (completion, bool) {
	switch status {
	case C.ENCARNO_STATUS_OK:
		call.isDue.Store(false) // the queue gets no completion
		client.give(call)
		return client.bridge.convert(done, time.Now()), true
	case C.ENCARNO_STATUS_PENDING:
		return client.await(ctx, call), true
	default:
		client.refused(call, status)
		return completion{}, false
	}
}

// submit makes a call. notify gets its end exactly once, on another goroutine, unless submit
// itself fails. notify must give the call back with give.
func (client *client) submit(id packetID, packet *packet, notify func(*call)) error {
	call, err := client.begin(notify)
	if err != nil {
		return err
	}
	blast := newBlast(call.tag, id, packet)
	status := C.encarno_blast_submit(client.handle, &blast, view(packet.payload))
	if status != C.ENCARNO_STATUS_OK && client.refused(call, status) {
		return submitError(status)
	}
	return nil
}

// functionCall is an encoded call of any function.
type functionCall struct {
	function uint64
	params   []byte
	headers  []http.Field
	timeout  time.Duration
}

// openFunction returns the number by which the library knows a function.
func (client *client) openFunction(of, name string) (uint64, error) {
	var number C.uint64_t
	var reason C.EncarnoOwnedBytes
	status := C.encarno_function_open(client.handle, view(bytesOf(of)), view(bytesOf(name)), &number, &reason)
	switch status {
	case C.ENCARNO_STATUS_OK:
		return uint64(number), nil
	case C.ENCARNO_STATUS_BAD_OPTIONS:
		return 0, errors.New(takeText(&reason))
	default:
		return 0, statusError("the function cannot be called", status, "")
	}
}

// callFunction makes a call and waits until the call or the context ends. The end of the
// context ends the call.
func (client *client) callFunction(ctx context.Context, carried functionCall) (completion, error) {
	call, err := client.begin(nil)
	if err != nil {
		return completion{}, err
	}
	submitted, headers := newCall(call.tag, carried), textsOf(carried.headers)
	var done C.EncarnoCompletion
	var reason C.EncarnoOwnedBytes
	status := C.encarno_call_wait(client.handle, &submitted, view(carried.params), view(headers), &done, &reason)
	if ended, isMade := client.waited(ctx, call, status, &done); isMade {
		return ended, nil
	}
	return completion{}, callError(status, &reason)
}

// submitFunction makes a call and notifies its end, as submit does.
func (client *client) submitFunction(carried functionCall, notify func(*call)) error {
	call, err := client.begin(notify)
	if err != nil {
		return err
	}
	submitted, headers := newCall(call.tag, carried), textsOf(carried.headers)
	var reason C.EncarnoOwnedBytes
	status := C.encarno_call_submit(client.handle, &submitted, view(carried.params), view(headers), &reason)
	if status != C.ENCARNO_STATUS_OK && client.refused(call, status) {
		return callError(status, &reason)
	}
	return nil
}

func newCall(tag uint64, carried functionCall) C.EncarnoCall {
	return C.EncarnoCall{
		tag:        C.uint64_t(tag),
		function:   C.uint64_t(carried.function),
		timeout_ns: C.uint64_t(carried.timeout),
	}
}

// textsOf encodes headers as the library reads them: each text after its length.
func textsOf(headers []http.Field) []byte {
	var texts []byte
	for _, header := range headers {
		for _, text := range []string{header.Name, header.Value} {
			texts = binary.LittleEndian.AppendUint32(texts, uint32(len(text)))
			texts = append(texts, text...)
		}
	}
	return texts
}

func callError(status C.EncarnoStatus, reason *C.EncarnoOwnedBytes) error {
	if status == C.ENCARNO_STATUS_BAD_OPTIONS {
		return errors.New(takeText(reason))
	}
	return submitError(status)
}

// cancel ends the client's calls in flight, which complete at once. Any goroutine may call
// it.
func (client *client) cancel() {
	C.encarno_client_cancel(client.handle)
}

// begin returns a call to submit.
func (client *client) begin(notify func(*call)) (*call, error) {
	call := client.take()
	call.notify = notify
	// isDue is set before the failure is read. So either begin sees the failure, or read
	// sees the call.
	call.isDue.Store(true)
	if failure := client.bridge.failure.Load(); failure != nil && call.isDue.CompareAndSwap(true, false) {
		client.give(call)
		return nil, *failure
	}
	return call, nil
}

// await waits for the end of a call. The end of the context also ends the call.
func (client *client) await(ctx context.Context, call *call) completion {
	select {
	case <-call.done:
	case <-ctx.Done():
		client.cancel()
		<-call.done // arrives at once
	}
	how := call.completion
	client.give(call)
	return how
}

// refused takes back a call that wasn't submitted. It returns true if the caller must report
// the end.
func (client *client) refused(call *call, status C.EncarnoStatus) bool {
	if !call.isDue.CompareAndSwap(true, false) {
		return false
	}
	// After a panic a completion may still arrive, so the tag isn't used again.
	if status != C.ENCARNO_STATUS_PANIC {
		client.give(call)
	}
	return true
}

func (client *client) take() *call {
	client.mutex.Lock()
	defer client.mutex.Unlock()
	last := len(client.idle) - 1
	if last < 0 {
		return client.bridge.newCall()
	}
	call := client.idle[last]
	client.idle = client.idle[:last]
	return call
}

// give gives back a call that gets no more completions.
func (client *client) give(call *call) {
	client.mutex.Lock()
	defer client.mutex.Unlock()
	call.notify = nil
	call.completion = completion{} // frees a body, which may be large
	client.idle = append(client.idle, call)
}

// packetID identifies a packet in the logs of a receiver.
type packetID struct{ vu, iteration, number uint64 }

func newBlast(tag uint64, id packetID, packet *packet) C.EncarnoBlast {
	return C.EncarnoBlast{
		tag:         C.uint64_t(tag),
		vu:          C.uint64_t(id.vu),
		iteration:   C.uint64_t(id.iteration),
		number:      C.uint64_t(id.number),
		mem_burn_mb: C.uint64_t(packet.memoryBurnMB),
		cpu_burn_ms: C.uint64_t(packet.cpuBurnMS),
		wait_ms:     C.uint64_t(packet.waitMS),
		timeout_ns:  C.uint64_t(packet.timeout),
		trace: C.EncarnoTrace{
			high: C.uint64_t(packet.trace.High), low: C.uint64_t(packet.trace.Low), span: C.uint64_t(packet.trace.Span),
		},
	}
}

func submitError(status C.EncarnoStatus) error {
	if status == C.ENCARNO_STATUS_TOO_MANY_CALLS {
		return errors.New("too many calls are in flight: 1048576 is the limit")
	}
	return statusError("the call cannot be submitted", status, "")
}
