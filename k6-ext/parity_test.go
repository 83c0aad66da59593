package wrpc

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The scripts of parity/ run through k6/http against an ordinary HTTP server, and
// through wrpc.http against the real component, and see the same.

// differs are the fields of a response that say something of the connection: over
// wRPC they are there, of the same type, and hold this.
var differs = map[string]any{
	"proto": "wRPC/0.0.1", "remote_ip": "", "remote_port": 0.0, "tls_version": "", "tls_cipher_suite": "",
}

// startComponent starts a receiver with http-component, under the prefix "test" or,
// without a server, at an address that it gives.
func startComponent(t *testing.T, natsURL string, arguments ...string) (addr string, receiver *exec.Cmd) {
	t.Helper()
	component := fromEnv(t, "HTTP_COMPONENT", "http-component/http-component.wasm", "run `make component`")
	binary, last := "wrpc-wasmtime-tcp", []string{"127.0.0.1:0", component}
	if natsURL != "" {
		binary, last = "wrpc-wasmtime-nats", []string{"--nats", natsURL, "test", "test", component}
	}
	arguments = append(append([]string{"serve"}, arguments...), last...)
	variable := strings.ToUpper(strings.ReplaceAll(binary, "-", "_"))
	command := exec.Command(fromEnv(t, variable, "target/release/"+binary, "run `make`"), arguments...)
	output, err := command.StdoutPipe()
	require.NoError(t, err)
	start(t, command)
	line, err := bufio.NewReader(output).ReadString('\n')
	require.NoError(t, err)
	_, addr, _ = strings.Cut(line, " at ")
	addr, _, _ = strings.Cut(addr, " ")
	return addr, command
}

// writeScript gives a script that has `http`, at NATS_URL or TCP_ADDR.
func writeScript(t *testing.T, script string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "script.js")
	script = `import wrpc from "k6/x/wrpc";
		import k6http from "k6/http";
		const { NATS_URL, TCP_ADDR } = __ENV;
		const http = wrpc.http(TCP_ADDR ? { tcp: { addr: TCP_ADDR } } : { nats: { url: NATS_URL, prefix: "test" } });` + script
	require.NoError(t, os.WriteFile(file, []byte(script), 0o600))
	return file
}

// seenBy runs a script, and gives what it saw.
func seenBy(t *testing.T, script string, environment ...string) map[string]any {
	t.Helper()
	seen, _ := runToSink(t, script, environment...)
	return seen
}

// runToSink runs a script, which sends what it saw to a sink; it gives that and the
// file of the samples.
func runToSink(t *testing.T, script string, environment ...string) (map[string]any, string) {
	t.Helper()
	samples := filepath.Join(t.TempDir(), "samples.json")
	saw := make(chan []byte, 1)
	sink := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, request *http.Request) {
		body, _ := io.ReadAll(request.Body)
		saw <- body
	}))
	defer sink.Close()
	arguments := []string{"--log-output", "none", "--out", "json=" + samples}
	for _, one := range append(environment, "SINK="+sink.URL) {
		arguments = append(arguments, "-e", one)
	}
	running := startFile(t, "", script, arguments...)
	require.Equal(t, 0, running.wait(t, 90*time.Second), running.output.String())
	var seen map[string]any
	require.NoError(t, json.Unmarshal(<-saw, &seen))
	return seen, samples
}

// tagged gives the tags of the samples of a metric, without those of the connection
// and of the sink.
func tagged(t *testing.T, samples, metric string) []string {
	t.Helper()
	file, err := os.Open(samples)
	require.NoError(t, err)
	defer func() { _ = file.Close() }()
	found := []string{}
	for decoder := json.NewDecoder(file); decoder.More(); {
		var sample struct {
			Type, Metric string
			Data         struct{ Tags map[string]string }
		}
		require.NoError(t, decoder.Decode(&sample))
		tags := sample.Data.Tags
		if sample.Type != "Point" || sample.Metric != metric || !strings.Contains(tags["url"], "parity.test") {
			continue
		}
		delete(tags, "proto")
		delete(tags, "tls_version")
		if said := tags["error"]; strings.HasPrefix(said, "net/http: invalid ") || strings.HasPrefix(said, "invalid_request: ") {
			delete(tags, "error") // the same in other words
		}
		found = append(found, asText(tags))
	}
	slices.Sort(found)
	return found
}

// sameTags compares the samples of k6/http with those of wrpc.http.
func sameTags(t *testing.T, theirs, ours string) {
	t.Helper()
	for _, metric := range []string{
		"http_reqs", "http_req_failed", "http_req_duration", "http_req_waiting", "http_req_sending", "http_req_connecting",
	} {
		expected := tagged(t, theirs, metric)
		require.NotEmpty(t, expected)
		require.Equal(t, expected, tagged(t, ours, metric), "tags of %s", metric)
	}
	require.Len(t, tagged(t, ours, "wrpc_http_request"), len(tagged(t, theirs, "http_reqs")))
}

// compare walks through what two ways gave.
func compare(t *testing.T, at string, theirs, ours any) {
	t.Helper()
	one, isObject := theirs.(map[string]any)
	other, isObjectToo := ours.(map[string]any)
	if list, isList := theirs.([]any); isList {
		listToo, _ := ours.([]any)
		if len(list) == len(listToo) {
			for index := range list {
				compare(t, fmt.Sprint(at, ".", index), list[index], listToo[index])
			}
			return
		}
	}
	if !isObject || !isObjectToo {
		if asText(theirs) != asText(ours) {
			t.Errorf("%s: k6/http gives %v, wrpc.http %v", at, theirs, ours)
		}
		return
	}
	names := map[string]bool{}
	for name := range one {
		names[name] = true
	}
	for name := range other {
		names[name] = true
	}
	for name := range names {
		mine, there := other[name]
		yours, thereToo := one[name]
		switch expected, connection := differs[name]; {
		case there != thereToo:
			t.Errorf("%s.%s: k6/http gives %v, wrpc.http %v", at, name, yours, mine)
		case one["$response"] == nil:
			compare(t, at+"."+name, yours, mine)
		case connection:
			if mine != expected && mine != yours {
				t.Errorf("%s.%s is %v", at, name, mine)
			}
		case name == "ocsp":
			status, _ := mine.(map[string]any)
			if status["status"] != "" {
				t.Errorf("%s.ocsp is %v", at, mine)
			}
		case name == "timings":
			timings(t, at, yours, mine)
		default:
			compare(t, at+"."+name, yours, mine)
		}
	}
}

// timings have the same parts, each a time, and the duration is their sum.
func timings(t *testing.T, at string, theirs, ours any) {
	t.Helper()
	for _, one := range []any{theirs, ours} {
		parts, _ := one.(map[string]any)
		sum := 0.0
		for _, name := range []string{"blocked", "looking_up", "connecting", "tls_handshaking", "sending", "waiting", "receiving"} {
			value, isNumber := parts[name].(float64)
			if !isNumber || value < 0 || value > 90_000 {
				t.Errorf("%s.timings.%s is %v", at, name, parts[name])
			}
			if slices.Contains([]string{"sending", "waiting", "receiving"}, name) {
				sum += value
			}
		}
		if duration, _ := parts["duration"].(float64); duration-sum > 0.001 || sum-duration > 0.001 {
			t.Errorf("%s.timings.duration is %v, its parts are %v", at, parts["duration"], sum)
		}
	}
}

func TestParity(t *testing.T) {
	plain, secure := startSites(t)
	server := startNATS(t)
	startComponent(t, server)
	addr, _ := startComponent(t, "")
	table := parityTable(t)
	scripts, err := filepath.Glob("parity/*.js")
	require.NoError(t, err)
	for _, script := range scripts {
		name := filepath.Base(script)
		if name == "suite.js" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			sites := []string{"SITE=" + plain, "TLS_SITE=" + secure}
			theirs, samples := runToSink(t, script, sites...)
			var ours map[string]any
			for over, at := range map[string]string{"NATS": "NATS_URL=" + server, "TCP": "TCP_ADDR=" + addr} {
				t.Run(over, func(t *testing.T) {
					seen, sampled := runToSink(t, script, append(sites, at)...)
					ours = seen
					for name, value := range theirs {
						t.Run(name, func(t *testing.T) { compare(t, "", value, ours[name]) })
					}
					sameTags(t, samples, sampled)
				})
			}
			table.check(t, script, theirs, ours)
		})
	}
	table.finish(t)
}

func asText(value any) string {
	text, _ := json.Marshal(value)
	return string(text)
}
