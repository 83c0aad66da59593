package record

import (
	"strconv"
	"strings"
	"time"

	"go.k6.io/k6/v2/metrics"

	"github.com/encarno/encarno/k6-ext/trace"
)

// Samples in one container describe a request if they have one of these durations. The first in
// this list counts.
var durations = []string{
	metrics.HTTPReqDurationName, "wrpc_http_duration", "wrpc_blaster_duration", "wrpc_call_duration", metrics.GRPCReqDurationName,
}

// outcome is the outcome of a request, with the numbers that the file has for texts.
type outcome struct {
	label   uint32
	failure uint32 // 0 if the request didn't fail
	status  uint32
}

type request struct {
	metric *metrics.Metric
	tags   *metrics.TagSet
	failed bool
}

// requests finds the requests that samples describe.
type requests struct {
	file     *file
	outcomes map[request]outcome
}

func newRequests(file *file) *requests {
	return &requests{file, map[request]outcome{}}
}

// take looks for a request in the samples of a container.
func (requests *requests) take(samples []metrics.Sample) {
	var duration *metrics.Sample
	best, failed := len(durations), false
	for index := range samples {
		sample := &samples[index]
		if sample.Metric.Name == metrics.HTTPReqFailedName {
			failed = failed || sample.Value != 0
		}
		for rank, name := range durations[:best] {
			if sample.Metric.Name == name {
				duration, best = sample, rank
				break
			}
		}
	}
	if duration == nil {
		return
	}
	key := request{duration.Metric, duration.Tags, failed}
	known, isKnown := requests.outcomes[key]
	if !isKnown {
		known = requests.outcomeOf(key)
		if len(requests.outcomes) >= seriesMax {
			clear(requests.outcomes)
		}
		requests.outcomes[key] = known
	}
	took := time.Duration(duration.Value * float64(time.Millisecond))
	requests.file.request(known, duration.Time, took, trace.Of(duration.Metadata))
}

// outcomeOf makes the outcome from the tags of a request.
func (requests *requests) outcomeOf(request request) outcome {
	tag := func(name string) string {
		value, _ := request.tags.Get(name)
		return value
	}
	label := request.metric.Name
	for _, name := range []string{"name", "url", "function", "scenario"} {
		if value := tag(name); value != "" && value != "default" {
			label = value
			break
		}
	}
	read := outcome{label: requests.file.text(label)}
	if status, err := strconv.ParseUint(tag("status"), 10, 16); err == nil {
		read.status = uint32(status)
	}
	if request.failed || tag("expected_response") == "false" || request.metric.Name != metrics.HTTPReqDurationName && tag("error_code") != "" {
		read.failure = requests.file.text(reason(read.status, tag("error"), tag("error_code")))
	}
	return read
}

func reason(status uint32, text, code string) string {
	switch {
	case text != "":
		return text
	case code != "" && strings.Trim(code, "0123456789") != "": // wRPC's codes are names
		return code
	case status == 0 && code != "":
		return "error_code " + code
	default:
		return "the response isn't expected"
	}
}
