// Loads the extension and makes one call to which nobody answers. It needs no server, and
// checks that the library is linked and that its errors are results.
import wrpc, { blaster as named } from "k6/x/wrpc";
import { check } from "k6";

const blaster = wrpc.blaster({ nats: { url: "nats://127.0.0.1:1" } });

export const options = { iterations: 1, thresholds: { checks: ["rate==1"] } };

export default async function () {
  check(wrpc, { "exports blaster": (module) => typeof module.blaster === "function" && module.blaster === wrpc.blaster });
  check(named, { "also by name": (blaster) => typeof blaster === "function" });
  check(blaster.blast(), { "blast()": (result) => !result.ok && result.error_code === "connection_refused" });
  check(await blaster.blastAsync(), { "blastAsync()": (result) => result.error_code === "connection_refused" });
}
