// Which responses count as failed: by request, or for all that follow.
import wrpc from "k6/x/wrpc";
import { check } from "k6";
import { link, url } from "./common/link.js";

const http = wrpc.http(link);

export const options = {
  thresholds: {
    checks: ["rate==1"],
    http_reqs: ["count==5"],
    "http_reqs{expected_response:true}": ["count==3"],
    // One of four: the last one isn't judged.
    http_req_failed: ["rate==0.25"],
    wrpc_http_invalid_response: ["count==1"],
  },
};

export default function () {
  http.get(`${url}/status/200`);
  http.get(`${url}/status/404`);
  const responseCallback = http.expectedStatuses(404, { min: 500, max: 503 });
  check(http.get(`${url}/status/503`, { responseCallback }), { "expected, and still a 503": (r) => r.status === 503 });
  http.setResponseCallback(http.expectedStatuses(418));
  http.get(`${url}/status/418`);
  http.get(`${url}/status/500`, { responseCallback: null });
}
