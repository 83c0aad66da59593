// What can go wrong is data: error and error_code, as in k6/http.
import wrpc from "k6/x/wrpc";
import { check } from "k6";
import { link, url } from "./common/link.js";

const http = wrpc.http({ ...link, tags: { client: "there" } });
const nobody = wrpc.http({ tcp: { addr: "127.0.0.1:1", connect_timeout: "1s" } });

export const options = {
  thresholds: {
    checks: ["rate==1"],
    wrpc_http_request: ["count==10"],
    // Failed without a response: the trap, the error, the timeouts, nobody, and mistakes.
    wrpc_http_error: ["count==8"],
    wrpc_transport_error: ["count==4"],
    "wrpc_http_error{error_code:guest_trap}": ["count==1"],
    "wrpc_http_error{error_code:timeout}": ["count==3"],
    "wrpc_http_error{error_code:invalid_request}": ["count==2"],
  },
};

export default function () {
  check(http.get(`${url}/status/404`), {
    "a status": (r) => r.status === 404 && r.error_code === 1404 && r.error === "",
  });
  check(http.get(`${url}/status/503`), { "another": (r) => r.error_code === 1503 });
  check(http.get(`${url}/trap`), {
    "the component trapped": (r) => r.status === 0 && r.error_code === 1000 && r.error.startsWith("guest_trap: "),
  });
  check(http.get(`${url}/error`), { "it gave an error": (r) => r.error.startsWith("handler_error: ") });
  check(http.get(`${url}/delay/5000`, { timeout: "100ms" }), {
    "too late": (r) => r.error_code === 1050 && r.error === "request timeout",
  });
  check(nobody.get(url), { "nobody there": (r) => r.error_code === 1212 && r.error.startsWith("connection_refused") });

  let thrown = "";
  try {
    http.get(`${url}/delay/5000`, { timeout: 100, throw: true });
  } catch (error) {
    thrown = error.message;
  }
  check(thrown, { "thrown, if wanted": (message) => message.includes("request timeout") });

  // What the script wrote and can't be sent fails, too; with `throw`, it throws.
  for (const params of [{ timeout: -1 }, { headers: { "a b": "c" } }, { auth: "ntlm" }]) {
    check(http.get(url, params), { [`${JSON.stringify(params)} fails`]: (r) => r.status === 0 && r.error !== "" });
  }
}
