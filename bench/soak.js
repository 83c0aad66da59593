// Small and larger blasts at a steady rate, for scripts/soak. Failures are printed to stderr,
// because k6 runs without a summary, whose metrics would grow.
import wrpc from "k6/x/wrpc";

const shared = Number(__ENV.SHARED || 0) || undefined;
const blaster = wrpc.blaster({ nats: { url: __ENV.NATS_URL, prefix: __ENV.PREFIX, shared } });
const payload = new ArrayBuffer(16 << 10);

export const options = {
  scenarios: {
    soak: {
      executor: "constant-arrival-rate",
      rate: Number(__ENV.RATE),
      duration: __ENV.DURATION,
      preAllocatedVUs: Number(__ENV.VUS),
      maxVUs: Number(__ENV.VUS),
    },
  },
};

export default function () {
  const result = blaster.blast(__ITER % 10 === 0 ? { payload, wait_ms: 1 } : undefined);
  if (!result.ok) console.error(`failed: ${result.error_code}: ${result.error}`);
}
