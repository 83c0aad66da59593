// One http.get per iteration, to measure the cost of k6 itself. bench/run sets VUs and
// duration.
import http from "k6/http";

const url = __ENV.URL;

export const options = { summaryTrendStats: ["med", "p(99)"] };

export default function () {
  http.get(url);
}

export function handleSummary({ metrics }) {
  return {
    stdout: JSON.stringify({
      p50_ms: metrics.http_req_duration.values.med,
      p99_ms: metrics.http_req_duration.values["p(99)"],
      // k6 counts the true values of a rate as passes.
      failed: metrics.http_req_failed.values.passes,
    }),
  };
}
