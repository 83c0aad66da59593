// Files, bytes, and bodies larger than a message.
import wrpc from "k6/x/wrpc";
import { check } from "k6";
import { link, url } from "./common/link.js";

const http = wrpc.http(link);

const file = open("./uploads.js", "b"); // any file: this one
const large = new Uint8Array(16 << 20).buffer;

export const options = { thresholds: { checks: ["rate==1"], wrpc_http_request: ["count==4"] } };

export default function () {
  check(http.post(`${url}/json`, { note: "see the file", file: http.file(file, "script.js", "text/javascript") }), {
    "a form with a file": (r) => r.body.includes("multipart/form-data; boundary="),
    "its name": (r) => r.json("body").includes('filename="script.js"'),
    "its bytes": (r) => r.json("body").includes("and bodies larger than a message"),
  });
  check(http.put(`${url}/count`, file), { "bytes": (r) => Number(r.body) === file.byteLength });
  check(http.put(`${url}/count`, large), { "16 MiB": (r) => Number(r.body) === large.byteLength });
  check(http.post(`${url}/echo`, new Uint8Array([0, 255, 10, 13]).buffer, { responseType: "binary" }), {
    "as they were": (r) => new Uint8Array(r.body).join() === "0,255,10,13",
  });
}
