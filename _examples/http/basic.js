// k6/http's functions over wRPC, against a component: `make demo-http`.
import wrpc from "k6/x/wrpc";
import { check } from "k6";

const { TCP_ADDR, NATS_URL, PREFIX } = __ENV;
const link = TCP_ADDR
  ? { tcp: { addr: TCP_ADDR } }
  : { nats: { url: NATS_URL || "nats://localhost:4222", prefix: PREFIX || "wasmtime" } };
const http = wrpc.http({ ...link, tags: { scenario: "basic" } });
const url = "http://localhost:8000";

export const options = { vus: 4, duration: __ENV.DURATION || "10s", thresholds: { checks: ["rate==1"] } };

export default async function () {
  const response = http.get(`${url}/echo?a=b`);
  check(response, {
    "200": ({ status }) => status === 200,
    "the component saw the path": ({ headers }) => headers["X-Path"] === "/echo?a=b",
    "in time": ({ timings }) => timings.duration > 0,
  });
  const [a, b] = await Promise.all([
    http.asyncRequest("GET", `${url}/status/404`),
    http.asyncRequest("POST", `${url}/echo`, "body"),
  ]);
  check(a, { "404": ({ status, error_code }) => status === 404 && error_code === 1404 });
  check(b, { "the body came back": ({ body }) => body === "body" });
}
