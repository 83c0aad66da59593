// Two thousand calls of 100 ms in flight at once.
import wrpc from "k6/x/wrpc";
import { check } from "k6";

const blaster = wrpc.blaster({ nats: { url: __ENV.NATS_URL, prefix: "wasmtime" } });

export const options = {
  scenarios: {
    many: { executor: "per-vu-iterations", vus: 2000, iterations: 3, maxDuration: "120s" },
  },
  thresholds: {
    checks: ["rate==1"],
    wrpc_blaster_operation: ["count==6000"],
    wrpc_blaster_duration: ["min>=100"],
  },
};

export default function () {
  const result = blaster.blast({ wait_ms: 100, timeout: "60s" });
  check(result, { ok: (r) => r.ok }) || console.error(JSON.stringify(result));
}
