import { suite } from "./suite.js";
export { options } from "./suite.js";

const as = (url, user) => url.replace("//", `//${user}@`);

const how = ({ status, error_code }) => [status, error_code];

export default suite({
  "auth: in the URL": (http, url) => http.get(`${as(url, "me:secret")}/basic`),
  "auth: basic": (http, url) => http.get(`${as(url, "me:secret")}/basic`, { auth: "basic" }),
  "auth: digest": (http, url) => http.get(`${as(url, "me:secret")}/digest`, { auth: "digest" }),
  "auth: digest, with a body": (http, url) => http.post(`${as(url, "me:secret")}/digest`, "body", { auth: "digest" }),
  "auth: none": (http, url) => [http.get(`${url}/basic`), http.get(`${url}/digest`)],
  "redirects: followed": (http, url) => http.get(`${url}/redirect/3`),
  "redirects: so many": (http, url) => http.get(`${url}/redirect/3`, { redirects: 1 }),
  "redirects: none": (http, url) => http.post(`${url}/redirect/3`, "body", { redirects: 0 }),
  "redirects: too many": (http, url) => http.get(`${url}/redirect/11`),
  "redirects: the method": (http, url) =>
    [301, 302, 303, 307, 308].map((status) => http.post(`${url}/moved/${status}?/json`, "body")),
  "redirects: elsewhere": (http, url) => http.get(`${url}/moved/302?http://other.parity.test/json`),
  "redirects: with cookies": (http, url) => http.get(`${url}/moved/302?/cookies&a=1;Path=/&b=2;Path=/`),
  "redirects: headers go along": (http, url) => http.get(`${url}/redirect/1`, { headers: { "X-A": "b" } }),
  "redirects: characters that need escapes": (http, url) => http.get(`${url}/moved/302?/json/a%20b%22%3C%3E`),
  "redirects: nowhere": (http, url) => http.get(`${url}/moved/302`),
  "redirects: not a URL": (http, url) => http.get(`${url}/moved/302?http://[::1/`),
  "timeout: text": (http, url) => http.get(`${url}/delay/5000`, { timeout: "150ms" }),
  "timeout: ms": (http, url) => http.get(`${url}/delay/5000`, { timeout: 150 }),
  "timeout: enough": (http, url) => http.get(`${url}/delay/50`, { timeout: 20000 }),
  "throw: a timeout": (http, url) => http.get(`${url}/delay/5000`, { timeout: 150, throw: true }),
  "throw: a promise": (http, url) =>
    http.asyncRequest("GET", `${url}/delay/5000`, null, { timeout: 150, throw: true }),
  "throw: a status isn't a failure": (http, url) => http.get(`${url}/status/500`, { throw: true }),
  "responseCallback: expectedStatuses": (http, url) =>
    http.get(`${url}/status/404`, { responseCallback: http.expectedStatuses(404, { min: 500, max: 599 }) }),
  "responseCallback: null": (http, url) => http.get(`${url}/status/404`, { responseCallback: null }),
  "responseCallback: wrong": (http, url) => http.get(`${url}/status/404`, { responseCallback: () => true }).error.startsWith("unsupported responseCallback"),
  setResponseCallback: (http, url) => {
    http.setResponseCallback(http.expectedStatuses(404));
    return [http.get(`${url}/status/404`), http.get(`${url}/status/200`)];
  },
  "mistakes: a URL": (http) => ["", "/path", "http:///path", "ftp://a.test/", 5, null].map((one) => how(http.get(one))),
  "mistakes: a URL that can't be read": (http) => ["http://a b/", "http://a.test/%zz"].map((one) => how(http.get(one))),
  "mistakes: a header": (http, url) =>
    [{ "a b": "c" }, { a: "b\nc: d" }].map((headers) => how(http.get(`${url}/json`, { headers }))),
  "mistakes: thrown": (http, url) => {
    try {
      return how(http.get(`${url}/json`, { headers: { "a b": "c" }, throw: true }));
    } catch (error) {
      return "thrown";
    }
  },
  "mistakes: a method": (http, url) => how(http.request("G T", `${url}/json`)),
  "mistakes: a promise": async (http) => how(await http.asyncRequest("GET", "/path")),
  "mistakes: params": (http, url) =>
    ["text", 5, [], { haeders: {} }, { auth: "token" }, { jar: 5 }].map((params) => http.get(`${url}/json`, params)),
  "mistakes: in a batch": (http, url) =>
    http.batch([`${url}/status/404`, "ftp://a.test/", ["G T", url], `${url}/status/200`]).map(how),
  "status: each kind": (http, url) =>
    [200, 201, 204, 304, 400, 401, 404, 418, 429, 500, 503, 511].map((status) => http.get(`${url}/status/${status}`)),
  "error_code: by status": (http, url) => [404, 503].map((status) => http.get(`${url}/status/${status}`).error_code),
});
