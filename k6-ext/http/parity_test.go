package http

import (
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"gopkg.in/guregu/null.v3"
)

// The same script through k6/http and through ours: the same responses.
func TestResponsesAreThoseOfK6(t *testing.T) {
	address := server(t).URL
	for name, code := range map[string]string{
		"get":        `return plain(http.get(url + "/echo?a=b"));`,
		"head":       `return plain(http.head(url + "/echo"));`,
		"post text":  `return plain(http.post(url + "/echo", "tëxt"));`,
		"post bytes": `return plain(http.post(url + "/echo", new Uint8Array([104, 105]).buffer));`,
		"post form":  `return plain(http.post(url + "/echo", { a: "1 2", b: ["x", "y"] }));`,
		"post none":  `return plain(http.post(url + "/echo"));`,
		"multipart": `const r = http.post(url + "/echo", { f: http.file("content", "name.txt", "text/plain") });
			const boundary = r.request.headers["Content-Type"][0].split("boundary=")[1];
			return JSON.parse(JSON.stringify(plain(r)).replaceAll(boundary, "B"));`,
		"put":              `return plain(http.put(url + "/echo", "x"));`,
		"patch":            `return plain(http.patch(url + "/echo", "x", { headers: { "X-A": "b" } }));`,
		"del":              `return plain(http.del(url + "/echo", "x"));`,
		"options":          `return plain(http.options(url + "/echo"));`,
		"request":          `return plain(http.request("PROPFIND", url + "/echo", "x"));`,
		"asyncRequest":     `return plain(await http.asyncRequest("POST", url + "/echo", "x"));`,
		"many async":       `return (await Promise.all([1, 2, 3].map((n) => http.asyncRequest("GET", url + "/echo?" + n)))).map(plain);`,
		"batch array":      `return http.batch([["GET", url + "/echo"], ["POST", url + "/echo", "x", { headers: { a: "b" } }], url + "/status/404"]).map(plain);`,
		"batch object":     `const r = http.batch({ one: url + "/echo?1", two: { method: "PUT", url: url + "/echo", body: "b" } }); return [plain(r.one), plain(r.two)];`,
		"url":              "return plain(http.get(http.url`${url}/echo?x=${1}`));",
		"status":           `return [204, 304, 400, 404, 500, 503].map((code) => plain(http.get(url + "/status/" + code)));`,
		"binary":           `return plain(http.get(url + "/bytes", { responseType: "binary" }));`,
		"no body":          `return plain(http.get(url + "/bytes", { responseType: "none" }));`,
		"gzip":             `return plain(http.get(url + "/gzip"));`,
		"compression":      `const r = plain(http.post(url + "/echo", "xxxxxxxxxxxxxxxx", { compression: "gzip" })); return r;`,
		"cookies":          `const r = http.get(url + "/cookies/set"); return [plain(r), r.cookies.a[0].value, plain(http.get(url + "/echo"))];`,
		"request cookies":  `http.get(url + "/cookies/set"); return plain(http.get(url + "/echo", { cookies: { a: { value: "9", replace: true }, d: "4" } }));`,
		"jar":              `const jar = http.cookieJar(); jar.set(url, "j", "k", { path: "/" }); return [plain(http.get(url + "/echo")), jar.cookiesForURL(url + "/")];`,
		"own jar":          `const jar = new http.CookieJar(); jar.set(url, "own", "1"); http.get(url + "/cookies/set"); return plain(http.get(url + "/echo", { jar }));`,
		"jar cleared":      `const jar = http.cookieJar(); jar.set(url, "j", "k"); jar.clear(url); return plain(http.get(url + "/echo"));`,
		"redirects":        `return plain(http.get(url + "/redirect/3"));`,
		"redirects: 1":     `return plain(http.get(url + "/redirect/3", { redirects: 1 }));`,
		"redirects: 0":     `return plain(http.post(url + "/redirect/3", "x", { redirects: 0 }));`,
		"redirect methods": `return [301, 302, 303, 307, 308].map((code) => plain(http.post(url + "/moved/" + code, "body")));`,
		"basic":            `return plain(http.get(url.replace("//", "//me:secret@") + "/basic"));`,
		"digest":           `return plain(http.get(url.replace("//", "//me:secret@") + "/digest", { auth: "digest" })).status;`,
		"json":             `const r = http.get(url + "/echo?q"); return [r.json("method"), r.json().path, r.json("headers.User-Agent.0")];`,
		"html":             `const r = http.get(url + "/html"); return [r.html("a").text(), r.html().find("a").attr("href")];`,
		"submitForm":       `return plain(http.get(url + "/html").submitForm());`,
		"clickLink":        `return plain(http.get(url + "/html").clickLink());`,
		"timeout":          `const r = plain(http.get(url + "/slow", { timeout: 100 })); return [r.status, r.error, r.error_code, r.body];`,
		"throw":            `try { http.get(url + "/slow", { timeout: "100ms", throw: true }); } catch (error) { return String(error); }`,
		"rejected":         `return await http.asyncRequest("GET", url + "/slow", null, { timeout: 100, throw: true }).then(() => "resolved", (error) => "rejected with " + error);`,
		"headers":          `return plain(http.get(url + "/echo", { headers: { Host: "other.test", "x-lower": "1", "User-Agent": "mine" } }));`,
		"content length":   `return plain(http.post(url + "/echo", "four", { headers: { "Content-Length": "17" } }));`,
		"callback": `http.setResponseCallback(http.expectedStatuses(404, { min: 500, max: 599 }));
			return [404, 200, 503].map((code) => plain(http.get(url + "/status/" + code)));`,
	} {
		t.Run(name, func(t *testing.T) { same(t, address, code) })
	}
}

func TestSamples(t *testing.T) {
	address := server(t).URL
	script := ofOurs(t, address)
	seen, err := script.run(`
		http.get(url + "/echo", { tags: { mine: "yes", name: "named" } });
		http.get(url + "/status/404");
		http.get(url + "/redirect/1");
		http.batch([url + "/echo", url + "/status/500"]);
		await http.asyncRequest("GET", url + "/echo");
		http.get(url + "/echo", { responseCallback: null });
	`, address)
	require.NoError(t, err)
	require.Equal(t, "undefined", seen)
	emitted := script.emitted()
	count := func(name string) int { return len(emitted[name]) }
	require.Equal(t, 9, count("wrpc_http_request"))
	require.Equal(t, 9, count("wrpc_http_response"))
	require.Equal(t, 9, count("wrpc_http_duration"))
	require.Equal(t, 9, count("wrpc_http_queued"))
	require.Equal(t, 2, count("wrpc_http_invalid_response"))
	require.Equal(t, 8, count("http_req_failed"), "none where there is no callback")
	require.Zero(t, count("wrpc_http_error")+count("wrpc_transport_error"))
	require.Equal(t, 9, count("data_sent"))
	for _, name := range []string{
		"http_reqs", "http_req_duration", "http_req_blocked", "http_req_connecting", "http_req_tls_handshaking",
		"http_req_sending", "http_req_waiting", "http_req_receiving",
	} {
		require.Equal(t, 9, count(name), name)
	}
	require.Equal(t, emitted["http_req_duration"][0].Tags, emitted["wrpc_http_duration"][0].Tags)
	first := emitted["wrpc_http_duration"][0].Tags.Map()
	require.Equal(t, map[string]string{
		"client": "one", "scenario": "default", "group": "", "mine": "yes", "name": "named", "url": "named",
		"method": "GET", "status": "200", "proto": "wRPC/0.0.1", "expected_response": "true",
	}, first)
	second := emitted["wrpc_http_invalid_response"][0].Tags.Map()
	require.Equal(t, "404", second["status"])
	require.NotContains(t, second, "error_code", "a name of the library's list, and there is none")
	require.Equal(t, "1404", emitted["http_req_failed"][1].Tags.Map()["error_code"])
	require.Equal(t, "false", second["expected_response"])
}

func TestFamiliesOfMetrics(t *testing.T) {
	for _, families := range []Families{{true, true}, {true, false}, {false, true}} {
		script := with(t, failing{Outcome{Status: 500}}, families)
		_, err := script.run(`http.get("http://a/")`, "")
		require.NoError(t, err)
		emitted := script.emitted()
		ofK6, ofWRPC := 0, 0
		for name := range emitted {
			if strings.HasPrefix(name, "http_req") {
				ofK6++
			} else if strings.HasPrefix(name, "wrpc_") {
				ofWRPC++
			}
		}
		require.Equal(t, families, Families{ofK6 == 9, ofWRPC == 7})
		require.Len(t, emitted["data_sent"], 1)
	}
}

// A form is submitted by k6's code itself, past our functions.
func TestFormsAndLinksAreCounted(t *testing.T) {
	address := server(t).URL
	script := ofOurs(t, address)
	_, err := script.run(`const page = http.get(url + "/html");
		for (let n = 0; n < 20; n++) page.submitForm();
		http.get(url + "/echo");
		page.clickLink();`, address)
	require.NoError(t, err)
	require.Len(t, script.emitted()["wrpc_http_response"], 23)
}

func TestFailures(t *testing.T) {
	for name, test := range map[string]struct {
		outcome Outcome
		seen    string
		emitted string
		code    string
	}{
		"refused": {Outcome{Err: &Error{"connection_refused", "nobody"}},
			`[0,"connection_refused: nobody",1212]`, "wrpc_transport_error", "connection_refused"},
		"no responders": {Outcome{Err: &Error{"no_responders", "nobody"}},
			`[0,"no_responders: nobody",1000]`, "wrpc_transport_error", "no_responders"},
		"timeout": {Outcome{Err: &Error{"timeout", "late"}},
			`[0,"request timeout",1050]`, "wrpc_transport_error", "timeout"},
		"component": {Outcome{Err: &Error{"handler_error", "oh"}},
			`[0,"handler_error: oh",1000]`, "wrpc_http_error", "handler_error"},
		"status": {Outcome{Status: 7},
			`[0,"invalid_response: the answer has the status 7",1000]`, "wrpc_http_invalid_response", "invalid_response"},
		"header": {Outcome{Status: 200, Header: []Field{{"a b", "c"}}},
			`[0,"invalid_response: the answer's header \"a b\" isn't one",1000]`, "wrpc_http_invalid_response", "invalid_response"},
		"value": {Outcome{Status: 200, Header: []Field{{"a", "b\r\nc: d"}}},
			`[0,"invalid_response: the answer's header \"a\" isn't one",1000]`, "wrpc_http_invalid_response", "invalid_response"},
		"trap": {Outcome{Err: &Error{"guest_trap", "unreachable"}},
			`[0,"guest_trap: unreachable",1000]`, "wrpc_http_error", "guest_trap"},
		"lost": {Outcome{Err: &Error{"connection_lost", "gone"}},
			`[0,"connection_lost: gone",1220]`, "wrpc_transport_error", "connection_lost"},
	} {
		t.Run(name, func(t *testing.T) {
			script := over(t, failing{test.outcome})
			seen, err := script.run(`const r = http.get("http://there/"); return [r.status, r.error, r.error_code];`, "")
			require.NoError(t, err)
			require.Equal(t, test.seen, seen)
			emitted := script.emitted()
			require.Len(t, emitted["wrpc_http_request"], 1)
			require.Empty(t, emitted["wrpc_http_response"])
			require.Len(t, emitted[test.emitted], 1)
			require.Equal(t, test.code, emitted[test.emitted][0].Tags.Map()["error_code"])
			require.Equal(t, test.emitted == "wrpc_transport_error", len(emitted["wrpc_transport_error"]) == 1)
			require.InDelta(t, 1, emitted["http_req_failed"][0].Value, 0)
			require.Regexp(t, `^1\d\d\d$`, emitted["http_req_failed"][0].Tags.Map()["error_code"])
		})
	}
}

// A component may answer a HEAD as it would a GET, and put blanks around a value.
func TestWhatAPeerMaySayOtherwise(t *testing.T) {
	script := over(t, failing{Outcome{Status: 200, Body: []byte("x"), Header: []Field{{"a", " \tb "}, {"set-cookie", " s = t "}}}})
	seen, err := script.run(`const r = http.head("http://a/"); return [r.body, http.get("http://a/").body, r.headers.A, r.headers["Set-Cookie"]];`, "")
	require.NoError(t, err)
	require.Equal(t, `["","x","b","s = t"]`, seen)
}

func TestAuthByNameAndPassword(t *testing.T) {
	address := server(t).URL
	script := ofOurs(t, address)
	seen, err := script.run(`const r = http.get(url + "/basic", { auth: { username: "m@e", password: "s:/t" } }); return [r.body, r.url.includes("s:/t")];`, address)
	require.NoError(t, err)
	require.Equal(t, `["m@e s:/t true",false]`, seen)
	for _, sample := range script.emitted()["wrpc_http_request"] {
		require.Equal(t, address+"/basic", sample.Tags.Map()["url"])
	}
}

func TestConsumeFalseReadsNoBody(t *testing.T) {
	var requests []*Request
	script := over(t, noting{&requests})
	seen, err := script.run(`const bodies = [http.get("http://a/", { consume: false }), http.get("http://a/", { responseType: "none" }),
		...http.batch([["GET", "http://a/", null, { consume: false }], "http://a/"])].map((response) => response.body);
		return bodies;`, "")
	require.NoError(t, err)
	require.Equal(t, `[null,null,null,""]`, seen)
	var read []Reading
	for _, request := range requests {
		read = append(read, request.Reading)
	}
	require.Equal(t, []Reading{Ignore, Discard, Ignore, Keep}, read)
}

func TestTenThousandInFlight(t *testing.T) {
	exchanger := &later{count: 10_000}
	script := over(t, exchanger)
	before := runtime.NumGoroutine()
	seen, err := script.run(`const all = [];
		for (let n = 0; n < 10000; n++) all.push(http.asyncRequest("GET", "http://a/" + n));
		const found = await Promise.all(all);
		return found.filter((response) => response.status === 204).length;`, "")
	require.NoError(t, err)
	require.Equal(t, "10000", seen)
	require.Less(t, exchanger.most, before+10, "goroutines with 10,000 requests in flight")
}

func TestOptionsOfTheTestAreRespected(t *testing.T) {
	address := server(t).URL
	script := ofOurs(t, address)
	state := script.VU.State()
	state.Options.DiscardResponseBodies = null.BoolFrom(true)
	state.Options.Throw = null.BoolFrom(true)
	state.Options.Batch = null.IntFrom(1)
	seen, err := script.run(`let thrown = ""; try { http.get(url + "/slow", { timeout: 50 }); } catch (error) { thrown = "thrown"; }
		return [http.get(url + "/bytes").body, thrown];`, address)
	require.NoError(t, err)
	require.Equal(t, `[null,"thrown"]`, seen)
}

func TestHTTPDebugShowsRequestsAndResponses(t *testing.T) {
	address := server(t).URL
	for option, body := range map[string]bool{"": false, "headers": false, "full": true} {
		script := ofOurs(t, address)
		script.VU.State().Options.HTTPDebug = null.StringFrom(option)
		_, err := script.run(`http.post(url + "/basic", "the body");`, address)
		require.NoError(t, err)
		require.Equal(t, option != "", strings.Contains(script.log.String(), "user-agent: test"))
		require.Equal(t, option != "", strings.Contains(script.log.String(), "200 OK"))
		require.Equal(t, body, strings.Contains(script.log.String(), "the body"))
	}
}
