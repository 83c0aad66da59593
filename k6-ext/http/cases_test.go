package http

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRedirectsAreThoseOfK6(t *testing.T) {
	address := server(t).URL
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"} {
		t.Run(method, func(t *testing.T) {
			same(t, address, fmt.Sprintf(`return [300, 301, 302, 303, 304, 307, 308].map((code) =>
				plain(http.request("%s", url + "/to?location=/echo%%3Fx&code=" + code, "body", {
					headers: { "Content-Type": "text/x", "Content-Language": "de", "X-Own": "kept" } })));`, method))
		})
	}
	for name, code := range map[string]string{
		"no location":    `return plain(http.get(url + "/to?code=302"));`,
		"bad location":   `const r = plain(http.get(url + "/to?code=302&location=%3A%2F%2F")); return [r.status, r.error_code, r.body];`,
		"relative":       `return plain(http.get(url + "/to?code=302&location=echo%3Fx%23fragment"));`,
		"absolute":       `return plain(http.get(url + "/to?code=302&location=" + encodeURIComponent(url + "/echo")));`,
		"other host":     `return plain(http.get("http://a.test/to?code=302&location=http://b.test/echo", { headers: { Authorization: "secret", "X-Own": "kept" }, cookies: { c: "1" } }));`,
		"host below":     `return plain(http.get("http://a.test/to?code=302&location=http://b.a.test/echo", { headers: { Authorization: "secret", Cookie: "own=1" } }));`,
		"back again":     `return plain(http.get("http://a.test/to?code=302&location=" + encodeURIComponent("http://b.test/to?code=302&location=http://a.test/echo"), { headers: { Authorization: "secret" } }));`,
		"own referer":    `return plain(http.get(url + "/to?code=302&location=/echo", { headers: { Referer: "http://own/" } }));`,
		"host header":    `return ["/echo", "http://b.test/echo"].map((to) => plain(http.get("http://a.test/to?code=302&location=" + to, { headers: { Host: "c.test" } })));`,
		"credentials":    `return ["/echo", "http://a.test/echo", "http://b.test/echo"].map((to) => plain(http.get("http://me:secret@a.test/to?code=302&location=" + to)));`,
		"body dropped":   `return plain(http.post(url + "/to?code=303&location=" + encodeURIComponent("/to?code=307&location=/echo"), "body"));`,
		"body kept":      `return plain(http.post(url + "/to?code=308&location=" + encodeURIComponent("/to?code=307&location=/echo"), "body"));`,
		"packed body":    `return plain(http.post(url + "/to?code=307&location=/packed", "body", { compression: "gzip" })).request;`,
		"exact limit":    `return plain(http.get(url + "/redirect/2", { redirects: 3 }));`,
		"one below":      `return plain(http.get(url + "/redirect/2", { redirects: 2 }));`,
		"null is none":   `return plain(http.get(url + "/redirect/2", { redirects: null }));`,
		"async":          `return plain(await http.asyncRequest("POST", url + "/redirect/2", "body"));`,
		"batch":          `return http.batch(["http://a.test/redirect/2", ["POST", "http://b.test/to?code=307&location=/echo", "b"]]).map(plain);`,
		"not a redirect": `return plain(http.get(url + "/to?code=201&location=/echo"));`,
	} {
		t.Run(name, func(t *testing.T) { same(t, address, code) })
	}
}

func TestTheLimitOfRedirectsIsSaid(t *testing.T) {
	address := server(t).URL
	for _, script := range []*script{ofK6(t), ofOurs(t, address)} {
		script.VU.State().Options.MaxRedirects.Valid = false
		script.VU.State().Options.MaxRedirects.Int64 = 1
		seen, err := script.run(`return http.get(url + "/redirect/3").status;`, address)
		require.NoError(t, err)
		require.Equal(t, "302", seen)
		require.Contains(t, script.log.String(), "Stopped after 2 redirects and returned the redirection")
	}
	script := ofOurs(t, address)
	seen, err := script.run(`const r = http.get(url + "/to?code=302&location=ftp://a/b"); return [r.status, r.error];`, address)
	require.NoError(t, err)
	require.Contains(t, seen, "begins neither with http:// nor with https://")
}

func TestBodiesAreThoseOfK6(t *testing.T) {
	address := server(t).URL
	for name, code := range map[string]string{
		"empty":             `return ["del", "options"].map((name) => plain(http[name](url + "/echo", "")));`,
		"null":              `return ["post", "put", "patch", "del", "options"].map((name) => plain(http[name](url + "/echo", null)));`,
		"form values":       `return plain(http.post(url + "/echo", { a: 1, b: 1.5, c: true, d: null, e: ["x", 2], f: "ä&=", g: {} }));`,
		"form, own type":    `return plain(http.post(url + "/echo", { a: "1" }, { headers: { "content-type": "mine" } }));`,
		"large":             `return plain(http.post(url + "/echo", "x".repeat(300000)));`,
		"zero bytes":        `return plain(http.post(url + "/echo", new Uint8Array([0, 1, 0]).buffer));`,
		"a number":          `const r = http.post(url + "/echo", 5); http.get(url + "/echo"); return [r.error, r.error_code, r.status];`,
		"an array":          `const r = http.post(url + "/echo", [5]); http.get(url + "/echo"); return [r.error, r.error_code, r.status];`,
		"packed":            `return ["gzip", "deflate", "br", "zstd", "gzip, deflate", "zstd,br", "identity", "br,unknown"].map((name) => plain(http.get(url + "/packed?encodings=" + encodeURIComponent(name))));`,
		"packed, binary":    `return plain(http.get(url + "/packed?encodings=gzip", { responseType: "binary" }));`,
		"packed, cut":       `return ["gzip", "deflate", "br", "zstd"].map((name) => { const r = plain(http.get(url + "/packed?cut=123456&encodings=" + name)); return [r.status, r.error_code !== 0, r.body]; });`,
		"not packed":        `return ["gzip", "deflate", "zstd"].map((name) => { const r = http.get(url + "/packed?encodings=" + name + "%20"); return r.body; });`,
		"said to be packed": `return ["gzip", "deflate", "zstd"].map((name) => { const r = plain(http.get(url + "/packed?lie=1&encodings=" + name)); return [r.status, r.error_code, r.headers, r.url]; });`,
		"bad compression":   `const r = http.post(url + "/echo", "x", { compression: "rar" }); http.get(url + "/echo"); return [r.error, r.status];`,
		"bad type":          `const r = http.post(url + "/echo", "x", { responseType: "xml" }); http.get(url + "/echo"); return [r.error, r.status];`,
		"bad tags":          `const r = http.post(url + "/echo", "x", { tags: { a: {} } }); http.get(url + "/echo"); return [r.error, r.status];`,
		"bad callback":      `const r = http.post(url + "/echo", "x", { responseCallback: null }); return plain(r);`,
		"encoding given":    `return plain(http.post(url + "/status/200", "x", { compression: "gzip", headers: { "Content-Encoding": "br" } }));`,
		"compressed": `return ["gzip", "deflate", "br", "zstd", "gzip, deflate"].map((compression) => {
			const r = plain(http.post(url + "/status/200", "xxxxxxxx", { compression })); return [r.request.body, r.request.headers]; });`,
		"files": `const r = http.post(url + "/echo", { one: http.file("a", "a\"b.txt"), two: http.file(new Uint8Array([1, 2]).buffer, "c", "text/x") });
			const boundary = r.request.headers["Content-Type"][0].split("boundary=")[1];
			return r.json("body").split("--" + boundary).sort();`,
		"json":     `const r = http.get(url + "/echo"); return [r.json("nothing"), r.json("headers.#"), r.json().method, r.json("length")];`,
		"not json": `const r = http.get(url + "/html"); let said; try { r.json(); } catch (error) { said = String(error); } return [said, r.json("a")];`,
		"where json is wrong": `return ["x", "[1,\n2", "{\n \"a\": 1,\n b}", "{\"ä\": x}", "[1]]", "{\"a\":\n}"].map((text) => {
			try { return http.get(url + "/say?text=" + encodeURIComponent(text)).json(); } catch (error) { return String(error); } });`,
		"null json":  `const r = http.get(url + "/html", { responseType: "none" }); let said = []; for (const name of ["json", "html"]) try { r[name](); } catch (error) { said.push(String(error)); } return said;`,
		"form":       `const page = http.get(url + "/html"); return plain(page.submitForm({ fields: { n: "w", m: "x" }, params: { headers: { "X-A": "b" } } }));`,
		"no form":    `let said; try { http.get(url + "/html").submitForm({ formSelector: "#none" }); } catch (error) { said = String(error); } return said;`,
		"no link":    `let said; try { http.get(url + "/html").clickLink({ selector: "#none" }); } catch (error) { said = String(error); } return said;`,
		"link":       `return plain(http.get(url + "/html").clickLink({ selector: "a", params: { headers: { "X-A": "b" } } }));`,
		"user agent": `return [plain(http.get(url + "/echo", { headers: { "User-Agent": "" } })), plain(http.get(url + "/echo", { headers: { "user-agent": " a " } }))];`,
	} {
		t.Run(name, func(t *testing.T) { same(t, address, code) })
	}
}

func TestAnUnpackedBodyIsBounded(t *testing.T) {
	packed := compressed(1, strings.Repeat("x", 1000))
	_, err := decompressed([]byte(packed), strings.Repeat("deflate,", 20))
	require.Error(t, err, "packed once, said to be twenty times")
	unpacked, err := decompressed([]byte(packed), "deflate")
	require.NoError(t, err)
	require.Len(t, unpacked, 1000)
}

func TestBatchesAreThoseOfK6(t *testing.T) {
	address := server(t).URL
	for name, code := range map[string]string{
		"keys": `const r = http.batch({ b: url + "/echo?1", a: ["PUT", url + "/echo", "x"], c: { method: "get", url: url + "/echo", body: "dropped" } });
			return [Object.keys(r).sort(), plain(r.a), plain(r.b), plain(r.c)];`,
		"url":      "return http.batch([http.url`${url}/echo?${1}`, ['GET', http.url`${url}/echo?${2}`], { method: 'GET', url: http.url`${url}/echo?${3}` }]).map(plain);",
		"params":   `return http.batch([["GET", url + "/echo", null, { headers: { a: "b" }, cookies: { c: "d" } }], { method: "POST", url: url + "/echo", body: { a: "1" }, params: { responseType: "binary" } }]).map(plain);`,
		"own jar":  `const jar = new http.CookieJar(); jar.set(url, "own", "1"); return http.batch([["GET", url + "/echo", null, { jar }]]).map(plain);`,
		"empty":    `http.get(url + "/echo"); return [http.batch([]).length, Object.keys(http.batch({})).length];`,
		"many":     `return http.batch(Array.from({ length: 50 }, (_, n) => url + "/echo?" + n)).map((r) => r.json("path"));`,
		"failures": `return http.batch([["GET", url + "/slow", null, { timeout: 100 }], url + "/echo"]).map((r) => [r.status, r.error, r.error_code]);`,
		"throw":    `let thrown = false; try { http.batch([["GET", url + "/slow", null, { timeout: 100, throw: true }], url + "/echo"]); } catch (error) { thrown = true; } return thrown;`,
		"bad body": `const r = http.batch([url + "/echo", ["POST", url + "/echo", 5], url + "/echo"]); http.get(url + "/echo"); return [r.length, r[1].error, r[2]];`,
		"bad arguments": `const said = []; for (const given of [[], ["a"], [[], []], [[[5, "http://a/"]]]])
			try { http.batch(...given); said.push("none"); } catch (error) { said.push(String(error)); }
			http.get(url + "/echo"); return said;`,
	} {
		t.Run(name, func(t *testing.T) { same(t, address, code) })
	}
}

func TestABatchKeepsToItsLimits(t *testing.T) {
	for _, test := range []struct{ all, each, most int }{{20, 6, 6}, {4, 6, 4}, {20, 0, 20}, {0, 0, 30}} {
		exchanger := &counting{expected: test.most, total: 30}
		script := over(t, exchanger)
		script.VU.State().Options.Batch.Int64 = int64(test.all)
		script.VU.State().Options.BatchPerHost.Int64 = int64(test.each)
		seen, err := script.run(`return http.batch(Array.from({ length: 30 }, () => "http://a/")).filter((r) => r.status === 204).length;`, "")
		require.NoError(t, err)
		require.Equal(t, "30", seen)
		require.Equal(t, test.most, exchanger.most, test)
	}
}
