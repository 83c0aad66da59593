// One blast per iteration. bench/run sets VUs and duration.
import wrpc from "k6/x/wrpc";

const blaster = wrpc.blaster(
  __ENV.TCP_ADDR
    ? { tcp: { addr: __ENV.TCP_ADDR, pool: Number(__ENV.POOL) } }
    : { nats: { url: __ENV.NATS_URL, prefix: __ENV.PREFIX } },
);
const packet = {
  payload: new ArrayBuffer(Number(__ENV.PAYLOAD_BYTES)),
  wait_ms: Number(__ENV.WAIT_MS),
};

export const options = { summaryTrendStats: ["med", "p(99)"] };

export default function () {
  blaster.blast(packet);
}

export function handleSummary({ metrics }) {
  return {
    stdout: JSON.stringify({
      p50_ms: metrics.wrpc_blaster_duration.values.med,
      p99_ms: metrics.wrpc_blaster_duration.values["p(99)"],
      failed: (metrics.wrpc_blaster_error || { values: { count: 0 } }).values.count,
    }),
  };
}
