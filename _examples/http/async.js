// Promises: one after the other, and a thousand at once by one VU.
import wrpc from "k6/x/wrpc";
import { check } from "k6";
import { link, url } from "./common/link.js";

const http = wrpc.http(link);

export const options = { thresholds: { checks: ["rate==1"], wrpc_http_request: ["count==1005"] } };

export default async function () {
  const first = await http.asyncRequest("GET", `${url}/status/202`);
  const second = await http.asyncRequest("POST", `${url}/json`, String(first.status));
  check(second, { "one after the other": (r) => r.json("body") === "202" });

  const many = Array.from({ length: 1000 }, (_, n) => http.asyncRequest("GET", `${url}/echo?${n}`));
  const responses = await Promise.all(many);
  check(responses, {
    "each has its own answer": (all) => all.every((r, n) => r.headers["X-Path"] === `/echo?${n}`),
  });

  const quickest = await Promise.race(
    [500, 10].map((ms) => http.asyncRequest("GET", `${url}/delay/${ms}`)),
  );
  check(quickest, { "the quickest": (r) => r.body === "10" });

  const params = { timeout: 100, throw: true };
  const failed = await http.asyncRequest("GET", `${url}/delay/5000`, null, params).catch((error) => error);
  check(failed, { "a rejection": (error) => String(error).includes("request timeout") });
}
