package wrpc

/*
#cgo CFLAGS: -I${SRCDIR}/../crates/k6-bridge/include
#cgo LDFLAGS: -L${SRCDIR}/../target/release -l:libencarno_k6_bridge.a -lm -ldl -lpthread
#include <stdlib.h>
#include "encarno.h"

// None of them keeps a pointer or calls back into Go.
#cgo noescape encarno_blast_submit
#cgo nocallback encarno_blast_submit
#cgo noescape encarno_blast_wait
#cgo nocallback encarno_blast_wait
#cgo noescape encarno_completions_take
#cgo nocallback encarno_completions_take
#cgo noescape encarno_bytes_free
#cgo nocallback encarno_bytes_free
*/
import "C"

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
	"unsafe"
)

// What C makes of the header, against what Rust says: crates/k6-bridge/tests/header.rs
// has the same numbers. A wrong one doesn't compile.
var (
	_ = [1]struct{}{}[unsafe.Sizeof(C.EncarnoView{})-16]
	_ = [1]struct{}{}[unsafe.Sizeof(C.EncarnoOwnedBytes{})-16]
	_ = [1]struct{}{}[unsafe.Sizeof(C.EncarnoBridge{})-16]
	_ = [1]struct{}{}[unsafe.Offsetof(C.EncarnoBridge{}.event_fd)-8]
	_ = [1]struct{}{}[unsafe.Sizeof(C.EncarnoBlast{})-64]
	_ = [1]struct{}{}[unsafe.Offsetof(C.EncarnoBlast{}.timeout_ns)-56]
	_ = [1]struct{}{}[unsafe.Sizeof(C.EncarnoCompletion{})-96]
	_ = [1]struct{}{}[unsafe.Offsetof(C.EncarnoCompletion{}.error)-48]
	_ = [1]struct{}{}[unsafe.Offsetof(C.EncarnoCompletion{}.error_code)-64]
)

// batchMax completions are taken at once.
const batchMax = 256

// never stands for a moment that a call did not reach.
const never = time.Duration(-1)

// completion is what became of a call. Times count from its submission.
type completion struct {
	errorCode     string // empty for success
	errorText     string
	sent          time.Duration
	accepted      time.Duration
	finished      time.Duration
	bytesSent     uint64
	bytesReceived uint64
	arrived       time.Time
	answer        *httpAnswer // of an HTTP request that succeeded
}

// bridge is the Rust library's part of the process: its IO threads and the
// queue of what they completed, which one goroutine reads.
type bridge struct {
	handle     C.uint64_t
	event      *os.File
	errorNames []string

	// A call's tag is its position here, the call stays for the life of its
	// client, and is used again.
	mutex sync.RWMutex
	calls []*call
}

// call is one submission after another, never two at once.
type call struct {
	tag        uint64
	completion completion
	// Where a goroutine waits for it.
	done chan struct{}
	// What is done with it instead, on the goroutine that reads the queue.
	// Must not block.
	notify func(*call)
}

// theBridge is opened by the first client and lives as long as the process.
var theBridge = sync.OnceValues(openBridge)

// abiVersion compares the version of the C ABI that this extension was compiled with to
// that of the library which was linked to it.
func abiVersion(header, library uint32) error {
	if header == library {
		return nil
	}
	return fmt.Errorf("the bridge cannot be opened: this extension was compiled for version %d of its C ABI, "+
		"and the library libencarno_k6_bridge.a speaks version %d: build both anew, by `make k6`", header, library)
}

func openBridge() (*bridge, error) {
	var library C.uint32_t
	if status := C.encarno_abi_version(&library); status != C.ENCARNO_STATUS_OK {
		return nil, statusError("the library does not say its version", status, "")
	}
	if err := abiVersion(C.ENCARNO_ABI_VERSION, uint32(library)); err != nil {
		return nil, err
	}
	var opened C.EncarnoBridge
	var reason C.EncarnoOwnedBytes
	if status := C.encarno_bridge_open(&opened, &reason); status != C.ENCARNO_STATUS_OK {
		return nil, statusError("the bridge cannot be opened", status, takeText(&reason))
	}
	opening := &bridge{
		handle: opened.handle,
		// Non-blocking, so that Go waits for it without a thread.
		event:      os.NewFile(uintptr(opened.event_fd), "encarno completions"),
		errorNames: []string{""},
	}
	for code := C.uint32_t(1); ; code++ {
		var name C.EncarnoView
		if C.encarno_error_name(code, &name) != C.ENCARNO_STATUS_OK {
			break
		}
		text := C.GoStringN((*C.char)(unsafe.Pointer(name.data)), C.int(name.length))
		opening.errorNames = append(opening.errorNames, text)
	}
	go opening.read()
	return opening, nil
}

// read hands completions to those who wait for them, until the bridge is closed.
func (bridge *bridge) read() {
	// In C's memory, since cgo would look through Go's for pointers at each call.
	batch := unsafe.Slice((*C.EncarnoCompletion)(C.calloc(batchMax, C.sizeof_EncarnoCompletion)), batchMax)
	defer C.free(unsafe.Pointer(&batch[0]))
	var counter [8]byte
	for {
		if _, err := bridge.event.Read(counter[:]); err != nil {
			return
		}
		for {
			var taken C.size_t
			status := C.encarno_completions_take(bridge.handle, &batch[0], batchMax, &taken)
			if status != C.ENCARNO_STATUS_OK {
				return
			}
			bridge.deliver(batch[:taken])
			if taken < batchMax {
				break
			}
		}
	}
}

func (bridge *bridge) deliver(batch []C.EncarnoCompletion) {
	arrived := time.Now()
	// Calls are added and never change: whoever is told of an end may make one.
	bridge.mutex.RLock()
	calls := bridge.calls
	bridge.mutex.RUnlock()
	for index := range batch {
		call := calls[batch[index].tag]
		call.completion = bridge.convert(&batch[index], arrived)
		if call.notify != nil {
			call.notify(call)
		} else {
			call.done <- struct{}{}
		}
	}
}

func (bridge *bridge) convert(from *C.EncarnoCompletion, arrived time.Time) completion {
	converted := completion{
		sent:          duration(from.sent_ns),
		accepted:      duration(from.accepted_ns),
		finished:      duration(from.finished_ns),
		bytesSent:     uint64(from.bytes_sent),
		bytesReceived: uint64(from.bytes_received),
		arrived:       arrived,
	}
	if from.error_code != 0 {
		converted.errorCode = bridge.errorNames[from.error_code]
		converted.errorText = takeText(&from.error)
	}
	if from.response != nil {
		converted.answer = takeAnswer(&from.response)
	}
	return converted
}

func (bridge *bridge) newCall() *call {
	bridge.mutex.Lock()
	defer bridge.mutex.Unlock()
	added := &call{tag: uint64(len(bridge.calls)), done: make(chan struct{}, 1)}
	bridge.calls = append(bridge.calls, added)
	return added
}

// client has a connection of its own, which is made at its first call. But for
// cancel, it belongs to the goroutine of one VU.
type client struct {
	bridge *bridge
	handle C.uint64_t
	idle   []*call
}

// openClient checks the options, given as JSON.
func openClient(options []byte) (*client, error) {
	bridge, err := theBridge()
	if err != nil {
		return nil, err
	}
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

// blast makes a call and waits for its end, or for that of the context, which
// ends the call.
func (client *client) blast(ctx context.Context, id packetID, packet *packet) (completion, error) {
	call := client.take()
	defer client.give(call)
	blast := newBlast(call.tag, id, packet)
	var done C.EncarnoCompletion
	switch status := C.encarno_blast_wait(client.handle, &blast, view(packet.payload), &done); status {
	case C.ENCARNO_STATUS_OK:
		return client.bridge.convert(&done, time.Now()), nil
	case C.ENCARNO_STATUS_PENDING:
	default:
		return completion{}, submitError(status)
	}
	select {
	case <-call.done:
	case <-ctx.Done():
		client.cancel()
		<-call.done // at once
	}
	return call.completion, nil
}

// submit makes a call of which notify is told, on another goroutine and exactly
// once, unless submit itself fails. The call is given back by give.
func (client *client) submit(id packetID, packet *packet, notify func(*call)) error {
	call := client.take()
	call.notify = notify
	blast := newBlast(call.tag, id, packet)
	status := C.encarno_blast_submit(client.handle, &blast, view(packet.payload))
	if status != C.ENCARNO_STATUS_OK {
		client.give(call)
		return submitError(status)
	}
	return nil
}

// cancel ends the client's calls that are in flight: they complete at once. Any
// goroutine may call it.
func (client *client) cancel() {
	C.encarno_client_cancel(client.handle)
}

func (client *client) take() *call {
	last := len(client.idle) - 1
	if last < 0 {
		return client.bridge.newCall()
	}
	call := client.idle[last]
	client.idle = client.idle[:last]
	return call
}

func (client *client) give(call *call) {
	call.notify = nil
	client.idle = append(client.idle, call)
}

// packetID names a packet in the logs of a receiver.
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
	}
}

func submitError(status C.EncarnoStatus) error {
	if status == C.ENCARNO_STATUS_TOO_MANY_CALLS {
		return errors.New("too many calls are in flight: 1048576 is the limit")
	}
	return statusError("the call cannot be submitted", status, "")
}

func statusError(what string, status C.EncarnoStatus, reason string) error {
	switch {
	case reason != "":
		return fmt.Errorf("%s: %s", what, reason)
	case status == C.ENCARNO_STATUS_BAD_HANDLE:
		return fmt.Errorf("%s: it is closed", what)
	default:
		return fmt.Errorf("%s: the bridge returned status %d", what, status)
	}
}

// view lends bytes to an export, which copies what it keeps.
func view(bytes []byte) C.EncarnoView {
	return C.EncarnoView{
		data:   (*C.uint8_t)(unsafe.SliceData(bytes)),
		length: C.size_t(len(bytes)),
	}
}

// takeText copies a text that belongs to us, and frees it.
func takeText(owned *C.EncarnoOwnedBytes) string {
	text := C.GoStringN((*C.char)(unsafe.Pointer(owned.data)), C.int(owned.length))
	C.encarno_bytes_free(owned)
	return text
}

// bytesOf gives the bytes of a text without a copy; nobody may write to them.
func bytesOf(text string) []byte {
	return unsafe.Slice(unsafe.StringData(text), len(text))
}

func duration(ns C.uint64_t) time.Duration {
	if ns == C.ENCARNO_NEVER {
		return never
	}
	return time.Duration(ns)
}
