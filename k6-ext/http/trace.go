package http

import (
	"fmt"
	"math/rand/v2"
)

// beginTrace lets a share of the requests begin a trace (W3C Trace Context): the header
// traceparent asks whoever serves them to record it, and the samples have its identifier as
// k6's own tracing does, in the metadata trace_id.
func (call *call) beginTrace() {
	if call.client.traced <= 0 || rand.Float64() >= call.client.traced || call.first.header.Get("Traceparent") != "" {
		return
	}
	// Neither may be 0.
	trace := fmt.Sprintf("%016x%016x", rand.Uint64(), rand.Uint64()|1)
	call.traceparent = fmt.Sprintf("00-%s-%016x-01", trace, rand.Uint64()|1)
	call.tags = call.tags.Clone()
	call.tags.SetMetadata("trace_id", trace)
}
