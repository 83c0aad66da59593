// The same cases through k6/http and, with NATS_URL or TCP_ADDR, through wrpc.http.
// What they return goes to SINK as JSON, where the test compares it.
import k6http from "k6/http";
import wrpc from "k6/x/wrpc";
import crypto from "k6/crypto";

const { SITE, TLS_SITE, SINK, NATS_URL, TCP_ADDR } = __ENV;
const link = NATS_URL ? { nats: { url: NATS_URL, prefix: "test" } } : TCP_ADDR ? { tcp: { addr: TCP_ADDR } } : null;
const http = link ? wrpc.http(link) : k6http;

export const options = {
  vus: 1,
  iterations: 1,
  // Names of hosts, and with them URLs and cookies, are the same both ways.
  hosts: { "secure.parity.test": TLS_SITE, "*.parity.test": SITE },
  insecureSkipTLSVerify: true,
};

const longest = 4096;

function body(value) {
  if (value instanceof ArrayBuffer) {
    return { bytes: value.byteLength, sha256: crypto.sha256(value, "hex") };
  }
  return typeof value === "string" && value.length > longest
    ? { characters: value.length, sha256: crypto.sha256(value, "hex") }
    : value;
}

// A response with all its fields, without what is made by chance.
function response(from) {
  const seen = JSON.parse(JSON.stringify(from));
  seen.body = body(from.body);
  seen.$response = true;
  const headers = seen.request.headers;
  if (headers.Cookie) headers.Cookie = headers.Cookie.map((line) => line.split("; ").sort().join("; "));
  seen.request.body = body(seen.request.body);
  const [, boundary] = /boundary=(\w+)/.exec((headers["Content-Type"] || [""])[0]) || [];
  return boundary ? JSON.parse(JSON.stringify(seen).replaceAll(boundary, "BOUNDARY")) : seen;
}

function plain(value) {
  if (value === undefined) return null;
  if (value === null || typeof value !== "object") return value;
  if (value instanceof ArrayBuffer) return body(value);
  if (value.timings && value.request) return response(value);
  if (Array.isArray(value)) return value.map(plain);
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, plain(one)]));
}

export function suite(cases) {
  return async function () {
    const seen = { $functions: Object.keys(http).filter((name) => typeof http[name] === "function") };
    let number = 0;
    for (const [name, one] of Object.entries(cases)) {
      // A host for each, so that no case has another's cookies.
      const url = `http://${number++}.parity.test`;
      try {
        seen[name] = plain(await one(http, url));
      } catch (error) {
        seen[name] = { thrown: String(error) };
      }
      http.setResponseCallback(http.expectedStatuses({ min: 200, max: 399 }));
    }
    k6http.post(SINK, JSON.stringify(seen));
  };
}
