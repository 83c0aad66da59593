package wrpc

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// stats are what `encarno stats --json` says of a file.
type stats struct {
	Whole bool
	Total struct {
		Hits, Failed  uint64
		ProtocolCodes map[string]uint64 `json:"protocol_codes"`
	}
	Labels []struct {
		Label        string
		Hits, Failed uint64
		Errors       []struct{ Text string }
	}
	Metrics []struct {
		Metric, Type string
		Count        int
		Values       map[string]float64
	}
	Thresholds []struct {
		Metric, Demand string
		Value          float64
		Met            bool
	}
	Checks []struct {
		Group, Name   string
		Passes, Fails int
	}
}

func statsOf(t *testing.T, file string) stats {
	t.Helper()
	output, err := exec.Command(fromEnv(t, "ENCARNO", "target/release/encarno", "run `make`"), "stats", "--json", file).Output()
	require.NoError(t, err)
	var read stats
	require.NoError(t, json.Unmarshal(output, &read), string(output))
	return read
}

// samplesOf reads what k6's own output json has: the values of each metric.
func samplesOf(t *testing.T, path string) map[string][]float64 {
	t.Helper()
	file, err := os.Open(path)
	require.NoError(t, err)
	defer file.Close()
	values := map[string][]float64{}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var line struct {
			Type, Metric string
			Data         struct{ Value float64 }
		}
		require.NoError(t, json.Unmarshal(lines.Bytes(), &line))
		if line.Type == "Point" {
			values[line.Metric] = append(values[line.Metric], line.Data.Value)
		}
	}
	return values
}

// A script without wRPC: what the file has is what k6's own JSON of the same run has.
func TestTheRecordHasWhatK6sJSONHas(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
		if request.URL.Path == "/bad" {
			answer.WriteHeader(http.StatusInternalServerError)
		}
	}))
	defer server.Close()
	folder := t.TempDir()
	path := func(name string) string { return filepath.Join(folder, name) }
	require.NoError(t, os.WriteFile(path("script.js"), []byte(`
		import http from "k6/http";
		import { check } from "k6";
		import { Counter, Gauge, Rate, Trend } from "k6/metrics";
		const [counter, gauge, rate, trend] = [new Counter("counter"), new Gauge("gauge"), new Rate("rate"), new Trend("trend")];
		export const options = {
			scenarios: { only: { executor: "per-vu-iterations", vus: 4, iterations: 50, env: { PASSWORD: "tell-nobody" } } },
			thresholds: { "http_reqs{expected_response:false}": ["count==100"], trend: ["p(90)<5", "min>0"] },
		};
		export default function () {
			http.get("`+server.URL+`/good", { tags: { name: "good" } });
			const bad = http.get("`+server.URL+`/bad", { tags: { name: "bad" } });
			if (__ITER % 2) http.get("`+server.URL+`/bad", { responseCallback: http.expectedStatuses(500), tags: { name: "as asked" } });
			else http.get("http://127.0.0.1:1/", { tags: { name: "nobody" } });
			check(bad, { "is good": (bad) => bad.status === 200, "is bad": (bad) => bad.status === 500 });
			counter.add(2.5, { kind: __ITER % 3 }); gauge.add(__ITER); rate.add(__ITER % 4 === 0); trend.add(__ITER / 7 - 3);
		}
		export function handleSummary(data) { return { "`+path("summary.json")+`": JSON.stringify(data.metrics) }; }`), 0o600))
	running := startFile(t, "", path("script.js"),
		"--out", "encarno="+path("run.enc")+",report="+path("run.html"), "--out", "json="+path("run.json"))
	require.Equal(t, 99, running.wait(t, 60*time.Second), running.output.String())

	read, samples := statsOf(t, path("run.enc")), samplesOf(t, path("run.json"))
	require.True(t, read.Whole)
	require.Len(t, read.Metrics, len(samples))
	for _, metric := range read.Metrics {
		values := slices.Sorted(slices.Values(samples[metric.Metric]))
		require.Equal(t, len(values), metric.Count, metric.Metric)
		sum := 0.0
		for _, value := range values {
			sum += value
		}
		near := func(should float64, name string) {
			require.InDelta(t, should, metric.Values[name], math.Abs(should)*1e-9+1e-9, "%s of %s", name, metric.Metric)
		}
		switch metric.Type {
		case "counter":
			near(sum, "count")
		case "trend":
			near(values[0], "min")
			near(values[len(values)-1], "max")
			near(sum/float64(len(values)), "avg")
			for name, share := range map[string]float64{"p50": 0.5, "p95": 0.95, "p99": 0.99} {
				should := values[int(math.Ceil(share*float64(len(values))))-1]
				require.InDelta(t, should, metric.Values[name], math.Abs(should)*1e-3+1e-6, "%s of %s", name, metric.Metric)
			}
		case "gauge":
			near(values[0], "min")
			near(values[len(values)-1], "max")
		}
	}
	requireSummary(t, path("summary.json"), read)
	// Each request is a hit, and failed where k6 says so.
	require.EqualValues(t, 600, read.Total.Hits)
	require.EqualValues(t, 300, read.Total.Failed)
	require.Equal(t, map[string]uint64{"0": 100, "200": 200, "500": 300}, read.Total.ProtocolCodes)
	failed := map[string]uint64{}
	for _, label := range read.Labels {
		failed[label.Label] = label.Failed
		if label.Label == "nobody" {
			require.Contains(t, label.Errors[0].Text, "connection refused")
		}
	}
	require.Equal(t, map[string]uint64{"good": 0, "bad": 200, "as asked": 0, "nobody": 100}, failed)
	// What k6 found of thresholds and checks.
	require.Len(t, read.Thresholds, 3)
	require.False(t, read.Thresholds[0].Met)
	require.InDelta(t, 300, read.Thresholds[0].Value, 0)
	require.True(t, read.Thresholds[2].Met, read.Thresholds[2])
	require.False(t, read.Thresholds[1].Met)
	require.InDelta(t, -3, read.Thresholds[1].Value, 1e-9)
	require.Len(t, read.Checks, 2)
	require.Equal(t, 200, read.Checks[0].Passes)
	require.Equal(t, 200, read.Checks[1].Fails)

	report, err := os.ReadFile(path("run.html"))
	require.NoError(t, err)
	require.True(t, strings.Contains(string(report), "http_req_waiting"))
	require.False(t, strings.Contains(string(report), "tell-nobody"))
}

// What k6 says at the end is what the file says: figures, and which thresholds were met.
func requireSummary(t *testing.T, path string, read stats) {
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	var summary map[string]struct {
		Values     map[string]float64
		Thresholds map[string]struct{ OK bool }
	}
	require.NoError(t, json.Unmarshal(content, &summary))
	for _, metric := range read.Metrics {
		said, isSaid := summary[metric.Metric]
		require.True(t, isSaid, metric.Metric)
		for _, name := range []string{"count", "min", "max", "avg", "value"} {
			should, isThere := said.Values[name]
			// k6's own count of samples at its end, and the last value of what still changes.
			if found, isKnown := metric.Values[name]; isThere && isKnown {
				require.InDelta(t, should, found, math.Abs(should)*1e-9+1e-9, "%s of %s", name, metric.Metric)
			}
		}
	}
	for _, threshold := range read.Thresholds {
		said, isSaid := summary[threshold.Metric].Thresholds[threshold.Demand]
		require.True(t, isSaid, threshold)
		require.Equal(t, said.OK, threshold.Met, threshold)
	}
}

// Blasts and requests over wRPC are hits, too.
func TestTheRecordHasCallsOverWRPC(t *testing.T) {
	server := startNATS(t)
	startReceiver(t, server)
	folder := t.TempDir()
	file := filepath.Join(folder, "script.js")
	require.NoError(t, os.WriteFile(file, []byte(`
		import wrpc from "k6/x/wrpc";
		const blaster = wrpc.blaster({ nats: { url: __ENV.NATS_URL, prefix: "test" }, traceparent: 1 });
		const nobody = wrpc.blaster({ nats: { url: __ENV.NATS_URL, prefix: "nobody" } });
		export const options = { iterations: 20 };
		export default function () {
			blaster.blast({ tags: { name: "good" } });
			nobody.blast({ tags: { name: "bad" } });
		}`), 0o600))
	record := filepath.Join(folder, "run.enc")
	written := filepath.Join(folder, "run.json")
	running := startFile(t, server, file, "--out", "encarno="+record, "--out", "json="+written)
	require.Equal(t, 0, running.wait(t, 60*time.Second), running.output.String())
	requireExemplars(t, record, written)
	read := statsOf(t, record)
	require.Len(t, read.Labels, 2)
	require.Equal(t, "bad", read.Labels[0].Label)
	require.EqualValues(t, 20, read.Labels[0].Failed)
	require.Equal(t, "no_responders", read.Labels[0].Errors[0].Text)
	require.EqualValues(t, 20, read.Labels[1].Hits)
	require.EqualValues(t, 0, read.Labels[1].Failed)
}

// requireExemplars exports a record, whose exemplars must name traces that k6's samples name.
func requireExemplars(t *testing.T, record, written string) {
	t.Helper()
	samples, err := os.ReadFile(written)
	require.NoError(t, err)
	traces := regexp.MustCompile(`"trace_id":"([0-9a-f]{32})"`).FindAllSubmatch(samples, -1)
	require.NotEmpty(t, traces)
	var exported bytes.Buffer
	sink := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, request *http.Request) {
		_, _ = exported.ReadFrom(request.Body)
	}))
	output, err := exec.Command(fromEnv(t, "ENCARNO", "target/release/encarno", "run `make`"),
		"export", record, "--otlp", sink.URL).CombinedOutput()
	sink.Close() // waits for what is being received
	require.NoError(t, err, string(output))
	found := 0
	for _, trace := range traces {
		id, err := hex.DecodeString(string(trace[1]))
		require.NoError(t, err)
		if bytes.Contains(exported.Bytes(), id) {
			found++
		}
	}
	require.Positive(t, found)
}

// The page of a test while it goes on: its last event has what `stats` says.
func TestTheTestIsShownWhileItGoesOn(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	folder := t.TempDir()
	script, record := filepath.Join(folder, "script.js"), filepath.Join(folder, "run.enc")
	require.NoError(t, os.WriteFile(script, []byte(`
		import http from "k6/http";
		import { sleep } from "k6";
		export const options = { vus: 2, duration: "4s" };
		export default function () { http.get("`+server.URL+`"); sleep(0.01); }`), 0o600))
	running := startFile(t, "", script, "--out", "encarno="+record+",live=127.0.0.1:0")
	shown := regexp.MustCompile(`shown at (http://127\.0\.0\.1:\d+/)`)
	var url string
	require.Eventually(t, func() bool {
		found := shown.FindStringSubmatch(running.output.String())
		if found != nil {
			url = found[1]
		}
		return found != nil
	}, 60*time.Second, 20*time.Millisecond)
	page, err := http.Get(url)
	require.NoError(t, err)
	defer page.Body.Close()
	html, err := io.ReadAll(page.Body)
	require.NoError(t, err)
	require.Contains(t, string(html), `data-live="on"`)
	events, err := http.Get(url + "events")
	require.NoError(t, err)
	defer events.Body.Close()
	said, err := io.ReadAll(events.Body)
	require.NoError(t, err)
	require.Equal(t, 0, running.wait(t, 60*time.Second), running.output.String())
	_, last, isEnd := strings.Cut(string(said), "event: end\n")
	require.True(t, isEnd, string(said))
	_, data, _ := strings.Cut(last, "data: ")
	var figures struct {
		Hits     uint64
		Response map[string]float64 `json:"response_ns"`
	}
	require.NoError(t, json.NewDecoder(strings.NewReader(data)).Decode(&figures))
	read := statsOf(t, record)
	require.Len(t, read.Labels, 1)
	require.EqualValues(t, read.Labels[0].Hits, figures.Hits)
	require.Positive(t, figures.Response["p99"])
}

// A record that can't be written, or isn't understood, is told before the test.
func TestARecordThatCannotBeWritten(t *testing.T) {
	for argument, reason := range map[string]string{
		"/dev/full":              "No space left",
		"/nowhere/run.enc":       "No such file",
		"run.enc,live":           "doesn't know",
		"run.enc,report=run.enc": "can't write both",
		"run.enc,live=nowhere":   "expected a port or an address",
	} {
		running := startFile(t, "", "smoke.test.js", "--out", "encarno="+argument)
		require.NotEqual(t, 0, running.wait(t, 60*time.Second), argument)
		require.Contains(t, running.output.String(), reason, argument)
	}
}
