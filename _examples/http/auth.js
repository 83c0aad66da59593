// Names and passwords, and tokens.
import wrpc from "k6/x/wrpc";
import { check } from "k6";
import { b64encode } from "k6/encoding";
import { link, url } from "./common/link.js";

const http = wrpc.http(link);

// A digest takes two: the first learns what the server asks for.
export const options = { thresholds: { checks: ["rate==1"], wrpc_http_request: ["count==6"] } };

export default function () {
  const said = b64encode("me:s:/cret");
  check(http.get(`${url}/basic`, { auth: { username: "me", password: "s:/cret" } }), {
    "by params": (r) => r.status === 200 && r.body === said,
  });
  check(http.get(`${url.replace("//", "//me:s%3A%2Fcret@")}/basic`), { "by the URL": (r) => r.body === said });
  check(http.get(`${url.replace("//", "//me:secret@")}/digest`, { auth: "digest" }), {
    "by digest": (r) => r.status === 200 && r.body.includes("me"),
  });
  check(http.get(`${url}/json`, { headers: { Authorization: "Bearer abc" } }), {
    "by token": (r) => r.body.includes('["authorization","Bearer abc"]'),
  });
  check(http.get(`${url}/basic`), { "none": (r) => r.status === 401 && "Www-Authenticate" in r.headers });
}
