// What goes wrong is a result with a code of the closed list, and the next call
// is as good as before.
import wrpc from "k6/x/wrpc";
import { check } from "k6";

const open = (url, prefix) => wrpc.blaster({ nats: { url, prefix, connect_timeout: "5s" } });
const served = open(__ENV.NATS_URL, "wasmtime");
const unserved = open(__ENV.NATS_URL, "nobody");
const refused = open("nats://127.0.0.1:1", "wasmtime");
const unknown = open("nats://no-such-host.invalid", "wasmtime");

const expected = {
  no_responders: () => [unserved],
  timeout: () => [served, { wait_ms: 5000, timeout: 100 }],
  connection_refused: () => [refused],
  unresolved_host: () => [unknown],
  guest_limit: () => [served, { memory_burn_mb: 3000 }],
};

export const options = {
  vus: 1,
  iterations: 1,
  thresholds: {
    checks: ["rate==1"],
    wrpc_blaster_operation: ["count==20"],
    wrpc_blaster_error: ["count==10"],
    ...Object.fromEntries(
      Object.keys(expected).map((code) => [`wrpc_blaster_error{error_code:${code}}`, ["count==2"]]),
    ),
  },
};

export default async function () {
  for (const code of Object.keys(expected)) {
    const [blaster, packet] = expected[code]();
    for (const result of [blaster.blast(packet), await blaster.blastAsync(packet)]) {
      check(result, {
        [code]: (r) => !r.ok && r.error_code === code && r.error.length > 10 && r.duration >= 0,
      }) || console.error(code, JSON.stringify(result));
      check(served.blast(), { "the next call": (r) => r.ok });
    }
  }
}
