//! Hits that carry on from one another's answers, against a site with a memory.

#![allow(clippy::unwrap_used)] // a test that fails here says enough

mod rig;
#[path = "rig/site.rs"]
mod site;

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use encarno::{config, protocols};
use encarno_engine::meter::Summary;
use encarno_record::{Hit, code};
use rig::{machine, read_results};
use serde_json::{Value, json};
use site::Site;
use tempfile::TempDir;

/// A record of the payload file.
fn record(mut metadata: Value, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    metadata["plen"] = json!(payload.len());
    [metadata.to_string().as_bytes(), b"\n", payload, b"\n"].concat()
}

fn get(target: &str, headers: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: site.test\r\n{headers}\r\n")
}

fn labelled(label: &str, target: &str) -> Vec<u8> {
    record(json!({"label": label}), get(target, ""))
}

/// What came of a run.
struct Account {
    summary: Summary,
    hits: Vec<Hit>,
    texts: std::collections::HashMap<encarno_record::StringId, String>,
}

impl Account {
    /// Label, error and status of each hit, in the order in which a worker made them.
    fn steps(&self) -> Vec<(&str, &str, u16)> {
        let mut hits: Vec<_> = self.hits.iter().collect();
        hits.sort_by_key(|hit| (hit.worker, hit.started_ns));
        let text = |id| self.texts.get(&id).map_or("", String::as_str);
        hits.iter()
            .map(|hit| (text(hit.label), text(hit.error), hit.protocol_code))
            .collect()
    }

    fn labels(&self) -> Vec<&str> {
        self.steps().into_iter().map(|(label, ..)| label).collect()
    }
}

/// The text of a configuration: `sections` are merged into the usual one.
fn yaml(folder: &Path, site: &Site, sections: Value) -> String {
    let mut whole = json!({
        "input": {"payloadfile": folder.join("payload"), "sharing": "per-worker", "iterationlimit": 1},
        "output": {"nativefile": folder.join("run.enc")},
        "workers": {"mode": "closed", "maxworkers": 1},
        "protocol": {"driver": "http", "address": site.url(), "timeout": "5s"},
        "run": {"quiet": true},
    });
    for (section, keys) in sections.as_object().unwrap() {
        match keys {
            Value::Object(keys) => {
                for (key, value) in keys {
                    whole[section][key] = value.clone();
                }
            }
            other => whole[section] = other.clone(),
        }
    }
    whole.to_string()
}

fn try_flow(site: &Site, sections: Value, records: &[Vec<u8>]) -> Result<Account, String> {
    let folder = TempDir::new().unwrap();
    flow_in(&folder, site, sections, records)
}

fn flow_in(
    folder: &TempDir,
    site: &Site,
    sections: Value,
    records: &[Vec<u8>],
) -> Result<Account, String> {
    std::fs::write(folder.path().join("payload"), records.concat()).unwrap();
    let text = yaml(folder.path(), site, sections);
    let settings =
        config::parse(&text, Path::new("flow.yml")).map_err(|error| error.to_string())?;
    let summary = protocols::run(&settings, |_| {}).map_err(|error| error.to_string())?;
    let (hits, texts) = read_results(&folder.path().join("run.enc"));
    Ok(Account {
        summary,
        hits,
        texts,
    })
}

fn flow(site: &Site, sections: Value, records: &[Vec<u8>]) -> Account {
    try_flow(site, sections, records).unwrap()
}

fn site() -> Site {
    Site::start("127.0.0.1:0")
}

/// Log in, be sent on to a page that wants cookie and token.
fn login_and_page(token: &str) -> [Vec<u8>; 2] {
    let login = json!({
        "label": "login ${user}", "replaces": ["user"], "scenario": true,
        "extracts": {"token": {"jsonpath": "$.user.token"}, "left": {"jsonpath": "$.left[*]", "matchNo": 1}},
        "asserts": [{"text": "200", "subject": "code"}, {"re": "^HTTP/1.1 200 OK\r\n", "subject": "headers"}],
    });
    let page = json!({
        "label": "page", "replaces": ["token", "left"], "follow": 3,
        "asserts": [{"re": "^welcome \\pL+$", "subject": "body"}, {"text": "who", "invert": true}],
    });
    let body = "POST /login HTTP/1.1\r\nHost: site.test\r\nContent-Length: ${:content-length:}\r\n\r\n${user}";
    let headers = format!("X-Token: {token}\r\nX-Left: ${{left}}\r\n");
    [record(login, body), record(page, get("/start", &headers))]
}

#[test]
fn a_flow_from_a_file_to_labels_and_errors() {
    let _machine = machine();
    let site = site();
    let sections = json!({"workers": {"cookies": true, "maxworkers": 3, "values": {"user": "Zoë"}}, "input": {"iterationlimit": 2}});
    let account = flow(&site, sections.clone(), &login_and_page("${token}"));
    let one = [("login Zoë", "", 200), ("page", "", 200)];
    assert_eq!(account.steps(), one.repeat(6));
    let totals = account.summary.totals;
    assert_eq!((totals.redirects, totals.unmet, totals.refused), (6, 0, 0));
    for asked in site.asked() {
        match asked.target.as_str() {
            "/login" => {
                assert_eq!(asked.body, "Zoë".as_bytes());
                assert_eq!(asked.headers.get("cookie"), None, "each pass starts anew");
            }
            "/start" | "/page" => {
                assert_eq!(asked.headers["x-left"], "2");
                assert!(asked.headers["cookie"].starts_with("sid=s"));
            }
            other => panic!("{other}"),
        }
    }
    // The bytes of both hops are the hit's.
    let page = account.hits.iter().filter(|hit| hit.sent_bytes > 150);
    assert!(
        page.clone()
            .all(|hit| hit.received_bytes > 100 && hit.connected_ns > 0)
    );
    assert_eq!(page.count(), 6);

    let account = flow(&site, sections, &login_and_page("stolen"));
    let wrong = (
        "page",
        "assert: the body doesn't have /^welcome \\pL+$/; assert: the response has \"who\"",
        403,
    );
    assert_eq!(account.steps(), [one[0], wrong].repeat(6));
    assert_eq!(account.summary.totals.unmet, 6);
    let errors: Vec<_> = account.summary.total.errors.iter().collect();
    assert_eq!(errors, [(&(0, wrong.1.into()), &6)]);
    let totals = account.summary.totals;
    assert_eq!(
        (totals.done, totals.failed),
        (6, 6),
        "an assert fails a hit"
    );
}

#[test]
fn cookies_are_those_of_the_worker() {
    let _machine = machine();
    let site = site();
    let sections = json!({"workers": {"cookies": true, "maxworkers": 4}, "run": {"threads": 2}});
    let records = [
        record(
            json!({"label": "login"}),
            "POST /login HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx",
        ),
        record(
            json!({"label": "list"}),
            get("/list", "Cookie: own=1\r\n").replace("site.test", "h"),
        ),
        // Another host: not its cookies.
        labelled("list", "/list"),
    ];
    flow(&site, sections.clone(), &records);
    let asked = site.asked();
    let own: HashSet<_> = asked
        .iter()
        .filter(|asked| asked.target == "/list" && asked.headers["host"] == "h")
        .map(|asked| asked.headers["cookie"].clone())
        .collect();
    assert_eq!(
        own,
        (0..4)
            .map(|number| format!("own=1; sid=s{number}"))
            .collect()
    );
    assert!(
        asked
            .iter()
            .all(|asked| asked.headers["host"] == "h" || !asked.headers.contains_key("cookie"))
    );
    // Without the key none are kept.
    flow(&site, json!({"workers": {"maxworkers": 2}}), &records);
    let asked = &site.asked()[asked.len()..];
    assert!(asked.iter().all(|asked| {
        !asked
            .headers
            .get("cookie")
            .is_some_and(|cookie| cookie.contains("sid"))
    }));
}

/// What one record's extract gives the next one.
fn extracted(site: &Site, target: &str, extract: Value) -> String {
    let records = [
        record(json!({"extracts": {"v": extract}}), get(target, "")),
        record(json!({"replaces": ["v"]}), get("/${v}", "")),
    ];
    flow(site, json!({}), &records);
    site.asked().last().unwrap().target[1..].to_owned()
}

#[test]
fn values_out_of_answers() {
    let _machine = machine();
    let site = site();
    for (target, extract, expected) in [
        ("/list", json!({"re": r"id=(\d)", "groupNo": 1}), "1"),
        (
            "/list",
            json!({"re": r"id=(\d)", "groupNo": 1, "matchNo": 2}),
            "3",
        ),
        (
            "/list",
            json!({"re": r"id=(\d)", "groupNo": 1, "matchNo": 3}),
            "NOT_FOUND",
        ),
        (
            "/list",
            json!({"re": r"id=(\d)", "matchNo": 3, "default": "none"}),
            "none",
        ),
        ("/list", json!({"re": r"id=\d"}), "id=1"),
        ("/marked", json!({"jsonpath": "$.id"}), "7"),
        (
            "/list",
            json!({"re": r"(i)(d)=(\d)", "template": "$3$-$1$$2$"}),
            "1-id",
        ),
        (
            "/list",
            json!({"re": r"X-Kind: (\w+)", "groupNo": 1}),
            "list",
        ),
        (
            "/list",
            json!({"re": r"X-Kind", "subject": "body"}),
            "NOT_FOUND",
        ),
        (
            "/list",
            json!({"re": r"id", "subject": "headers"}),
            "NOT_FOUND",
        ),
        ("/nowhere", json!({"re": r".+", "subject": "code"}), "404"),
        ("/chunked", json!({"re": r"id=(\d+)", "groupNo": 1}), "42"),
        ("/list", json!({"jsonpath": "$.a"}), "NOT_FOUND"),
        (
            "/login",
            json!({"jsonpath": "$.left[?@ > 1]", "matchNo": 1}),
            "2",
        ),
        ("/login", json!({"jsonpath": "$.left"}), "[3,2,1]"),
    ] {
        assert_eq!(
            extracted(&site, target, extract.clone()),
            expected,
            "{target} {extract}"
        );
    }
    let any: HashSet<_> = (0..20)
        .map(|seed| {
            let records = [
                record(
                    json!({"extracts": {"v": {"re": r"id=(\d)", "groupNo": 1, "matchNo": -1}}}),
                    get("/list", ""),
                ),
                record(json!({"replaces": ["v"]}), get("/${v}", "")),
            ];
            flow(&site, json!({"workers": {"seed": seed}}), &records);
            site.asked().last().unwrap().target.clone()
        })
        .collect();
    assert_eq!(any.len(), 3, "{any:?}");
}

#[test]
fn asserts_in_every_form() {
    let _machine = machine();
    let site = site();
    for (assert, met) in [
        (json!({"re": "id=2"}), true),
        (json!({"re": "id=9"}), false),
        (json!({"re": "id=9", "invert": true}), true),
        (json!({"re": "id=2", "invert": true}), false),
        (json!({"re": "X-Kind"}), true),
        (json!({"re": "X-Kind", "subject": "body"}), false),
        (json!({"text": "id=2;", "subject": "body"}), true),
        (json!({"text": "i.=2", "subject": "body"}), false),
        (json!({"re": "^2..$", "subject": "code"}), true),
        (json!({"text": "404", "subject": "code"}), false),
    ] {
        let records = [record(json!({"asserts": [assert]}), get("/list", ""))];
        let account = flow(&site, json!({}), &records);
        let (_, error, status) = account.steps()[0];
        assert_eq!((error.is_empty(), status), (met, 200), "{assert}: {error}");
        assert!(met || error.starts_with("assert: the "), "{error}");
    }
    for (assert, met) in [
        (json!({"jsonpath": "$.user.token"}), true),
        (json!({"jsonpath": "$.user.name"}), false),
        (json!({"jsonpath": "$.left[2]", "equals": "1"}), true),
        (json!({"jsonpath": "$.left[2]", "equals": "2"}), false),
    ] {
        let records = [record(json!({"asserts": [assert]}), get("/login", ""))];
        let account = flow(&site, json!({}), &records);
        assert_eq!(account.steps()[0].1.is_empty(), met, "{assert}");
    }
}

#[test]
fn rules_apply_by_label_and_in_shared_and_open_runs() {
    let _machine = machine();
    let site = site();
    let rules = json!([
        {"label": "^list", "asserts": [{"re": "id=9"}], "extracts": {"v": {"re": r"id=(\d)", "groupNo": 1}}},
        {"label": "^list", "asserts": [{"text": "id=${v}"}, {"text": "${w}"}]},
        {"label": "start", "follow": 1},
        {"label": "none", "asserts": [{"re": "x"}]},
    ]);
    let records = [
        labelled("list", "/list"),
        record(
            json!({"label": "use ${v}", "replaces": ["v"]}),
            get("/${v}", ""),
        ),
        labelled("start", "/start"),
    ];
    let sections = json!({"rules": rules, "workers": {"values": {"w": "id=1"}}});
    let account = flow(&site, sections, &records);
    // The texts of asserts have values without further words: what the answer itself set, and fixed ones.
    let unmet = "assert: the response doesn't have /id=9/";
    assert_eq!(
        account.steps(),
        [("list", unmet, 200), ("use 1", "", 404), ("start", "", 403)]
    );
    // Any worker takes any record: asserts are possible, an order isn't.
    let rules = json!([{"label": "", "asserts": [{"text": "${w}=1"}]}]);
    let open = json!({
        "input": {"sharing": "shared", "iterationlimit": 20}, "rules": rules,
        "workers": {
            "mode": "open", "maxworkers": 8, "schedule": "const(200,10s)", "values": {"w": "id"},
        },
    });
    let account = flow(
        &site,
        open,
        &[labelled("list", "/list"), labelled("no", "/no")],
    );
    let errors: BTreeMap<_, usize> =
        account
            .steps()
            .iter()
            .fold(BTreeMap::new(), |mut counts, step| {
                *counts.entry((step.0, step.1)).or_default() += 1;
                counts
            });
    let unmet = ("no", "assert: the response doesn't have \"id=1\"");
    assert_eq!(errors, BTreeMap::from([(("list", ""), 20), (unmet, 20)]));
}

#[test]
fn an_open_workload_goes_on_with_each_workers_own_flow() {
    let _machine = machine();
    let site = site();
    let sections = json!({
        "input": {"iterationlimit": 0},
        "workers": {"mode": "open", "maxworkers": 6, "schedule": "const(200,500ms)", "cookies": true, "values": {"user": "u"}},
    });
    let account = flow(&site, sections, &login_and_page("${token}"));
    assert_eq!(account.hits.len(), 100, "each instant has its hit");
    for (label, error, _) in account.steps() {
        assert_eq!(error, "", "{label}");
    }
    // The input may end before the schedule: then so does the run, and the account is right.
    let sections = json!({
        "workers": {"mode": "open", "maxworkers": 3, "schedule": "const(200,60s)", "cookies": true, "values": {"user": "u"}},
        "run": {"threads": 1},
    });
    let account = flow(&site, sections, &login_and_page("${token}"));
    assert_eq!(account.hits.len(), 6);
    assert_eq!(account.summary.totals.scheduled, 6);
}

#[test]
fn a_failed_step_is_followed_as_it_says() {
    let _machine = machine();
    let site = site();
    let run = |onfail: &str| {
        let failing = json!({"label": "fails", "onfail": onfail, "asserts": [{"re": "no"}]});
        let records = [
            labelled("first", "/list"),
            record(failing, get("/list", "")),
            labelled("between", "/list"),
            record(
                json!({"label": "scenario", "scenario": true}),
                get("/list", ""),
            ),
            labelled("last", "/list"),
        ];
        let account = flow(&site, json!({"input": {"iterationlimit": 2}}), &records);
        account
            .labels()
            .into_iter()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        run("continue"),
        ["first", "fails", "between", "scenario", "last"].repeat(2)
    );
    assert_eq!(
        run("next"),
        ["first", "fails", "scenario", "last"].repeat(2)
    );
    assert_eq!(run("stop"), ["first", "fails"].repeat(2));
    // So is one without an answer.
    let records = [
        record(
            json!({"label": "refused", "address": "http://127.0.0.1:1", "onfail": "stop"}),
            get("/", ""),
        ),
        labelled("never", "/list"),
    ];
    assert_eq!(flow(&site, json!({}), &records).labels(), ["refused"]);
}

#[test]
fn rows_of_a_file_for_each_pass() {
    let _machine = machine();
    let site = site();
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("users.csv");
    std::fs::write(&file, "\u{feff}name;word\nann;\"a;b\"\nben;é\ncid;x\n").unwrap();
    let records = [record(
        json!({"label": "${name}", "replaces": ["name", "word"]}),
        "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: ${:content-length:}\r\n\r\n${word}",
    )];
    let run = |order: &str, workers: u32, passes: u32| {
        let data = json!([{"file": file, "delimiter": ";", "order": order}]);
        let sections = json!({
            "input": {"iterationlimit": passes}, "workers": {"maxworkers": workers, "data": data},
        });
        flow_in(&folder, &site, sections, &records).unwrap()
    };
    assert_eq!(run("loop", 1, 4).labels(), ["ann", "ben", "cid", "ann"]);
    let bodies: Vec<_> = site.asked().into_iter().map(|asked| asked.body).collect();
    assert_eq!(
        bodies[..3],
        [b"a;b".to_vec(), "é".as_bytes().to_vec(), b"x".to_vec()]
    );
    // Workers share the rows, and end when there are no more.
    let account = run("once", 2, 0);
    let mut labels = account.labels();
    labels.sort_unstable();
    assert_eq!(labels, ["ann", "ben", "cid"]);
    let random = run("random", 1, 60);
    let labels: HashSet<_> = random.labels().into_iter().collect();
    assert_eq!(labels.len(), 3);
    // Names may be given, quotes be letters, a tab stand between.
    std::fs::write(&file, "\"dan\"\t1\textra\n").unwrap();
    let data =
        json!([{"file": file, "delimiter": "tab", "quoted": false, "names": ["name", "word"]}]);
    let account = flow_in(&folder, &site, json!({"workers": {"data": data}}), &records).unwrap();
    assert_eq!(account.labels(), ["\"dan\""]);
    // A byte order mark is no part of the first name or value, with quotes or without.
    let named = json!({"file": file});
    let given = json!({"file": file, "names": ["name", "word"]});
    for (text, data) in [
        ("\u{feff}\"name\",word\nann,x\n", &named),
        ("\u{feff}ann,x\n", &given),
        ("\u{feff}\"ann\",x\n", &given),
    ] {
        std::fs::write(&file, text).unwrap();
        let sections = json!({"workers": {"data": [data]}});
        let account = flow_in(&folder, &site, sections, &records).unwrap();
        assert_eq!(account.labels(), ["ann"], "{text:?}");
    }
}

#[test]
fn pauses_are_no_part_of_a_hit() {
    let _machine = machine();
    let site = site();
    let think = |delay: &str| record(json!({"label": delay, "think": delay}), get("/list", ""));
    let records = [
        think("fixed:150ms"),
        think("uniform:100ms:200ms"),
        think("none"),
        labelled("last", "/list"),
    ];
    let account = flow(&site, json!({"workers": {"maxworkers": 2}}), &records);
    assert_eq!(account.hits.len(), 8);
    let mut hits = account.hits.clone();
    hits.sort_by_key(|hit| (hit.worker, hit.started_ns));
    for pair in hits.chunks(4) {
        let pause_ms = |from: &Hit, to: &Hit| (to.started_ns - from.ended_ns) as f64 * 1e-6;
        assert!(pause_ms(&pair[0], &pair[1]) >= 150.0);
        assert!(pause_ms(&pair[1], &pair[2]) >= 100.0);
        assert!(pause_ms(&pair[2], &pair[3]) < 100.0);
        // The wait isn't theirs: neither as lateness nor as service.
        assert!(
            pair.iter()
                .all(|hit| hit.lag_ns() == 0 && hit.service_ns() < 100_000_000)
        );
    }
}

#[test]
fn redirects() {
    let _machine = machine();
    let site = site();
    let other = Site::start("[::1]:0");
    let follow = |method: &str, target: &str, status: &str, limit: u32| {
        let before = site.asked().len();
        let headers =
            format!("X-Status: {status}\r\nAuthorization: secret\r\nContent-Length: 2\r\n");
        let request = format!("{method} {target} HTTP/1.1\r\nHost: h\r\n{headers}\r\nab");
        let records = [record(json!({"follow": limit}), request)];
        let account = flow(&site, json!({"workers": {"cookies": true}}), &records);
        let (_, error, code) = account.steps()[0];
        let last = site.asked().last().unwrap().clone();
        ((error.to_owned(), code), last, site.asked().len() - before)
    };
    for status in ["301", "302", "303"] {
        let (result, last, hops) = follow("POST", "/to?/echo", status, 1);
        assert_eq!((result, hops), ((String::new(), 200), 2));
        assert_eq!((&*last.method, &last.body[..]), ("GET", &b""[..]));
        assert_eq!(last.headers["authorization"], "secret");
        assert_eq!(last.headers["cookie"], "hop=1");
    }
    for status in ["307", "308"] {
        let (_, last, _) = follow("PUT", "/to?/echo", status, 5);
        assert_eq!((&*last.method, &last.body[..]), ("PUT", &b"ab"[..]));
    }
    let (result, _, hops) = follow("GET", "/loop", "", 3);
    assert_eq!(
        (result, hops),
        (("more redirects than are followed".to_owned(), 301), 4)
    );
    let (result, _, hops) = follow("GET", "/loop", "", 0);
    assert_eq!((result, hops), ((String::new(), 301), 1));
    let (result, ..) = follow("GET", "/to?ftp://h/", "302", 3);
    assert_eq!(
        result,
        ("a redirect to where HTTP can't go".to_owned(), 302)
    );
    // To another host, without what is for the first one only.
    let (result, ..) = follow("POST", &format!("/to?{}/echo", other.url()), "307", 3);
    assert_eq!(result, (String::new(), 200));
    let asked = other.asked();
    assert_eq!(asked[0].headers["host"], other.address.to_string());
    assert!(
        !asked[0].headers.contains_key("authorization") && !asked[0].headers.contains_key("cookie")
    );
    assert_eq!(asked[0].body, b"ab");
}

#[test]
fn a_hit_has_its_own_timeout_and_connection() {
    let _machine = machine();
    let site = site();
    let timeout = |timeout: &str| record(json!({"timeout": timeout}), get("/slow", ""));
    let records = [
        timeout("100ms"),
        timeout("5s"),
        record(json!({"keepalive": false}), get("/list", "")),
        labelled("after", "/list"),
        labelled("after", "/list"),
    ];
    let account = flow(&site, json!({"protocol": {"timeout": "300ms"}}), &records);
    let mut hits = account.hits.clone();
    hits.sort_by_key(|hit| hit.started_ns);
    let codes: Vec<_> = hits
        .iter()
        .map(|hit| (hit.net_code, hit.protocol_code))
        .collect();
    assert_eq!(
        codes,
        [(code::TIMEOUT, 0), (0, 200), (0, 200), (0, 200), (0, 200)]
    );
    assert!(hits[0].service_ns() < 250_000_000 && hits[1].service_ns() > 600_000_000);
    let connections: Vec<_> = site.asked().iter().map(|asked| asked.connection).collect();
    assert_eq!(connections, [0, 1, 1, 2, 2]);
}

#[test]
fn lengths_are_of_bytes_and_addresses_may_be_values() {
    let _machine = machine();
    let site = Site::start("[::1]:0");
    let payload = "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: ${:content-length:}\r\n\r\n${a}–${b}\u{1f600}${none}";
    let metadata = json!({
        "label": "${a}", "address": "http://${host}:${port}", "replaces": ["a", "b", "host", "port", "none"],
        "asserts": [{"text": "ü€–日本\u{1f600}NO_VALUE", "subject": "body"}],
    });
    let values =
        json!({"a": "ü€", "b": "日本", "host": "[::1]", "port": site.address.port().to_string()});
    for sharing in ["per-worker", "shared"] {
        let sections = json!({"workers": {"values": values}, "input": {"sharing": sharing}, "protocol": {"address": "http://127.0.0.1:1"}});
        let account = flow(&site, sections, &[record(metadata.clone(), payload)]);
        assert_eq!(account.steps(), [("ü€", "", 200)], "{sharing}");
    }
}

#[test]
fn mistakes_name_their_place() {
    let site = site();
    let first = labelled("first", "/list");
    let second = first.len();
    for (metadata, reasons) in [
        (
            json!({"extracts": {"v": {"re": "(a"}}}),
            vec!["variable \"v\"", "\"(a\"", "unclosed group"],
        ),
        (
            json!({"extracts": {"v": {"re": r"(a)\1"}}}),
            vec!["backreferences"],
        ),
        (
            json!({"extracts": {"v": {"re": "(a)", "groupNo": 2}}}),
            vec!["group 2 isn't in \"(a)\""],
        ),
        (
            json!({"extracts": {"v": {"jsonpath": "$.["}}, "label": "second"}),
            vec!["request \"second\"", "bad JSONPath \"$.[\""],
        ),
        (
            json!({"asserts": [{"re": "${n}("}], "replaces": ["n"]}),
            vec!["unclosed group"],
        ),
        (
            json!({"asserts": [{"jsonpath": "$", "equals": "a", "re": "a"}]}),
            vec!["use either re or equals"],
        ),
        (
            json!({"step": {"if": "1 =", "skip": 1}}),
            vec!["condition \"1 =\""],
        ),
        (json!({"step": {"jump": 1}}), vec!["unknown field `jump`"]),
        (
            json!({"extracts": {"v": {"re": "a", "jsonpath": "$"}}}),
            vec!["use either re or jsonpath"],
        ),
        (
            json!({"extracts": {"v": {"regexp": "a"}}}),
            vec!["unknown field `regexp`"],
        ),
        (
            json!({"asserts": [{"re": "["}]}),
            vec!["\"[\"", "a class without its ]"],
        ),
        (
            json!({"think": "soon"}),
            vec!["think \"soon\"", "fixed:10ms"],
        ),
        (json!({"timeout": "soon"}), vec!["timeout \"soon\"", "5s"]),
        (json!({"follow": 51}), vec!["at most 50 redirects"]),
        (json!({"onfail": "panic"}), vec!["unknown variant `panic`"]),
    ] {
        let records = [first.clone(), record(metadata, get("/list", ""))];
        let error = try_flow(&site, json!({"input": {"maxbad": 0}}), &records)
            .err()
            .unwrap_or_else(|| panic!("{reasons:?}"));
        let place = format!("payload, offset {second}: ");
        assert!(error.contains(&place), "{error}");
        for reason in reasons {
            assert!(error.contains(reason), "{error}");
        }
    }
    assert_eq!(site.asked().len(), 0, "nothing is sent before");
    // Workers that don't read in order can't carry on.
    let shared = json!({"input": {"sharing": "shared"}, "workers": {"maxworkers": 2}});
    let records = [record(
        json!({"extracts": {"v": {"re": "a"}}}),
        get("/list", ""),
    )];
    let error = try_flow(&site, shared, &records).err().unwrap();
    assert!(error.contains("sharing: per-worker"), "{error}");

    let folder = TempDir::new().unwrap();
    let empty = folder.path().join("empty.csv");
    std::fs::write(&empty, "a,b\n").unwrap();
    let short = folder.path().join("short.csv");
    std::fs::write(&short, "a,b\n1,2\n3\n").unwrap();
    for (sections, reasons) in [
        (
            json!({"rules": [{"label": "(", "think": "none"}]}),
            vec!["flow.yml, line 1: rules: ", "\"(\""],
        ),
        (
            json!({"rules": [{"label": "", "asserts": [{"re": "*"}]}]}),
            vec!["rules: ", "\"*\""],
        ),
        (
            json!({"rules": [{"label": "", "thinks": "x"}]}),
            vec!["thinks"],
        ),
        (
            json!({"workers": {"data": [{"file": "/no/such.csv"}]}}),
            vec!["workers.data.file", "/no/such.csv"],
        ),
        (
            json!({"workers": {"data": [{"file": empty}]}}),
            vec!["empty.csv", "no rows"],
        ),
        (
            json!({"workers": {"data": [{"file": short}]}}),
            vec!["short.csv: line 3 has 1 fields", "a, b"],
        ),
        (
            json!({"workers": {"data": [{"file": short, "order": "back"}]}}),
            vec!["workers.data.order"],
        ),
        (
            json!({"workers": {"data": [{"file": short, "delimiter": "--"}]}}),
            vec!["workers.data.delimiter"],
        ),
        (
            json!({"workers": {"cookies": true, "maxworkers": 2}, "input": {"sharing": "shared"}}),
            vec!["cookies need"],
        ),
        (
            json!({"protocol": {"driver": "dummy", "delay": "gaussian:1s"}}),
            vec!["protocol.delay"],
        ),
    ] {
        let error = try_flow(&site, sections, std::slice::from_ref(&first))
            .err()
            .unwrap();
        for reason in reasons {
            assert!(error.contains(reason), "{error}");
        }
    }
}

#[test]
fn what_a_peer_sends_is_bounded() {
    let _machine = machine();
    let site = site();
    let extracts = json!({
        "all": {"re": "(?s)(.*)", "groupNo": 1, "subject": "body", "default": "d"},
        "json": {"jsonpath": "$..*"},
        "none": {"re": "z{3}$"},
    });
    let asserts = json!([{"re": "\u{fffd}", "invert": true}, {"re": r"\C{9}", "subject": "body"}]);
    let records = [
        record(
            json!({"label": "huge", "extracts": extracts, "asserts": asserts}),
            get("/huge", ""),
        ),
        record(
            json!({"label": "after ${all} ${json}", "replaces": ["all", "json"]}),
            get("/list", ""),
        ),
    ];
    let account = flow(&site, json!({}), &records);
    assert_eq!(
        account.steps(),
        [
            ("huge", "an extracted value is too long", 200),
            ("after d NOT_FOUND", "", 200)
        ]
    );
    // All of it was received, though it wasn't kept.
    let huge = account.hits.iter().map(|hit| hit.received_bytes).max();
    assert!(huge.unwrap() > 3 << 20);
}

#[test]
fn an_input_that_is_not_held_runs_the_same() {
    let _machine = machine();
    let site = site();
    // Labels that count on: each worker reads the file itself.
    let sections = json!({
        "workers": {"cookies": true, "maxworkers": 3, "values": {"user": "u"}},
        "input": {"iterationlimit": 20, "autolabel": "uniq"},
    });
    let account = flow(&site, sections, &login_and_page("${token}"));
    assert_eq!(
        account.steps(),
        [("login u", "", 200), ("page", "", 200)].repeat(60)
    );

    let failing = json!({"label": "fails", "onfail": "stop", "asserts": [{"re": "no"}]});
    let records = [
        labelled("first", "/list"),
        record(failing, get("/list", "")),
        labelled("never", "/list"),
    ];
    let sections = json!({"input": {"iterationlimit": 3, "autolabel": "uniq"}});
    assert_eq!(
        flow(&site, sections, &records).labels(),
        ["first", "fails"].repeat(3)
    );
}

#[test]
fn large_payloads_are_checked_but_not_changed() {
    let _machine = machine();
    let site = site();
    let body = "x".repeat(3 << 20);
    let payload = format!(
        "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let asserts = json!([{"re": "^x{9}", "subject": "body"}, {"text": "y", "invert": true, "subject": "body"}]);
    let account = flow(
        &site,
        json!({}),
        &[record(json!({"asserts": asserts}), &payload)],
    );
    assert_eq!(account.steps(), [("", "", 200)]);
    for (sections, metadata) in [
        (json!({"workers": {"cookies": true}}), json!({})),
        (json!({}), json!({"replaces": ["v"]})),
        (json!({}), json!({"follow": 1})),
    ] {
        let error = try_flow(&site, sections, &[record(metadata, &payload)])
            .err()
            .unwrap();
        assert!(
            error.contains("offset 0: ") && error.contains("held in memory"),
            "{error}"
        );
    }
}

#[test]
fn the_go_tools_configuration_runs_as_it_is() {
    let _machine = machine();
    let site = site();
    let records = [
        record(
            json!({"label": "one", "address": site.url(), "extracts": {"v": {"re": r"id=(\d)", "matchNo": 1, "groupNo": 1}}}),
            get("/list", ""),
        ),
        record(
            json!({"label": "two", "address": site.url(), "replaces": ["v"]}),
            get("/${v}", ""),
        ),
    ];
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("payload"), records.concat()).unwrap();
    let text = format!(
        "input: {{payloadfile: {0}/payload, enableregexes: true, iterationlimit: 2}}\n\
         output: {{binaryfile: {0}/run.bin, stringsfile: {0}/run.ostr}}\n\
         workers: {{mode: closed, workloadschedule: [{{levelstart: 2, levelend: 2, duration: 10s}}]}}\n\
         protocol: {{driver: http, timeout: 5s}}\nrun: {{quiet: true}}\n",
        folder.path().display()
    );
    let settings = config::parse(&text, Path::new("go.yml")).unwrap();
    let summary = protocols::run(&settings, |_| {}).unwrap();
    let totals = summary.totals;
    assert_eq!((totals.done, totals.failed, totals.refused), (4, 4, 4));
    assert!(summary.elapsed_ns < 8_000_000_000, "it ends with its input");
    let targets: Vec<_> = site.asked().into_iter().map(|asked| asked.target).collect();
    assert_eq!(targets.iter().filter(|target| *target == "/2").count(), 4);
}

#[test]
fn a_ramp_goes_on_although_the_first_workers_are_done() {
    let _machine = machine();
    let site = site();
    let sections = json!({"workers": {"workloadschedule": [
        {"levelstart": 1, "levelend": 1, "duration": "400ms"}, {"levelstart": 3, "levelend": 3, "duration": "10s"},
    ]}, "run": {"threads": 1}});
    let account = flow(&site, sections, &[labelled("a", "/list")]);
    let workers: HashSet<_> = account.hits.iter().map(|hit| hit.worker).collect();
    assert_eq!((account.hits.len(), workers.len()), (3, 3));
}
