// Forms: sent by hand, and found in a page.
import wrpc from "k6/x/wrpc";
import { check } from "k6";
import { link, url } from "./common/link.js";

const http = wrpc.http(link);

export const options = { thresholds: { checks: ["rate==1"], wrpc_http_request: ["count==5"] } };

export default function () {
  check(http.post(`${url}/json`, { name: "Bert & Co", tags: ["a", "b"] }), {
    "fields are encoded": (r) => r.json("body") === "name=Bert+%26+Co&tags=a&tags=b",
  });

  const page = http.get(`${url}/html`);
  check(page, {
    "a title": (r) => r.html("title").text() === "A page",
    "two links": (r) => r.html().find("a").size() === 2,
  });
  check(page.submitForm({ formSelector: "#send", fields: { a: "other" } }), {
    "its fields went": (r) => r.json("method") === "POST" && r.json("body").includes("a=other"),
    "those not touched too": (r) => r.json("body").includes("c=4"),
  });
  check(page.submitForm(), { "a form that gets": (r) => r.json("target").startsWith("/json?") });
  check(page.clickLink({ selector: "#second" }), { "a link": (r) => r.json("target") === "/json?link=2" });
}
