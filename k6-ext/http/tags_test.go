package http

import (
	"encoding/json"
	"fmt"
	"sort"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.k6.io/k6/v2/metrics"
)

// Every request has the tags that it would have in k6/http, and is judged as there.
func TestTagsAreThoseOfK6(t *testing.T) {
	address := server(t).URL
	for name, code := range map[string]string{
		"plain":         `http.get(url + "/echo?a=b#c"); http.post(url + "/echo", "x");`,
		"template":      "http.get(http.url`${url}/echo?${1}`); http.get(http.url`${url}/echo`, { tags: { name: 'mine' } });",
		"tags":          `http.get(url + "/echo", { tags: { a: "b", c: 1, d: true, url: "own", status: "own" } });`,
		"name":          `http.get(url + "/redirect/2", { tags: { name: "named" } });`,
		"redirects":     `http.get(url + "/redirect/2"); http.post(url + "/to?code=307&location=/status/404", "x");`,
		"not followed":  `http.get(url + "/redirect/2", { redirects: 1 });`,
		"statuses":      `for (const code of [200, 204, 304, 399, 400, 404, 500, 599]) http.get(url + "/status/" + code);`,
		"credentials":   `http.get(url.replace("//", "//me:secret@") + "/basic"); http.get(url.replace("//", "//me@") + "/basic");`,
		"digest":        `http.get("http://me:secret@a.test/digest", { auth: "digest" });`,
		"timeout":       `http.get(url + "/slow", { timeout: 50 });`,
		"unpacking":     `for (const name of ["gzip", "deflate", "zstd"]) http.get(url + "/packed?lie=1&encodings=" + name);`,
		"no callback":   `http.get(url + "/status/404", { responseCallback: null }); http.setResponseCallback(null); http.get(url + "/status/404");`,
		"callback":      `http.get(url + "/status/404", { responseCallback: http.expectedStatuses(404, 302) }); http.get(url + "/echo", { responseCallback: http.expectedStatuses({ min: 300, max: 399 }) });`,
		"callback hops": `http.setResponseCallback(http.expectedStatuses(302)); http.get(url + "/redirect/2");`,
		"batch":         `http.batch([url + "/echo", ["GET", url + "/status/404", null, { tags: { a: "b" } }]]);`,
		"async":         `await http.asyncRequest("GET", url + "/redirect/1", null, { tags: { a: "b" } });`,
		"forms":         `const page = http.get(url + "/html"); page.submitForm(); page.clickLink();`,
	} {
		t.Run(name, func(t *testing.T) {
			k6 := ofK6(t)
			k6.VU.State().Transport = to(t, address).transport
			_, err := k6.run(code, address)
			require.NoError(t, err)
			theirs := k6.emitted()
			script := ofOurs(t, address)
			_, err = script.run(code, address)
			require.NoError(t, err)
			ours := script.emitted()
			require.Equal(t, tagged(theirs["http_reqs"]), tagged(ours["http_reqs"]))
			require.Equal(t, tagged(theirs["http_req_failed"]), tagged(ours["http_req_failed"]))
			for name := range theirs {
				require.Len(t, ours[name], len(theirs[name]), name)
			}
			require.Len(t, ours["wrpc_http_request"], len(theirs["http_reqs"]))
			require.Len(t, ours["wrpc_http_duration"], len(theirs["http_reqs"]))
		})
	}
}

// tagged are values with their tags, in an order of their own; without what differs.
func tagged(samples []metrics.Sample) []string {
	var lines []string
	for _, sample := range samples {
		tags := sample.Tags.Map()
		delete(tags, "client")
		delete(tags, "proto")
		delete(tags, "ip")
		// k6 says that part twice.
		const twice = "error decompressing response body ("
		if rest, ok := strings.CutPrefix(tags["error"], twice+twice); ok {
			tags["error"] = twice + strings.TrimSuffix(rest, ")")
		}
		text, _ := json.Marshal(tags) // a map of strings
		lines = append(lines, fmt.Sprint(sample.Value, " ", string(text)))
	}
	sort.Strings(lines)
	return lines
}

func TestStatusesThatAreExpected(t *testing.T) {
	address := server(t).URL
	same(t, address, `http.get(url + "/echo"); const said = [];
		for (const given of [[], ["a"], [1.5], [{}], [{ min: 1 }], [{ min: "a", max: 2 }], [200, { min: 1, max: 2 }]])
			try { http.expectedStatuses(...given); said.push("none"); } catch (error) { said.push(String(error)); }
		for (const given of [200, {}, "a", () => true, null])
			try { http.setResponseCallback(given); said.push("none"); } catch (error) { said.push(String(error)); }
		return said;`)
}
