// What the options of a test say of all its requests.
import { suite, options as base } from "./suite.js";

export const options = Object.assign({}, base, {
  discardResponseBodies: true,
  maxRedirects: 2,
  throw: true,
  userAgent: "mine",
  batch: 1,
  batchPerHost: 1,
  systemTags: ["url", "method", "status", "error_code"],
  tags: { run: "one" },
});

const text = { responseType: "text" };

export default suite({
  "discardResponseBodies: a body": (http, url) => http.get(`${url}/bytes/100`),
  "discardResponseBodies: but for one": (http, url) => http.get(`${url}/json`, text),
  "discardResponseBodies: no JSON": (http, url) => http.get(`${url}/json`).json(),
  "maxRedirects: enough": (http, url) => http.get(`${url}/redirect/2`, text),
  "maxRedirects: too many": (http, url) => http.get(`${url}/redirect/3`, text),
  "maxRedirects: but for one": (http, url) => http.get(`${url}/redirect/3`, { redirects: 3 }),
  "throw: a timeout": (http, url) => http.get(`${url}/delay/5000`, { timeout: 150 }),
  "throw: but for one": (http, url) => http.get(`${url}/delay/5000`, { timeout: 150, throw: false }),
  "throw: a mistake": (http, url) => http.post(`${url}/json`, 5),
  "throw: a promise": (http, url) => http.asyncRequest("GET", `${url}/delay/5000`, null, { timeout: 150 }),
  "throw: a batch": (http, url) => http.batch([["GET", `${url}/delay/5000`, null, { timeout: 150 }]]),
  "userAgent: not k6": (http, url) => http.get(`${url}/json`, text),
  "userAgent: but for one": (http, url) =>
    http.get(`${url}/json`, { responseType: "text", headers: { "user-agent": "other" } }),
  "batch: one after the other": (http, url) => http.batch([`${url}/status/200`, `${url}/status/404`]),
});
