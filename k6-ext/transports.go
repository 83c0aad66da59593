package wrpc

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"go.k6.io/k6/v2/js/modules"
	"go.k6.io/k6/v2/lib"
	"go.k6.io/k6/v2/metrics"
)

// reportInterval is the time between two reports of the transports. Rust counts, so a call only
// has to compare the time.
const reportInterval = time.Second

// transportInstruments are the metrics of the connections.
type transportInstruments struct {
	root *metrics.TagSet

	connects         *metrics.Metric
	reconnects       *metrics.Metric
	connectFailures  *metrics.Metric
	losses           *metrics.Metric
	connecting       *metrics.Metric
	bytesSent        *metrics.Metric
	bytesReceived    *metrics.Metric
	messagesSent     *metrics.Metric
	messagesReceived *metrics.Metric
	messagesDropped  *metrics.Metric
	callsInFlight    *metrics.Metric
	callsFailed      *metrics.Metric
}

// reporter turns the counters of this process's transports into samples: once a second, when a
// call ends, and at the end of the test.
type reporter struct {
	due atomic.Int64 // Unix nanoseconds

	mutex    sync.Mutex
	names    []string
	reported []counts
	last     destination
}

// destination is the place for the samples of a report.
type destination struct {
	instruments *transportInstruments
	tags        *metrics.TagSet
	output      chan<- metrics.SampleContainer
}

var theReporter reporter

// reportIfDue reports if the interval has passed. It is called at the end of every call.
func (reporter *reporter) reportIfDue(
	ctx context.Context, now time.Time, state *lib.State, instruments *transportInstruments,
) {
	due := reporter.due.Load()
	if now.UnixNano() < due || !reporter.due.CompareAndSwap(due, now.Add(reportInterval).UnixNano()) || ctx.Err() != nil {
		return
	}
	reporter.mutex.Lock()
	defer reporter.mutex.Unlock()
	// All VUs share the counters, so the samples have only the tags of the test.
	tags := instruments.root.WithTagsFromMap(state.Options.RunTags)
	reporter.last = destination{instruments, tags, state.Samples}
	reporter.report(now)
}

// reportAtEnd reports the rest at the end of the test.
func (reporter *reporter) reportAtEnd(vu modules.VU) {
	global := vu.Events().Global
	if global == nil { // true in unit tests
		return
	}
	events := subscribe(global.Subscribe, "TestEnd")
	if events == nil { // this k6 has no such event
		return
	}
	go func() {
		for event := range events {
			reporter.mutex.Lock()
			if reporter.last.output != nil {
				reporter.report(time.Now())
			}
			reporter.mutex.Unlock()
			event.Done()
		}
	}()
}

// subscribe subscribes to the event of this name. The package of k6's events is internal, so its
// types can be inferred but not named.
func subscribe[Type interface {
	~uint8
	String() string
}, Event any](to func(...Type) (uint64, <-chan Event), name string) <-chan Event {
	for event := Type(0); event < 255; event++ {
		if event.String() == name {
			_, events := to(event)
			return events
		}
	}
	return nil
}

func (reporter *reporter) report(now time.Time) {
	bridge, err := theBridge()
	if err != nil {
		return // then there is no client either
	}
	if reporter.names == nil {
		reporter.names = transportNames()
		reporter.reported = make([]counts, len(reporter.names))
	}
	for number, name := range reporter.names {
		counted, ok := bridge.counts(number)
		if ok {
			reporter.reportOne(now, bridge, number, name, &counted)
		}
	}
}

func (reporter *reporter) reportOne(now time.Time, bridge *bridge, number int, name string, counted *counts) {
	before := &reporter.reported[number]
	instruments := reporter.last.instruments
	tags := reporter.last.tags.With("transport", name)
	var samples metrics.Samples
	emit := func(metric *metrics.Metric, tags *metrics.TagSet, value float64) {
		series := metrics.TimeSeries{Metric: metric, Tags: tags}
		samples = append(samples, metrics.Sample{TimeSeries: series, Time: now, Value: value})
	}
	count := func(metric *metrics.Metric, tags *metrics.TagSet, now, before uint64) {
		if now != before {
			emit(metric, tags, float64(now-before))
		}
	}
	count(instruments.connects, tags, counted.connects, before.connects)
	count(instruments.reconnects, tags, counted.reconnects, before.reconnects)
	count(instruments.connectFailures, tags, counted.connectFailures, before.connectFailures)
	count(instruments.losses, tags, counted.losses, before.losses)
	count(instruments.bytesSent, tags, counted.bytesSent, before.bytesSent)
	count(instruments.bytesReceived, tags, counted.bytesReceived, before.bytesReceived)
	count(instruments.messagesSent, tags, counted.messagesSent, before.messagesSent)
	count(instruments.messagesReceived, tags, counted.messagesReceived, before.messagesReceived)
	count(instruments.messagesDropped, tags, counted.messagesDropped, before.messagesDropped)
	for code, errors := range counted.errors {
		if errors != before.errors[code] {
			count(instruments.callsFailed, tags.With("error_code", bridge.errorNames[code]), errors, before.errors[code])
		}
	}
	for _, time := range bridge.connectTimes(number) {
		emit(instruments.connecting, tags, metrics.D(time))
	}
	if counted.connects > 0 {
		emit(instruments.callsInFlight, tags, float64(counted.callsInFlight))
	}
	*before = *counted
	if len(samples) > 0 {
		reporter.last.output <- samples
	}
}
