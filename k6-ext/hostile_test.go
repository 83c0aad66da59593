package wrpc

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Responses that break the rules, from a server that speaks NATS by hand and says
// what the path of a request asks for; and requests that must not reach it.

// published is a message of an answer: a part of the reply subject, and a payload.
type published struct{ part, payload string }

const (
	// Status 200, no headers, body and trailers to follow.
	streamed = "\x00\x00\x00\xc8\x01\x00"
	// The same, with a body that is there and no trailers, up to the status.
	atOnce = "\x00\x01\x02ok\x01\x00"
)

// answer is one whole message of results.
func answer(results string) []published {
	return []published{{"results", results}, {"results", ""}}
}

// streaming is a head, and what comes at the sub-paths.
func streaming(parts ...published) []published {
	return append(answer(streamed), parts...)
}

var hostile = map[string]struct {
	answer []published
	code   string
}{
	"nothing":                     {answer(""), "invalid_response"},
	"half-a-head":                 {answer(atOnce[:3]), "invalid_response"},
	"junk":                        {answer(strings.Repeat("\xff", 1<<16)), "invalid_response"},
	"junk-behind-it":              {answer(atOnce + "\xc8\x01\x00junk"), "invalid_response"},
	"status-99":                   {answer(atOnce + "\x63\x00"), "invalid_response"},
	"status-100":                  {answer(atOnce + "\x64\x00"), "invalid_response"},
	"status-600":                  {answer(atOnce + "\xd8\x04\x00"), "invalid_response"},
	"status-70000":                {answer(atOnce + "\xf0\xa2\x04\x00"), "invalid_response"},
	"header-with-a-blank":         {answer(atOnce + "\xc8\x01\x01\x03a b\x01\x01c"), "invalid_response"},
	"header-without-a-name":       {answer(atOnce + "\xc8\x01\x01\x00\x01\x01c"), "invalid_response"},
	"header-with-a-line-break":    {answer(atOnce + "\xc8\x01\x01\x01a\x01\x03b\nc"), "invalid_response"},
	"header-of-4-GiB":             {answer(atOnce + "\xc8\x01\x01\xff\xff\xff\xff\x0fa"), "invalid_response"},
	"4-billion-headers":           {answer(atOnce + "\xc8\x01\xff\xff\xff\xff\x0f"), "invalid_response"},
	"header-of-a-billion-values":  {answer(atOnce + "\xc8\x01\x01\x01a\xff\xff\xff\xff\x0f"), "invalid_response"},
	"body-of-4-GiB":               {answer("\x00\x01\xff\xff\xff\xff\x0f"), "invalid_response"},
	"number-without-an-end":       {answer("\x00\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), "invalid_response"},
	"unknown-error":               {answer("\x01\x7f"), "invalid_response"},
	"error":                       {answer("\x01\x00"), "handler_error"},
	"chunk-of-64-GiB":             {streaming(published{"results.0.0", "\xff\xff\xff\xff\x1f"}), "invalid_response"},
	"chunk-behind-the-end":        {streaming(published{"results.0.0", "\x01x\x00y"}), "invalid_response"},
	"end-in-the-middle":           {streaming(published{"results.0.0", "\x05he"}, published{"results.0.0", ""}), "invalid_response"},
	"end-without-a-chunk":         {streaming(published{"results.0.0", ""}), "invalid_response"},
	"trailer-with-a-blank":        {streaming(published{"results.0.0", "\x00"}, published{"results.0.1", "\x01\x01\x03a b\x01\x01c"}), "invalid_response"},
	"trailers-of-4-GiB":           {streaming(published{"results.0.0", "\x00"}, published{"results.0.1", "\x01\xff\xff\xff\xff\x0f"}, published{"results.0.1", ""}), "invalid_response"},
	"trailers-amid-the-body":      {streaming(published{"results.0.0", "\x01x"}, published{"results.0.1", "\x01\x01\x03a b\x01\x01c"}, published{"results.0.0", "\x00"}), "invalid_response"},
	"body-that-never-ends":        {streaming(published{"results.0.0", "\x01x"}), "timeout"},
	"answer-that-never-ends":      {[]published{{"results", atOnce}}, "timeout"},
	"accepted-and-nothing-else":   {nil, "timeout"},
	"results-of-another-function": {answer("\x05hello"), "invalid_response"},
}

// startHostile answers the requests under the prefix "test", and counts them.
func startHostile(t *testing.T, server string) *atomic.Int64 {
	t.Helper()
	parsed, err := url.Parse(server)
	require.NoError(t, err)
	connection, err := net.Dial("tcp", parsed.Host)
	require.NoError(t, err)
	t.Cleanup(func() { _ = connection.Close() })
	say := func(format string, arguments ...any) {
		_, _ = fmt.Fprintf(connection, format+"\r\n", arguments...)
	}
	say(`CONNECT {"verbose":false,"headers":true,"no_responders":false}`)
	say("SUB test.wrpc.0.0.1.wrpc:http/incoming-handler@0.1.0.handle 1")
	// Only once it is subscribed.
	say("PING")
	ready := make(chan struct{})
	requests := &atomic.Int64{}
	go func() {
		reader := bufio.NewReader(connection)
		for {
			line, err := reader.ReadString('\n')
			if err != nil {
				return
			}
			words := strings.Fields(line)
			switch words[0] {
			case "PING":
				say("PONG")
				continue
			case "PONG":
				close(ready)
				continue
			case "MSG", "HMSG":
			default:
				continue
			}
			size, err := strconv.Atoi(words[len(words)-1])
			message := make([]byte, size+2)
			if _, readErr := io.ReadFull(reader, message); err != nil || readErr != nil {
				return
			}
			requests.Add(1)
			reply := words[3]
			say("PUB %s _INBOX.hostile 0\r\n", reply)
			for _, one := range answerTo(string(message)) {
				say("PUB %s.%s %d\r\n%s", reply, one.part, len(one.payload), one.payload)
			}
		}
	}()
	select {
	case <-ready:
	case <-time.After(20 * time.Second):
		require.Fail(t, "nats-server does not answer")
	}
	return requests
}

func answerTo(request string) []published {
	for name, one := range hostile {
		if strings.Contains(request, "/"+name+"?") {
			return one.answer
		}
	}
	return answer(atOnce + "\xc8\x01\x00")
}

func TestResponsesThatBreakTheRules(t *testing.T) {
	server := startNATS(t)
	requests := startHostile(t, server)
	names := slices.Sorted(maps.Keys(hostile))
	invalid := 0
	for _, name := range names {
		if hostile[name].code == "invalid_response" {
			invalid++
		}
	}
	script := writeScript(t, fmt.Sprintf(`
		export const options = { iterations: 1, thresholds: {
			wrpc_http_invalid_response: ["count==%d"], wrpc_http_response: ["count==%d"], wrpc_http_request: ["count==%d"],
			"wrpc_http_invalid_response{error_code:invalid_response}": ["count==%d"],
		} };
		const names = %s;
		export default function () {
			const seen = {};
			for (const name of names) {
				const { status, error, error_code } = http.get("http://there/" + name + "?", { timeout: "700ms" });
				// The VU goes on.
				seen[name] = { status, error, error_code, next: http.get("http://there/").body };
			}
			k6http.post(__ENV.SINK, JSON.stringify(seen));
		}`, invalid, len(names), 2*len(names), invalid, asText(names)))
	seen := seenBy(t, script, "NATS_URL="+server)
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			became, _ := seen[name].(map[string]any)
			require.Equal(t, "ok", became["next"])
			require.Equal(t, 0.0, became["status"])
			said, code := fmt.Sprint(became["error"]), hostile[name].code
			if code == "timeout" {
				require.Equal(t, "request timeout", said)
				require.Equal(t, 1050.0, became["error_code"])
				return
			}
			require.True(t, strings.HasPrefix(said, code+": "), said)
			require.Equal(t, 1000.0, became["error_code"])
			require.Less(t, len(said), 300)
		})
	}
	require.EqualValues(t, 2*len(names), requests.Load())
}

// What a script says and can't be sent, and what the exception or the error of the
// response must name. Not all of them: http/mistakes_test.go compares with k6/http.
var mistakes = map[string]string{
	`http.get()`:                                                                  "URL",
	`http.get(null)`:                                                              "URL",
	`http.get("")`:                                                                "begins neither",
	`http.get("/path")`:                                                           "begins neither",
	`http.get("http:///path")`:                                                    "host",
	`http.get("http://")`:                                                         "host",
	`http.get("there:80")`:                                                        "there:80",
	`http.get("ftp://there/")`:                                                    "ftp://there/",
	`http.get("http://there:port/")`:                                              "port",
	`http.get("http://th ere/")`:                                                  "URL",
	`http.get("http://there/%zz")`:                                                "%zz",
	`http.get("http://there/", { timeout: -1 })`:                                  "request timeout",
	`http.get("http://there/", { timeout: 0 })`:                                   "request timeout",
	`http.get("http://there/", { timeout: "soon" })`:                              "timeout",
	`http.get("http://there/", { timeout: {} })`:                                  "timeout",
	`http.get("http://there/", { headers: { "a b": "c" } })`:                      "a b",
	`http.get("http://there/", { headers: { "": "c" } })`:                         "header",
	`http.get("http://there/", { headers: { "ä": "c" } })`:                        "ä",
	`http.get("http://there/", { headers: { a: "b\nc: d" } })`:                    "header A has a line break",
	`http.get("http://there/", { headers: { a: "b\rc" } })`:                       "header A has a line break",
	`http.get("http://there/", { headers: { a: "b\0" } })`:                        "control character",
	`http.get("http://there/", { auth: { username: "me" } })`:                     "password",
	`http.get("http://there/", { auth: { username: "a", password: "b", c: 1 } })`: "password",
	`http.request("G T", "http://there/")`:                                        "method",
	`http.request("GET\n", "http://there/")`:                                      "method",
	`http.request("GET")`:                                                         "URL",
	`http.asyncRequest("GET", "/path")`:                                           "begins neither",
	`http.asyncRequest("G T", "http://there/")`:                                   "method",
	`http.get("http://th<>re/")`:                                                  "can't be a host",
	`http.get("http://there/", { headers: { big: "x".repeat(300000) } })`:         "the headers are longer than",
	`http.get("http://there/", { headers: Object.fromEntries(Array.from({ length: 1025 }, (_, n) => ["a" + n, "b"])) })`: "headers",
	`http.batch(5)`:                                               "batch",
	`http.post("http://there/", 5, {})`:                           "body",
	`http.post("http://there/", true, {})`:                        "body",
	`http.post("http://there/", [1], {})`:                         "body",
	`http.post("http://there/", "a", { compression: "zip" })`:     "zip",
	`http.get("http://there/", { responseType: "some" })`:         "some",
	`http.get("http://there/", { responseCallback: () => true })`: "responseCallback",
	`http.expectedStatuses("200")`:                                "argument",
	`http.setResponseCallback(5)`:                                 "expectedStatuses",
	`wrpc.http({ nats: { url: __ENV.NATS_URL } })`:                "init",
}

func TestWhatAScriptMayNotSayIsNotSent(t *testing.T) {
	server := startNATS(t)
	requests := startHostile(t, server)
	codes := slices.Sorted(maps.Keys(mistakes))
	cases := make([]string, len(codes))
	for index, code := range codes {
		cases[index] = "async () => " + code
	}
	script := writeScript(t, fmt.Sprintf(`
		export const options = { iterations: 1 };
		const cases = [%s];
		export default async function () {
			const seen = {};
			for (const [index, one] of cases.entries()) {
				try { seen[index] = (await one()).error; } catch (error) { seen[index] = error.message || String(error); }
			}
			k6http.post(__ENV.SINK, JSON.stringify(seen));
		}`, strings.Join(cases, ",\n")))
	seen := seenBy(t, script, "NATS_URL="+server)
	for index, code := range codes {
		said := fmt.Sprint(seen[fmt.Sprint(index)])
		if !strings.Contains(said, mistakes[code]) {
			t.Errorf("%s says %q", code, said)
		}
	}
	require.Zero(t, requests.Load())
}
