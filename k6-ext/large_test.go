package wrpc

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Bodies that are large and requests that are many.

// mostMemory is the most memory that a process has had so far, in MiB.
func mostMemory(t *testing.T, pid int) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	require.NoError(t, err)
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	var kib int
	_, err = fmt.Sscan(after, &kib)
	require.NoError(t, err)
	return kib >> 10
}

// 1 GiB that is read and not kept, and 1 GiB that isn't wanted: neither k6 nor the
// receiver holds it.
func TestAGibibyteInConstantMemory(t *testing.T) {
	t.Run("NATS", func(t *testing.T) {
		server := startNATS(t)
		_, receiver := startComponent(t, server, "--timeout", "120s")
		gibibyte(t, "NATS_URL="+server, receiver)
	})
	t.Run("TCP", func(t *testing.T) {
		addr, receiver := startComponent(t, "", "--timeout", "120s")
		gibibyte(t, "TCP_ADDR="+addr, receiver)
	})
}

func gibibyte(t *testing.T, at string, receiver *exec.Cmd) {
	t.Helper()
	const allowed = 64 // MiB
	reached, carryOn := make(chan string, 3), make(chan struct{})
	sink := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, request *http.Request) {
		body, _ := io.ReadAll(request.Body)
		reached <- string(body)
		<-carryOn
	}))
	defer sink.Close()
	defer close(carryOn) // whatever failed: it would wait
	running := startFile(t, "", writeScript(t, `
		import { check } from "k6";
		export const options = { iterations: 1, thresholds: { checks: ["rate==1"], data_received: ["count>1073741824"] } };
		const url = "http://there/bytes/1073741824";
		const reached = (where, response) => {
			check(response, { [where]: ({ status, body, error }) => status === 200 && body === null && error === "" });
			k6http.post(__ENV.SINK, where);
		};
		export default function () {
			http.get("http://there/bytes/100000");
			reached("small", http.get("http://there/bytes/1", { responseType: "none" }));
			reached("read", http.get(url, { responseType: "none", timeout: "120s" }));
			reached("not read", http.get(url, { consume: false }));
		}`), "-e", at, "-e", "SINK="+sink.URL)
	before := [2]int{}
	for _, where := range []string{"small", "read", "not read"} {
		select {
		case at := <-reached:
			require.Equal(t, where, at)
		case <-running.ended:
			require.Fail(t, "k6 ended", running.output.String())
		case <-time.After(120 * time.Second):
			require.Fail(t, "k6 does not come so far", where)
		}
		for index, pid := range []int{running.Process.Pid, receiver.Process.Pid} {
			most := mostMemory(t, pid)
			if where == "small" {
				before[index] = most
			}
			who := []string{"k6", "the receiver"}[index]
			t.Logf("%s: %s has had %d MiB", where, who, most)
			require.LessOrEqual(t, most, before[index]+allowed, "%s, %s", who, where)
		}
		carryOn <- struct{}{}
	}
	require.Equal(t, 0, running.wait(t, 60*time.Second), running.output.String())
}

// 10,000 requests of one VU, all in flight at once: each is answered, and counted once.
func TestTenThousandRequestsOfOneVUInFlight(t *testing.T) {
	arguments := []string{"--max-concurrency", "10000", "--timeout", "120s", "--max-memory-mb", "8"}
	script := writeScript(t, `
		export const options = {
			iterations: 1,
			thresholds: {
				wrpc_http_request: ["count==10000"], wrpc_http_response: ["count==10000"],
				wrpc_http_duration: ["min>=1000"],
			},
		};
		export default async function () {
			const all = Array.from({ length: 10000 }, (_, n) =>
				http.asyncRequest("GET", "http://there/delay/1000?" + n, null, { timeout: "80s" }));
			const good = (await Promise.all(all)).filter(({ status, body }) => status === 200 && body === "1000");
			k6http.post(__ENV.SINK, JSON.stringify({ good: good.length }));
		}`)
	t.Run("NATS", func(t *testing.T) {
		server := startNATS(t)
		startComponent(t, server, arguments...)
		require.Equal(t, 10_000.0, seenBy(t, script, "NATS_URL="+server)["good"])
	})
	t.Run("TCP", func(t *testing.T) {
		addr, _ := startComponent(t, "", arguments...)
		require.Equal(t, 10_000.0, seenBy(t, script, "TCP_ADDR="+addr)["good"])
	})
}
