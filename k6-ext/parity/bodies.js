import { suite } from "./suite.js";
export { options } from "./suite.js";

const bytes = new Uint8Array([0, 1, 254, 255]).buffer;
const large = "0123456789abcdef".repeat((3 << 20) / 16); // 3 MiB

export default suite({
  "bytes there": (http, url) => http.post(`${url}/json`, bytes),
  "bytes there and back": (http, url) => http.post(`${url}/echo`, bytes, { responseType: "binary" }),
  "bytes as text": (http, url) => http.post(`${url}/echo`, bytes),
  "file: a multipart form": (http, url) =>
    http.post(`${url}/json`, { file: http.file("content", "name.txt", "text/plain") }),
  "file: and a field": (http, url) => {
    const seen = http.post(`${url}/json`, { field: "value", file: http.file("content", "name.txt") });
    // The parts come in any order.
    return [seen.status, seen.json("body").split(/--[0-9a-f]{20,}/).sort()];
  },
  "file: bytes": (http, url) => http.put(`${url}/json`, { file: http.file(bytes, "a.bin") }),
  "large there": (http, url) => http.put(`${url}/count`, large),
  "large back": (http, url) => http.get(`${url}/bytes/3000000`, { responseType: "binary" }),
  "large both ways": (http, url) => http.post(`${url}/echo`, large),
  "responseType: text": (http, url) => http.get(`${url}/bytes/100`, { responseType: "text" }),
  "responseType: binary": (http, url) => http.get(`${url}/bytes/1000`, { responseType: "binary" }),
  "responseType: none": (http, url) => http.get(`${url}/bytes/1000`, { responseType: "none" }),
  "responseType: wrong": (http, url) => http.get(`${url}/bytes/1000`, { responseType: "some" }),
  "compression: one": (http, url) => http.post(`${url}/json`, "x".repeat(100), { compression: "gzip" }),
  "compression: two": (http, url) => http.post(`${url}/json`, "x".repeat(100), { compression: "deflate, gzip" }),
  "compression: bytes": (http, url) =>
    http.post(`${url}/echo`, "x".repeat(100), { compression: "br", responseType: "binary" }),
  "compression: unknown": (http, url) => http.post(`${url}/json`, "x", { compression: "zip", throw: true }),
  "packed: gzip": (http, url) => http.get(`${url}/packed/gzip`),
  "packed: deflate": (http, url) => http.get(`${url}/packed/deflate`),
  "packed: br": (http, url) => http.get(`${url}/packed/br`),
  "packed: zstd": (http, url) => http.get(`${url}/packed/zstd`),
  "packed: wrongly": (http, url) => http.get(`${url}/set-cookie`, { headers: { "Accept-Encoding": "br" } }),
  "json: whole": (http, url) => http.get(`${url}/json`).json(),
  "json: a selector": (http, url) => {
    const seen = http.get(`${url}/json?q`);
    return [seen.json("method"), seen.json("headers.#"), seen.json("nothing") === undefined];
  },
  "json: none": (http, url) => http.get(`${url}/html`).json(),
  "json: no body": (http, url) => http.get(`${url}/json`, { responseType: "none" }).json(),
  "html: a selector": (http, url) => http.get(`${url}/html`).html("title").text(),
  "html: a document": (http, url) => {
    const page = http.get(`${url}/html`).html();
    return [page.find("a").size(), page.find("#second").attr("href"), page.find("form#send").serialize()];
  },
  "submitForm: the first": (http, url) => http.get(`${url}/html`).submitForm(),
  "submitForm: with fields": (http, url) =>
    http.get(`${url}/html`).submitForm({
      formSelector: "#send",
      fields: { a: "other" },
      params: { headers: { "X-From": "form" } },
    }),
  "submitForm: none": (http, url) => http.get(`${url}/json`).submitForm(),
  "clickLink: the first": (http, url) => http.get(`${url}/html`).clickLink(),
  "clickLink: by selector": (http, url) => http.get(`${url}/html`).clickLink({ selector: "#second" }),
  "a number as a body": (http, url) => http.post(`${url}/json`, 5),
  "a list as a body": (http, url) => http.post(`${url}/json`, [1, 2]),
});
