// http.get at a RATE or with VUS, for SECONDS, to compare k6 with encarno. bench/hits sets
// these variables.
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
  // k6 counts the true values of a rate as passes.
  return { stdout: JSON.stringify({ good: count - metrics.http_req_failed.values.passes }) };
}
