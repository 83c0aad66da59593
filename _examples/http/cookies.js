// Cookies: the VU keeps them, a request may add some, a jar holds others.
import wrpc from "k6/x/wrpc";
import { check } from "k6";
import { link, url } from "./common/link.js";

const http = wrpc.http(link);

export const options = { thresholds: { checks: ["rate==1"], wrpc_http_request: ["count==7"] } };

const sent = (params) => http.get(`${url}/cookies`, params).body.split("\n");

export default function () {
  const line = encodeURIComponent("session=abc; Path=/; Max-Age=60; HttpOnly");
  const response = http.get(`${url}/set-cookie?${line}`);
  check(response.cookies.session[0], {
    "all of a cookie": (c) => c.value === "abc" && c.path === "/" && c.max_age === 60 && c.http_only && !c.secure,
  });
  check(sent(), { "it comes back": ([one]) => one === "session=abc" });
  check(sent({ cookies: { theme: "dark" } }), {
    "one more": (cookies) => cookies.join() === "session=abc,theme=dark",
  });
  check(sent({ cookies: { session: { value: "other", replace: true } } }), {
    "another in its place": (cookies) => cookies.join() === "session=other",
  });

  const jar = http.cookieJar();
  check(jar.cookiesForURL(url), { "the jar knows it": ({ session }) => session[0] === "abc" });
  jar.delete(url, "session");
  jar.set(url, "mine", "1", { path: "/", max_age: 600 });
  check(sent(), { "the jar was changed": (cookies) => cookies.join() === "mine=1" });
  jar.clear(url);
  check(sent(), { "and emptied": ([one]) => one === "" });

  const own = new http.CookieJar();
  own.set(url, "own", "1");
  check(sent({ jar: own }), { "a jar of one's own": (cookies) => cookies.join() === "own=1" });
}
