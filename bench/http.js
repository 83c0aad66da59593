// One request per iteration, with k6/http to URL, or over wRPC to a component. bench/http
// sets VUs and duration. METRICS is the option `metrics`, several separated by commas.
import wrpc from "k6/x/wrpc";
import k6Http from "k6/http";

const link = __ENV.TCP_ADDR
  ? { tcp: { addr: __ENV.TCP_ADDR } }
  : { nats: { url: __ENV.NATS_URL, prefix: __ENV.PREFIX } };
const metrics = (__ENV.METRICS || "http,wrpc").split(",");
const http = __ENV.URL ? k6Http : wrpc.http({ ...link, metrics });
const url = __ENV.URL || "http://localhost/";
const body = "x".repeat(64 << 10);

export const options = { summaryTrendStats: ["med", "p(99)"] };

export function get() {
  http.get(`${url}status/200`);
}

export function post() {
  http.post(`${url}count`, body);
}

export default __ENV.METHOD === "POST" ? post : get;

export function handleSummary({ metrics }) {
  const { http_req_duration: duration, http_req_failed: failed } = metrics;
  return {
    stdout: JSON.stringify({
      p50_ms: duration.values.med,
      p99_ms: duration.values["p(99)"],
      // k6 counts the true values of a rate as passes.
      failed: failed.values.passes,
    }),
  };
}
