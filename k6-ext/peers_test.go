package wrpc

import (
	"bufio"
	"encoding/json"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The real peers of the tests, each on a free port and ended with its test.

// fromEnv gives the path in the variable, or that below the root of the checkout.
func fromEnv(t *testing.T, variable, path, hint string) string {
	t.Helper()
	file := os.Getenv(variable)
	if file == "" {
		file = filepath.Join("..", path)
	}
	file, err := filepath.Abs(file)
	require.NoError(t, err)
	_, err = os.Stat(file)
	require.NoErrorf(t, err, "%s, or set %s", hint, variable)
	return file
}

// startNATS starts a nats-server and gives its URL.
func startNATS(t *testing.T) string {
	t.Helper()
	url, _ := startNATSAt(t, "-1")
	return url
}

// startNATSAt starts a nats-server at a port; at -1 it chooses one.
func startNATSAt(t *testing.T, port string, arguments ...string) (string, *exec.Cmd) {
	t.Helper()
	server := fromEnv(t, "NATS_SERVER", "bin/nats-server", "run `make setup`")
	ports := t.TempDir()
	arguments = append(arguments, "--addr", "127.0.0.1", "--port", port, "--ports_file_dir", ports)
	command := exec.Command(server, arguments...)
	start(t, command)
	var known struct{ Nats []string }
	require.Eventually(t, func() bool {
		files, _ := filepath.Glob(filepath.Join(ports, "*.ports"))
		if len(files) == 0 {
			return false
		}
		text, err := os.ReadFile(files[0])
		return err == nil && json.Unmarshal(text, &known) == nil && len(known.Nats) > 0
	}, 20*time.Second, 5*time.Millisecond)
	return known.Nats[0], command
}

// startReceiver starts a receiver under the prefix "test".
func startReceiver(t *testing.T, natsURL string) {
	t.Helper()
	receiver := fromEnv(t, "NATIVE_RECEIVER", "target/release/examples/native_receiver", "run `make`")
	command := exec.Command(receiver, natsURL, "test")
	output, err := command.StdoutPipe()
	require.NoError(t, err)
	start(t, command)
	line, err := bufio.NewReader(output).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "ready", strings.TrimSpace(line))
}

// startTCPReceiver starts a receiver that listens itself, and gives its address.
func startTCPReceiver(t *testing.T) string {
	t.Helper()
	receiver := fromEnv(t, "NATIVE_RECEIVER", "target/release/examples/native_receiver", "run `make`")
	command := exec.Command(receiver, "tcp://127.0.0.1:0", "-")
	output, err := command.StdoutPipe()
	require.NoError(t, err)
	start(t, command)
	line, err := bufio.NewReader(output).ReadString('\n')
	require.NoError(t, err)
	addr, found := strings.CutPrefix(strings.TrimSpace(line), "ready at ")
	require.True(t, found, line)
	return addr
}

func start(t *testing.T, command *exec.Cmd) {
	t.Helper()
	require.NoError(t, command.Start())
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
}

// closedPort gives the URL of a port at which nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	server := startNATS(t)
	parsed, err := url.Parse(server)
	require.NoError(t, err)
	return "nats://127.0.0.2:" + parsed.Port()
}
