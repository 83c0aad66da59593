package wrpc

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What shows in a process of its own alone: k6 as it was built, ../k6 or K6.

type k6 struct {
	*exec.Cmd
	output output
	ended  chan error
}

// output may be read while it is written.
type output struct {
	mutex sync.Mutex
	bytes bytes.Buffer
}

func (output *output) Write(bytes []byte) (int, error) {
	output.mutex.Lock()
	defer output.mutex.Unlock()
	return output.bytes.Write(bytes)
}

func (output *output) String() string {
	output.mutex.Lock()
	defer output.mutex.Unlock()
	return output.bytes.String()
}

// startK6 runs a script that finds nats-server in NATS_URL.
func startK6(t *testing.T, natsURL, script string) *k6 {
	t.Helper()
	file := filepath.Join(t.TempDir(), "script.js")
	script = `import wrpc from "k6/x/wrpc";
		const blaster = wrpc.blaster({ nats: { url: __ENV.NATS_URL, prefix: "test" } });` + script
	require.NoError(t, os.WriteFile(file, []byte(script), 0o600))
	return startFile(t, natsURL, file)
}

func startFile(t *testing.T, natsURL, file string, arguments ...string) *k6 {
	t.Helper()
	binary := fromEnv(t, "K6", "k6", "run `make`")
	arguments = append([]string{"run", "--quiet", file}, arguments...)
	running := &k6{Cmd: exec.Command(binary, arguments...), ended: make(chan error, 1)}
	running.Env = append(os.Environ(),
		"NATS_URL="+natsURL, "K6_NO_USAGE_REPORT=true", "K6_AUTO_EXTENSION_RESOLUTION=false")
	running.Stdout, running.Stderr = &running.output, &running.output
	require.NoError(t, running.Start())
	go func() { running.ended <- running.Wait() }()
	t.Cleanup(func() { _ = running.Process.Kill() })
	return running
}

// wait gives the exit status.
func (running *k6) wait(t *testing.T, limit time.Duration) int {
	t.Helper()
	select {
	case <-running.ended:
		return running.ProcessState.ExitCode()
	case <-time.After(limit):
		_ = running.Process.Kill()
		<-running.ended
		require.Failf(t, "k6 did not end", "within %s; it said: %s", limit, running.output.String())
		return -1
	}
}

func (running *k6) threads() int {
	tasks, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", running.Process.Pid))
	return len(tasks)
}

func TestSmoke(t *testing.T) {
	running := startFile(t, "", "smoke.test.js")
	require.Equal(t, 0, running.wait(t, 60*time.Second), running.output.String())
}

// As a script asks for a version, and without asking the network for one.
func TestTheVersionIsKnown(t *testing.T) {
	manifest, err := os.ReadFile("../Cargo.toml")
	require.NoError(t, err)
	require.Contains(t, string(manifest), fmt.Sprintf("\nversion = %q\n", strings.TrimPrefix(moduleVersion, "v")), "register.go")
	version, err := exec.Command(fromEnv(t, "K6", "k6", "run `make`"), "version").CombinedOutput()
	require.NoError(t, err)
	this := regexp.QuoteMeta(moduleVersion) + `(\+[0-9a-f]{10})?, `
	require.Regexp(t, modulePath+` `+this+`k6/x/wrpc \[js\]`, string(version))
	require.Regexp(t, modulePath+`/record `+this+`encarno \[output\]`, string(version))
	t.Setenv("K6_BUILD_SERVICE_URL", "http://127.0.0.1:1")
	file := filepath.Join(t.TempDir(), "script.js")
	for constraint, status := range map[string]int{">= 0.1.0": 0, "^0.1": 0, "*": 0, ">= 99.0.0": -1} {
		script := fmt.Sprintf(`"use k6 with k6/x/wrpc %s";
			import wrpc from "k6/x/wrpc";
			export default function () { wrpc.http; }`, constraint)
		require.NoError(t, os.WriteFile(file, []byte(script), 0o600))
		command := exec.Command(fromEnv(t, "K6", "k6", "run `make`"), "run", "--quiet", file)
		command.Env = append(os.Environ(), "K6_NO_USAGE_REPORT=true")
		output, err := command.CombinedOutput()
		require.Equal(t, status == 0, err == nil, "%s: %s", constraint, output)
	}
}

func TestOptionsThatAreWrongEndTheRun(t *testing.T) {
	running := startK6(t, "http://localhost", `export default function () {}`)
	require.Equal(t, 107, running.wait(t, 30*time.Second), "a script exception")
	require.Contains(t, running.output.String(), "nats.url")
}

func TestStoppingEarlyCancelsAtOnce(t *testing.T) {
	server := startNATS(t)
	startReceiver(t, server)
	for name, call := range map[string]string{
		"blast":      `blaster.blast({ wait_ms: 300000, timeout: "300s" })`,
		"blastAsync": `await Promise.all([1, 2, 3].map(() => blaster.blastAsync({ wait_ms: 300000, timeout: "300s" })))`,
		// One call at a time and alone: its caller drives the IO.
		"alone": `for (let i = 0; i < 200; i++) blaster.blast(); blaster.blast({ wait_ms: 300000, timeout: "300s" })`,
	} {
		t.Run(name+"/interrupted", func(t *testing.T) {
			running := startK6(t, server, `
				export const options = { vus: 1, duration: "300s", gracefulStop: "300s" };
				export default async function () { console.log("begins"); `+call+` }`)
			require.Eventually(t, func() bool { return strings.Contains(running.output.String(), "begins") },
				60*time.Second, 10*time.Millisecond)
			time.Sleep(300 * time.Millisecond) // into the call
			require.NoError(t, running.Process.Signal(syscall.SIGINT))
			require.Equal(t, 105, running.wait(t, 60*time.Second), running.output.String())
		})
		t.Run(name+"/graceful stop is over", func(t *testing.T) {
			running := startK6(t, server, `
				export const options = { scenarios: { only: {
					executor: "constant-vus", vus: 2, duration: "1s", gracefulStop: "0s" } } };
				export default async function () { `+call+` }`)
			require.Equal(t, 0, running.wait(t, 60*time.Second), running.output.String())
		})
	}
}

func TestAnExceptionEndsTheCallsOfItsIteration(t *testing.T) {
	server := startNATS(t)
	startReceiver(t, server)
	running := startK6(t, server, `
		export const options = { iterations: 2, thresholds: { iterations: ["count==2"] } };
		export default function () {
			blaster.blastAsync({ wait_ms: 300000, timeout: "300s" });
			throw new Error("on purpose");
		}`)
	require.Equal(t, 0, running.wait(t, 60*time.Second), running.output.String())
}

// Each call is counted once whatever its iteration does, and none is cancelled by the
// end of the iteration before.
func TestIterationsThatThrowLeaveTheNextOnesAlone(t *testing.T) {
	server := startNATS(t)
	startReceiver(t, server)
	running := startK6(t, server, `
		import { Counter } from "k6/metrics";
		import { sleep } from "k6";
		const failed = new Counter("failed");
		export const options = {
			scenarios: { only: { executor: "per-vu-iterations", vus: 4, iterations: 1000, maxDuration: "100s" } },
			thresholds: { iterations: ["count==4000"], wrpc_blaster_operation: ["count==12000"], failed: ["count==0"] },
		};
		export default function () {
			const result = blaster.blast();
			failed.add(result.ok ? 0 : 1, { code: result.error_code });
			blaster.blastAsync();
			blaster.blastAsync();
			if (__ITER % 3 == 1) sleep(0.002); // they end, and aren't settled
			if (__ITER % 3 != 2) throw new Error("on purpose");
		}`)
	require.Equal(t, 0, running.wait(t, 120*time.Second), running.output.String())
}

// NATS is killed under load and comes back: every call ends with a result, and
// in the end they succeed again.
func TestNATSIsKilledAndComesBack(t *testing.T) {
	server, process := startNATSAt(t, "-1")
	startReceiver(t, server)
	var isBack atomic.Bool
	signal := httptest.NewServer(http.HandlerFunc(func(writer http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(writer, isBack.Load())
	}))
	defer signal.Close()
	t.Setenv("SIGNAL", signal.URL)
	running := startK6(t, server, `
		import { sleep } from "k6";
		import http from "k6/http";
		export const options = {
			scenarios: { only: { executor: "per-vu-iterations", vus: 16, iterations: 1, maxDuration: "300s" } },
			thresholds: {
				iterations: ["count==16"],
				// Those in flight when it died.
				wrpc_blaster_transport_error: ["count>0"],
			},
		};
		const isBack = () => http.get(__ENV.SIGNAL).body === "true";
		export default function () {
			console.log("begins");
			for (let successes = 0; successes < 100 || !isBack(); ) {
				const result = blaster.blast({ wait_ms: 1, timeout: "5s" });
				successes = result.ok ? successes + 1 : 0;
				if (!result.ok) sleep(0.05);
			}
		}`)
	require.Eventually(t, func() bool { return strings.Count(running.output.String(), "begins") == 16 },
		60*time.Second, 10*time.Millisecond)
	time.Sleep(300 * time.Millisecond) // into the load
	require.NoError(t, process.Process.Kill())
	_ = process.Wait()
	time.Sleep(300 * time.Millisecond)
	parsed, err := url.Parse(server)
	require.NoError(t, err)
	startNATSAt(t, parsed.Port())
	isBack.Store(true)
	require.Equal(t, 0, running.wait(t, 120*time.Second), running.output.String())
}

func TestTheDashboardShowsTheMetrics(t *testing.T) {
	server := startNATS(t)
	startReceiver(t, server)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	_, port, err := net.SplitHostPort(free.Addr().String())
	require.NoError(t, err)
	require.NoError(t, free.Close())
	t.Setenv("K6_WEB_DASHBOARD", "true")
	t.Setenv("K6_WEB_DASHBOARD_HOST", "127.0.0.1")
	t.Setenv("K6_WEB_DASHBOARD_PORT", port)
	t.Setenv("K6_WEB_DASHBOARD_PERIOD", "1s")
	startK6(t, server, `
		export const options = { vus: 1, duration: "300s" };
		const http = wrpc.http({ nats: { url: __ENV.NATS_URL, prefix: "nobody" } });
		export default function () { blaster.blast({ wait_ms: 1 }); http.get("http://there/"); }`)
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	var events *http.Response
	require.Eventually(t, func() bool {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:"+port+"/events", nil)
		if err != nil {
			return false
		}
		events, err = http.DefaultClient.Do(request)
		return err == nil
	}, 60*time.Second, 20*time.Millisecond)
	defer func() { _ = events.Body.Close() }()
	lines := bufio.NewScanner(events.Body)
	lines.Buffer(nil, 1<<20)
	missing := map[string]bool{
		"wrpc_blaster_operation": true, "wrpc_blaster_duration": true, "wrpc_blaster_queued": true,
		"wrpc_blaster_accepted": true, "wrpc_blaster_result": true,
		"http_reqs": true, "http_req_failed": true, "http_req_duration": true, "wrpc_http_request": true,
	}
	for len(missing) > 0 && lines.Scan() {
		for name := range missing {
			if strings.Contains(lines.Text(), name) {
				delete(missing, name)
			}
		}
	}
	require.Empty(t, missing)
}

// 2,000 calls in flight at once, each for 100 ms at least, and few OS threads. Whatever
// else the machine has to do: nothing here may be too late.
func TestCallsInFlightHoldNoThreads(t *testing.T) {
	server := startNATS(t)
	startReceiver(t, server)
	running := startK6(t, server, `
		import { Counter } from "k6/metrics";
		const failed = new Counter("failed");
		const patient = wrpc.blaster({
			nats: { url: __ENV.NATS_URL, prefix: "test", connect_timeout: "300s", ping_interval: "300s" },
		});
		export const options = {
			scenarios: { only: { executor: "per-vu-iterations", vus: 2000, iterations: 10, maxDuration: "300s" } },
			thresholds: { wrpc_blaster_operation: ["count==20000"], wrpc_blaster_duration: ["min>=100"], failed: ["count==0"] },
		};
		export default function () {
			const { ok, error } = patient.blast({ wait_ms: 100, timeout: "300s" });
			failed.add(ok ? 0 : 1);
			if (!ok) console.error(error);
		}`)
	most := 0
	for done := false; !done; {
		select {
		case err := <-running.ended:
			running.ended <- err
			done = true
		case <-time.After(20 * time.Millisecond):
			most = max(most, running.threads())
		}
	}
	require.Equal(t, 0, running.wait(t, time.Second), running.output.String())
	require.Positive(t, most)
	// Go makes some more while the machine is busy; of calls there would be hundreds.
	require.LessOrEqual(t, most, 100)
	t.Logf("at most %d threads", most)
}

func TestThresholdsThatSeeNothingAreWarnedOf(t *testing.T) {
	file := filepath.Join(t.TempDir(), "script.js")
	script := `import wrpc from "k6/x/wrpc";
		export const options = { thresholds: {
			http_req_failed: ["rate<0.01"], wrpc_http_duration: ["p(99)<1"], iterations: ["count>0"],
		} };
		const tcp = { addr: "127.0.0.1:1" };
		const ours = wrpc.http({ tcp, metrics: "wrpc" }), theirs = wrpc.http({ tcp, metrics: "http" });
		export default () => [ours, ours, theirs, theirs].map((http) => http.get("http://a/"));`
	require.NoError(t, os.WriteFile(file, []byte(script), 0o600))
	running := startFile(t, "", file)
	running.wait(t, time.Minute)
	said := running.output.String()
	require.Equal(t, 1, strings.Count(said, "the threshold on http_req_failed sees no request of wrpc.http()"), said)
	require.Equal(t, 1, strings.Count(said, "the threshold on wrpc_http_duration sees no request of wrpc.http()"), said)
	require.NotContains(t, said, "threshold on iterations")
}
