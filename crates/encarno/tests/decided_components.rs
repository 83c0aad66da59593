//! Wasm components that say what is sent: choosers of records, and virtual users. Without the
//! feature `wasm` there are none.

#![cfg(feature = "wasm")]
#![allow(clippy::expect_used, clippy::unwrap_used)] // a test that fails here says enough

#[path = "rig/guests.rs"]
mod guests;
#[path = "rig/program.rs"]
mod program;
#[path = "rig/recorded.rs"]
mod recorded;

use std::collections::BTreeMap;
use std::path::Path;

use encarno_record::Hit;
use encarno_record::results::{Block, whole};
use encarno_target::{Target, TargetSettings};
use guests::guest;

/// Four records with three labels.
const RECORDS: &str = "4 home\nhome\n5 item\nitem1\n5 item\nitem2\n4 cart\ncart\n";

struct Ran {
    said: String,
    status: Option<i32>,
    hits: Vec<(Hit, String)>,
    /// What the file says of the scenario.
    marks: Vec<String>,
}

impl Ran {
    fn labels(&self) -> Vec<&str> {
        self.hits.iter().map(|(_, label)| &**label).collect()
    }

    /// How often each label came.
    fn counts(&self) -> BTreeMap<&str, usize> {
        let mut counts = BTreeMap::new();
        for label in self.labels() {
            *counts.entry(label).or_default() += 1;
        }
        counts
    }

    /// The labels of each worker, in order.
    fn by_worker(&self) -> BTreeMap<u32, Vec<&str>> {
        let mut hits: Vec<_> = self.hits.iter().collect();
        hits.sort_by_key(|(hit, _)| hit.started_ns);
        let mut workers: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (hit, label) in hits {
            workers.entry(hit.worker).or_default().push(&**label);
        }
        workers
    }
}

fn run(url: &str, scenario: &str, settings: &str, more: &[&str]) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("records"), RECORDS).unwrap();
    let scenario = guest(scenario);
    let own = ["hit", url, "--quiet", "-o", "run.enc"];
    let settings = ["--scenario", &scenario, "--scenario-settings", settings];
    let output = program::run(folder.path(), &[&own, &settings[..], more].concat());
    let file = folder.path().join("run.enc");
    let (hits, marks) = match output.status.code() {
        Some(0 | 7) => (recorded::hits(&file), marks(&file)),
        _ => (Vec::new(), Vec::new()),
    };
    Ran {
        said: recorded::said(&output),
        status: output.status.code(),
        hits,
        marks,
    }
}

fn marks(file: &Path) -> Vec<String> {
    let mut marks = Vec::new();
    let mut reader = whole::open(file).unwrap();
    while let Some(block) = reader.next_block().unwrap() {
        if let Block::Mark(mark) = block {
            marks.push(mark.text.to_owned());
        }
    }
    marks
}

fn chosen(settings: &str, more: &[&str]) -> Ran {
    let own = ["--delay", "0", "-i", "records", "--format", "raw"];
    run("dummy:", "mix.wasm", settings, &[&own, more].concat())
}

#[test]
fn a_chooser_decides_by_its_seed() {
    let settings = "home=7 item=2 cart=1";
    let one = ["-c", "1", "--threads", "1", "-n", "2000", "--seed"];
    let of_seed = |seed: &'static str| chosen(settings, &[&one, &[seed][..]].concat());
    let (first, again, other) = (of_seed("1"), of_seed("1"), of_seed("2"));
    assert_eq!(first.hits.len(), 2000, "{}", first.said);
    assert_eq!(first.labels(), again.labels());
    assert_ne!(first.labels(), other.labels());
    let counts = first.counts();
    assert!((1300..=1500).contains(&counts["home"]), "{counts:?}");
    assert!((320..=480).contains(&counts["item"]), "{counts:?}");
    // Many workers take the same decisions, whoever comes first.
    let many = ["-c", "8", "--threads", "2", "-n", "2000", "--seed", "1"];
    assert_eq!(chosen(settings, &many).counts(), counts);
    let rate = [
        "--keep-backlog",
        "--rate",
        "2000",
        "-z",
        "1s",
        "--threads",
        "2",
        "--seed",
        "1",
    ];
    assert_eq!(chosen(settings, &rate).counts(), counts);
    // The parts of a run don't know of one another.
    let part = ["-n", "10", "--part", "1/2"];
    assert!(chosen(settings, &part).said.contains("leave --agents"));
}

#[test]
fn what_was_not_chosen_is_not_sent_and_the_file_says_who_chose() {
    let more = ["-n", "5000", "-c", "2", "--rate", "5000"];
    let ran = chosen("item=1", &more);
    assert_eq!(ran.status, Some(0), "{}", ran.said);
    assert!(ran.labels().iter().all(|label| *label == "item"));
    let mark = ran.marks.iter().find(|mark| mark.contains("\"scenario\""));
    let mark = mark.expect("a mark");
    assert!(mark.contains("\"decides\":\"records\"") && mark.contains("sha256"));
}

#[test]
fn a_chooser_may_end_the_run() {
    let own = [
        "--delay", "0", "-i", "records", "--format", "raw", "-z", "1h",
    ];
    let ran = run("dummy:", "hostile-choose.wasm", "", &own);
    assert_eq!((ran.status, ran.hits.len()), (Some(0), 100), "{}", ran.said);
}

#[test]
fn what_a_chooser_must_not_do_is_told() {
    let own = [
        "--delay", "0", "-i", "records", "--format", "raw", "-z", "1h", "--seed", "7",
    ];
    for (mode, status, says) in [
        ("refuse", 1, "the guest says: no"),
        (
            "labels",
            1,
            r#"seed 7, labels ["home", "item", "item", "cart"]"#,
        ),
        ("trap-in-configure", 1, "wasm trap"),
        ("trap", 5, "the scenario broke down: wasm trap"),
        ("loop", 5, "ran for more than 5s"),
        ("many", 5, "it chose 65 records, and 64 were asked for"),
        ("huge", 5, "the scenario broke down"),
        ("outside", 5, "it chose record 99, and there are 4"),
    ] {
        let ran = run("dummy:", "hostile-choose.wasm", mode, &own);
        assert!(ran.said.contains(says), "{mode}: {}", ran.said);
        assert_eq!(ran.status, Some(status), "{mode}: {}", ran.said);
    }
    for (more, says) in [
        (&["-n", "5"][..], "among the records of an input"),
        (
            &["-i", "records", "--loop", "2"],
            "leave the number of passes",
        ),
        (
            &["-i", "records", "-z", "1s", "--per-worker"],
            "each worker reads the input for itself",
        ),
    ] {
        let ran = run("dummy:", "mix.wasm", "item=1", more);
        assert_eq!(ran.status, Some(2), "{}", ran.said);
        assert!(ran.said.contains(says), "{}", ran.said);
    }
    let unknown = chosen("basket=1", &["-n", "5"]);
    let says = r#"no record has the label "basket""#;
    assert!(unknown.said.contains(says), "{}", unknown.said);
}

/// A server for users, and its URL.
fn shop() -> (Target, String) {
    let server = Target::start(TargetSettings {
        listen: Some(([127, 0, 0, 1], 0).into()),
        body_bytes: 1024,
        ..TargetSettings::default()
    });
    let server = server.expect("a target");
    let url = format!("http://{}/", server.address());
    (server, url)
}

#[test]
fn users_do_the_same_with_the_same_seed() {
    let (_server, url) = shop();
    let settings = "think=0 patience=1000000 items=4 buys=0.5 visits=10";
    let shopping = |seed, threads, more: &[&str]| {
        let own = ["-z", "1h", "-c", "6", "--seed", seed, "--threads", threads];
        run(&url, "shopper.wasm", settings, &[&own, more].concat())
    };
    let first = shopping("1", "1", &[]);
    assert_eq!(first.status, Some(0), "{}", first.said);
    let workers = first.by_worker();
    assert_eq!(workers.len(), 6);
    assert_eq!(first.counts()["home"], 60, "{:?}", first.counts());
    for labels in workers.values() {
        assert_eq!(labels.iter().filter(|label| **label == "home").count(), 10);
        assert_eq!(labels[..2], ["home", "item"]);
    }
    assert!(first.counts()["cart"] > 5);
    let mark = first.marks.iter().find(|it| it.contains("\"users\""));
    assert!(
        mark.is_some() || first.marks.is_empty(),
        "{:?}",
        first.marks
    );
    // Neither the number of loops nor the protocol changes what they do.
    assert_eq!(shopping("1", "2", &[]).by_worker(), workers);
    assert_eq!(shopping("1", "2", &["--http2"]).counts(), first.counts());
    assert_ne!(shopping("2", "1", &[]).by_worker(), workers);
    // A limit of hits holds.
    assert_eq!(shopping("1", "2", &["-n", "20"]).hits.len(), 20);
}

#[test]
fn users_see_what_they_got() {
    let (_server, url) = shop();
    let ran = run(
        &url,
        "hostile-behave.wasm",
        "tell",
        &["-c", "1", "-z", "1h"],
    );
    assert_eq!(ran.status, Some(0), "{}", ran.said);
    let told = "200 false 1024 16 false";
    assert_eq!(
        ran.labels(),
        ["first", told, "first", told, "first", told],
        "{}",
        ran.said
    );
    // Nobody listens.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let ran = run(
        &nobody,
        "hostile-behave.wasm",
        "tell",
        &["-c", "1", "-z", "1h"],
    );
    assert_eq!(
        ran.labels()[..2],
        ["first", "0 true  0 true"],
        "{}",
        ran.said
    );
}

#[test]
fn users_think_between_hits() {
    let (_server, url) = shop();
    let settings = "think=200 items=1000 buys=0";
    let ran = run(&url, "shopper.wasm", settings, &["-c", "1", "-n", "6"]);
    assert_eq!(ran.status, Some(0), "{}", ran.said);
    let mut hits: Vec<_> = ran.hits.iter().map(|(hit, _)| hit).collect();
    hits.sort_by_key(|hit| hit.started_ns);
    let gaps = hits
        .windows(2)
        .map(|pair| pair[1].started_ns - pair[0].ended_ns);
    let gaps: Vec<_> = gaps.collect();
    assert_eq!(gaps.len(), 5);
    // They are random, and follow from the seed, 0: together about a second.
    let together_ms = gaps.iter().sum::<u64>() / 1_000_000;
    assert!(together_ms > 200, "{gaps:?}");
    // A hit isn't late because its user thought before it.
    assert!(hits.iter().all(|hit| hit.scheduled_ns == hit.started_ns));
}

#[test]
fn what_users_must_not_do_is_told() {
    let (_server, url) = shop();
    for (mode, status, says) in [
        ("refuse", 2, "the guest says: no"),
        ("trap-in-configure", 2, "wasm trap"),
        ("greedy", 2, "1048576 are possible"),
        (
            "trap-in-constructor",
            5,
            "the scenario broke down: wasm trap",
        ),
        ("trap", 5, "the scenario broke down: wasm trap"),
        ("loop", 5, "ran for more than 10ms"),
        ("memory", 5, "the scenario broke down"),
        ("leave", 5, "a user left that had sent nothing"),
        ("lines", 5, "a user's header \"X-Visit\" can't be one"),
        ("path", 5, "a user's path is \"elsewhere\""),
        ("method", 5, "a user's method is \"G T\""),
    ] {
        let ran = run(&url, "hostile-behave.wasm", mode, &["-c", "2", "-z", "1h"]);
        assert!(ran.said.contains(says), "{mode}: {}", ran.said);
        assert_eq!(ran.status, Some(status), "{mode}: {}", ran.said);
    }
    for (more, says) in [
        (&["--rate", "5", "-z", "1s"][..], "leave --rate out"),
        (&["-z", "1s", "-i", "records"], "leave --input out"),
        (&["-z", "1s", "-d", "x"], "leave --data out"),
        (&["-z", "1s", "-L"], "leave --location out"),
        (&[], "for how long?"),
    ] {
        let ran = run(&url, "shopper.wasm", "", more);
        assert_eq!(ran.status, Some(2), "{}", ran.said);
        assert!(ran.said.contains(says), "{}", ran.said);
    }
    // Bytes go over any protocol, requests only over HTTP.
    let own = ["--delay", "0", "-n", "50"];
    let ran = run("dummy:", "hostile-behave.wasm", "bytes", &own);
    assert_eq!((ran.status, ran.hits.len()), (Some(0), 50), "{}", ran.said);
    let ran = run("dummy:", "shopper.wasm", "", &own);
    assert_eq!(ran.status, Some(5), "{}", ran.said);
    assert!(ran.said.contains("the protocol is another one"));
}

#[test]
fn a_configuration_names_choosers_and_users() {
    let (_server, url) = shop();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("records"), RECORDS).unwrap();
    let run = |text: &str| {
        std::fs::write(folder.path().join("run.yml"), text).unwrap();
        program::run(folder.path(), &["run", "run.yml"])
    };
    let (mix, shopper) = (guest("mix.wasm"), guest("shopper.wasm"));
    let ran = run(&format!(
        "input: {{payloadfile: records, format: raw, recordlimit: 30}}\n\
         output: {{nativefile: mix.enc}}\n\
         protocol: {{driver: dummy}}\n\
         workers: {{mode: closed, maxworkers: 2}}\n\
         scenario: {{wasm: {mix}, settings: item=1}}\n"
    ));
    recorded::assert_ended(&ran, &["mix"], 0, "");
    let hits = recorded::hits(&folder.path().join("mix.enc"));
    assert_eq!(hits.len(), 30);
    assert!(hits.iter().all(|(_, label)| label == "item"));
    let users = |more: &str| {
        format!(
            "output: {{nativefile: users.enc}}\n\
             protocol: {{driver: http, address: '{url}'}}\n\
             scenario: {{wasm: {shopper}, settings: think=0 visits=2}}\n{more}"
        )
    };
    let ran = run(&users(
        "workers: {mode: closed, maxworkers: 3, duration: 1h}\n",
    ));
    recorded::assert_ended(&ran, &["users"], 0, "");
    let hits = recorded::hits(&folder.path().join("users.enc"));
    assert_eq!(hits.iter().filter(|(_, label)| label == "home").count(), 6);
    for (more, says) in [
        (
            "workers: {mode: open, schedule: 5/s}\n",
            "write workers.mode: closed",
        ),
        (
            "workers: {mode: closed, duration: 1s}\ninput: {payloadfile: records}\n",
            "leave input.payloadfile out",
        ),
        ("capacity: {workers: 1..3}\n", "leave one of the two out"),
    ] {
        let ran = run(&users(more));
        recorded::assert_ended(&ran, &[more], 1, says);
    }
    let more = ["capacity", &url, "--scenario", &shopper];
    let ran = program::run(folder.path(), &more);
    recorded::assert_ended(&ran, &more, 2, "encarno capacity makes trials of its own");
}
