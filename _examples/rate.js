// Calls at a rate that doesn't depend on how long they take: an open model.
import wrpc from "k6/x/wrpc";

const blaster = wrpc.blaster({
  nats: { url: __ENV.NATS_URL || "nats://localhost:4222", prefix: __ENV.PREFIX || "wasmtime" },
});

export const options = {
  scenarios: {
    steady: {
      executor: "constant-arrival-rate",
      rate: Number(__ENV.RATE || 200),
      timeUnit: "1s",
      duration: __ENV.DURATION || "3s",
      preAllocatedVUs: 50,
    },
  },
  thresholds: { "wrpc_blaster_error{scenario:steady}": ["count==0"] },
};

export default function () {
  blaster.blast({ cpu_burn_ms: 1, payload: "x".repeat(1024) });
}
