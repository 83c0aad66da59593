// Thresholds for parts of the calls, by tags of the packet.
import wrpc from "k6/x/wrpc";

const blaster = wrpc.blaster({
  nats: { url: __ENV.NATS_URL || "nats://localhost:4222", prefix: __ENV.PREFIX || "wasmtime" },
  tags: { team: "search" },
});

export const options = {
  vus: 2,
  iterations: 20,
  thresholds: {
    "wrpc_blaster_operation{team:search}": ["count==40"],
    "wrpc_blaster_duration{kind:quick}": ["p(95)<5000"],
    "wrpc_blaster_duration{kind:slow}": ["min>=50", "p(95)<5000"],
    wrpc_blaster_error: ["count==0"],
  },
};

export default function () {
  blaster.blast({ tags: { kind: "quick" } });
  blaster.blast({ wait_ms: 50, tags: { kind: "slow" } });
}
