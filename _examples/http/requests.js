// A request by each method, with headers, a query and a body of JSON.
import wrpc from "k6/x/wrpc";
import { check } from "k6";
import { link, url } from "./common/link.js";

const http = wrpc.http(link);

export const options = { thresholds: { checks: ["rate==1"], wrpc_http_request: ["count==9"] } };

export default function () {
  check(http.get(`${url}/json?page=1`, { headers: { "X-Trace": "abc" } }), {
    "the query came": (r) => r.json("target") === "/json?page=1",
    "the header came": (r) => r.json("headers").some(([name, value]) => name === "x-trace" && value === "abc"),
  });
  const body = JSON.stringify({ name: "Bert" });
  const json = { headers: { "Content-Type": "application/json" } };
  for (const [name, method] of Object.entries({ post: "POST", put: "PUT", patch: "PATCH", del: "DELETE", options: "OPTIONS" })) {
    check(http[name](`${url}/json`, body, json), {
      [`${name}: the method came`]: (r) => r.json("method") === method,
      [`${name}: the body came`]: (r) => JSON.parse(r.json("body")).name === "Bert",
    });
  }
  check(http.head(`${url}/bytes/1000`), {
    "head: the length alone": (r) => r.headers["Content-Length"] === "1000" && !r.body,
  });
  check(http.request("PROPFIND", `${url}/json`, null, { headers: { Depth: "1" } }), {
    "request: any method": (r) => r.json("method") === "PROPFIND",
  });
  check(http.get(`${url}/status/404`), {
    "a status": (r) => r.status === 404 && r.status_text === "404 Not Found",
  });
}
