// Logs in to NATS by a password that stands neither in the script nor on the command
// line: from one of k6's sources of secrets, or from the environment.
//
//   ./k6 run --secret-source=file=secrets.txt _examples/secrets.js     # nats_password=…
//   NATS_PASSWORD=… ./k6 run _examples/secrets.js
import wrpc from "k6/x/wrpc";
import secrets from "k6/secrets";
import { check } from "k6";

// Without a source, the promise is rejected.
const password = await secrets.get("nats_password").catch(() => __ENV.NATS_PASSWORD);

const blaster = wrpc.blaster({
  nats: {
    url: __ENV.NATS_URL || "nats://localhost:4222",
    prefix: __ENV.PREFIX || "wasmtime",
    // A server that knows no users, as that of `make demo`, asks for none.
    ...(password ? { user: __ENV.NATS_USER || "encarno", password } : {}),
  },
});

export const options = { iterations: 10, thresholds: { checks: ["rate==1"] } };

export default function () {
  check(blaster.blast(), { "the call succeeded": (result) => result.ok });
}
