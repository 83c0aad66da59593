package wrpc

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/grafana/sobek"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"
	"go.k6.io/k6/v2/js/modulestest"
	"go.k6.io/k6/v2/lib"
	"go.k6.io/k6/v2/metrics"
)

// vu is one VU with the module, and what it emits.
type vu struct {
	*modulestest.Runtime
	t       *testing.T
	samples chan metrics.SampleContainer
}

// newVU gives a VU in the init context.
func newVU(t *testing.T) *vu {
	runtime := modulestest.NewRuntime(t)
	module := new(RootModule).NewModuleInstance(runtime.VU)
	exports := runtime.VU.Runtime().NewObject()
	for name, export := range module.Exports().Named {
		require.NoError(t, exports.Set(name, export))
	}
	require.NoError(t, runtime.VU.Runtime().Set("wrpc", exports))
	return &vu{runtime, t, make(chan metrics.SampleContainer, 10_000)}
}

// start moves the VU into its first iteration.
func (vu *vu) start() {
	registry := vu.VU.InitEnv().Registry
	vu.MoveToVUContext(&lib.State{
		BuiltinMetrics: vu.BuiltinMetrics,
		Options:        lib.Options{SystemTags: &metrics.DefaultSystemTagSet},
		Logger:         vu.logger(),
		Samples:        vu.samples,
		Tags:           lib.NewVUStateTags(registry.RootTagSet().With("scenario", "default").With("group", "")),
		VUIDGlobal:     7,
	})
}

func (*vu) logger() logrus.FieldLogger {
	logger := logrus.New()
	logger.SetOutput(io.Discard)
	return logger
}

func (vu *vu) open(url string) {
	vu.must(fmt.Sprintf(`const blaster = wrpc.blaster({nats: {url: %q, prefix: "test"}, tags: {scenario: "basic", n: 1}})`, url))
	vu.start()
}

func (vu *vu) must(code string) sobek.Value {
	vu.t.Helper()
	value, err := vu.VU.Runtime().RunString(code)
	require.NoError(vu.t, err)
	return value
}

func (vu *vu) mustFail(code string) string {
	vu.t.Helper()
	_, err := vu.VU.Runtime().RunString(code)
	require.Error(vu.t, err, code)
	return err.Error()
}

// emitted gives the samples so far, of one metric.
func (vu *vu) emitted(name string) []metrics.Sample {
	var found []metrics.Sample
	containers := metrics.GetBufferedSamples(vu.samples)
	for _, container := range containers {
		vu.samples <- container
		for _, sample := range container.GetSamples() {
			if sample.Metric.Name == name {
				found = append(found, sample)
			}
		}
	}
	return found
}

func TestOptionsThatAreWrong(t *testing.T) {
	vu := newVU(t)
	for code, parts := range map[string][]string{
		`wrpc.blaster()`:                                                {"options are missing", "nats"},
		`wrpc.blaster(null)`:                                            {"options are missing"},
		`wrpc.blaster("nats://a")`:                                      {"options", "object", "nats://a"},
		`wrpc.blaster([])`:                                              {"options", "object", "Array"},
		`wrpc.blaster({})`:                                              {"nats"},
		`wrpc.blaster({nats: {}})`:                                      {"url"},
		`wrpc.blaster({nats: {url: 5}})`:                                {"nats.url", "5"},
		`wrpc.blaster({nats: {url: "http://a"}})`:                       {"nats.url", "http"},
		`wrpc.blaster({nats: {url: "nats://a:b"}})`:                     {"nats.url", "invalid port number"},
		`wrpc.blaster({nats: {url: "nats://a", prefx: "b"}})`:           {"prefx", "prefix"},
		`wrpc.blaster({nats: {url: "nats://a"}, nuts: 1})`:              {"nuts", "nats", "tags"},
		`wrpc.blaster({nats: {url: "nats://a", prefix: "a b"}})`:        {"nats.prefix", "a b"},
		`wrpc.blaster({nats: {url: "nats://a", prefix: ">"}})`:          {"nats.prefix"},
		`wrpc.blaster({nats: {url: "nats://a", name: 1}})`:              {"nats.name"},
		`wrpc.blaster({nats: {url: "nats://a", connect_timeout: "x"}})`: {"nats.connect_timeout", "5s"},
		`wrpc.blaster({nats: {url: "nats://a"}, tags: "a"})`:            {"tags", "object"},
		`wrpc.blaster({nats: {url: "nats://a"}, tags: {a: {}}})`:        {"tags.a"},
		`wrpc.blaster({nats: {url: "nats://a"}, tags: {a: null}})`:      {"tags.a", "null"},
		`const o = {nats: {}}; o.nats.url = o; wrpc.blaster(o)`:         {"options"},
		`wrpc.blaster({nats: {url: "nats://me:secret@a", b: 1}})`:       {"nats.b"},
		`wrpc.blaster({tcp: {}})`:                                       {"tcp", "addr"},
		`wrpc.blaster({tcp: {addr: "localhost"}})`:                      {"tcp.addr", "HOST:PORT"},
		`wrpc.blaster({tcp: {addr: "a:1", pool: 0.5}})`:                 {"tcp.pool"},
		`wrpc.blaster({tcp: {addr: "a:1", tls: true}})`:                 {"tcp.tls"},
		`wrpc.blaster({tcp: {addr: "a:1", tls: {ca: "/no/such"}}})`:     {"tcp.tls", "/no/such"},
		`wrpc.blaster({nats: {url: "a"}, tcp: {addr: "a:1"}})`:          {"nats", "tcp", "only one"},
	} {
		message := vu.mustFail("(() => {" + code + "})()")
		require.Contains(t, message, "TypeError", code)
		require.Contains(t, message, "wrpc.blaster()", code)
		for _, part := range parts {
			require.Contains(t, message, part, code)
		}
		require.NotContains(t, message, "secret")
	}
}

func TestContexts(t *testing.T) {
	vu := newVU(t)
	vu.must(`const blaster = wrpc.blaster({nats: {url: "nats://127.0.0.1:1"}})`)
	require.Contains(t, vu.mustFail(`blaster.blast()`), "init context")
	require.Contains(t, vu.mustFail(`blaster.blastAsync()`), "init context")
	vu.start()
	require.Contains(t, vu.mustFail(`wrpc.blaster({nats: {url: "nats://127.0.0.1:1"}})`), "init context")
}

func TestPacketsThatAreWrong(t *testing.T) {
	vu := newVU(t)
	vu.open("nats://127.0.0.1:1")
	for packet, parts := range map[string][]string{
		`5`:                           {"packet", "object", "5"},
		`[]`:                          {"packet", "Array"},
		`{cpu_burn: 1}`:               {"packet.cpu_burn", "unknown", "cpu_burn_ms"},
		`{cpu_burn: undefined}`:       {"packet.cpu_burn", "unknown"},
		`{cpu_burn_ms: -1}`:           {"packet.cpu_burn_ms", "-1"},
		`{cpu_burn_ms: 1.5}`:          {"packet.cpu_burn_ms", "1.5"},
		`{cpu_burn_ms: NaN}`:          {"packet.cpu_burn_ms", "NaN"},
		`{cpu_burn_ms: 1e300}`:        {"packet.cpu_burn_ms"},
		`{memory_burn_mb: "10"}`:      {"packet.memory_burn_mb", `"10"`},
		`{wait_ms: true}`:             {"packet.wait_ms", "true"},
		`{wait_ms: {}}`:               {"packet.wait_ms", "object"},
		`{payload: 5}`:                {"packet.payload", "5"},
		`{payload: {}}`:               {"packet.payload", "ArrayBuffer"},
		`{payload: ["a"]}`:            {"packet.payload", "Array"},
		`{timeout: 0}`:                {"packet.timeout", "above 0"},
		`{timeout: -5}`:               {"packet.timeout", "above 0"},
		`{timeout: "soon"}`:           {"packet.timeout", "soon"},
		`{timeout: "-1s"}`:            {"packet.timeout"},
		`{timeout: NaN}`:              {"packet.timeout"},
		`{timeout: 1e300}`:            {"packet.timeout", "24 hours"},
		`{timeout: "25h"}`:            {"packet.timeout", "24 hours"},
		`{timeout: []}`:               {"packet.timeout"},
		`{timeout: 1, timeout_ms: 1}`: {"timeout_ms", "another name"},
		`{timeout_ms: "never"}`:       {"packet.timeout_ms"},
		`{tags: 5}`:                   {"packet.tags"},
		`{tags: {a: []}}`:             {"packet.tags.a"},
	} {
		for _, function := range []string{"blast", "blastAsync"} {
			message := vu.mustFail(fmt.Sprintf("blaster.%s(%s)", function, packet))
			for _, part := range append(parts, "TypeError", function+"()") {
				require.Contains(t, message, part, packet)
			}
		}
	}
	require.Empty(t, vu.samples, "misuse is no call")
}

func TestBlast(t *testing.T) {
	server := startNATS(t)
	startReceiver(t, server)
	vu := newVU(t)
	vu.open(server)
	for _, packet := range []string{
		``, `undefined`, `null`, `{}`,
		`{cpu_burn_ms: 1, memory_burn_mb: 1, wait_ms: 1, payload: "hello", timeout: 10000, tags: {a: "b"}}`,
		`{timeout: "10s", cpu_burn_ms: null, payload: undefined}`,
		`{timeout_ms: 9999.5, cpu_burn_ms: 1.0}`,
		`{payload: "grüße 🦀"}`,
		`{payload: new ArrayBuffer(3)}`,
		`{payload: new Uint8Array([1, 2, 3]).subarray(1)}`,
		`{payload: "x".repeat(3000000)}`,
	} {
		result := vu.must(fmt.Sprintf("blaster.blast(%s)", packet)).Export().(map[string]any)
		require.Equal(t, true, result["ok"], "%s: %v", packet, result)
		require.Equal(t, "", result["error"])
		require.Equal(t, "", result["error_code"])
		require.Greater(t, result["duration"], 0.0)
	}
	require.Len(t, vu.emitted("wrpc_blaster_operation"), 11)
	require.Empty(t, vu.emitted("wrpc_blaster_transport_error"))
}

func TestBlastOverTCP(t *testing.T) {
	addr := startTCPReceiver(t)
	for _, pool := range []int{0, 1, 3} {
		vu := newVU(t)
		vu.must(fmt.Sprintf(`const blaster = wrpc.blaster({tcp: {addr: %q, pool: %d}})`, addr, pool))
		vu.start()
		for _, packet := range []string{
			``,
			`{cpu_burn_ms: 1, wait_ms: 1, payload: "hello", timeout: 10000, tags: {a: "b"}}`,
			`{payload: "x".repeat(3000000)}`,
		} {
			result := vu.must(fmt.Sprintf("blaster.blast(%s)", packet)).Export().(map[string]any)
			require.Equal(t, true, result["ok"], "%s: %v", packet, result)
		}
		_, err := vu.RunOnEventLoop(`
			var results;
			(async () => {
				results = await Promise.all(Array.from({length: 200}, (_, i) =>
					blaster.blastAsync({wait_ms: i % 50, payload: "x".repeat(i)})));
			})()`)
		require.NoError(t, err)
		require.True(t, vu.must(`results.every((r, i) => r.ok && r.duration >= i % 50)`).ToBoolean())
		late := vu.must(`blaster.blast({wait_ms: 60000, timeout: 100})`).Export().(map[string]any)
		require.Equal(t, "timeout", late["error_code"], late["error"])
		require.Len(t, vu.emitted("wrpc_blaster_operation"), 204)
		require.Len(t, vu.emitted("wrpc_blaster_accepted"), 204)
		require.Len(t, vu.emitted("wrpc_blaster_transport_error"), 1)
		for _, name := range []string{"data_sent", "data_received"} {
			require.Greater(t, vu.emitted(name)[0].Value, 0.0, name)
		}
	}
}

func TestMetricsAndTags(t *testing.T) {
	server := startNATS(t)
	startReceiver(t, server)
	vu := newVU(t)
	vu.open(server)
	vu.must(`blaster.blast({wait_ms: 20, payload: "x".repeat(1000), tags: {kind: "long", n: 2}})`)

	value := func(name string) float64 {
		samples := vu.emitted(name)
		require.Len(t, samples, 1, name)
		require.Equal(t, map[string]string{
			// The client's and the packet's tags win over k6's own, as in k6/http.
			"scenario": "basic", "group": "", "kind": "long", "n": "2",
		}, samples[0].Tags.Map(), name)
		require.WithinDuration(t, time.Now(), samples[0].Time, 10*time.Second)
		return samples[0].Value
	}
	require.InDelta(t, 1, value("wrpc_blaster_operation"), 0)
	duration := value("wrpc_blaster_duration")
	require.GreaterOrEqual(t, duration, 20.0)
	require.GreaterOrEqual(t, value("wrpc_blaster_result"), 19.0, "accepted before the work, not after")
	parts := value("wrpc_blaster_queued") + value("wrpc_blaster_accepted") + value("wrpc_blaster_result")
	require.InDelta(t, duration, parts, 1e-6)
	require.Greater(t, value("data_sent"), 1000.0)
	require.Greater(t, value("data_received"), 0.0)
	require.Empty(t, vu.emitted("wrpc_blaster_transport_error"))
}

func TestErrorsAreResults(t *testing.T) {
	server := startNATS(t)
	startReceiver(t, server)
	for code, given := range map[string]struct{ url, prefix, packet string }{
		"no_responders":      {server, "nobody", `{}`},
		"timeout":            {server, "test", `{wait_ms: 60000, timeout: 100}`},
		"connection_refused": {closedPort(t), "test", `{}`},
		"unresolved_host":    {"nats://no-such-host.invalid", "test", `{}`},
	} {
		for _, function := range []string{"blast", "blastAsync"} {
			t.Run(code+"/"+function, func(t *testing.T) {
				vu := newVU(t)
				vu.must(fmt.Sprintf(`const blaster = wrpc.blaster({nats: {url: %q, prefix: %q}})`, given.url, given.prefix))
				vu.start()
				_, err := vu.RunOnEventLoop(fmt.Sprintf(
					`var result; (async () => { result = await blaster.%s(%s) })()`, function, given.packet))
				require.NoError(t, err)
				result := vu.must("result").Export().(map[string]any)
				require.Equal(t, false, result["ok"])
				require.Equal(t, code, result["error_code"], result["error"])
				require.NotEmpty(t, result["error"])
				if code == "no_responders" {
					require.Contains(t, result["error"], "nobody.wrpc.0.0.1.xk6:wrpc/blaster@0.0.1.blast")
				}
				for _, name := range []string{"operation", "transport_error", "duration"} {
					samples := vu.emitted("wrpc_blaster_" + name)
					require.Len(t, samples, 1, name)
					tag, _ := samples[0].Tags.Get("error_code")
					require.Equal(t, code, tag)
				}
				wasSent := code == "no_responders" || code == "timeout"
				require.Equal(t, wasSent, len(vu.emitted("wrpc_blaster_queued")) == 1)
				wasAccepted := code == "timeout"
				require.Equal(t, wasAccepted, len(vu.emitted("wrpc_blaster_accepted")) == 1)
				require.Equal(t, wasAccepted, len(vu.emitted("wrpc_blaster_result")) == 1)
			})
		}
	}
}

func TestManyPromises(t *testing.T) {
	server := startNATS(t)
	startReceiver(t, server)
	vu := newVU(t)
	vu.open(server)
	_, err := vu.RunOnEventLoop(`
		var results;
		(async () => {
			results = await Promise.all(Array.from({length: 1000}, (_, i) =>
				blaster.blastAsync({wait_ms: i % 50, payload: "x".repeat(i)})));
			await blaster.blastAsync();
			blaster.blast();
		})()`)
	require.NoError(t, err)
	require.Equal(t, int64(1000), vu.must(`results.filter(r => r.ok && r.duration > 0).length`).Export())
	require.True(t, vu.must(`results.every((r, i) => r.duration >= i % 50)`).ToBoolean(), "each its own")
	require.Len(t, vu.emitted("wrpc_blaster_operation"), 1002)
}

// calls of an iteration that are in flight when it ends.
var callsInFlight = []string{
	`result = blaster.blast({wait_ms: 60000, timeout: "60s"})`,
	`Promise.all([1, 2, 3].map(() => blaster.blastAsync({wait_ms: 60000, timeout: "60s"}))).then(all => { result = all[2] })`,
}

// inIteration begins an iteration as k6 does, and gives what ends the VU's run.
func (vu *vu) inIteration() (endRun func()) {
	run, endRun := context.WithCancel(vu.VU.CtxField)
	vu.VU.CtxField, vu.CancelContext = context.WithCancel(run)
	return endRun
}

func TestTheEndOfTheRunCancels(t *testing.T) {
	server := startNATS(t)
	startReceiver(t, server)
	for _, code := range callsInFlight {
		vu := newVU(t)
		vu.open(server)
		time.AfterFunc(300*time.Millisecond, vu.inIteration())
		begin := time.Now()
		_, err := vu.RunOnEventLoop("var result; " + code)
		require.NoError(t, err)
		require.Less(t, time.Since(begin), 30*time.Second)
		require.Equal(t, "cancelled", vu.must("result.error_code").String())
		require.Empty(t, vu.samples, "as k6 does with its own calls")

		// A context that has ended already is no different.
		_, err = vu.RunOnEventLoop("result = undefined; " + code)
		require.NoError(t, err)
		require.Less(t, time.Since(begin), 30*time.Second)
		require.Equal(t, "cancelled", vu.must("result.error_code").String())
	}
}

// The script threw: its calls are given up, and counted.
func TestTheEndOfTheIterationAloneCancelsAndCounts(t *testing.T) {
	server := startNATS(t)
	startReceiver(t, server)
	for index, code := range callsInFlight {
		vu := newVU(t)
		vu.open(server)
		defer vu.inIteration()()
		time.AfterFunc(300*time.Millisecond, vu.CancelContext)
		_, err := vu.RunOnEventLoop("var result; " + code)
		require.NoError(t, err)
		require.Equal(t, "cancelled", vu.must("result.error_code").String())
		calls := vu.emitted("wrpc_blaster_operation")
		require.Len(t, calls, []int{1, 3}[index])
		require.Equal(t, "cancelled", tagOf(calls[0], "error_code"))
	}
}

func TestPacketIDs(t *testing.T) {
	blaster := &blaster{}
	state := &lib.State{VUIDGlobal: 3}
	var ids []string
	for _, iteration := range []int64{0, 0, 1, 5, 5} {
		state.Iteration = iteration
		ids = append(ids, fmt.Sprint(blaster.nextID(state)))
	}
	require.Equal(t, "{3 0 1} {3 0 2} {3 1 1} {3 5 1} {3 5 2}", strings.Join(ids, " "))
}
