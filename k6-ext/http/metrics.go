package http

import (
	"context"
	"errors"

	"go.k6.io/k6/v2/lib"
	"go.k6.io/k6/v2/lib/netext/httpext"
	"go.k6.io/k6/v2/metrics"
)

// Instruments are the metrics of requests.
type Instruments struct {
	request         *metrics.Metric
	response        *metrics.Metric
	invalidResponse *metrics.Metric
	failure         *metrics.Metric
	transportError  *metrics.Metric
	failed          *metrics.Metric
	duration        *metrics.Metric
	blocked         *metrics.Metric
	sending         *metrics.Metric
	waiting         *metrics.Metric
	receiving       *metrics.Metric
	queued          *metrics.Metric
	accepted        *metrics.Metric
	answered        *metrics.Metric

	// Of what has no meaning here: k6's code makes samples of them, which are left out.
	none *metrics.Metric
}

// NewInstruments registers them.
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
		failed:          add("wrpc_http_failed", metrics.Rate, metrics.Default),
		duration:        add("wrpc_http_duration", metrics.Trend, metrics.Time),
		blocked:         add("wrpc_http_blocked", metrics.Trend, metrics.Time),
		sending:         add("wrpc_http_sending", metrics.Trend, metrics.Time),
		waiting:         add("wrpc_http_waiting", metrics.Trend, metrics.Time),
		receiving:       add("wrpc_http_receiving", metrics.Trend, metrics.Time),
		queued:          add("wrpc_http_queued", metrics.Trend, metrics.Time),
		accepted:        add("wrpc_http_accepted", metrics.Trend, metrics.Time),
		answered:        add("wrpc_http_answered", metrics.Trend, metrics.Time),
		none:            &metrics.Metric{},
	}
	return added, errors.Join(all...)
}

// inPlaceOf gives k6's metrics with ours in the place of those of k6/http.
func (instruments *Instruments) inPlaceOf(builtin *metrics.BuiltinMetrics) *metrics.BuiltinMetrics {
	replaced := *builtin
	replaced.HTTPReqs = instruments.request
	replaced.HTTPReqFailed = instruments.failed
	replaced.HTTPReqDuration = instruments.duration
	replaced.HTTPReqBlocked = instruments.blocked
	replaced.HTTPReqSending = instruments.sending
	replaced.HTTPReqWaiting = instruments.waiting
	replaced.HTTPReqReceiving = instruments.receiving
	replaced.HTTPReqConnecting = instruments.none
	replaced.HTTPReqTLSHandshaking = instruments.none
	return &replaced
}

// complete gives the samples of a request what k6's code doesn't know of.
func (instruments *Instruments) complete(trail *httpext.Trail, builtin *metrics.BuiltinMetrics, systemTags *metrics.SystemTagSet) {
	known := trail.Samples[:0]
	for _, sample := range trail.Samples {
		if sample.Metric != instruments.none {
			known = append(known, sample)
		}
	}
	trail.Samples = known
	outcome, _ := trail.ConnRemoteAddr.(*outcome)
	if outcome == nil {
		return // refused before anything was sent
	}
	add := func(metric *metrics.Metric, tags *metrics.TagSet, value float64) {
		trail.Samples = append(trail.Samples, metrics.Sample{
			TimeSeries: metrics.TimeSeries{Metric: metric, Tags: tags},
			Time:       trail.EndTime,
			Metadata:   trail.Metadata,
			Value:      value,
		})
	}
	tags := trail.Tags
	if outcome.code != "" && systemTags.Has(metrics.TagErrorCode) {
		tags = tags.With("error_code", outcome.code)
	}
	switch {
	case outcome.code == "" && trail.Failed.Valid && trail.Failed.Bool:
		add(instruments.response, tags, 1)
		add(instruments.invalidResponse, tags, 1)
	case outcome.code == "":
		add(instruments.response, tags, 1)
	case outcome.code == invalidResponse:
		add(instruments.invalidResponse, tags, 1)
		add(instruments.failure, tags, 1)
	case outcome.code == handlerError:
		add(instruments.failure, tags, 1)
	default:
		add(instruments.failure, tags, 1)
		add(instruments.transportError, tags, 1)
	}
	parts := outcome.timing
	if parts.Queued >= 0 {
		add(instruments.queued, trail.Tags, metrics.D(parts.Queued))
	}
	if parts.Accepted >= 0 {
		add(instruments.accepted, trail.Tags, metrics.D(parts.Accepted))
	}
	if parts.Answered >= 0 {
		add(instruments.answered, trail.Tags, metrics.D(parts.Answered))
	}
	add(builtin.DataSent, trail.Tags, float64(outcome.sent))
	add(builtin.DataReceived, trail.Tags, float64(outcome.received.Load()))
}

// collector stands between k6's code and the samples of the test, for one call of
// the script. It has room for what comes before it is emptied: k6's code pushes
// where nobody else could make room.
type collector struct {
	instruments *Instruments
	state       *lib.State // the VU's own
	samples     chan metrics.SampleContainer
}

// flush passes on what came, completed.
func (collector *collector) flush(ctx context.Context) {
	for {
		select {
		case container := <-collector.samples:
			if trail, ok := container.(*httpext.Trail); ok {
				collector.instruments.complete(trail, collector.state.BuiltinMetrics, collector.state.Options.SystemTags)
			}
			metrics.PushIfNotDone(ctx, collector.state.Samples, container)
		default:
			return
		}
	}
}
