// Tags of the client, the packet and k6, in thresholds.
import wrpc from "k6/x/wrpc";
import { group } from "k6";
import exec from "k6/execution";

const basic = wrpc.blaster({ nats: { url: __ENV.NATS_URL, prefix: "wasmtime" }, tags: { scenario: "basic", team: "one" } });
const plain = wrpc.blaster({ nats: { url: __ENV.NATS_URL, prefix: "wasmtime" } });

export const options = {
  tags: { run: "all" },
  scenarios: {
    first: { executor: "shared-iterations", vus: 2, iterations: 10, tags: { from: "scenario" } },
  },
  thresholds: {
    // A client's tag wins over k6's, as in k6/http; a packet's over the client's.
    "wrpc_blaster_duration{scenario:basic}": ["min>0"],
    "wrpc_blaster_operation{scenario:basic}": ["count==20"],
    "wrpc_blaster_operation{scenario:first}": ["count==20"],
    "wrpc_blaster_operation{team:one}": ["count==10"],
    "wrpc_blaster_operation{team:two}": ["count==10"],
    "wrpc_blaster_operation{group:::inner}": ["count==10"],
    "wrpc_blaster_operation{from:scenario}": ["count==40"],
    "wrpc_blaster_operation{run:all}": ["count==40"],
    "wrpc_blaster_operation{vu_tag:set}": ["count==10"],
    "data_sent{team:one}": ["count>0"],
  },
};

export default function () {
  basic.blast();
  basic.blast({ tags: { team: "two" } });
  group("inner", () => plain.blast());
  exec.vu.metrics.tags.vu_tag = "set";
  plain.blast();
  delete exec.vu.metrics.tags.vu_tag;
}
