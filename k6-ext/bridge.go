package wrpc

/*
#cgo CFLAGS: -I${SRCDIR}/../crates/k6-bridge/include
#cgo LDFLAGS: -L${SRCDIR}/../target/release -l:libencarno_k6_bridge.a -lm -ldl -lpthread
#include <stdlib.h>
#include "encarno.h"

// These functions don't keep pointers or call back into Go.
#cgo noescape encarno_completions_take
#cgo nocallback encarno_completions_take
#cgo noescape encarno_bytes_free
#cgo nocallback encarno_bytes_free
*/
import "C"

import (
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
)

// The sizes and offsets of the header's structs in C. crates/k6-bridge/tests/header.rs has
// the same numbers for Rust. A wrong number doesn't compile.
var (
	_ = [1]struct{}{}[unsafe.Sizeof(C.EncarnoView{})-16]
	_ = [1]struct{}{}[unsafe.Sizeof(C.EncarnoOwnedBytes{})-16]
	_ = [1]struct{}{}[unsafe.Sizeof(C.EncarnoBridge{})-16]
	_ = [1]struct{}{}[unsafe.Offsetof(C.EncarnoBridge{}.event_fd)-8]
	_ = [1]struct{}{}[unsafe.Sizeof(C.EncarnoCompletion{})-104]
	_ = [1]struct{}{}[unsafe.Offsetof(C.EncarnoCompletion{}.error)-56]
	_ = [1]struct{}{}[unsafe.Offsetof(C.EncarnoCompletion{}.error_code)-72]
)

// batchMax is the most completions that are taken at once.
const batchMax = 256

// never stands for a moment that a call didn't reach.
const never = time.Duration(-1)

// completion is the end of a call. Times count from its submission.
type completion struct {
	errorCode     string // empty for success
	errorText     string
	sent          time.Duration
	uploaded      time.Duration
	accepted      time.Duration
	finished      time.Duration
	bytesSent     uint64
	bytesReceived uint64
	arrived       time.Time
	answer        *httpAnswer // set for an HTTP request that succeeded
	results       []byte      // set for a function that returned any
}

// bridge is the Rust library in this process: its IO threads, and the queue of completions,
// which one goroutine reads.
type bridge struct {
	handle     C.uint64_t
	event      *os.File
	errorNames []string

	// The error that ended the reading of the queue. After it no call can succeed.
	failure atomic.Pointer[error]

	// A call's tag is its index in calls. A call lives as long as its client, and is used
	// again.
	mutex sync.RWMutex
	calls []*call
}

// call is a slot for submissions, one at a time.
type call struct {
	tag        uint64
	completion completion
	// isDue is true from the submission until the completion. The goroutine that resets it
	// reports the end, so the end is reported once, and later completions are dropped.
	isDue atomic.Bool
	// done wakes the goroutine that waits for the end.
	done chan struct{}
	// notify, if set, is called instead, on the goroutine that reads the queue. It must not
	// block.
	notify func(*call)
}

// theBridge opens the bridge for the first client. The bridge lives as long as the process.
var theBridge = sync.OnceValues(openBridge)

// abiVersion returns an error if this extension was compiled with another version of the C
// ABI than the library that is linked.
func abiVersion(header, library uint32) error {
	if header == library {
		return nil
	}
	return fmt.Errorf("the bridge cannot be opened: this extension was compiled for version %d of its C ABI, "+
		"and the library libencarno_k6_bridge.a has version %d: build both again with `make k6`", header, library)
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
		// The descriptor is non-blocking, so Go waits for it without a thread.
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

// read hands completions to their calls. If the queue can't be read any more, all calls in
// flight and all later calls fail.
func (bridge *bridge) read() {
	failure := bridge.readUntilFailure()
	bridge.failure.Store(&failure)
	bridge.mutex.RLock()
	calls := bridge.calls
	bridge.mutex.RUnlock()
	for _, call := range calls {
		call.end(completion{
			errorCode: internal, errorText: failure.Error(), sent: never, accepted: never, arrived: time.Now(),
		})
	}
}

func (bridge *bridge) readUntilFailure() error {
	// The batch is in C's memory, because cgo would scan Go's for pointers at each call.
	batch := unsafe.Slice((*C.EncarnoCompletion)(C.calloc(batchMax, C.sizeof_EncarnoCompletion)), batchMax)
	defer C.free(unsafe.Pointer(&batch[0]))
	var counter [8]byte
	for {
		if _, err := bridge.event.Read(counter[:]); err != nil {
			return fmt.Errorf("the ends of calls can't be read any more: %w", err)
		}
		for {
			var taken C.size_t
			status := C.encarno_completions_take(bridge.handle, &batch[0], batchMax, &taken)
			if status != C.ENCARNO_STATUS_OK {
				return statusError("the ends of calls can't be read any more", status, "")
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
	// Elements of calls never change, so no lock is held while ends are reported: notify may
	// add a call.
	bridge.mutex.RLock()
	calls := bridge.calls
	bridge.mutex.RUnlock()
	for index := range batch {
		calls[batch[index].tag].end(bridge.convert(&batch[index], arrived))
	}
}

// end reports the end of a call, unless it was reported already.
func (call *call) end(how completion) {
	if !call.isDue.CompareAndSwap(true, false) {
		return
	}
	call.completion = how
	if call.notify != nil {
		call.notify(call)
	} else {
		call.done <- struct{}{}
	}
}

func (bridge *bridge) convert(from *C.EncarnoCompletion, arrived time.Time) completion {
	converted := completion{
		sent:          duration(from.sent_ns),
		uploaded:      duration(from.uploaded_ns),
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
	if from.results.length > 0 {
		converted.results = C.GoBytes(unsafe.Pointer(from.results.data), C.int(from.results.length))
		C.encarno_bytes_free(&from.results)
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

// view lends bytes to a function of the library, which copies them.
func view(bytes []byte) C.EncarnoView {
	return C.EncarnoView{
		data:   (*C.uint8_t)(unsafe.SliceData(bytes)),
		length: C.size_t(len(bytes)),
	}
}

// takeText copies a text that the library has handed over, and frees it.
func takeText(owned *C.EncarnoOwnedBytes) string {
	text := C.GoStringN((*C.char)(unsafe.Pointer(owned.data)), C.int(owned.length))
	C.encarno_bytes_free(owned)
	return text
}

// bytesOf returns the bytes of a text without a copy. Don't write to them.
func bytesOf(text string) []byte {
	return unsafe.Slice(unsafe.StringData(text), len(text))
}

func duration(ns C.uint64_t) time.Duration {
	if ns == C.ENCARNO_NEVER {
		return never
	}
	return time.Duration(ns)
}
