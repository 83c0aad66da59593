package http

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// RFC 6265, section 5: what a later request has of a cookie that an answer set.
func TestCookiesFollowTheRFC(t *testing.T) {
	address := server(t).URL
	for _, test := range []struct{ name, setAt, cookies, seenAt, sent string }{
		{"same host", "http://a.test/set/", "n=v", "http://a.test/seen/", ""}, // its default path is /set
		{"root path", "http://a.test/set/", "n=v; Path=/", "http://a.test/seen/", "n=v"},
		{"path of a folder", "http://a.test/set/", "n=v; Path=/seen", "http://a.test/seen/x", "n=v"},
		{"path with a slash", "http://a.test/set/", "n=v; Path=/seen/", "http://a.test/seen/x", "n=v"},
		{"path is no prefix of a name", "http://a.test/set/", "n=v; Path=/see", "http://a.test/seen/", ""},
		{"path below", "http://a.test/set/", "n=v; Path=/seen/x/y", "http://a.test/seen/x", ""},
		{"path is case sensitive", "http://a.test/set/", "n=v; Path=/SEEN", "http://a.test/seen/", ""},
		{"relative path", "http://a.test/set/", "n=v; Path=seen", "http://a.test/seen/", ""},
		{"host only", "http://a.test/set/", "n=v; Path=/", "http://b.a.test/seen/", ""},
		{"other host", "http://a.test/set/", "n=v; Path=/", "http://c.test/seen/", ""},
		{"domain", "http://a.test/set/", "n=v; Path=/; Domain=a.test", "http://b.a.test/seen/", "n=v"},
		{"domain with a dot", "http://a.test/set/", "n=v; Path=/; Domain=.a.test", "http://b.a.test/seen/", "n=v"},
		{"domain above", "http://b.a.test/set/", "n=v; Path=/; Domain=a.test", "http://c.a.test/seen/", "n=v"},
		{"domain below", "http://a.test/set/", "n=v; Path=/; Domain=b.a.test", "http://b.a.test/seen/", ""},
		{"foreign domain", "http://a.test/set/", "n=v; Path=/; Domain=b.test", "http://b.test/seen/", ""},
		{"suffix without a dot", "http://a.test/set/", "n=v; Path=/; Domain=a.test", "http://ba.test/seen/", ""},
		{"domain in capitals", "http://a.test/set/", "n=v; Path=/; Domain=A.TEST", "http://b.a.test/seen/", "n=v"},
		{"other port", "http://a.test/set/", "n=v; Path=/", "http://a.test:81/seen/", "n=v"},
		{"address", "http://127.0.0.1/set/", "n=v; Path=/", "http://127.0.0.1/seen/", "n=v"},
		{"secure", "http://a.test/set/", "n=v; Path=/; Secure", "http://a.test/seen/", ""},
		{"http only", "http://a.test/set/", "n=v; Path=/; HttpOnly", "http://a.test/seen/", "n=v"},
		{"max age", "http://a.test/set/", "n=v; Path=/; Max-Age=100", "http://a.test/seen/", "n=v"},
		{"max age 0", "http://a.test/set/", "n=v; Path=/; Max-Age=0", "http://a.test/seen/", ""},
		{"max age below 0", "http://a.test/set/", "n=v; Path=/; Max-Age=-1", "http://a.test/seen/", ""},
		{"expired", "http://a.test/set/", "n=v; Path=/; Expires=Thu, 01 Jan 2015 00:00:00 GMT", "http://a.test/seen/", ""},
		{"expires later", "http://a.test/set/", "n=v; Path=/; Expires=Thu, 01 Jan 2150 00:00:00 GMT", "http://a.test/seen/", "n=v"},
		{"max age wins over expires", "http://a.test/set/", "n=v; Path=/; Max-Age=9; Expires=Thu, 01 Jan 2015 00:00:00 GMT", "http://a.test/seen/", "n=v"},
		{"the last wins", "http://a.test/set/", "n=v; Path=/|n=w; Path=/", "http://a.test/seen/", "n=w"},
		{"deleted", "http://a.test/set/", "n=v; Path=/|n=; Path=/; Max-Age=0", "http://a.test/seen/", ""},
		{"another path is another cookie", "http://a.test/set/", "n=v; Path=/|n=w; Path=/seen", "http://a.test/seen/", "n=w; n=v"},
		{"two names", "http://a.test/set/", "n=v; Path=/seen|m=w; Path=/", "http://a.test/seen/", "n=v; m=w"},
		{"quoted", "http://a.test/set/", `n="v w"; Path=/`, "http://a.test/seen/", `n="v w"`},
		{"empty value", "http://a.test/set/", "n=; Path=/", "http://a.test/seen/", "n="},
		{"equals in the value", "http://a.test/set/", "n=a=b; Path=/", "http://a.test/seen/", "n=a=b"},
		{"no name", "http://a.test/set/", "=v; Path=/", "http://a.test/seen/", ""},
		{"no equals", "http://a.test/set/", "v; Path=/", "http://a.test/seen/", ""},
		{"bad name", "http://a.test/set/", "n m=v; Path=/", "http://a.test/seen/", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			seen := same(t, address, fmt.Sprintf(`const set = %q.split("|").map((line) => "c=" + encodeURIComponent(line)).join("&");
				const first = plain(http.get(%q + "?" + set));
				const jar = http.cookieJar();
				return { cookies: first.cookies, jar: jar.cookiesForURL(%q), https: jar.cookiesForURL(%q.replace("http:", "https:")), sent: http.get(%q).body };`,
				test.cookies, test.setAt, test.seenAt, test.seenAt, test.seenAt))
			require.Contains(t, seen, fmt.Sprintf(`"sent":%q`, test.sent))
		})
	}
}

// Where a request's cookies come from, and which of them it has.
func TestCookiesOfARequestAreThoseOfK6(t *testing.T) {
	address := server(t).URL
	for name, code := range map[string]string{
		"params and jar":  `http.cookieJar().set(url, "a", "jar"); return plain(http.get(url + "/echo", { cookies: { b: "given" } }));`,
		"same name":       `http.cookieJar().set(url, "a", "jar"); return plain(http.get(url + "/echo", { cookies: { a: "given" } }));`,
		"replaced":        `http.cookieJar().set(url, "a", "jar"); return plain(http.get(url + "/echo", { cookies: { a: { value: "given", replace: true } } }));`,
		"not replaced":    `http.cookieJar().set(url, "a", "jar"); return plain(http.get(url + "/echo", { cookies: { a: { value: "given", replace: false } } }));`,
		"null":            `return plain(http.get(url + "/echo", { cookies: { a: null, b: undefined, c: 5 } }));`,
		"null jar":        `http.cookieJar().set(url, "a", "jar"); return plain(http.get(url + "/echo", { jar: null }));`,
		"own jar":         `const jar = new http.CookieJar(); http.cookieJar().set(url, "a", "jar"); http.get(url + "/cookies/set", { jar }); return [jar.cookiesForURL(url + "/"), http.cookieJar().cookiesForURL(url + "/")];`,
		"header":          `http.cookieJar().set(url, "a", "jar"); return plain(http.get(url + "/echo", { headers: { Cookie: "h=1" }, cookies: { b: "2" } }));`,
		"header redirect": `return plain(http.get(url + "/to?code=302&location=/echo", { headers: { Cookie: "h=1" } }));`,
		"hops":            `return [plain(http.get("http://a.test/redirect/2", { cookies: { own: "1" } })), http.cookieJar().cookiesForURL("http://a.test/")];`,
		"last hop":        `http.get(url + "/redirect/2", { redirects: 1 }); return http.cookieJar().cookiesForURL(url + "/");`,
		"deleted":         `const jar = http.cookieJar(); jar.set(url, "a", "1"); jar.set(url, "b", "2"); jar.delete(url, "a"); return plain(http.get(url + "/echo"));`,
	} {
		t.Run(name, func(t *testing.T) { same(t, address, code) })
	}
}
