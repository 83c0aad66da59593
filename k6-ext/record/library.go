package record

/*
#cgo CFLAGS: -I${SRCDIR}/../../crates/k6-bridge/include
#cgo LDFLAGS: -L${SRCDIR}/../../target/release -l:libencarno_k6_bridge.a -lm -ldl -lpthread
#include "encarno.h"

// These functions don't keep pointers or call back into Go.
#cgo noescape encarno_record_begin
#cgo nocallback encarno_record_begin
#cgo noescape encarno_record_text
#cgo nocallback encarno_record_text
#cgo noescape encarno_record_series
#cgo nocallback encarno_record_series
#cgo noescape encarno_record_add
#cgo nocallback encarno_record_add
#cgo noescape encarno_record_end
#cgo nocallback encarno_record_end
#cgo noescape encarno_report_write
#cgo nocallback encarno_report_write
#cgo noescape encarno_live_open
#cgo nocallback encarno_live_open
#cgo noescape encarno_live_close
#cgo nocallback encarno_live_close
#cgo noescape encarno_bytes_free
#cgo nocallback encarno_bytes_free
*/
import "C"

import (
	"errors"
	"fmt"
	"runtime"
	"time"
	"unsafe"

	"github.com/encarno/encarno/k6-ext/trace"
)

// The sizes and offsets of the header's structs in C. crates/k6-bridge/tests/header.rs has the
// same numbers for Rust. A wrong number doesn't compile.
var (
	_ = [1]struct{}{}[unsafe.Sizeof(C.EncarnoSample{})-24]
	_ = [1]struct{}{}[unsafe.Offsetof(C.EncarnoSample{}.value)-16]
	_ = [1]struct{}{}[unsafe.Sizeof(C.EncarnoRequest{})-56]
	_ = [1]struct{}{}[unsafe.Offsetof(C.EncarnoRequest{}.trace)-32]
)

// file is a result file, which the Rust library writes. It belongs to one goroutine.
type file struct {
	handle   C.uint64_t
	samples  []C.EncarnoSample
	requests []C.EncarnoRequest
}

// create creates the file, or truncates it if it exists.
func create(path string, notes []byte, started time.Time) (*file, error) {
	var library C.uint32_t
	if status := C.encarno_abi_version(&library); status != C.ENCARNO_STATUS_OK || library != C.ENCARNO_ABI_VERSION {
		return nil, fmt.Errorf("this extension was compiled for version %d of its C ABI, and the library "+
			"libencarno_k6_bridge.a has version %d: build both again with `make k6`", C.ENCARNO_ABI_VERSION, library)
	}
	var pinner runtime.Pinner
	defer pinner.Unpin()
	created := &file{}
	var reason C.EncarnoOwnedBytes
	status := C.encarno_record_begin(view(&pinner, []byte(path)), view(&pinner, notes), unixNano(started), &created.handle, &reason)
	if err := problem(status, &reason); err != nil {
		return nil, err
	}
	return created, nil
}

// text returns the number of a label or an error.
func (file *file) text(text string) uint32 {
	var pinner runtime.Pinner
	defer pinner.Unpin()
	var number C.uint32_t
	C.encarno_record_text(file.handle, view(&pinner, []byte(text)), &number)
	return uint32(number)
}

// series returns the number of a series, whose description is JSON.
func (file *file) series(description []byte) (uint32, error) {
	var pinner runtime.Pinner
	defer pinner.Unpin()
	var number C.uint32_t
	var reason C.EncarnoOwnedBytes
	status := C.encarno_record_series(file.handle, view(&pinner, description), &number, &reason)
	return uint32(number), problem(status, &reason)
}

func (file *file) sample(series uint32, at time.Time, value float64) {
	file.samples = append(file.samples, C.EncarnoSample{
		series: C.uint32_t(series), at_unix_ns: unixNano(at), value: C.double(value),
	})
}

func (file *file) request(outcome outcome, ended time.Time, duration time.Duration, within trace.Context) {
	file.requests = append(file.requests, C.EncarnoRequest{
		label: C.uint32_t(outcome.label), error: C.uint32_t(outcome.failure), status: C.uint32_t(outcome.status),
		ended_unix_ns: unixNano(ended), duration_ns: C.uint64_t(max(duration, 0)),
		trace: C.EncarnoTrace{high: C.uint64_t(within.High), low: C.uint64_t(within.Low), span: C.uint64_t(within.Span)},
	})
}

// write hands the collected samples to the library, which writes the seconds that ended before until.
func (file *file) write(users uint64, until time.Time) error {
	var reason C.EncarnoOwnedBytes
	status := C.encarno_record_add(file.handle,
		unsafe.SliceData(file.samples), C.size_t(len(file.samples)),
		unsafe.SliceData(file.requests), C.size_t(len(file.requests)),
		C.uint64_t(users), unixNano(until), &reason)
	file.samples, file.requests = file.samples[:0], file.requests[:0]
	return problem(status, &reason)
}

// end writes the rest and closes the file.
func (file *file) end(notes []byte, span time.Duration) error {
	var pinner runtime.Pinner
	defer pinner.Unpin()
	var reason C.EncarnoOwnedBytes
	status := C.encarno_record_end(file.handle, view(&pinner, notes), C.uint64_t(max(span, 0)), &reason)
	return problem(status, &reason)
}

// writeReport writes the report of a finished file.
func writeReport(path, page string) error {
	var pinner runtime.Pinner
	defer pinner.Unpin()
	var reason C.EncarnoOwnedBytes
	status := C.encarno_report_write(view(&pinner, []byte(path)), view(&pinner, []byte(page)), &reason)
	return problem(status, &reason)
}

// live is the handle of a page that shows a file while it is written.
type live C.uint64_t

// show serves the page at an address, and returns its URL.
func show(path, address string) (live, string, error) {
	var pinner runtime.Pinner
	defer pinner.Unpin()
	var number C.uint64_t
	var said C.EncarnoOwnedBytes
	status := C.encarno_live_open(view(&pinner, []byte(path)), view(&pinner, []byte(address)), &number, &said)
	if err := problem(status, &said); err != nil {
		return 0, "", err
	}
	defer C.encarno_bytes_free(&said)
	return live(number), C.GoStringN((*C.char)(unsafe.Pointer(said.data)), C.int(said.length)), nil
}

// close gives viewers a moment to load the end, and stops serving.
func (page live) close() { C.encarno_live_close(C.uint64_t(page)) }

func view(pinner *runtime.Pinner, bytes []byte) C.EncarnoView {
	if len(bytes) == 0 {
		return C.EncarnoView{}
	}
	pinner.Pin(&bytes[0])
	return C.EncarnoView{data: (*C.uint8_t)(&bytes[0]), length: C.size_t(len(bytes))}
}

func unixNano(instant time.Time) C.uint64_t {
	return C.uint64_t(max(instant.UnixNano(), 0))
}

func problem(status C.EncarnoStatus, reason *C.EncarnoOwnedBytes) error {
	if status == C.ENCARNO_STATUS_OK {
		return nil
	}
	defer C.encarno_bytes_free(reason)
	if reason.length > 0 {
		return errors.New(C.GoStringN((*C.char)(unsafe.Pointer(reason.data)), C.int(reason.length)))
	}
	return fmt.Errorf("the library returned status %d", status)
}
