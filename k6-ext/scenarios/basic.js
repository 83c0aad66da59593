// blast() in all its forms.
import wrpc from "k6/x/wrpc";
import { blaster as named } from "k6/x/wrpc";
import { check } from "k6";

const blaster = wrpc.blaster({
  nats: { url: __ENV.NATS_URL, prefix: "wasmtime", name: "basic", connect_timeout: "10s" },
});
const other = named({ nats: { url: __ENV.NATS_URL, prefix: "wasmtime", connect_timeout: 10000 } });

export const options = {
  vus: 2,
  iterations: 20,
  thresholds: {
    checks: ["rate==1"],
    iterations: ["count==20"],
    // setup() and teardown() make calls too.
    wrpc_blaster_operation: ["count==182"],
    wrpc_blaster_error: ["count==0"],
    wrpc_blaster_duration: ["min>0"],
    wrpc_blaster_queued: ["min>=0"],
    wrpc_blaster_accepted: ["min>=0"],
    wrpc_blaster_result: ["min>=0"],
    data_sent: ["count>0"],
    data_received: ["count>0"],
  },
};

function succeeds(packet) {
  const result = blaster.blast(packet);
  check(result, {
    ok: (r) => r.ok === true && r.error === "" && r.error_code === "" && r.duration > 0,
    keys: (r) => JSON.stringify(Object.keys(r)) === '["ok","error","error_code","duration"]',
  }) || console.error(JSON.stringify(packet), JSON.stringify(result));
  return result;
}

export function setup() {
  succeeds();
}

export default function () {
  succeeds();
  succeeds({});
  succeeds({ cpu_burn_ms: 2, memory_burn_mb: 3, wait_ms: 1, payload: "hello", timeout: 10000 });
  succeeds({ timeout: "10s", payload: "grüße 🦀" });
  succeeds({ timeout_ms: 10000, payload: new ArrayBuffer(100) });
  succeeds({ payload: new Uint8Array([1, 2, 3]), tags: { a: 1, b: true } });
  check(succeeds({ wait_ms: 30 }), { "it lasts": (r) => r.duration >= 30 });
  check(succeeds({ cpu_burn_ms: 20 }), { "it burns": (r) => r.duration >= 20 });
  check(other.blast(), { "the second client": (r) => r.ok });
}

export function teardown() {
  succeeds();
}
