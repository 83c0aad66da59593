// By the cases of RFC 6265, section 5, as k6's jar keeps them.
import { suite } from "./suite.js";
export { options } from "./suite.js";

const set = (http, url, ...lines) => http.get(`${url}/set-cookie?${lines.map(encodeURIComponent).join("&")}`);
const sent = (http, url, params) => http.get(`${url}/cookies`, params).body;

export default suite({
  "cookies: all their fields": (http, url) =>
    set(
      http,
      url,
      "a=1; Path=/; Max-Age=60; HttpOnly",
      "b=2; Path=/elsewhere; Secure; SameSite=Lax",
      "c=3; Expires=Wed, 21 Oct 2065 07:28:00 GMT",
      `d=4; Domain=${url.slice("http://".length)}`,
    ),
  "a cookie comes back": (http, url) => [set(http, url, "a=1", "b=2"), http.get(`${url}/cookies`)],
  "the path counts": (http, url) => {
    set(http, url, "a=1; Path=/cookies", "b=2; Path=/cook", "c=3; Path=/cookies/below", "d=4; Path=/");
    return [sent(http, url), http.get(`${url}/cookies/below`).body];
  },
  "the path is that of the URL": (http, url) => {
    http.get(`${url}/set-cookie/below?a=1`);
    return [sent(http, url), http.cookieJar().cookiesForURL(`${url}/set-cookie/x`)];
  },
  "Secure is for https alone": (http) => {
    const https = "https://secure.parity.test";
    set(http, https, "a=1; Secure; Path=/");
    return [sent(http, https), http.get("http://plain.parity.test/cookies").body];
  },
  "a host's own cookies": (http, url) => {
    set(http, url, "a=1; Path=/");
    return sent(http, "http://other.parity.test");
  },
  "a domain's cookies": (http, url) => {
    const host = url.slice("http://".length);
    set(http, url, `a=1; Domain=.${host}; Path=/`);
    return [sent(http, url), sent(http, url.replace("//", "//sub."))];
  },
  "another's domain": (http, url) => {
    set(http, url, "a=1; Domain=example.com; Path=/", "b=2; Domain=other.parity.test; Path=/");
    return [sent(http, url), sent(http, "http://other.parity.test")];
  },
  "a cookie is replaced": (http, url) => {
    set(http, url, "a=1; Path=/");
    set(http, url, "a=2; Path=/");
    return sent(http, url);
  },
  "a cookie is dropped by Max-Age": (http, url) => {
    set(http, url, "a=1; Path=/", "b=2; Path=/");
    set(http, url, "a=1; Path=/; Max-Age=0");
    return sent(http, url);
  },
  "a cookie is dropped by Expires": (http, url) => {
    set(http, url, "a=1; Path=/");
    set(http, url, "a=1; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT");
    return sent(http, url);
  },
  "strange lines": (http, url) => set(http, url, "=1", "novalue", "q=\"x y\"", "e=", "a=b=c", " s = t "),
  "cookies of the request": (http, url) => {
    set(http, url, "a=1; Path=/");
    return [
      http.get(`${url}/cookies`, { cookies: { b: "2" } }),
      http.get(`${url}/cookies`, { cookies: { a: "9" } }),
      http.get(`${url}/cookies`, { cookies: { a: { value: "9", replace: true }, c: { value: "3" } } }),
      sent(http, url),
    ];
  },
  "cookieJar: of the VU": (http, url) => {
    const jar = http.cookieJar();
    jar.set(url, "j", "k", { path: "/", max_age: 60 });
    return [sent(http, url), jar.cookiesForURL(`${url}/`)];
  },
  "cookiesForURL: what a response set": (http, url) => {
    set(http, url, "a=1; Path=/", "a=2; Path=/cookies");
    return http.cookieJar().cookiesForURL(`${url}/cookies`);
  },
  "clear: a URL's": (http, url) => {
    const jar = http.cookieJar();
    jar.set(url, "a", "1");
    jar.set("http://kept.parity.test", "b", "2");
    jar.clear(url);
    return [sent(http, url), sent(http, "http://kept.parity.test")];
  },
  "delete: one": (http, url) => {
    const jar = http.cookieJar();
    jar.set(url, "a", "1");
    jar.set(url, "b", "2");
    jar.delete(url, "a");
    return sent(http, url);
  },
  "CookieJar: one's own": (http, url) => {
    const jar = new http.CookieJar();
    jar.set(url, "own", "1");
    set(http, url, "of=vu; Path=/");
    return [http.get(`${url}/cookies`, { jar }), sent(http, url), sent(http, url, { jar: new http.CookieJar() })];
  },
  "jar: what a response sets": (http, url) => {
    const jar = new http.CookieJar();
    http.get(`${url}/set-cookie?a=1`, { jar });
    return [jar.cookiesForURL(`${url}/set-cookie`), http.cookieJar().cookiesForURL(`${url}/set-cookie`)];
  },
  "set: what isn't a cookie": (http, url) => http.cookieJar().set(url, "a", "b", { expires: "soon" }),
});
