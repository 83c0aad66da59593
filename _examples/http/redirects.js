// Redirections are followed, as many as wanted; each is a request of its own.
import wrpc from "k6/x/wrpc";
import { check } from "k6";
import { link, url } from "./common/link.js";

const http = wrpc.http(link);

export const options = {
  thresholds: {
    checks: ["rate==1"],
    wrpc_http_request: ["count==11"],
    "wrpc_http_request{status:302}": ["count==6"],
  },
};

export default function () {
  check(http.get(`${url}/redirect/3`), {
    "followed": (r) => r.status === 200 && r.body === "arrived",
    "the last URL": (r) => r.url === `${url}/redirect/0`,
  });
  check(http.get(`${url}/redirect/3`, { redirects: 1 }), {
    "followed once": (r) => r.status === 302 && r.headers.Location === "/redirect/1",
  });
  check(http.post(`${url}/moved/307?/json`, "body"), {
    "307 keeps the method": (r) => r.json("method") === "POST" && r.json("body") === "body",
  });
  check(http.post(`${url}/moved/303?/json`, "body"), {
    "303 makes it a GET": (r) => r.json("method") === "GET" && r.json("body") === "",
  });
  check(http.get(`${url}/redirect/1`, { redirects: 0 }), { "not followed": (r) => r.status === 302 });
}
