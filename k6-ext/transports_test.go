package wrpc

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.k6.io/k6/v2/metrics"
)

func tagOf(sample metrics.Sample, name string) string {
	value, _ := sample.Tags.Get(name)
	return value
}

// report makes the next call report, whenever the last one did.
func report() { theReporter.due.Store(0) }

func TestTransportsAreReported(t *testing.T) {
	server := startNATS(t)
	startReceiver(t, server)
	vu := newVU(t)
	vu.open(server)
	report()
	vu.must(`for (let i = 0; i < 10; i++) if (!blaster.blast({payload: "x".repeat(1000)}).ok) throw "failed"`)
	report()
	vu.must(`blaster.blast()`)

	for name, least := range map[string]float64{
		"wrpc_transport_connects":          1,
		"wrpc_transport_messages_sent":     11,
		"wrpc_transport_messages_received": 22,
		"wrpc_transport_data_sent":         10_000,
		"wrpc_transport_data_received":     100,
	} {
		sum := 0.0
		for _, sample := range vu.emitted(name) {
			if tagOf(sample, "transport") != "nats" {
				continue // what a test before this one left
			}
			sum += sample.Value
			require.Empty(t, tagOf(sample, "scenario"), "connections are of no scenario")
		}
		require.GreaterOrEqual(t, sum, least, name)
	}
	times := vu.emitted("wrpc_transport_connecting")
	require.NotEmpty(t, times)
	require.Positive(t, times[len(times)-1].Value)
	inFlight := vu.emitted("wrpc_transport_calls_in_flight")
	require.NotEmpty(t, inFlight)
	require.Zero(t, inFlight[len(inFlight)-1].Value)
}

func TestTCPIsReportedToo(t *testing.T) {
	addr := startTCPReceiver(t)
	vu := newVU(t)
	vu.must(fmt.Sprintf(`const blaster = wrpc.blaster({tcp: {addr: %q}})`, addr))
	vu.start()
	report()
	vu.must(`for (let i = 0; i < 10; i++) if (!blaster.blast({payload: "x".repeat(1000)}).ok) throw "failed"`)
	report()
	vu.must(`blaster.blast()`)
	for name, least := range map[string]float64{
		"wrpc_transport_connects":      1,
		"wrpc_transport_data_sent":     10_000,
		"wrpc_transport_data_received": 10,
	} {
		sum := 0.0
		for _, sample := range vu.emitted(name) {
			if tagOf(sample, "transport") == "tcp" {
				sum += sample.Value
			}
		}
		require.GreaterOrEqual(t, sum, least, name)
	}
}

func TestFailuresAreReportedByTheirCode(t *testing.T) {
	vu := newVU(t)
	vu.open(closedPort(t))
	report()
	vu.must(`blaster.blast()`)
	report()
	vu.must(`blaster.blast()`)
	refused := 0.0
	for _, sample := range vu.emitted("wrpc_transport_calls_failed") {
		if tagOf(sample, "error_code") == "connection_refused" {
			refused += sample.Value
		}
	}
	require.GreaterOrEqual(t, refused, 1.0)
	require.NotEmpty(t, vu.emitted("wrpc_transport_connect_failures"))
}

// Also what the last second brought, and nothing twice.
func TestTheTestsEndReportsTheRest(t *testing.T) {
	server := startNATS(t)
	startReceiver(t, server)
	running := startK6(t, server, `
		// Each VU has a share of its own: of a shared number, a busy machine may give all to two VUs.
		export const options = { scenarios: { only: { executor: "per-vu-iterations", vus: 4, iterations: 25 } }, thresholds: {
			"wrpc_transport_connects{transport:nats}": ["count==4"],
			wrpc_transport_messages_sent: ["count==100"],
			wrpc_transport_messages_received: ["count==200"],
			wrpc_transport_reconnects: ["count==0"],
			wrpc_transport_calls_failed: ["count==0"],
			wrpc_transport_calls_in_flight: ["value==0"],
			wrpc_transport_connecting: ["min>0"],
		} };
		export default function () { blaster.blast(); }`)
	require.Equal(t, 0, running.wait(t, 60*time.Second), running.output.String())
}

func TestConnectionsAreShared(t *testing.T) {
	server := startNATS(t)
	startReceiver(t, server)
	running := startK6(t, server, `
		const shared = wrpc.blaster({ nats: { url: __ENV.NATS_URL, prefix: "test", shared: 3 } });
		export const options = {
			scenarios: { only: { executor: "per-vu-iterations", vus: 20, iterations: 10 } },
			thresholds: { wrpc_transport_connects: ["count==3"], wrpc_blaster_transport_error: ["count==0"] },
		};
		export default function () { shared.blast({ wait_ms: 1 }); }`)
	require.Equal(t, 0, running.wait(t, 60*time.Second), running.output.String())
}

// Whatever a script opens with the same options, in whatever order, a VU has one
// connection for it.
func TestClientsOfAVUShareItsConnection(t *testing.T) {
	server := startNATS(t)
	startReceiver(t, server)
	running := startK6(t, server, `
		const url = __ENV.NATS_URL, prefix = "test";
		const clients = Array.from({ length: 10 }, (_, n) => wrpc.blaster({ nats: { prefix, url }, tags: { n } }));
		const http = wrpc.http({ metrics: "http", nats: { url, prefix } });
		const other = wrpc.blaster({ nats: { url, prefix, name: "other" } });
		export const options = {
			scenarios: { only: { executor: "per-vu-iterations", vus: 4, iterations: 10 } },
			thresholds: {
				wrpc_transport_connects: ["count==8"],
				wrpc_blaster_operation: ["count==480"],
				"wrpc_blaster_operation{n:7}": ["count==40"],
				wrpc_blaster_error: ["count==0"],
				http_reqs: ["count==40"],
			},
		};
		export default async function () {
			for (const client of [blaster, ...clients]) client.blast();
			const all = [http.asyncRequest("GET", "http://there/"), other.blastAsync()];
			await Promise.all(all);
		}`)
	require.Equal(t, 0, running.wait(t, 60*time.Second), running.output.String())
}

// From k6's secrets or the environment: into the connection, and nowhere else.
func TestSecretsAreNotShown(t *testing.T) {
	server, _ := startNATSAt(t, "-1", "--user", "me", "--pass", "hidden1")
	parsed, err := url.Parse(server)
	require.NoError(t, err)
	parsed.User = url.UserPassword("me", "hidden1")
	startReceiver(t, parsed.String())
	file := filepath.Join(t.TempDir(), "script.js")
	script := `
		import wrpc from "k6/x/wrpc";
		import secrets from "k6/secrets";
		const options_of = (password) => ({ nats: { url: __ENV.NATS_URL, prefix: "test", user: "me", password } });
		const good = wrpc.blaster(options_of(await secrets.get("password")));
		const bad = wrpc.blaster(options_of(__ENV.BAD_PASSWORD));
		export const options = { iterations: 1, thresholds: {
			"wrpc_blaster_transport_error{error_code:authentication}": ["count==1"],
			wrpc_blaster_operation: ["count==2"],
		} };
		export default function () {
			console.log(JSON.stringify(good.blast()), JSON.stringify(bad.blast()));
			try { wrpc.blaster(options_of(__ENV.BAD_PASSWORD)) } catch (error) { console.log(error.message) }
		}`
	require.NoError(t, os.WriteFile(file, []byte(script), 0o600))
	t.Setenv("BAD_PASSWORD", "hidden2")
	running := startFile(t, server, file, "--secret-source=mock=password=hidden1")
	require.Equal(t, 0, running.wait(t, 60*time.Second), running.output.String())
	require.Contains(t, running.output.String(), "authorization violation")
	require.NotContains(t, running.output.String(), "hidden")
}
