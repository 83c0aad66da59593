package http

import (
	"strconv"
	"time"

	"go.k6.io/k6/v2/lib/netext/httpext"
	"go.k6.io/k6/v2/metrics"

	"github.com/encarno/encarno/k6-ext/iteration"
)

// requestSamples are the samples of one request: one allocation, one push.
type requestSamples struct {
	tags    *metrics.TagSet
	time    time.Time
	count   int
	samples [15]metrics.Sample
}

var _ metrics.ConnectedSampleContainer = &requestSamples{}

func (samples *requestSamples) GetSamples() []metrics.Sample { return samples.samples[:samples.count] }
func (samples *requestSamples) GetTags() *metrics.TagSet     { return samples.tags }
func (samples *requestSamples) GetTime() time.Time           { return samples.time }

// emit leaves the samples of one request. The code is the library's, if the error has
// one.
func (call *call) emit(outcome *Outcome, hop *hop, err error, code string) {
	tags, failed := call.tagsOf(outcome.Status, hop, err)
	samples := &requestSamples{tags: tags.Tags, time: outcome.End}
	add := func(metric *metrics.Metric, tagSet *metrics.TagSet, value float64) {
		sample := &samples.samples[samples.count]
		samples.count++
		sample.Metric = metric
		sample.Tags = tagSet
		sample.Time = outcome.End
		sample.Metadata = tags.Metadata
		sample.Value = value
	}
	instruments, parts := call.client.instruments, partsOf(outcome.Timing)
	add(instruments.request, tags.Tags, 1)
	add(instruments.duration, tags.Tags, metrics.D(parts.waiting+parts.receiving))
	add(instruments.blocked, tags.Tags, metrics.D(parts.blocked))
	add(instruments.sending, tags.Tags, 0)
	add(instruments.waiting, tags.Tags, metrics.D(parts.waiting))
	add(instruments.receiving, tags.Tags, metrics.D(parts.receiving))
	if call.expected != nil {
		add(instruments.failed, tags.Tags, metrics.B(failed))
	}
	coded := tags.Tags
	if code != "" && call.state.Options.SystemTags.Has(metrics.TagErrorCode) {
		coded = coded.With("error_code", code)
	}
	switch code {
	case "":
		add(instruments.response, coded, 1)
		if failed {
			add(instruments.invalidResponse, coded, 1)
		}
	case invalidResponse:
		add(instruments.invalidResponse, coded, 1)
		add(instruments.failure, coded, 1)
	case handlerError:
		add(instruments.failure, coded, 1)
	default:
		add(instruments.failure, coded, 1)
		add(instruments.transportError, coded, 1)
	}
	if timing := outcome.Timing; timing.Sent >= 0 {
		add(instruments.queued, tags.Tags, metrics.D(timing.Sent))
		if timing.Accepted >= 0 {
			accepted := max(timing.Accepted, timing.Sent)
			add(instruments.accepted, tags.Tags, metrics.D(accepted-timing.Sent))
			if timing.Head >= 0 {
				add(instruments.answered, tags.Tags, metrics.D(max(timing.Head-accepted, 0)))
			}
		}
	}
	add(call.state.BuiltinMetrics.DataSent, tags.Tags, float64(outcome.Sent))
	add(call.state.BuiltinMetrics.DataReceived, tags.Tags, float64(outcome.Received))
	ctx := call.client.vu.Context()
	iteration.Push(ctx, call.state.Samples, samples, code == cancelled)
	if instruments.Pushed != nil {
		instruments.Pushed(ctx, outcome.End, call.state)
	}
}

// tagsOf gives the tags that k6/http would, and whether the answer isn't as expected.
func (call *call) tagsOf(status int, hop *hop, err error) (metrics.TagsAndMeta, bool) {
	tags := call.tags.Clone()
	enabled := call.state.Options.SystemTags
	set := func(tag metrics.SystemTag, value string) { tags.SetSystemTagOrMetaIfEnabled(enabled, tag, value) }
	if name, ok := tags.Tags.Get("name"); ok {
		// A name groups addresses: the tag url mustn't split them again.
		set(metrics.TagURL, name)
	} else {
		address := hop.clean()
		set(metrics.TagName, address)
		set(metrics.TagURL, address)
	}
	set(metrics.TagMethod, hop.method)
	if err != nil {
		status = 0
		code, text := codeOf(err)
		set(metrics.TagError, text)
		set(metrics.TagErrorCode, strconv.Itoa(code))
		set(metrics.TagStatus, "0")
	} else {
		set(metrics.TagStatus, strconv.Itoa(status))
		if status >= 400 {
			set(metrics.TagErrorCode, strconv.Itoa(1000+status))
		}
		set(metrics.TagProto, protocol)
	}
	if call.expected == nil {
		return tags, false
	}
	expected := call.expected.expects(status)
	if call.auth == "digest" && !call.judged {
		// The first answer is to be the challenge.
		expected = status == 401
	}
	call.judged = true
	set(metrics.TagExpectedResponse, strconv.FormatBool(expected))
	return tags, !expected
}

// parts are the phases of a request. Until one was reached all time is the one before's.
type parts struct{ blocked, waiting, receiving time.Duration }

func partsOf(timing Timing) parts {
	switch {
	case timing.Sent < 0:
		return parts{blocked: max(timing.Finished, 0)}
	case timing.Head < 0:
		return parts{blocked: timing.Sent, waiting: max(timing.Finished-timing.Sent, 0)}
	}
	return parts{timing.Sent, max(timing.Head-timing.Sent, 0), max(timing.Finished-timing.Head, 0)}
}

// timings are the parts in milliseconds, as a response shows them.
func timings(timing Timing) httpext.ResponseTimings {
	parts := partsOf(timing)
	return httpext.ResponseTimings{
		Duration:  metrics.D(parts.waiting + parts.receiving),
		Blocked:   metrics.D(parts.blocked),
		Waiting:   metrics.D(parts.waiting),
		Receiving: metrics.D(parts.receiving),
	}
}
