// Tags: requests of one kind share a name, and thresholds pick by tag.
import wrpc from "k6/x/wrpc";
import { check, group } from "k6";
import { link, url } from "./common/link.js";

const http = wrpc.http({ ...link, tags: { client: "shop" } });

export const options = {
  thresholds: {
    checks: ["rate==1"],
    wrpc_http_request: ["count==8"],
    "wrpc_http_request{client:shop}": ["count==8"],
    "wrpc_http_request{name:item}": ["count==3"],
    "wrpc_http_request{kind:read}": ["count==1"],
    "wrpc_http_request{group:::checkout}": ["count==1"],
    "wrpc_http_duration{name:item}": ["max<10000"],
  },
};

export default function () {
  for (const item of [1, 2, 3]) {
    // Their name is the template, with ${} in the place of each value.
    http.get(http.url`${url}/echo?item=${item}`);
    http.get(`${url}/echo?item=${item}`, { tags: { name: "item" } });
  }
  const response = http.get(`${url}/echo`, { tags: { kind: "read" } });
  check(response, { "tags aren't sent": (r) => !JSON.stringify(r.headers).includes("shop") });
  group("checkout", () => http.post(`${url}/echo`));
}
