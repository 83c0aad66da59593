// Bodies: packed, as text or bytes, not kept, and not wanted at all.
import wrpc from "k6/x/wrpc";
import { check } from "k6";
import { link, url } from "./common/link.js";

const http = wrpc.http(link);

export const options = { thresholds: { checks: ["rate==1"], wrpc_http_request: ["count==9"] } };

export default function () {
  for (const encoding of ["gzip", "deflate", "br", "zstd"]) {
    check(http.get(`${url}/packed/${encoding}`), { [`${encoding} is unpacked`]: (r) => r.body === "unpacked" });
  }
  check(http.post(`${url}/json`, "x".repeat(10000), { compression: "gzip" }), {
    "packed on the way": (r) => r.json("length") < 1000 && r.body.includes('["content-encoding","gzip"]'),
  });
  check(http.get(`${url}/bytes/300`, { responseType: "binary" }), {
    "bytes": (r) => r.body.byteLength === 300 && new Uint8Array(r.body)[299] === 299 - 251,
  });
  check(http.get(`${url}/json`, { responseType: "text" }), { "text": (r) => r.json("method") === "GET" });
  check(http.get(`${url}/bytes/20000000`, { responseType: "none" }), { "read, not kept": (r) => r.body === null });
  // The component is told that nobody reads, and stops.
  check(http.get(`${url}/bytes/50000000`, { consume: false }), {
    "not even read": (r) => r.status === 200 && r.body === null,
  });
}
