package wrpc

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What a script may write and few do. It is sent, or refused as what it is: never is the
// protocol or this software at fault.
var written = []string{
	"http.get('http://there/echo/a b\"<>\\\\^`{|}')",
	"http.get('http://there/echo?a b\"<>\\\\^`{|}[]')",
	"http.get('http://there/echo?\\u0085\\u200b\\ufffd\\ud800')",
	"http.get('http://there/echo/\\ud800')",
	"http.get('http://there?q')",
	"http.get('http://there/echo?q#a b')",
	"http.get('http://there//echo/../a/./b')",
	"http.get('HTTP://THERE/echo')",
	"http.get('http://th\"ere/echo')",
	"http.get('http://th<>ere/echo')",
	"http.get('http://bücher.test/echo')",
	"http.get('http://there:99999/echo')",
	"http.get('http://there:/echo')",
	"http.get('http://:80/echo')",
	"http.get('http://[::1]:80/echo')",
	"http.get('http://[fe80::1%25eth0]/echo')",
	"http.get('http://[x]/echo')",
	"http.get('http://a%25b/echo')",
	"http.get('http://a;b,c!d/echo')",
	"http.get('http://me:p%20w@there/echo')",
	"http.get('http://there/' + 'x'.repeat(70000))",
	"http.get('http://there/moved/302?/echo/a b\"<>')",
	"http.get('http://there/moved/302?http://th%22ere/echo')",
	"http.get('http://there/moved/302?%C3%A4?%C3%A4%20')",
	"http.get('http://there/moved/302?%E9?%E9')",
	"http.request('X!#$%&*+-.^_`|~', 'http://there/echo')",
	"http.request('CONNECT', 'http://there/echo')",
	"http.request('TRACE', 'http://there/echo', 'body')",
	"http.get('http://there/echo', { cookies: { 'a b': 'c;d\\n' } })",
	"http.get('http://there/echo', { auth: { username: 'a\\nb:c', password: 'ä\\0' } })",
	"http.post('http://there/echo', { f: http.file('a', 'b\"\\n', 'text/plain') })",
	"http.get('http://there/echo', { headers: { Host: 'bücher.test' } })",
	"http.get('http://there/echo', { headers: { Host: 'a b' } })",
	"http.get('http://there/echo', { headers: { Host: 'a/b?c' } })",
	"http.get('http://there/echo', { headers: { Host: '' } })",
	"http.get('http://there/echo', { headers: { a: '\\u0085ä\\t' } })",
	"http.get('http://there/echo', { headers: { a: '' } })",
	"http.get('http://there/echo', { headers: { 'Content-Type': 'a\\nb' } })",
}

// Headers of a connection: a request over wRPC has none of its own.
var ofConnections = map[string]string{
	"Connection": "close", "Keep-Alive": "timeout=5", "Proxy-Connection": "keep-alive", "TE": "trailers",
	"Transfer-Encoding": "chunked", "Upgrade": "websocket", "Trailer": "a", "Expect": "100-continue",
	"HTTP2-Settings": "a", "Content-Length": "x",
}

func TestWhatAScriptWritesIsNeverOurFault(t *testing.T) {
	cases := written
	for name, value := range ofConnections {
		cases = append(cases, fmt.Sprintf("http.post('http://there/echo', 'x', { headers: { %q: %q } })", name, value))
	}
	script := writeScript(t, fmt.Sprintf(`
		export const options = { iterations: 1 };
		const cases = [%s];
		export default async function () {
			const seen = cases.map((one) => { const r = one(); return { status: r.status, error: r.error }; });
			k6http.post(__ENV.SINK, JSON.stringify({ seen }));
		}`, "() => "+strings.Join(cases, ",\n() => ")))
	server := startNATS(t)
	startComponent(t, server)
	addr, _ := startComponent(t, "")
	for over, at := range map[string]string{"NATS": "NATS_URL=" + server, "TCP": "TCP_ADDR=" + addr} {
		t.Run(over, func(t *testing.T) {
			seen := seenBy(t, script, at)["seen"].([]any)
			require.Len(t, seen, len(cases))
			for index, one := range seen {
				became := one.(map[string]any)
				said := fmt.Sprint(became["error"])
				isRefused := strings.HasPrefix(said, "invalid_request: ") || strings.HasPrefix(said, "redirected: ")
				if became["status"] == 0.0 && !isRefused && !strings.HasPrefix(said, "invalid URL: ") {
					t.Errorf("%s: %v", cases[index], became)
				}
			}
		})
	}
}
