// In the style of k6's jslib: httpx, whose sessions merge params and keep keys of their
// own in them, and tempo, which puts its functions in the place of http's.
import exec from "k6/execution";
import { suite } from "./suite.js";
export { options } from "./suite.js";

class Session {
  constructor(http, baseURL, params = {}) {
    Object.assign(this, { http, baseURL, params });
  }

  merge(params = {}) {
    const merged = { baseURL: this.baseURL, transforms: [], ...this.params, ...params };
    merged.headers = Object.assign({}, this.params.headers, params.headers);
    merged.tags = Object.assign({ session: "one" }, this.params.tags, params.tags);
    return merged;
  }

  request(method, path, body, params) {
    return this.http.request(method, this.baseURL + path, body, this.merge(params));
  }

  asyncRequest(method, path, body, params) {
    return this.http.asyncRequest(method, this.baseURL + path, body, this.merge(params));
  }

  batch(requests) {
    return this.http.batch(requests.map(([method, path, body, params]) =>
      [method, this.baseURL + path, body, this.merge(params)]));
  }
}

const session = (http, url) => new Session(http, url, { headers: { "X-Session": "one" }, timeout: "20s", throw: false });

const names = ["get", "head", "post", "put", "patch", "del", "options", "request", "asyncRequest"];

// Wraps http's functions while `run` runs, and awaits what it gives.
async function traced(http, run) {
  const own = Object.fromEntries(names.map((name) => [name, http[name]]));
  const { request, asyncRequest } = own;
  const withTrace = (call, method, url, body, params) => {
    const given = Object.assign({}, params);
    given.headers = Object.assign({}, given.headers, { Traceparent: "00-dc0718b190c01e02d4dc0a3ab1d2cbea-8cb21c4a4a1e0b6f-01" });
    exec.vu.metrics.metadata.trace_id = "dc0718b190c01e02d4dc0a3ab1d2cbea";
    const result = call(method, url, body, given);
    delete exec.vu.metrics.metadata.trace_id;
    return result;
  };
  http.request = (...given) => withTrace(request, ...given);
  http.asyncRequest = (...given) => withTrace(asyncRequest, ...given);
  http.get = (url, params) => http.request("GET", url, null, params);
  http.head = (url, params) => http.request("HEAD", url, null, params);
  http.del = (url, body, params) => http.request("DELETE", url, body, params);
  for (const name of ["post", "put", "patch", "options"]) {
    http[name] = (url, body, params) => http.request(name.toUpperCase(), url, body, params);
  }
  try {
    return await run();
  } finally {
    Object.assign(http, own);
  }
}

export default suite({
  "httpx: request": (http, url) => session(http, url).request("POST", "/json", "text", { headers: { a: "b" } }),
  "httpx: asyncRequest": (http, url) => session(http, url).asyncRequest("GET", "/json", null, { tags: { a: "b" } }),
  "httpx: batch": (http, url) => session(http, url).batch([["GET", "/json"], ["PUT", "/json", "text"], ["GET", "/status/404"]]),
  "httpx: no answer in time": (http, url) => session(http, url).request("GET", "/delay/5000", null, { timeout: 100 }),
  "tempo: each function": (http, url) =>
    traced(http, () => [
      http.get(`${url}/json`), http.head(`${url}/status/200`), http.request("PROPFIND", `${url}/json`),
      ...["post", "put", "patch", "del", "options"].map((name) => http[name](`${url}/json`, "text", { headers: { a: "b" } })),
    ]),
  "tempo: asyncRequest": (http, url) => traced(http, () => http.asyncRequest("POST", `${url}/json`, "text")),
  "tempo: and not any more": (http, url) => http.get(`${url}/json`),
});
