package wrpc

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A request that begins a trace tells the guest, over both transports, and k6's samples
// have the trace.
func TestTracesReachTheGuest(t *testing.T) {
	script := writeScript(t, `
		const at = TCP_ADDR ? { tcp: { addr: TCP_ADDR } } : { nats: { url: NATS_URL, prefix: "test" } };
		const traced = wrpc.http({ ...at, traceparent: 1 });
		export const options = { iterations: 1 };
		export default function () {
			const plain = http.get("http://there/json"), seen = traced.get("http://there/json");
			k6http.post(__ENV.SINK, JSON.stringify({ plain: plain.body, seen: seen.body }));
		}`)
	server := startNATS(t)
	startComponent(t, server)
	addr, _ := startComponent(t, "")
	for over, at := range map[string]string{"NATS": "NATS_URL=" + server, "TCP": "TCP_ADDR=" + addr} {
		t.Run(over, func(t *testing.T) {
			seen, file := runToSink(t, script, at)
			require.NotContains(t, seen["plain"], "traceparent")
			_, rest, isThere := strings.Cut(seen["seen"].(string), `"traceparent","00-`)
			require.True(t, isThere, seen["seen"])
			samples, err := os.ReadFile(file)
			require.NoError(t, err)
			require.Contains(t, string(samples), `"trace_id":"`+rest[:32]+`"`)
		})
	}
}
