// Cookies, redirects, forms, a batch, and bodies that are large or not wanted.
import wrpc from "k6/x/wrpc";
import { check } from "k6";

const http = wrpc.http({
  nats: { url: __ENV.NATS_URL || "nats://localhost:4222", prefix: __ENV.PREFIX || "wasmtime" },
});
const url = "http://localhost:8000";

export const options = { vus: 1, iterations: 3, thresholds: { checks: ["rate==1"] } };

export default function () {
  http.get(`${url}/set-cookie?a=1&b=2`);
  check(http.get(`${url}/cookies`), { "cookies are kept": ({ body }) => body.includes("a=1") && body.includes("b=2") });
  check(http.get(`${url}/redirect/2`), { "redirects are followed": ({ status }) => status === 200 });
  check(http.post(`${url}/echo`, { name: "a b" }), { "a form": ({ body }) => body === "name=a+b" });
  check(http.put(`${url}/count`, "x".repeat(3 << 20)), { "3 MiB there": ({ body }) => body === String(3 << 20) });
  check(http.get(`${url}/bytes/5000000`, { responseType: "binary" }), {
    "5 MB back": ({ body }) => body.byteLength === 5000000,
  });
  check(http.get(`${url}/bytes/1000000000000`, { consume: false }), {
    "1 TB, not wanted": ({ status, body }) => status === 200 && body === null,
  });
  const [one, two] = http.batch([`${url}/status/201`, ["DELETE", `${url}/echo`]]);
  check(one, { "first of a batch": ({ status }) => status === 201 });
  check(two, { "second of a batch": ({ headers }) => headers["X-Method"] === "DELETE" });
  const failed = http.get(`${url}/trap`);
  check(failed, { "a trap": ({ status, error }) => status === 0 && error.startsWith("guest_trap") });
  check(http.get(`${url}/delay/2000`, { timeout: 100 }), { "a timeout": ({ error_code }) => error_code === 1050 });
}
