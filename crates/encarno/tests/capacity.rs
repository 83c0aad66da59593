//! `encarno capacity` against systems whose capacity is known.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test that fails here says enough

#[path = "rig/program.rs"]
mod program;
mod rig;

use std::path::Path;
use std::process::Output;
use std::time::Duration;

use encarno_capacity::usl::Usl;
use encarno_target::{Target, TargetSettings};
use rig::read_results;
use serde_json::Value;

/// What a measurement said: exit status, standard output, and the JSON.
struct Said {
    status: i32,
    text: String,
    shown: String,
    json: Value,
}

fn measure(folder: &Path, arguments: &[&str]) -> Said {
    let mut all = vec!["capacity", "--json", "cap.json", "-o", "cap.enc"];
    all.extend(arguments);
    let output = program::run(folder, &all);
    let json = std::fs::read(folder.join("cap.json")).unwrap_or_default();
    Said {
        status: output.status.code().unwrap(),
        text: text(&output),
        shown: String::from_utf8(output.stderr).unwrap(),
        json: serde_json::from_slice(&json).unwrap_or_default(),
    }
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn target(settings: TargetSettings) -> (Target, String) {
    let target = Target::start(settings).unwrap();
    let url = format!("http://{}/", target.address());
    (target, url)
}

/// The report draws the curve with its band, each trial of it, and has a row for each.
fn assert_drawn(page: &str, json: &Value) {
    let (_, section) = page.split_once("<h2 id=\"capacity-0\">").unwrap();
    let (section, _) = section.split_once("</section>").unwrap();
    let trials = json["trials"].as_array().unwrap();
    let with_workers = trials
        .iter()
        .filter(|trial| trial["load"].get("workers").is_some());
    let (curve, _) = section.split_once("</figure>").unwrap();
    assert_eq!(curve.matches("<circle").count(), with_workers.count());
    assert!(curve.contains("class=\"band k0\"") && curve.contains("class=\"line k0\""));
    let (_, rows) = section.split_once("<tbody>").unwrap();
    assert_eq!(rows.matches("<tr>").count(), trials.len());
    assert!(section.contains("USL") && section.contains("peak"));
}

/// Answers take milliseconds, so that what this machine adds to them is little; and
/// the tolerance is for what a busy one adds all the same.
#[test]
fn the_law_of_a_known_system_is_found_and_found_again_in_the_file() {
    let usl = Usl {
        lambda: 40.0,
        sigma: 0.03,
        kappa: 5e-4,
    };
    let peak = usl.peak().unwrap();
    let (server, url) = target(TargetSettings {
        usl: Some(usl),
        ..TargetSettings::default()
    });
    let folder = tempfile::tempdir().unwrap();
    let flags = [
        "--workers",
        "12..100",
        "--precision",
        "6%",
        "--trial",
        "500ms..800ms",
    ];
    let said = measure(folder.path(), &[&[&*url], &flags[..]].concat());
    server.stop().unwrap();
    let Said {
        text, shown, json, ..
    } = &said;
    assert_eq!(
        said.status,
        i32::from(json["exit_status"].as_u64().unwrap() as u8)
    );
    assert!(text.starts_with("USL    λ "), "{text}{shown}");
    assert!(text.contains("\npeak   "), "{text}{shown}");
    assert!(
        text.lines().all(|line| line.chars().count() <= 90),
        "{text}"
    );
    let tops = [
        "throughput fell",
        "the largest number of workers was reached",
    ];
    assert!(
        tops.contains(&json["top"].as_str().unwrap()),
        "{text}{shown}"
    );
    let holds = |estimate: &Value, truth: f64, tolerance: f64| {
        let end = |name: &str| estimate[name].as_f64().unwrap();
        let (low, high) = (
            end("low") * (1.0 - tolerance),
            end("high") * (1.0 + tolerance),
        );
        assert!(
            (low..=high).contains(&truth),
            "{truth}: {estimate}\n{text}{shown}"
        );
    };
    holds(&json["usl"]["lambda"], usl.lambda, 0.15);
    if said.status == 0 {
        holds(&json["peak"]["throughput"], peak.throughput, 0.08);
        holds(&json["peak"]["workers"], peak.workers, 0.15);
    } else {
        // Another program in the way shows as drift or lack of fit, which is told.
        assert!(text.contains("note   "), "{text}");
    }
    let highest = json["highest"]["throughput"].as_f64().unwrap();
    assert!((highest / peak.throughput - 1.0).abs() < 0.25, "{highest}");

    // The file says the same again, word for word.
    let report = program::run(folder.path(), &["report", "cap.enc"]);
    assert!(report.status.success());
    let page = std::fs::read_to_string(folder.path().join("cap.html")).unwrap();
    assert_drawn(&page, json);

    let again = program::run(folder.path(), &["capacity", "--from", "cap.enc"]);
    assert_eq!(String::from_utf8(again.stdout).unwrap(), *text);
    assert_eq!(again.status.code(), Some(said.status));
    let json_again = ["capacity", "--from", "cap.enc", "--json", "-"];
    let json_again = program::run(folder.path(), &json_again);
    assert_eq!(
        &serde_json::from_slice::<Value>(&json_again.stdout).unwrap(),
        json
    );

    // And each trial's hits are in the file, within its instants.
    let (hits, _) = read_results(&folder.path().join("cap.enc"));
    let trials = json["trials"].as_array().unwrap();
    assert!(trials.len() >= 20, "{}", trials.len());
    for trial in trials {
        let number = |name: &str| trial[name].as_u64().unwrap();
        let (from, to) = (number("from_ns") + number("warm_up_ns"), number("to_ns"));
        let within = hits.iter().filter(|hit| (from..to).contains(&hit.ended_ns));
        assert_eq!(within.count() as u64, number("hits"), "{trial}");
        let workers = trial["load"]["workers"].as_u64().unwrap();
        let fresh = hits
            .iter()
            .filter(|hit| (from..to).contains(&hit.started_ns));
        let most = fresh.map(|hit| u64::from(hit.concurrency)).max().unwrap();
        assert!(most <= workers, "{most} hits ran at a time: {trial}");
    }
}

/// One worker that takes 2 ms on average, and the hits that wait for it, are the
/// queue M/M/1: p99 < 40 ms holds up to 500 − ln 100/0.04 = 384.9 hits/s.
#[test]
fn the_goal_of_a_known_queue_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let said = measure(
        folder.path(),
        &[
            "dummy:",
            "--delay",
            "exponential:2ms",
            "--workers",
            "1",
            "--connections",
            "1",
            "--threads",
            "1",
            "--precision",
            "10%",
            "--trial",
            "500ms..1s",
            "--within",
            "50%",
            "--goal",
            "p99<40ms",
        ],
    );
    let goal = &said.json["goal"];
    let (text, shown) = (&said.text, &said.shown);
    assert!(text.contains("goal   "), "{text}{shown}");
    let bound = |name: &str| {
        goal[name]
            .as_f64()
            .unwrap_or_else(|| panic!("{text}{shown}"))
    };
    assert!(bound("holds") < 384.9 * 1.1, "{text}{shown}");
    assert!(bound("fails") > 200.0, "{text}{shown}");
    assert!(goal["trials"].as_u64().unwrap() <= 12);
    // One number of workers makes no curve: that is told.
    assert_eq!(said.status, 2, "{text}");
    assert!(text.contains("at least 5 trials at 4 are needed"), "{text}");
}

#[test]
fn where_hits_fail_nothing_is_measured_further() {
    let (server, url) = target(TargetSettings {
        delay: "fixed:10ms".parse().unwrap(),
        in_service_max: Some(3),
        ..TargetSettings::default()
    });
    let folder = tempfile::tempdir().unwrap();
    let flags = [
        "--workers",
        "1..8",
        "--precision",
        "10%",
        "--trial",
        "500ms..1s",
    ];
    let said = measure(folder.path(), &[&[&*url], &flags[..]].concat());
    server.stop().unwrap();
    let Said {
        text, shown, json, ..
    } = &said;
    assert_eq!(said.status, 2, "{text}{shown}");
    assert_eq!(json["top"], "hits failed", "{text}{shown}");
    assert_eq!(json["measured"]["end"], 3, "{json}");
    assert!(text.contains("peak   at least "), "{text}");
    assert!(
        shown.contains("errors") && shown.contains("status 503"),
        "{shown}"
    );
}

#[test]
fn a_system_that_is_not_there_or_says_nothing_is_told_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = closed.local_addr().unwrap();
    drop(closed);
    let url = format!("http://{address}/");
    let said = measure(folder.path(), &[&url, "--trial", "500ms..1s"]);
    assert_eq!(said.status, 2);
    assert!(
        said.text.contains("the first load fails already"),
        "{}",
        said.text
    );
    assert!(said.text.contains("refused"), "{}", said.text);

    let (server, url) = target(TargetSettings {
        silent_rate: 1.0,
        ..TargetSettings::default()
    });
    let quick = [
        "--trial",
        "500ms..1s",
        "--timeout",
        "1m",
        "--grace",
        "100ms",
    ];
    let said = measure(folder.path(), &[&[&*url], &quick[..]].concat());
    server.stop().unwrap();
    assert_eq!(said.status, 2);
    assert!(said.text.contains("no hit ended within"), "{}", said.text);
    assert_eq!(said.json["trials"].as_array().unwrap().len(), 1);
}

#[test]
fn wrong_usage_is_told_and_a_stopped_measurement_says_what_it_has() {
    let folder = tempfile::tempdir().unwrap();
    for (flags, word) in [
        (
            &["http://127.0.0.1:1/", "--workers", "0..5"][..],
            "smaller one first",
        ),
        (
            &["http://127.0.0.1:1/", "--workers", "5..1"],
            "smaller one first",
        ),
        (&["http://127.0.0.1:1/", "--goal", "nonsense"], "nonsense"),
        (&["http://127.0.0.1:1/", "--goal", "p99<50"], "no unit"),
        (
            &["http://127.0.0.1:1/", "--within", "200%"],
            "from 0.1 to 50 %",
        ),
        (
            &["http://127.0.0.1:1/", "--trial", "9s..3s"],
            "shortest first",
        ),
        (
            &["--from", "a", "http://127.0.0.1:1/"],
            "cannot be used with",
        ),
        (&[], "<URL>"),
    ] {
        let output = program::run(folder.path(), &[&["capacity"], flags].concat());
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{flags:?}: {said}");
        assert!(said.contains(word), "{flags:?}: {said}");
    }
    let flags = [
        "capacity",
        "dummy:",
        "--delay",
        "fixed:5ms",
        "-o",
        "cap.enc",
    ];
    let child = program::command(folder.path(), &flags).spawn().unwrap();
    let pid = rustix::process::Pid::from_raw(child.id() as i32).unwrap();
    // The first level is known after 2 s or a little more.
    std::thread::sleep(Duration::from_secs(1));
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output).contains("it was stopped"),
        "{}",
        text(&output)
    );
    let again = program::run(folder.path(), &["capacity", "--from", "cap.enc"]);
    assert_eq!(
        (text(&again), again.status.code()),
        (text(&output), Some(2))
    );
    let none = program::run(folder.path(), &["capacity", "--from", "none.enc"]);
    assert_eq!(none.status.code(), Some(1));
}

#[test]
fn a_law_that_cannot_be_is_told() {
    let folder = tempfile::tempdir().unwrap();
    for (law, word) in [
        ("-1,0,0", "LAMBDA is above 0"),
        ("NaN,0,0", "LAMBDA is above 0"),
        ("100,1,0", "SIGMA is a part"),
        ("100,0,-0.1", "KAPPA is a part"),
        ("100,0", "expected LAMBDA,SIGMA,KAPPA"),
        ("a,b,c", "expected LAMBDA,SIGMA,KAPPA"),
    ] {
        let output = program::run(folder.path(), &["target", "127.0.0.1:0", "--usl", law]);
        let said = text_of(&output);
        assert_eq!(output.status.code(), Some(2), "{law}: {said}");
        assert!(said.contains(word), "{law}: {said}");
    }
}

#[test]
fn a_configuration_measures_a_capacity() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("records"), "5 r\nhello\n").unwrap();
    let text = "
input: {payloadfile: records, format: raw}
protocol: {driver: dummy, delay: 'fixed:5ms'}
output: {nativefile: cap.enc}
capacity: {workers: 2, trial: 500ms..600ms, precision: 20%, goal: p99<1s, within: 50%, connections: 4, jsonfile: cap.json}
run: {quiet: true}
";
    std::fs::write(folder.join("cap.yml"), text).unwrap();
    let output = program::run(folder, &["run", "cap.yml"]);
    let said = text_of(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    let json = std::fs::read(folder.join("cap.json")).unwrap();
    let json: Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json["measured"]["end"], 2, "{said}");
    assert_eq!(json["goal"]["goal"], "p99<1s");
    assert_eq!(json["goal"]["in_flight_max"], 4);
    let from = program::run(folder, &["capacity", "--from", "cap.enc"]);
    assert_eq!(from.stdout, output.stdout);
    let printed = program::run(
        folder,
        &["run", "cap.yml", "--json", "--set", "capacity.goal=null"],
    );
    let printed: Value = serde_json::from_slice(&printed.stdout).unwrap();
    assert_eq!(printed["goal"], Value::Null);
    for (setting, word) in [
        ("workers.mode=open", "workers.mode: the trials of capacity"),
        ("workers.schedule=const(1,1s)", "workers.schedule"),
        ("run.strict=true", "capacity.goal"),
        (
            "capacity.workers=0..3",
            "capacity.workers: the numbers lie in",
        ),
        ("capacity.goal=p99", "capacity.goal"),
        ("capacity.trial=1s", "capacity.trial"),
        ("capacity.within=90%", "capacity.within"),
    ] {
        let refused = program::run(folder, &["run", "cap.yml", "--set", setting]);
        let said = text_of(&refused);
        assert_eq!(refused.status.code(), Some(1), "{setting}: {said}");
        assert!(said.contains(word), "{setting}: {said}");
    }
    let part = program::run(folder, &["run", "cap.yml", "--part", "1/2"]);
    assert!(
        text_of(&part).contains("by one process"),
        "{}",
        text_of(&part)
    );
}

fn text_of(output: &std::process::Output) -> String {
    let both = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8(both).unwrap()
}
