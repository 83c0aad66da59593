// Misuse throws a TypeError that names the key, and is no call.
import wrpc from "k6/x/wrpc";
import { check } from "k6";

const url = __ENV.NATS_URL;

function thrown(call) {
  try {
    call();
    return "";
  } catch (error) {
    return `${error instanceof TypeError ? "TypeError" : "another error"}: ${error.message}`;
  }
}

const atInit = [
  [{}, "nats"],
  [{ nats: { url }, nuts: 1 }, "nuts"],
  [{ nats: { url: "http://localhost" } }, "nats.url"],
  [{ nats: { url, connect_timeout: -1 } }, "nats.connect_timeout"],
  [{ nats: { url }, tags: { a: [] } }, "tags.a"],
].map(([options, key]) => [key, thrown(() => wrpc.blaster(options))]);

const blaster = wrpc.blaster({ nats: { url, prefix: "wasmtime" } });
const tooEarly = thrown(() => blaster.blast());

export const options = {
  iterations: 1,
  thresholds: { checks: ["rate==1"], wrpc_blaster_operation: ["count==1"] },
};

export default function () {
  for (const [key, message] of atInit) {
    check(message, { [key]: (text) => text.startsWith("TypeError") && text.includes(key) }) || console.error(message);
  }
  check(tooEarly, { "a call in the init context": (text) => text.includes("init context") });
  check(thrown(() => wrpc.blaster({ nats: { url } })), {
    "a client outside of it": (text) => text.includes("init context"),
  });
  for (const [packet, key] of [
    [{ cpu_burn: 1 }, "packet.cpu_burn"],
    [{ cpu_burn_ms: -1 }, "packet.cpu_burn_ms"],
    [{ memory_burn_mb: 0.5 }, "packet.memory_burn_mb"],
    [{ wait_ms: "5" }, "packet.wait_ms"],
    [{ payload: 5 }, "packet.payload"],
    [{ timeout: "soon" }, "packet.timeout"],
    [{ tags: { a: {} } }, "packet.tags.a"],
  ]) {
    for (const name of ["blast", "blastAsync"]) {
      const message = thrown(() => blaster[name](packet));
      check(message, { [key]: (text) => text.startsWith("TypeError") && text.includes(key) }) || console.error(message);
    }
  }
  check(blaster.blast(), { "the client is as good as before": (r) => r.ok });
}
