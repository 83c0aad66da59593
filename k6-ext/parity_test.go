package wrpc

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
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
	binary, last := "target/release/wrpc-wasmtime-tcp", []string{"127.0.0.1:0", component}
	if natsURL != "" {
		binary, last = "target/release/wrpc-wasmtime-nats", []string{"--nats", natsURL, "test", "test", component}
	}
	arguments = append(append([]string{"serve"}, arguments...), last...)
	command := exec.Command(fromEnv(t, "RECEIVER", binary, "run `make`"), arguments...)
	output, err := command.StdoutPipe()
	require.NoError(t, err)
	start(t, command)
	line, err := bufio.NewReader(output).ReadString('\n')
	require.NoError(t, err)
	_, addr, _ = strings.Cut(line, " at ")
	addr, _, _ = strings.Cut(addr, " ")
	return addr, command
}

// seenBy runs a script, which sends what it saw to a sink.
func seenBy(t *testing.T, script string, environment ...string) map[string]any {
	t.Helper()
	saw := make(chan []byte, 1)
	sink := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, request *http.Request) {
		body, _ := io.ReadAll(request.Body)
		saw <- body
	}))
	defer sink.Close()
	arguments := []string{"--log-output", "none"}
	for _, one := range append(environment, "SINK="+sink.URL) {
		arguments = append(arguments, "-e", one)
	}
	running := startFile(t, "", script, arguments...)
	require.Equal(t, 0, running.wait(t, 90*time.Second), running.output.String())
	var seen map[string]any
	require.NoError(t, json.Unmarshal(<-saw, &seen))
	return seen
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
				compare(t, at+"."+string(rune('0'+index%10)), list[index], listToo[index])
			}
			return
		}
	}
	if !isObject || !isObjectToo {
		if !equal(theirs, ours) {
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
			compare(t, at+"."+name, nil, nil)
		case name == "timings":
			timings(t, at, yours, mine)
		default:
			compare(t, at+"."+name, yours, mine)
		}
	}
}

func equal(one, other any) bool {
	left, _ := json.Marshal(one)
	right, _ := json.Marshal(other)
	return string(left) == string(right)
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
	scripts, err := filepath.Glob("parity/*.js")
	require.NoError(t, err)
	for _, script := range scripts {
		name := strings.TrimSuffix(filepath.Base(script), ".js")
		if name == "suite" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			theirs := seenBy(t, script, "SITE="+plain, "TLS_SITE="+secure)
			for over, at := range map[string]string{"NATS": "NATS_URL=" + server, "TCP": "TCP_ADDR=" + addr} {
				t.Run(over, func(t *testing.T) {
					ours := seenBy(t, script, at, "SITE="+plain, "TLS_SITE="+secure)
					for name, value := range theirs {
						t.Run(name, func(t *testing.T) { compare(t, "", value, ours[name]) })
					}
				})
			}
		})
	}
}
