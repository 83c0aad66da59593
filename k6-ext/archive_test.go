package wrpc

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAnArchiveTakesTheFilesThatOptionsName(t *testing.T) {
	folder := t.TempDir()
	beside, elsewhere := filepath.Join(folder, "beside"), filepath.Join(folder, "elsewhere")
	require.NoError(t, os.Mkdir(beside, 0o700))
	require.NoError(t, os.Mkdir(elsewhere, 0o700))
	authority, key := makeCertificate(t)
	for name, text := range map[string][]byte{
		"ca.pem": authority, "cert.pem": authority, "key.pem": key,
		"script.js": []byte(`import wrpc from "k6/x/wrpc";
			const tls = { ca: "ca.pem", cert: "./cert.pem", key: "key.pem" };
			const over = {
				tcp: wrpc.blaster({ tcp: { addr: "127.0.0.1:1", tls } }),
				nats: wrpc.blaster({ nats: { url: "tls://127.0.0.1:1", tls } }),
			};
			export default function () {
				for (const [name, blaster] of Object.entries(over)) {
					console.log(name + " ends with " + blaster.blast({}).error_code);
				}
			}`),
	} {
		require.NoError(t, os.WriteFile(filepath.Join(beside, name), text, 0o600))
	}

	said := runArchived(t, beside, elsewhere)
	require.Contains(t, said, "tcp ends with connection_refused")
	require.Contains(t, said, "nats ends with connection_refused")
}

// runArchived archives the script of a folder, deletes the folder, and runs the archive:
// what it said.
func runArchived(t *testing.T, beside, elsewhere string) string {
	t.Helper()
	binary := fromEnv(t, "K6", "k6", "run `make`")
	archive := filepath.Join(elsewhere, "archive.tar")
	// Files are found beside the script, wherever k6 runs.
	command := exec.Command(binary, "archive", "-O", archive, filepath.Join(beside, "script.js"))
	command.Dir = elsewhere
	said, err := command.CombinedOutput()
	require.NoError(t, err, string(said))

	// On another machine there is the archive alone.
	require.NoError(t, os.RemoveAll(beside))
	running := startFile(t, "", archive)
	require.Zero(t, running.wait(t, time.Minute), running.output.String())
	return running.output.String()
}

// makeCertificate makes one that trusts itself, and its key, as PEM.
func makeCertificate(t *testing.T) (certificate, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	about := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	signed, err := x509.CreateCertificate(rand.Reader, about, about, private.Public(), private)
	require.NoError(t, err)
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	text := func(kind string, bytes []byte) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: bytes})
	}
	return text("CERTIFICATE", signed), text("PRIVATE KEY", encoded)
}
