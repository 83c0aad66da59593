// What editors and tsc say of index.d.ts, beside @types/k6: scripts/check-types.
import wrpc, { blaster as named, type Blaster, type ErrorCode, type Http, type HttpParams } from "k6/x/wrpc";
import k6http, { type FileData, type Params, type RefinedResponse } from "k6/http";
import { check } from "k6";

const nats = { url: ["nats://a", "tls://b"], prefix: "wasmtime", connect_timeout: "5s", shared: 2 };
const blaster: Blaster = wrpc.blaster({ nats, tags: { a: 1, b: true } });
named({ tcp: { addr: "a:1", tls: {} } });
const code: ErrorCode | "" = blaster.blast({ payload: new Uint8Array([1]), timeout: 5 }).error_code;
const later: Promise<boolean> = blaster.blastAsync().then(({ ok }) => ok);

const http: Http = wrpc.http({ nats, metrics: ["http", "wrpc"] });
wrpc.http({ tcp: { addr: "a:1" }, metrics: "http" });

// Responses are those of @types/k6.
const text: RefinedResponse<"text"> = http.get("a", { responseType: "text", consume: true, throw: false });
const bytes: ArrayBuffer = http.post("a", new Uint8Array([1]), { responseType: "binary" }).body;
const none: null = http.del("a", null, { responseType: "none" }).body;
const promised: Promise<RefinedResponse<"text">> = http.asyncRequest("GET", "a", null, { responseType: "text" });
check(http.get("a"), { "200": (response) => response.status === 200 });
http.get("a").json("b");
http.get("a").html("b").text();

// So are params, files, URLs, jars and statuses.
const params: Params = { auth: "ntlm", headers: { a: "b" }, responseCallback: k6http.expectedStatuses(200) };
http.get(http.url`a${1}`, params);
http.get(k6http.url`a${1}`, { responseCallback: null, tags: { n: 1 } });
const file: FileData = http.file("a", "b");
http.post("a", { file, other: k6http.file(new ArrayBuffer(1)), n: 5, many: ["a", "b"] });
const jar = new http.CookieJar();
jar.set("a", "b", "c");
http.get("a", { jar, cookies: { a: { value: "b", replace: true } } });
http.get("a", { jar: k6http.cookieJar(), auth: { username: "a", password: "b" } });
const version: "tls1.3" = http.TLS_1_3;
http.setResponseCallback(null);
const own: HttpParams<"none"> = { responseType: "none", consume: false };
http.get("a", own);

// Batches keep their shape.
const list = http.batch(["a", ["POST", "a", "b", { responseType: "text", consume: true }], { method: "GET", url: "a" }]);
const first: number = list[0].status;
const byName: number = http.batch({ one: "a", two: { method: "GET", url: "a" } }).two.status;

// What takes k6/http takes this.
type Functions = Omit<typeof k6http, "default" | "SSL_3_0">;
const instead: Functions = http;

// @ts-expect-error: an unknown key of the options
wrpc.blaster({ nats, nuts: 1 });
// @ts-expect-error: an unknown family
wrpc.http({ nats, metrics: "https" });
// @ts-expect-error: an unknown key of a packet
blaster.blast({ cpu_burn: 1 });
// @ts-expect-error: an unknown key of params
http.get("a", { haeders: {} });
// @ts-expect-error: text isn't bytes
const wrong: ArrayBuffer = http.get("a", { responseType: "text" }).body;
// @ts-expect-error: k6/http has it in its types, and neither has it
http.SSL_3_0;
// @ts-expect-error: a password is missing
http.get("a", { auth: { username: "a" } });

// Any function, with values as JavaScript has them.
const client = wrpc.client({ nats, wit: "wit", timeout: "1s", headers: { traceparent: "a" }, tags: { n: 1 } });
const called: bigint = client.call<bigint>("a:b/c.d", 1n, [{ a: null }], new Uint8Array(1)).value;
const calledLater: Promise<unknown> = client.callAsync("a:b/c.d").then((result) => result.value);
// @ts-expect-error: the WIT is missing
wrpc.client({ nats });
// @ts-expect-error: a function is no value
client.call("a:b/c.d", () => 1);

const made: { id: number } = wrpc.once("order", () => ({ id: 1 }));
wrpc.barrier("start", 8);
// @ts-expect-error: how many meet is missing
wrpc.barrier("start");

export { called, calledLater, made };
export { code, later, text, bytes, none, promised, version, first, byName, instead, wrong };
