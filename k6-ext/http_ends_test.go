package wrpc

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A test or an iteration that ends doesn't wait for its requests.
func TestTheEndGivesRequestsUp(t *testing.T) {
	server := startNATS(t)
	startComponent(t, server)
	const url = `"http://there/delay/60000"`
	for name, code := range map[string]string{
		"get":          `http.get(` + url + `);`,
		"asyncRequest": `await Promise.all([1, 2, 3].map(() => http.asyncRequest("GET", ` + url + `)));`,
		"batch":        `http.batch([` + url + `, ` + url + `]);`,
	} {
		t.Run(name, func(t *testing.T) {
			running := startFile(t, server, writeScript(t, `
				export const options = { vus: 1, duration: "300s" };
				export default async function () { console.log("begins"); `+code+` }`))
			require.Eventually(t, func() bool { return strings.Contains(running.output.String(), "begins") },
				60*time.Second, 10*time.Millisecond)
			time.Sleep(300 * time.Millisecond) // into the request
			require.NoError(t, running.Process.Signal(syscall.SIGINT))
			require.Equal(t, 105, running.wait(t, 30*time.Second), running.output.String())
		})
	}
	t.Run("exception", func(t *testing.T) {
		running := startFile(t, server, writeScript(t, `
			export const options = { iterations: 2, thresholds: { iterations: ["count==2"] } };
			export default function () {
				http.asyncRequest("GET", `+url+`);
				throw new Error("on purpose");
			}`))
		require.Equal(t, 0, running.wait(t, 30*time.Second), running.output.String())
	})
	t.Run("exceptions, one after the other", func(t *testing.T) {
		running := startFile(t, server, writeScript(t, `
			import { Counter } from "k6/metrics";
			const failed = new Counter("failed");
			export const options = { vus: 4, iterations: 2000, thresholds: {
				iterations: ["count==2000"], wrpc_http_request: ["count==4000"], failed: ["count==0"],
			} };
			export default function () {
				failed.add(http.get("http://there/status/200").status === 200 ? 0 : 1);
				http.asyncRequest("GET", "http://there/status/200");
				throw new Error("on purpose");
			}`))
		require.Equal(t, 0, running.wait(t, 90*time.Second), running.output.String())
	})
}
