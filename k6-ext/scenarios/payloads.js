// Payloads of every size arrive, also those that don't fit a NATS message (1 MiB).
import wrpc from "k6/x/wrpc";
import { check } from "k6";

const blaster = wrpc.blaster({ nats: { url: __ENV.NATS_URL, prefix: "wasmtime" } });
const sizes = [0, 1, 127, 128, 16384, 131072, 1048000, 1048576, 1048577, 4000000];

export const options = {
  iterations: 2,
  thresholds: {
    checks: ["rate==1"],
    data_sent: [`count>${2 * 2 * sizes.reduce((sum, size) => sum + size, 0)}`],
  },
};

export default async function () {
  for (const size of sizes) {
    const results = [
      blaster.blast({ payload: "x".repeat(size) }),
      await blaster.blastAsync({ payload: new ArrayBuffer(size) }),
    ];
    check(results, { [`${size} bytes`]: (both) => both.every((r) => r.ok) }) || console.error(JSON.stringify(results));
  }
}
