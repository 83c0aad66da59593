// Where the component is: over TCP if TCP_ADDR says so, else over NATS.
const { TCP_ADDR, NATS_URL, PREFIX } = __ENV;

export const link = TCP_ADDR
  ? { tcp: { addr: TCP_ADDR } }
  : { nats: { url: NATS_URL || "nats://localhost:4222", prefix: PREFIX || "wasmtime" } };

// A name for the component: it isn't looked up.
export const url = "http://localhost:8000";
