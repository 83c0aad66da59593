// Package record is k6's output encarno. It writes all measurements of a test to a result file,
// which `encarno stats`, `show` and `report` read.
//
//	k6 run --out encarno=run.enc,report=run.html,live=:7070 script.js
//
// Its files, in the order of a sample:
//
//   - output.go: the output that k6 registers
//   - requests.go: the requests that samples describe, and their outcomes
//   - notes.go: the description of the test
//   - library.go: the Rust library, which sums up and writes. Only this file uses cgo
package record

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/sirupsen/logrus"
	"go.k6.io/k6/v2/metrics"
	"go.k6.io/k6/v2/output"
)

const (
	// Name is the name of the output: k6 run -o encarno.
	Name        = "encarno"
	defaultPath = "k6.enc"
	// The time between two writes of samples.
	flushPeriod = 200 * time.Millisecond
	// A second is written this long after its end, because samples arrive late.
	settled = time.Second
)

func init() {
	output.RegisterExtension(Name, func(params output.Params) (output.Output, error) { return newOutput(params) })
}

// Output is k6's output encarno.
type Output struct {
	output.SampleBuffer

	params     output.Params
	logger     logrus.FieldLogger
	path       string
	report     string // the page to write at the end; empty for none
	address    string // the address of the live page …
	isShown    bool   // … if there is one
	stop       func(error)
	thresholds map[string]metrics.Thresholds

	started time.Time
	flusher *output.PeriodicFlusher
	file    *file
	page    live
	// The error that stopped writing.
	failure error

	series   map[metrics.TimeSeries]uint32
	known    map[string]*metrics.Metric
	requests *requests
	checks   checks
	users    uint64
}

var (
	_ output.WithThresholds  = (*Output)(nil)
	_ output.WithTestRunStop = (*Output)(nil)
)

func newOutput(params output.Params) (*Output, error) {
	path, report, address, isShown := defaultPath, "", "", false
	for index, part := range strings.Split(params.ConfigArgument, ",") {
		key, value, isOption := strings.Cut(part, "=")
		switch {
		case isOption && key == "report" && value != "":
			report = value
		case isOption && key == "live":
			address, isShown = value, true
		case isOption || index > 0:
			return nil, fmt.Errorf("the output encarno doesn't know %q: write --out encarno=FILE,report=PAGE.html,live=:7070", part)
		case part != "":
			path = part
		}
	}
	if path == report {
		return nil, fmt.Errorf("the output encarno can't write both the results and the report to %s", path)
	}
	return &Output{
		params: params,
		logger: params.Logger.WithField("output", Name),
		path:   path,
		report: report, address: address, isShown: isShown,
		series: map[metrics.TimeSeries]uint32{},
		known:  map[string]*metrics.Metric{},
		checks: checks{},
	}, nil
}

// Description returns the text that k6 prints for the output.
func (out *Output) Description() string {
	if out.report != "" {
		return fmt.Sprintf("%s (%s, %s)", Name, out.path, out.report)
	}
	return fmt.Sprintf("%s (%s)", Name, out.path)
}

// SetThresholds takes the thresholds of the test. With --no-thresholds k6 judges none of them.
func (out *Output) SetThresholds(thresholds map[string]metrics.Thresholds) {
	if !out.params.RuntimeOptions.NoThresholds.Bool {
		out.thresholds = thresholds
	}
}

// SetTestRunStopCallback takes the function that ends the test. It is called if results can't be written.
func (out *Output) SetTestRunStopCallback(stop func(error)) {
	out.stop = stop
}

// Start creates the file, and starts the live page if there is one.
func (out *Output) Start() error {
	if file, err := os.Stat(out.path); err == nil {
		if script := out.params.ScriptPath; script != nil && script.Scheme == "file" {
			if ours, err := os.Stat(script.Path); err == nil && os.SameFile(file, ours) {
				return fmt.Errorf("the output encarno can't write to %s: that is the script", out.path)
			}
		}
		out.logger.Warnf("%s is replaced", out.path)
	}
	out.started = time.Now()
	file, err := create(out.path, asJSON(startNotes(out.params)), out.started)
	if err != nil {
		return err
	}
	out.file = file
	out.requests = newRequests(file)
	if out.isShown {
		page, url, err := show(out.path, out.address)
		if err != nil {
			return err
		}
		out.page = page
		out.logger.Infof("the test is shown at %s", url)
	}
	out.flusher, err = output.NewPeriodicFlusher(flushPeriod, out.flush)
	return err
}

// Stop writes the rest, and the report if there is one.
func (out *Output) Stop() error {
	out.flusher.Stop()
	err := out.file.end(asJSON(endNotes(out.thresholds, out.known, out.checks, time.Since(out.started))), time.Since(out.started))
	if out.isShown {
		out.page.close()
	}
	if out.failure != nil {
		return out.failure
	}
	if err != nil || out.report == "" {
		return err
	}
	return writeReport(out.path, out.report)
}

func (out *Output) flush() {
	containers := out.GetBufferedSamples()
	if out.failure != nil {
		return
	}
	for _, container := range containers {
		samples := container.GetSamples()
		for _, sample := range samples {
			series, err := out.seriesOf(sample)
			if err != nil {
				out.fail(err)
				return
			}
			out.file.sample(series, sample.Time, sample.Value)
		}
		out.requests.take(samples)
	}
	if err := out.file.write(out.users, time.Now().Add(-settled)); err != nil {
		out.fail(err)
	}
}

func (out *Output) seriesOf(sample metrics.Sample) (uint32, error) {
	switch sample.Metric.Name {
	case metrics.VUsName:
		out.users = uint64(max(sample.Value, 0))
	case metrics.ChecksName:
		out.checks.count(sample)
	}
	if series, isKnown := out.series[sample.TimeSeries]; isKnown {
		return series, nil
	}
	description, err := json.Marshal(map[string]any{
		"metric": sample.Metric.Name, "type": sample.Metric.Type.String(),
		"contains": sample.Metric.Contains.String(), "tags": sample.Tags.Map(),
	})
	if err != nil {
		return 0, err
	}
	series, err := out.file.series(description)
	if err != nil {
		return 0, err
	}
	if len(out.series) >= seriesMax {
		clear(out.series)
	}
	out.series[sample.TimeSeries] = series
	out.known[sample.Metric.Name] = sample.Metric
	return series, nil
}

// seriesMax is the most series in memory here. The library finds a series by its description.
const seriesMax = 100_000

func (out *Output) fail(err error) {
	out.failure = err
	out.logger.WithError(err).Error("the results can't be written: the test ends")
	if out.stop != nil {
		out.stop(fmt.Errorf("output %s: %w", Name, err))
	}
}
