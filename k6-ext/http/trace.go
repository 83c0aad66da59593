package http

import "github.com/encarno/encarno/k6-ext/trace"

// beginTrace lets a share of the requests begin a trace. They get the header traceparent, and
// their samples name the trace in their metadata.
func (call *call) beginTrace() {
	if call.first.header.Get("Traceparent") != "" {
		return
	}
	if begun := trace.Begin(call.client.traced); begun.IsThere() {
		call.traceparent = begun.Traceparent()
		call.tags = begun.Mark(call.tags)
	}
}
