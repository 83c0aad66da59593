// Package trace lets calls begin traces of W3C Trace Context
// (https://www.w3.org/TR/trace-context/).
package trace

import (
	"fmt"
	"math/rand/v2"
	"strconv"

	"go.k6.io/k6/v2/metrics"
)

// The metadata of the samples of a call that took part in a trace. k6's own tracing uses the
// first one.
const (
	traceIDKey = "trace_id"
	spanIDKey  = "span_id"
)

// Context is a trace, and the span of a call in it. The zero value is no trace.
type Context struct {
	High, Low uint64 // the identifier of the trace
	Span      uint64 // 0 if it isn't known
}

// Begin chooses a share of the calls, from 0 to 1, and returns a new trace for these.
func Begin(share float64) Context {
	if share <= 0 || rand.Float64() >= share {
		return Context{}
	}
	// Neither identifier may be 0.
	return Context{High: rand.Uint64(), Low: rand.Uint64() | 1, Span: rand.Uint64() | 1}
}

// Of returns the trace that the metadata of a sample names.
func Of(metadata map[string]string) Context {
	id := metadata[traceIDKey]
	if len(id) != 32 {
		return Context{}
	}
	high, highErr := strconv.ParseUint(id[:16], 16, 64)
	low, lowErr := strconv.ParseUint(id[16:], 16, 64)
	if highErr != nil || lowErr != nil {
		return Context{}
	}
	span, err := strconv.ParseUint(metadata[spanIDKey], 16, 64)
	if err != nil {
		span = 0
	}
	return Context{High: high, Low: low, Span: span}
}

// IsThere reports whether this is a trace.
func (context Context) IsThere() bool { return context.High|context.Low != 0 }

// Traceparent returns the value of the header traceparent. It asks whoever serves the call to
// record it.
func (context Context) Traceparent() string {
	return fmt.Sprintf("00-%016x%016x-%016x-01", context.High, context.Low, context.Span)
}

// Mark returns the tags with the trace in their metadata.
func (context Context) Mark(tags metrics.TagsAndMeta) metrics.TagsAndMeta {
	if !context.IsThere() {
		return tags
	}
	tags = tags.Clone()
	tags.SetMetadata(traceIDKey, fmt.Sprintf("%016x%016x", context.High, context.Low))
	if context.Span != 0 {
		tags.SetMetadata(spanIDKey, fmt.Sprintf("%016x", context.Span))
	}
	return tags
}
