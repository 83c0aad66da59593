package wrpc

/*
#include "encarno.h"
#cgo noescape encarno_transport_counts
#cgo nocallback encarno_transport_counts
#cgo noescape encarno_connect_times_take
#cgo nocallback encarno_connect_times_take
*/
import "C"

import (
	"time"
	"unsafe"
)

// Sizes and offsets, as in bridge.go.
var (
	_ = [1]struct{}{}[unsafe.Sizeof(C.EncarnoTransportCounts{})-336]
	_ = [1]struct{}{}[unsafe.Offsetof(C.EncarnoTransportCounts{}.errors)-80]
)

// counts are the counters of a transport since the bridge was opened.
type counts struct {
	connects         uint64
	reconnects       uint64
	connectFailures  uint64
	losses           uint64
	bytesSent        uint64
	bytesReceived    uint64
	messagesSent     uint64
	messagesReceived uint64
	messagesDropped  uint64
	callsInFlight    uint64
	errors           [C.ENCARNO_ERRORS]uint64
}

// transportNames returns the names of the transports. A transport's number is its index.
func transportNames() []string {
	var names []string
	var name C.EncarnoView
	for number := C.uint32_t(0); C.encarno_transport_name(number, &name) == C.ENCARNO_STATUS_OK; number++ {
		names = append(names, C.GoStringN((*C.char)(unsafe.Pointer(name.data)), C.int(name.length)))
	}
	return names
}

func (bridge *bridge) counts(transport int) (counts, bool) {
	var from C.EncarnoTransportCounts
	status := C.encarno_transport_counts(bridge.handle, C.uint32_t(transport), &from)
	if status != C.ENCARNO_STATUS_OK {
		return counts{}, false
	}
	counted := counts{
		connects:         uint64(from.connects),
		reconnects:       uint64(from.reconnects),
		connectFailures:  uint64(from.connect_failures),
		losses:           uint64(from.losses),
		bytesSent:        uint64(from.bytes_sent),
		bytesReceived:    uint64(from.bytes_received),
		messagesSent:     uint64(from.messages_sent),
		messagesReceived: uint64(from.messages_received),
		messagesDropped:  uint64(from.messages_dropped),
		callsInFlight:    uint64(from.calls_in_flight),
	}
	for code, number := range from.errors {
		counted.errors[code] = uint64(number)
	}
	return counted, true
}

// connectTimes returns how long the new connections since its last call took to make.
func (bridge *bridge) connectTimes(transport int) []time.Duration {
	var times []time.Duration
	var batch [batchMax]C.uint64_t
	for {
		var taken C.size_t
		status := C.encarno_connect_times_take(bridge.handle, C.uint32_t(transport), &batch[0], batchMax, &taken)
		if status != C.ENCARNO_STATUS_OK {
			return times
		}
		for _, ns := range batch[:taken] {
			times = append(times, duration(ns))
		}
		if taken < batchMax {
			return times
		}
	}
}
