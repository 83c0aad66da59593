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
	blasts     callInstruments
	calls      callInstruments
	transports transportInstruments
	http       *http.Instruments
}

// callInstruments are those of blasts, or of calls of any function.
type callInstruments struct {
	operation      *metrics.Metric
	failure        *metrics.Metric
	transportError *metrics.Metric
	duration       *metrics.Metric
	queued         *metrics.Metric
	accepted       *metrics.Metric
	result         *metrics.Metric
}

func newInstruments(registry *metrics.Registry) (instruments, error) {
	var all []error
	add := func(name string, kind metrics.MetricType, contains metrics.ValueType) *metrics.Metric {
		metric, err := registry.NewMetric(name, kind, contains)
		all = append(all, err)
		return metric
	}
	ofCalls := func(prefix string) callInstruments {
		return callInstruments{
			operation:      add(prefix+"_operation", metrics.Counter, metrics.Default),
			failure:        add(prefix+"_error", metrics.Counter, metrics.Default),
			transportError: add(prefix+"_transport_error", metrics.Counter, metrics.Default),
			duration:       add(prefix+"_duration", metrics.Trend, metrics.Time),
			queued:         add(prefix+"_queued", metrics.Trend, metrics.Time),
			accepted:       add(prefix+"_accepted", metrics.Trend, metrics.Time),
			result:         add(prefix+"_result", metrics.Trend, metrics.Time),
		}
	}
	added := instruments{
		blasts: ofCalls("wrpc_blaster"),
		calls:  ofCalls("wrpc_call"),
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

// push emits the samples of a blast.
func (instruments *instruments) push(
	ctx context.Context, state *lib.State, tags metrics.TagsAndMeta, done *completion,
) {
	instruments.pushOf(ctx, &instruments.blasts, state, tags, done)
}

// pushCall emits what the call of a function leaves there.
func (instruments *instruments) pushCall(
	ctx context.Context, state *lib.State, tags metrics.TagsAndMeta, done *completion,
) {
	instruments.pushOf(ctx, &instruments.calls, state, tags, done)
}

func (instruments *instruments) pushOf(
	ctx context.Context, of *callInstruments, state *lib.State, tags metrics.TagsAndMeta, done *completion,
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
	add(of.operation, 1)
	if failed {
		add(of.failure, 1)
	}
	if http.IsOfTransport(done.errorCode) {
		add(of.transportError, 1)
	}
	add(of.duration, metrics.D(done.finished))
	if done.sent != never {
		add(of.queued, metrics.D(done.sent))
		if done.accepted != never {
			add(of.accepted, metrics.D(max(done.accepted-done.sent, 0)))
			add(of.result, metrics.D(done.finished-done.accepted))
		}
	}
	add(state.BuiltinMetrics.DataSent, float64(done.bytesSent))
	add(state.BuiltinMetrics.DataReceived, float64(done.bytesReceived))
	iteration.Push(ctx, state.Samples, samples, done.errorCode == cancelled)
	theReporter.reportIfDue(ctx, done.arrived, state, &instruments.transports)
}
