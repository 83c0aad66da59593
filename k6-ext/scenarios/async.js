// blastAsync(): a thousand promises of one VU, in flight together.
import wrpc from "k6/x/wrpc";
import { check, sleep } from "k6";

const blaster = wrpc.blaster({ nats: { url: __ENV.NATS_URL, prefix: "wasmtime" } });

export const options = {
  vus: 2,
  iterations: 4,
  thresholds: { checks: ["rate==1"], wrpc_blaster_operation: ["count==4016"] },
};

export default async function () {
  const begin = Date.now();
  const all = await Promise.all(
    Array.from({ length: 1000 }, (_, i) => blaster.blastAsync({ wait_ms: 100, payload: "x".repeat(i), timeout: "60s" })),
  );
  check(all, {
    "all succeeded": (results) => results.every((r) => r.ok),
    "all waited": (results) => results.every((r) => r.duration >= 100),
    // One after the other they would take 100 s.
    "together": () => Date.now() - begin < 50000,
  }) || console.error(JSON.stringify(all.find((r) => !r.ok)));

  const first = await Promise.race([
    blaster.blastAsync({ wait_ms: 500, timeout: "60s" }),
    blaster.blastAsync({ timeout: "60s" }),
  ]);
  check(first, { "the quick one wins": (r) => r.ok && r.duration < 500 });

  const pending = blaster.blastAsync();
  sleep(0.05); // the VU is blocked while the call ends
  check(await pending, { "settled later": (r) => r.ok });
  check(blaster.blast(), { "blast() beside it": (r) => r.ok });
}
