// A failed call is a result with an error code, and a sample with the tag
// error_code; the scenario goes on.
import wrpc from "k6/x/wrpc";
import { check } from "k6";

const url = __ENV.NATS_URL || "nats://localhost:4222";
const served = wrpc.blaster({ nats: { url, prefix: __ENV.PREFIX || "wasmtime" } });
const unserved = wrpc.blaster({ nats: { url, prefix: "nobody" } });

export const options = {
  vus: 1,
  iterations: 5,
  thresholds: {
    checks: ["rate==1"],
    "wrpc_blaster_transport_error{error_code:no_responders}": ["count==5"],
    "wrpc_blaster_transport_error{error_code:timeout}": ["count==5"],
  },
};

export default function () {
  check(unserved.blast(), { "nobody serves it": (r) => !r.ok && r.error_code === "no_responders" });
  check(served.blast({ wait_ms: 5000, timeout: "50ms" }), { "it is late": (r) => r.error_code === "timeout" });
  check(served.blast(), { "the next call is fine": (r) => r.ok });
}
