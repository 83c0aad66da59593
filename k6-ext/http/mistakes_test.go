package http

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"gopkg.in/guregu/null.v3"
)

// mistakes are arguments of request: method, URL, body and params. What k6/http makes of
// them, an exception or a response, we do.
var mistakes = map[string]string{
	"no URL":                 `"GET"`,
	"null":                   `"GET", null`,
	"a number":               `"GET", 5`,
	"an empty URL":           `"GET", ""`,
	"a path":                 `"GET", "/path"`,
	"no host":                `"GET", "http:///path"`,
	"no host but a user":     `"GET", "http://a:b@/"`,
	"no scheme":              `"GET", "there:80"`,
	"another scheme":         `"GET", "ftp://a/"`,
	"a host with a blank":    `"GET", "http://a b/"`,
	"a bad escape":           `"GET", url + "/%zz"`,
	"a control character":    `"GET", url + "/a\tb"`,
	"a bad port":             `"GET", "http://a:port/"`,
	"params are text":        `"GET", url + "/echo", null, "params"`,
	"params are a number":    `"GET", url + "/echo", null, 5`,
	"params are a list":      `"GET", url + "/echo", null, []`,
	"an unknown key":         `"GET", url + "/echo", null, { haeders: {} }`,
	"timeout: negative":      `"GET", url + "/echo", null, { timeout: -1 }`,
	"timeout: zero":          `"GET", url + "/echo", null, { timeout: 0 }`,
	"timeout: no time":       `"GET", url + "/echo", null, { timeout: "soon" }`,
	"timeout: an object":     `"GET", url + "/echo", null, { timeout: {} }`,
	"redirects: negative":    `"GET", url + "/redirect/2", null, { redirects: -1 }`,
	"header: a blank":        `"GET", url + "/echo", null, { headers: { "a b": "c" } }`,
	"header: no name":        `"GET", url + "/echo", null, { headers: { "": "c" } }`,
	"header: not ASCII":      `"GET", url + "/echo", null, { headers: { "ä": "c" } }`,
	"header: a line break":   `"GET", url + "/echo", null, { headers: { a: "b\nc: d" } }`,
	"header: a zero byte":    `"GET", url + "/echo", null, { headers: { a: "b\0" } }`,
	"auth: unknown":          `"GET", url + "/echo", null, { auth: "token" }`,
	"jar: none":              `"GET", url + "/echo", null, { jar: {} }`,
	"method: a blank":        `"G T", url + "/echo"`,
	"method: none":           `"", url + "/echo"`,
	"method: null":           `null, url + "/echo"`,
	"method: a line break":   `"GET\n", url + "/echo"`,
	"body: a number":         `"POST", url + "/echo", 5`,
	"body: true":             `"POST", url + "/echo", true, {}`,
	"body: a list":           `"POST", url + "/echo", [1], {}`,
	"compression: unknown":   `"POST", url + "/echo", "a", { compression: "zip" }`,
	"responseType: unknown":  `"GET", url + "/echo", null, { responseType: "some" }`,
	"responseCallback: none": `"GET", url + "/echo", null, { responseCallback: () => true }`,
	"tags: objects":          `"GET", url + "/echo", null, { tags: { a: {} } }`,
}

func TestMistakesEndAsInK6(t *testing.T) {
	address := server(t).URL
	ways := map[string]string{
		"request":      `http.request(%s)`,
		"asyncRequest": `await http.asyncRequest(%s)`,
		"batch":        `http.batch([{}, url + "/echo"].map((one) => one.length ? one : entry(%s)))[0]`,
	}
	for name, arguments := range mistakes {
		for way, format := range ways {
			if way == "batch" && !strings.Contains(arguments, ",") {
				continue // an entry without a URL is something else
			}
			for _, throws := range []string{"", "params", "options"} {
				given := arguments
				if throws == "params" {
					if given = strings.Replace(arguments, "{", "{ throw: true, ", 1); given == arguments {
						continue
					}
				}
				t.Run(fmt.Sprint(name, "/", way, "/", throws), func(t *testing.T) {
					code := `const entry = (method, url, body, params) => ({ method, url, body, params });
						let seen; try { const r = ` + fmt.Sprintf(format, given) + `; seen = [r.status, r.error_code, r.error === ""]; }
						catch (error) { seen = "thrown"; } http.get(url + "/echo"); return seen;`
					k6, ours := ofK6(t), ofOurs(t, address)
					k6.VU.State().Transport = to(t, address).transport
					var seen []string
					for _, script := range []*script{k6, ours} {
						script.VU.State().Options.Throw = null.BoolFrom(throws == "options")
						saw, err := script.run(code, address)
						require.NoError(t, err)
						seen = append(seen, saw)
					}
					require.Equal(t, seen[0], seen[1], "%s", ours.log)
					theirs, emitted := k6.emitted(), ours.emitted()
					for _, metric := range []string{"http_reqs", "http_req_failed"} {
						require.Len(t, emitted[metric], len(theirs[metric]), metric)
					}
					for _, sample := range emitted["wrpc_http_error"] {
						require.Contains(t, []string{"invalid_request", "timeout"}, sample.Tags.Map()["error_code"])
					}
				})
			}
		}
	}
}

func TestMistakesAreNamed(t *testing.T) {
	script := over(t, failing{Outcome{Err: &Error{"internal", "it was sent"}}})
	for code, said := range map[string]string{
		`http.get("http://a/%zz")`:                                   `invalid URL escape "%zz"`,
		`http.get("http:///a")`:                                      `invalid_request: the URL "http:///a" has no host`,
		`http.get("ftp://a/")`:                                       `invalid_request: the URL "ftp://a/" begins neither`,
		`http.get("http://a<b>/")`:                                   `"a<b>" can't be a host`,
		`http.post("http://a/", "", { headers: { "a b": "c" } })`:    `"a b" can't be a header's name`,
		`http.post("http://a/", "", { headers: { a: "b\nc" } })`:     "the value of the header A has a line break",
		`http.post("http://a/", "", { headers: { Host: "b c" } })`:   `the header Host: "b c" can't be a host`,
		`http.get("http://a/", { timeout: "soon" })`:                 "invalid timeout value",
		`http.get("http://a/", { auth: { username: "a" } })`:         "params.auth: { username, password } is expected",
		`http.get("http://a/", { auth: "ntlm" })`:                    "params.auth: ntlm authenticates a connection",
		`http.request("G T", "http://a/")`:                           `the method "G T" must be a token`,
		`http.batch([["GET", "http:///a"]])[0]`:                      "has no host",
		`(await http.asyncRequest("GET", "nowhere"))`:                "begins neither",
		`http.post("http://a/", 5)`:                                  "unknown request body type",
		`http.post("http://a/", { f: http.file("a", "b", "c\nd") })`: "the content type of the file",
	} {
		seen, err := script.run(`return (`+code+`).error`, "")
		require.NoError(t, err, code)
		require.Contains(t, seen, strings.ReplaceAll(said, `"`, `\"`), code)
		for _, sample := range script.emitted()["wrpc_http_error"] {
			require.Equal(t, "invalid_request", sample.Tags.Map()["error_code"], code)
		}
	}
}

// What k6/http ignores, so do we, and say so once for all VUs.
func TestWhatHasNoEffectIsSaidOnce(t *testing.T) {
	script := over(t, failing{Outcome{Status: 200}})
	seen, err := script.run(`const params = { headers: {}, auth: "token", jar: 5, waitFor: 1, baseURL: "x", transforms: undefined };
		return [1, 2, 3].map(() => http.get("http://a/", params).status + http.get("http://a/", "text").status);`, "")
	require.NoError(t, err)
	require.Equal(t, "[400,400,400]", seen)
	for _, said := range []string{"params.waitFor isn't known", "params.baseURL", "params.transforms", "params.auth has no effect",
		"params.jar has no effect", "params must be an object"} {
		require.Equal(t, 1, strings.Count(script.log.String(), said), said)
	}
}

func TestTargetsAreEncoded(t *testing.T) {
	address := server(t).URL
	for name, code := range map[string]string{
		"path":       "return plain(http.get(url + '/echo' + '/a b\"<>\\\\^`{|}ä'));",
		"escapes":    `return plain(http.get(url + "/echo/%2F%20\"?q=%20"));`,
		"a location": `return plain(http.get(url + "/to?code=302&location=" + encodeURIComponent("/a b\"<>/ä")));`,
		"no path":    `return plain(http.get(url + "?q"));`,
		"a fragment": `return plain(http.get(url + "/echo?q#a b"));`,
	} {
		t.Run(name, func(t *testing.T) { same(t, address, code) })
	}
	// k6/http sends these as they are written, which servers refuse.
	var requests []*Request
	script := over(t, noting{&requests})
	for written, sent := range map[string]string{
		`/?a b"<c>'`:     "/?a%20b%22%3Cc%3E'",
		`/?ä=ö`:          "/?ä=ö",
		`/?q=%20%zz\\`:   "/?q=%20%zz\\",
		`/?\u0085\u2028`: "/?%C2%85\u2028",
		``:               "/",
	} {
		requests = nil
		_, err := script.run(`http.get("http://a`+strings.ReplaceAll(written, `"`, `\"`)+`")`, "")
		require.NoError(t, err)
		require.Len(t, requests, 1, "%s: %s", written, script.log)
		require.Equal(t, sent, requests[0].Target)
	}
}

func TestAuthoritiesAreASCII(t *testing.T) {
	for written, sent := range map[string]string{
		"a.test": "a.test", "a:80": "a:80", "[::1]:80": "[::1]:80", "[fe80::1%eth0]:80": "[fe80::1]:80",
		"bücher.test:81": "xn--bcher-kva.test:81", "a_b": "a_b", `a"b`: "", "a<b>": "", "a b": "", "a%20b": "", "a/b": "",
	} {
		got, err := authority(written)
		require.Equal(t, sent, got, written)
		require.Equal(t, sent == "", err != nil, written)
	}
}

// A function that a later k6 adds isn't there: it would send to the network.
func TestNothingOfK6IsThereUnlessItIsKnown(t *testing.T) {
	script := over(t, failing{Outcome{Status: 200}})
	exported := script.VU.Runtime().NewObject()
	for _, name := range []string{"get", "url", "file", "cookieJar", "CookieJar", "query", "asyncBatch", "TLS_1_3", "OCSP_STATUS_GOOD"} {
		require.NoError(t, exported.Set(name, 1))
	}
	object, err := (&Client{vu: script.VU}).inPlaceOf(exported)
	require.NoError(t, err)
	require.Equal(t, []string{"get", "url", "file", "cookieJar", "CookieJar", "TLS_1_3", "OCSP_STATUS_GOOD"}, object.Keys())
	k6 := ofK6(t)
	const keys = `return Object.keys(http)`
	theirs, err := k6.run(keys, "")
	require.NoError(t, err)
	ours, err := script.run(keys, "")
	require.NoError(t, err)
	require.Equal(t, theirs, ours)
}
