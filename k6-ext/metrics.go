package wrpc

import (
	"context"
	"errors"
	"time"

	"go.k6.io/k6/v2/lib"
	"go.k6.io/k6/v2/metrics"

	"github.com/encarno/encarno/k6-ext/http"
	"github.com/encarno/encarno/k6-ext/iteration"
)

// Codes of the library's list: for a call that was cancelled, and for bugs of encarno.
const (
	cancelled = "cancelled"
	internal  = "internal"
)

// instruments are the module's metrics.
type instruments struct {
	operation      *metrics.Metric
	failure        *metrics.Metric
	transportError *metrics.Metric
	duration       *metrics.Metric
	queued         *metrics.Metric
	accepted       *metrics.Metric
	result         *metrics.Metric
	transports     transportInstruments
	http           *http.Instruments
}

func newInstruments(registry *metrics.Registry) (instruments, error) {
	var all []error
	add := func(name string, kind metrics.MetricType, contains metrics.ValueType) *metrics.Metric {
		metric, err := registry.NewMetric(name, kind, contains)
		all = append(all, err)
		return metric
	}
	added := instruments{
		operation:      add("wrpc_blaster_operation", metrics.Counter, metrics.Default),
		failure:        add("wrpc_blaster_error", metrics.Counter, metrics.Default),
		transportError: add("wrpc_blaster_transport_error", metrics.Counter, metrics.Default),
		duration:       add("wrpc_blaster_duration", metrics.Trend, metrics.Time),
		queued:         add("wrpc_blaster_queued", metrics.Trend, metrics.Time),
		accepted:       add("wrpc_blaster_accepted", metrics.Trend, metrics.Time),
		result:         add("wrpc_blaster_result", metrics.Trend, metrics.Time),
		transports: transportInstruments{
			root:             registry.RootTagSet(),
			connects:         add("wrpc_transport_connects", metrics.Counter, metrics.Default),
			reconnects:       add("wrpc_transport_reconnects", metrics.Counter, metrics.Default),
			connectFailures:  add("wrpc_transport_connect_failures", metrics.Counter, metrics.Default),
			losses:           add("wrpc_transport_losses", metrics.Counter, metrics.Default),
			connecting:       add("wrpc_transport_connecting", metrics.Trend, metrics.Time),
			bytesSent:        add("wrpc_transport_data_sent", metrics.Counter, metrics.Data),
			bytesReceived:    add("wrpc_transport_data_received", metrics.Counter, metrics.Data),
			messagesSent:     add("wrpc_transport_messages_sent", metrics.Counter, metrics.Default),
			messagesReceived: add("wrpc_transport_messages_received", metrics.Counter, metrics.Default),
			messagesDropped:  add("wrpc_transport_messages_dropped", metrics.Counter, metrics.Default),
			callsInFlight:    add("wrpc_transport_calls_in_flight", metrics.Gauge, metrics.Default),
			callsFailed:      add("wrpc_transport_calls_failed", metrics.Counter, metrics.Default),
		},
	}
	requests, err := http.NewInstruments(registry)
	requests.Pushed = func(ctx context.Context, at time.Time, state *lib.State) {
		theReporter.reportIfDue(ctx, at, state, &added.transports)
	}
	added.http = requests
	return added, errors.Join(append(all, err)...)
}

// callSamples are the samples of a call, in one allocation and for one push.
type callSamples struct {
	metrics.ConnectedSamples
	array [9]metrics.Sample
}

// push emits the samples of a call.
func (instruments *instruments) push(
	ctx context.Context, state *lib.State, tags metrics.TagsAndMeta, done *completion,
) {
	failed := done.errorCode != ""
	if failed {
		tags.SetSystemTagOrMetaIfEnabled(state.Options.SystemTags, metrics.TagErrorCode, done.errorCode)
	}
	samples := &callSamples{ConnectedSamples: metrics.ConnectedSamples{Tags: tags.Tags, Time: done.arrived}}
	samples.Samples = samples.array[:0]
	add := func(metric *metrics.Metric, value float64) {
		samples.Samples = append(samples.Samples, metrics.Sample{
			TimeSeries: metrics.TimeSeries{Metric: metric, Tags: tags.Tags},
			Time:       done.arrived, Metadata: tags.Metadata, Value: value,
		})
	}
	add(instruments.operation, 1)
	if failed {
		add(instruments.failure, 1)
	}
	if http.IsOfTransport(done.errorCode) {
		add(instruments.transportError, 1)
	}
	add(instruments.duration, metrics.D(done.finished))
	if done.sent != never {
		add(instruments.queued, metrics.D(done.sent))
		if done.accepted != never {
			add(instruments.accepted, metrics.D(max(done.accepted-done.sent, 0)))
			add(instruments.result, metrics.D(done.finished-done.accepted))
		}
	}
	add(state.BuiltinMetrics.DataSent, float64(done.bytesSent))
	add(state.BuiltinMetrics.DataReceived, float64(done.bytesReceived))
	iteration.Push(ctx, state.Samples, samples, done.errorCode == cancelled)
	theReporter.reportIfDue(ctx, done.arrived, state, &instruments.transports)
}
