// Several requests at once: a list of them, or by name.
import wrpc from "k6/x/wrpc";
import { check } from "k6";
import { link, url } from "./common/link.js";

const http = wrpc.http(link);

export const options = { batchPerHost: 20, thresholds: { checks: ["rate==1"], wrpc_http_request: ["count==25"] } };

export default function () {
  const [one, two, three] = http.batch([
    `${url}/status/201`,
    ["DELETE", `${url}/json`],
    { method: "POST", url: `${url}/json`, body: "text", params: { tags: { kind: "write" } } },
  ]);
  check(one, { "a URL": (r) => r.status === 201 });
  check(two, { "a list": (r) => r.json("method") === "DELETE" });
  check(three, { "an object": (r) => r.json("body") === "text" });

  const { page, missing } = http.batch({ page: `${url}/html`, missing: ["GET", `${url}/status/404`] });
  check(page, { "by name": (r) => r.body.includes("A page") });
  check(missing, { "each fails for itself": (r) => r.status === 404 });

  const began = Date.now();
  http.batch(Array.from({ length: 20 }, () => `${url}/delay/500`));
  check(Date.now() - began, { "all at once": (ms) => ms < 20 * 500 });
}
