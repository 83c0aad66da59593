// As blaster.js, without a broker: straight to a receiver's address.
//
//   wrpc-wasmtime-tcp serve 127.0.0.1:7761 blaster-component/blaster-component.wasm
//   ./k6 run -e TCP_ADDR=host:7761 _examples/blaster-tcp.js
import wrpc from "k6/x/wrpc";
import { check } from "k6";

const addr = __ENV.TCP_ADDR || "127.0.0.1:7761";
// One connection serves all VUs.
const blaster = wrpc.blaster({ tcp: { addr } });
// A connection for each call, as other wRPC clients do it.
const upstreams = wrpc.blaster({ tcp: { addr, pool: 0 } });

export const options = {
  vus: Number(__ENV.VUS || 4),
  duration: __ENV.DURATION || "10s",
  thresholds: {
    checks: ["rate==1"],
    wrpc_blaster_error: ["count==0"],
  },
};

function succeeded(result) {
  const passed = check(result, { "the call succeeded": (r) => r.ok });
  if (!passed) console.error(`${result.error_code}: ${result.error}`);
}

export default function () {
  succeeded(blaster.blast());
  if (__ITER % 100 === 0) {
    succeeded(upstreams.blast({ cpu_burn_ms: 1, wait_ms: 5, payload: "hello" }));
  }
}
