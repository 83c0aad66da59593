import { suite } from "./suite.js";
export { options } from "./suite.js";

export default suite({
  get: (http, url) => http.get(`${url}/json?a=b&c=%20d`),
  head: (http, url) => http.head(`${url}/status/200`),
  "head: as bytes": (http, url) => http.head(`${url}/bytes/1000`, { responseType: "binary" }),
  "post: a text": (http, url) => http.post(`${url}/json`, "tëxt"),
  "post: a form": (http, url) => http.post(`${url}/json`, { a: "1 2", b: ["x", "y"], c: 3 }),
  "post: nothing": (http, url) => http.post(`${url}/json`),
  put: (http, url) => http.put(`${url}/json`, "text", { headers: { "Content-Type": "text/markdown" } }),
  patch: (http, url) => http.patch(`${url}/json`, JSON.stringify({ a: 1 })),
  del: (http, url) => http.del(`${url}/json`, "text"),
  options: (http, url) => http.options(`${url}/json`),
  request: (http, url) => http.request("PROPFIND", `${url}/json`, "text", { headers: { depth: "1" } }),
  "request: in small letters": (http, url) => http.request("get", `${url}/json`),
  "request: no method": (http, url) => http.request("", `${url}/json`),
  "asyncRequest: one": (http, url) => http.asyncRequest("POST", `${url}/json`, "text", { headers: { a: "b" } }),
  "asyncRequest: several": (http, url) =>
    Promise.all(["/status/200", "/status/404", "/json"].map((path) => http.asyncRequest("GET", url + path))),
  "batch: a list": (http, url) =>
    http.batch([
      ["GET", `${url}/json`],
      ["POST", `${url}/json`, "text", { headers: { a: "b" } }],
      `${url}/status/404`,
      { method: "PUT", url: `${url}/json`, body: { a: "1" }, params: { tags: { name: "put" } } },
    ]),
  "batch: by name": (http, url) =>
    http.batch({ one: `${url}/json?1`, two: { method: "DELETE", url: `${url}/json?2`, body: "b" } }),
  "url: a template": (http, url) => http.get(http.url`${url}/json?n=${1}`),
  "headers: names in any case": (http, url) =>
    http.get(`${url}/json`, { headers: { "x-lower": "1", "X-UPPER": "2", "User-Agent": "mine" } }),
  "headers: another host": (http, url) => http.get(`${url}/json`, { headers: { Host: "other.test:81" } }),
  "headers: a length that isn't": (http, url) => http.post(`${url}/json`, "four", { headers: { "Content-Length": "17" } }),
  "headers: several values": (http, url) => http.get(`${url}/set-cookie?a=1&b=2`).headers["Set-Cookie"],
  "tags: no part of a request": (http, url) => http.get(`${url}/json`, { tags: { mine: "yes", name: "named" } }),
  "TLS is the caller's": (http) => http.get("https://secure.parity.test/json"),
  "a path without a slash": (http, url) => http.get(url),
  "a fragment": (http, url) => http.get(`${url}/json?a#fragment`),
  "a path with characters that need escapes": (http, url) => http.get(`${url}/json/a b"<>^|{}\`\\`),
  "a path with escapes": (http, url) => http.get(`${url}/json/%2F%C3%A4/ä?q=ä+ö`),
});
