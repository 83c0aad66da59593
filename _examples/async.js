// One VU with a hundred calls in flight.
import wrpc from "k6/x/wrpc";
import { check } from "k6";

const blaster = wrpc.blaster({
  nats: { url: __ENV.NATS_URL || "nats://localhost:4222", prefix: __ENV.PREFIX || "wasmtime" },
});

export const options = { vus: 1, iterations: 10, thresholds: { checks: ["rate==1"] } };

export default async function () {
  const calls = Array.from({ length: 100 }, () => blaster.blastAsync({ wait_ms: 20 }));
  const results = await Promise.all(calls);
  check(results, { "all succeeded": (all) => all.every((result) => result.ok) });
}
