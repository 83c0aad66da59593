package wrpc

/*
#cgo CFLAGS: -I${SRCDIR}/../crates/k6-bridge/include
#cgo LDFLAGS: -L${SRCDIR}/../target/release -l:libencarno_k6_bridge.a -lm -ldl -lpthread
#include <stdlib.h>
#include "encarno.h"

// None of them keeps a pointer or calls back into Go.
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

// What C makes of the header, against what Rust says: crates/k6-bridge/tests/header.rs
// has the same numbers. A wrong one doesn't compile.
var (
	_ = [1]struct{}{}[unsafe.Sizeof(C.EncarnoView{})-16]
	_ = [1]struct{}{}[unsafe.Sizeof(C.EncarnoOwnedBytes{})-16]
	_ = [1]struct{}{}[unsafe.Sizeof(C.EncarnoBridge{})-16]
	_ = [1]struct{}{}[unsafe.Offsetof(C.EncarnoBridge{}.event_fd)-8]
	_ = [1]struct{}{}[unsafe.Sizeof(C.EncarnoCompletion{})-104]
	_ = [1]struct{}{}[unsafe.Offsetof(C.EncarnoCompletion{}.error)-56]
	_ = [1]struct{}{}[unsafe.Offsetof(C.EncarnoCompletion{}.error_code)-72]
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
	uploaded      time.Duration
	accepted      time.Duration
	finished      time.Duration
	bytesSent     uint64
	bytesReceived uint64
	arrived       time.Time
	answer        *httpAnswer // of an HTTP request that succeeded
	results       []byte      // of a function that has any
}

// bridge is the Rust library's part of the process: its IO threads and the
// queue of what they completed, which one goroutine reads.
type bridge struct {
	handle     C.uint64_t
	event      *os.File
	errorNames []string

	// Why nobody reads the queue any more, once that is so. Then no call can succeed.
	failure atomic.Pointer[error]

	// A call's tag is its position here, the call stays for the life of its
	// client, and is used again.
	mutex sync.RWMutex
	calls []*call
}

// call is one submission after another, never two at once.
type call struct {
	tag        uint64
	completion completion
	// From the submission until the completion. Whoever takes it back tells of the end:
	// so that is told once, and what comes for a call that has ended is dropped.
	isDue atomic.Bool
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

// read hands completions to those who wait for them. When it can't go on, all that are in
// flight fail, and all that come.
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
	// In C's memory, since cgo would look through Go's for pointers at each call.
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
	// Calls are added and never change: whoever is told of an end may make one.
	bridge.mutex.RLock()
	calls := bridge.calls
	bridge.mutex.RUnlock()
	for index := range batch {
		calls[batch[index].tag].end(bridge.convert(&batch[index], arrived))
	}
}

// end tells of the end of a call, unless that was done.
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
