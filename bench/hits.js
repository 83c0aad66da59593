// http.get at a rate (RATE) or by VUS, for SECONDS: k6 as a peer of encarno.
// bench/hits sets them.
import http from "k6/http";

const { URL: url, RATE: rate, VUS: vus, SECONDS: seconds } = __ENV;
const duration = `${seconds}s`;

export const options = {
  scenarios: {
    hits: rate
      ? { executor: "constant-arrival-rate", rate: Number(rate), timeUnit: "1s", duration, preAllocatedVUs: 200 }
      : { executor: "constant-vus", vus: Number(vus), duration },
  },
};

export default function () {
  http.get(url);
}

export function handleSummary({ metrics }) {
  const { count } = metrics.http_reqs.values;
  // Of a rate, k6 counts what is true as passed.
  return { stdout: JSON.stringify({ good: count - metrics.http_req_failed.values.passes }) };
}
