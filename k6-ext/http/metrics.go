package http

import (
	"context"
	"errors"
	"time"

	"go.k6.io/k6/v2/lib"
	"go.k6.io/k6/v2/metrics"
)

// Families are the families of metrics that requests emit: k6's own, which thresholds and
// dashboards know, and those of wRPC.
type Families struct{ HTTP, WRPC bool }

// Instruments are the metrics of the family wrpc. k6's own are in the VU's state.
type Instruments struct {
	request         *metrics.Metric
	response        *metrics.Metric
	invalidResponse *metrics.Metric
	failure         *metrics.Metric
	transportError  *metrics.Metric
	duration        *metrics.Metric
	queued          *metrics.Metric
	accepted        *metrics.Metric
	answered        *metrics.Metric

	// Pushed, if set, is called after the samples of each request were emitted.
	Pushed func(ctx context.Context, at time.Time, state *lib.State)
}

// NewInstruments registers the metrics.
func NewInstruments(registry *metrics.Registry) (*Instruments, error) {
	var all []error
	add := func(name string, kind metrics.MetricType, contains metrics.ValueType) *metrics.Metric {
		metric, err := registry.NewMetric(name, kind, contains)
		all = append(all, err)
		return metric
	}
	added := &Instruments{
		request:         add("wrpc_http_request", metrics.Counter, metrics.Default),
		response:        add("wrpc_http_response", metrics.Counter, metrics.Default),
		invalidResponse: add("wrpc_http_invalid_response", metrics.Counter, metrics.Default),
		failure:         add("wrpc_http_error", metrics.Counter, metrics.Default),
		transportError:  add("wrpc_transport_error", metrics.Counter, metrics.Default),
		duration:        add("wrpc_http_duration", metrics.Trend, metrics.Time),
		queued:          add("wrpc_http_queued", metrics.Trend, metrics.Time),
		accepted:        add("wrpc_http_accepted", metrics.Trend, metrics.Time),
		answered:        add("wrpc_http_answered", metrics.Trend, metrics.Time),
	}
	return added, errors.Join(all...)
}
