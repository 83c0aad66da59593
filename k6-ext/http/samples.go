package http

import (
	"strconv"
	"time"

	"go.k6.io/k6/v2/lib/netext/httpext"
	"go.k6.io/k6/v2/metrics"

	"github.com/encarno/encarno/k6-ext/iteration"
)

// samplesMax is the most samples that a request emits.
const samplesMax = 20

// emit emits the samples of a request. code is the error's code in the library's list.
func (call *call) emit(outcome *Outcome, hop *hop, err error, code string) {
	tags, failed := call.tagsOf(outcome.Status, hop, err)
	samples := &requestSamples{ConnectedSamples: metrics.ConnectedSamples{Tags: tags.Tags, Time: outcome.End}}
	samples.Samples = samples.array[:0]
	add := func(metric *metrics.Metric, tagSet *metrics.TagSet, value float64) {
		samples.Samples = append(samples.Samples, metrics.Sample{
			TimeSeries: metrics.TimeSeries{Metric: metric, Tags: tagSet},
			Time:       outcome.End, Metadata: tags.Metadata, Value: value,
		})
	}
	client, builtin, parts := call.client, call.state.BuiltinMetrics, partsOf(outcome.Timing)
	if client.families.HTTP {
		add(builtin.HTTPReqs, tags.Tags, 1)
		add(builtin.HTTPReqDuration, tags.Tags, metrics.D(parts.duration()))
		add(builtin.HTTPReqBlocked, tags.Tags, metrics.D(parts.blocked))
		// Like a request of k6/http over an existing connection, this one makes no
		// connection.
		add(builtin.HTTPReqConnecting, tags.Tags, 0)
		add(builtin.HTTPReqTLSHandshaking, tags.Tags, 0)
		add(builtin.HTTPReqSending, tags.Tags, metrics.D(parts.sending))
		add(builtin.HTTPReqWaiting, tags.Tags, metrics.D(parts.waiting))
		add(builtin.HTTPReqReceiving, tags.Tags, metrics.D(parts.receiving))
		if call.expected != nil {
			add(builtin.HTTPReqFailed, tags.Tags, metrics.B(failed))
		}
	}
	if client.families.WRPC {
		call.addOfWRPC(outcome, call.wrpcTags(outcome, tags.Tags, code), code, failed, add)
	}
	add(builtin.DataSent, tags.Tags, float64(outcome.Sent))
	add(builtin.DataReceived, tags.Tags, float64(outcome.Received))
	ctx := client.vu.Context()
	iteration.Push(ctx, call.state.Samples, samples, code == cancelled)
	if pushed := client.instruments.Pushed; pushed != nil {
		pushed(ctx, outcome.End, call.state)
	}
}

// requestSamples are the samples of a request, in one allocation and for one push.
type requestSamples struct {
	metrics.ConnectedSamples
	array [samplesMax]metrics.Sample
}

// addOfWRPC adds the samples of the family wrpc.
func (call *call) addOfWRPC(
	outcome *Outcome, tags *metrics.TagSet, code string, failed bool,
	add func(*metrics.Metric, *metrics.TagSet, float64),
) {
	instruments, parts := call.client.instruments, partsOf(outcome.Timing)
	add(instruments.request, tags, 1)
	add(instruments.duration, tags, metrics.D(parts.duration()))
	if code == "" {
		add(instruments.response, tags, 1)
	} else {
		add(instruments.failure, tags, 1)
	}
	if code == invalidResponse || code == "" && failed {
		add(instruments.invalidResponse, tags, 1)
	}
	if IsOfTransport(code) {
		add(instruments.transportError, tags, 1)
	}
	timing := outcome.Timing
	if timing.Sent < 0 {
		return
	}
	add(instruments.queued, tags, metrics.D(timing.Sent))
	if timing.Accepted < 0 {
		return
	}
	accepted := max(timing.Accepted, timing.Sent)
	add(instruments.accepted, tags, metrics.D(accepted-timing.Sent))
	if timing.Head >= 0 {
		add(instruments.answered, tags, metrics.D(max(timing.Head-accepted, 0)))
	}
}

// wrpcTags returns the tags for the family wrpc, where error_code is a name of the library's
// list instead of k6's number.
func (call *call) wrpcTags(outcome *Outcome, tags *metrics.TagSet, code string) *metrics.TagSet {
	const name = "error_code"
	switch {
	case !call.state.Options.SystemTags.Has(metrics.TagErrorCode):
		return tags
	case code != "":
		return tags.With(name, code)
	case outcome.Status >= 400:
		return tags.Without(name)
	}
	return tags
}

// tagsOf returns the same tags as k6/http, and whether the answer isn't as expected.
func (call *call) tagsOf(status int, hop *hop, err error) (metrics.TagsAndMeta, bool) {
	tags := call.tags.Clone()
	enabled := call.state.Options.SystemTags
	set := func(tag metrics.SystemTag, value string) { tags.SetSystemTagOrMetaIfEnabled(enabled, tag, value) }
	if name, ok := tags.Tags.Get("name"); ok {
		// A name groups addresses, so the tag url must not separate them again.
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
		// With a digest, the first answer must be the challenge.
		expected = status == 401
	}
	call.judged = true
	set(metrics.TagExpectedResponse, strconv.FormatBool(expected))
	return tags, !expected
}

// parts are the phases of a request. A phase lasts until the next one is reached.
type parts struct{ blocked, sending, waiting, receiving time.Duration }

func (parts parts) duration() time.Duration { return parts.sending + parts.waiting + parts.receiving }

func partsOf(timing Timing) parts {
	if timing.Sent < 0 {
		return parts{blocked: max(timing.Finished, 0)}
	}
	head := timing.Head
	if head < 0 {
		head = timing.Finished
	}
	head = max(head, timing.Sent)
	// A body that didn't follow the head was sent with it. One that did may still be on its
	// way when the answer begins.
	uploaded := min(max(timing.Uploaded, timing.Sent), head)
	return parts{
		timing.Sent, uploaded - timing.Sent, head - uploaded, max(timing.Finished-head, 0),
	}
}

// timings returns the parts in milliseconds for a response.
func timings(timing Timing) httpext.ResponseTimings {
	parts := partsOf(timing)
	return httpext.ResponseTimings{
		Duration:  metrics.D(parts.duration()),
		Blocked:   metrics.D(parts.blocked),
		Sending:   metrics.D(parts.sending),
		Waiting:   metrics.D(parts.waiting),
		Receiving: metrics.D(parts.receiving),
	}
}
