// Calls a component, again and again: most calls ask for nothing, every hundredth
// iteration asks for work. `make demo` runs it.
//
//   ./k6 run _examples/blaster.js
//   ./k6 run -e NATS_URL=nats://host:4222 -e PREFIX=other -e VUS=64 -e DURATION=1m _examples/blaster.js
import wrpc from "k6/x/wrpc";
import { check } from "k6";

const blaster = wrpc.blaster({
  nats: { url: __ENV.NATS_URL || "nats://localhost:4222", prefix: __ENV.PREFIX || "wasmtime" },
  tags: { scenario: "basic" },
});

export const options = {
  vus: Number(__ENV.VUS || 4),
  duration: __ENV.DURATION || "10s",
  thresholds: {
    checks: ["rate==1"],
    wrpc_blaster_error: ["count==0"],
    "wrpc_blaster_duration{scenario:basic}": ["p(95)<10000"],
  },
};

function succeeded(result) {
  const passed = check(result, { "the call succeeded": (r) => r.ok });
  if (!passed) console.error(`${result.error_code}: ${result.error}`);
}

export default function () {
  succeeded(blaster.blast());
  if (__ITER % 100 === 0) {
    succeeded(blaster.blast({ cpu_burn_ms: 100, memory_burn_mb: 10, wait_ms: 5, payload: "hello", timeout: 10000 }));
  }
}
