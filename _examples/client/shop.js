// Calls the functions of a component of your own: here shop-component, by its WIT.
//
//   COMPONENT=shop-component/shop-component.wasm scripts/with-receiver ./k6 run _examples/client/shop.js
import wrpc from "k6/x/wrpc";
import { check } from "k6";

const transport = __ENV.TCP_ADDR
  ? { tcp: { addr: __ENV.TCP_ADDR } }
  : { nats: { url: __ENV.NATS_URL || "nats://localhost:4222", prefix: __ENV.PREFIX || "wasmtime" } };
// The path counts from this file. `k6 archive` takes the WIT up.
const shop = wrpc.client({ ...transport, wit: "../../shop-component/wit", timeout: "30s", tags: { scenario: "shop" } });

export const options = {
  vus: Number(__ENV.VUS || 4),
  duration: __ENV.DURATION || "5s",
  thresholds: {
    checks: ["rate==1"],
    wrpc_call_error: ["count==0"],
    "wrpc_call_duration{function:example:shop/carts@0.1.0.checkout}": ["p(95)<10000"],
  },
};

const checkout = "example:shop/carts@0.1.0.checkout";

export default async function () {
  // Records are objects, variants have a tag, 64 bits are a BigInt or a number.
  const items = [
    { name: "tea", priceCents: 450, count: 2, colour: "green" },
    { name: "kettle", priceCents: 3999n, count: 1 },
  ];
  const paid = shop.call(checkout, items, { tag: "percent", val: 10 }, ["express"]);
  if (!paid.ok) console.error(`${paid.error_code}: ${paid.error}`);
  check(paid, {
    "the call succeeded": (it) => it.ok,
    "the cart was accepted": (it) => it.value.tag === "ok",
    "64 bits are a BigInt": (it) => it.value.val.totalCents === 4918n,
    "a list of tuples": (it) => it.value.val.lines[0][0] === "tea" && it.value.val.lines[0][1] === 900n,
    "an option that is there": (it) => it.value.val.note === "10 % off",
    "bytes are an ArrayBuffer": (it) => it.value.val.digest.byteLength === 8,
    "flags are names": (it) => it.value.val.wishes.join() === "express",
  });

  // What the component refuses is a value, and no error.
  const refused = shop.call(checkout, items, { tag: "code", val: "FREE" }, []);
  check(refused, {
    "err is a value": (it) => it.ok && it.value.tag === "err" && it.value.val.tag === "unknown-code" && it.value.val.val === "FREE",
  });

  // Several calls at a time.
  const bytes = new Uint8Array([1, 2, 3, __ITER % 256]);
  const all = await Promise.all([1, 2, 3].map(() => shop.callAsync("example:shop/carts@0.1.0.reversed", bytes)));
  check(all, {
    "bytes came back": (results) => results.every((it) => it.ok && new Uint8Array(it.value)[0] === __ITER % 256 && new Uint8Array(it.value)[3] === 1),
  });
}
