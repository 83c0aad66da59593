//! Conditions, exit statuses, summaries for programs, and commands by habit.

#![allow(clippy::expect_used)] // a test that can't go on says why

#[path = "rig/program.rs"]
mod program;
#[path = "rig/said.rs"]
mod said;

use std::fs;
use std::process::Stdio;

use encarno_target::{Target, TargetSettings};
use program::command;
use said::said;
use serde_json::Value;

#[test]
fn conditions_fail_a_run_with_their_values() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let hit = [
        "dummy:",
        "--delay",
        "fixed:5ms",
        "-n",
        "50",
        "-c",
        "5",
        "-q",
    ];
    let held = [
        "--fail-if",
        "p50<4ms",
        "--fail-if",
        "errors>1%",
        "--summary",
        "s.json",
        "--junit",
        "j.xml",
    ];
    let (status, text) = said(folder, &[&hit[..], &held].concat());
    assert_eq!(status, Some(0), "{text}");
    assert!(text.contains("passed  errors>1%  (it is 0.00 %)"), "{text}");
    let broken = [
        "--error-rate",
        "0.5",
        "--fail-if",
        "p50<1h",
        "--fail-if",
        "errors>90%",
        "--fail-if",
        "errors>1",
    ];
    let (status, text) = said(folder, &[&hit[..], &held, &broken].concat());
    assert_eq!(status, Some(99), "{text}");
    assert_eq!(text.matches("FAILED  ").count(), 3, "{text}");
    let json: Value =
        serde_json::from_slice(&fs::read(folder.join("s.json")).expect("written")).expect("JSON");
    assert_eq!(
        (&json["version"], &json["exit_status"]),
        (&1.into(), &99.into())
    );
    assert_eq!(json["hits"]["scheduled"], 50);
    assert_eq!(json["total"]["hits"], 50);
    let failed: Vec<bool> = json["criteria"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|criterion| criterion["failed"].as_bool().expect("a truth value"))
        .collect();
    assert_eq!(failed, [false, true, true, false, true]);
    let junit = fs::read_to_string(folder.join("j.xml")).expect("written");
    assert!(junit.contains("tests=\"7\" failures=\"3\""), "{junit}");
    assert!(junit.contains("name=\"p50&lt;1h\""), "{junit}");
    // The same in a configuration, with other values on the command line.
    fs::write(folder.join("uris"), "/\n").expect("written");
    fs::write(
        folder.join("run.yml"),
        "{input: {payloadfile: uris, iterationlimit: 9}, workers: {mode: closed, maxworkers: 1}, \
         protocol: {driver: dummy}, run: {failif: ['hits<10'], summaryfile: s.json}}",
    )
    .expect("written");
    assert_eq!(said(folder, &["run", "run.yml", "-q"]).0, Some(99));
    let more = [
        "run.yml",
        "-q",
        "-o",
        "o.enc",
        "--set",
        "input.iterationlimit=10",
    ];
    let (status, text) = said(folder, &[&["run"], &more[..]].concat());
    assert_eq!(status, Some(0), "{text}");
    assert!(folder.join("o.enc").is_file());
    let (status, text) = said(folder, &["run", "run.yml", "--set", "workers.late=1s"]);
    assert_eq!(status, Some(1), "{text}");
    let (status, text) = said(folder, &["run", "run.yml", "--set", "run.failif=[p99>1]"]);
    assert!(status == Some(1) && text.contains("run.failif"), "{text}");
}

#[test]
fn a_condition_ends_a_run_early() {
    let folder = tempfile::tempdir().expect("a folder");
    for rule in ["p50>1ms for 1s", "time(1ms,1s) net(xx,1,1)"] {
        let (status, text) = said(
            folder.path(),
            &[
                "dummy:",
                "--delay",
                "20ms",
                "-r",
                "100",
                "-z",
                "10m",
                "-q",
                "--stop-if",
                rule,
            ],
        );
        assert_eq!(status, Some(99), "{text}");
        assert!(text.contains("stopped by "), "{text}");
    }
}

#[test]
fn a_run_in_which_every_hit_failed_is_no_success() {
    let folder = tempfile::tempdir().expect("a folder");
    let (status, text) = said(folder.path(), &["http://127.0.0.1:1/", "-n", "3", "-q"]);
    assert_eq!(status, Some(7), "{text}");
    let (_, help) = said(folder.path(), &["--help"]);
    let page = include_str!("../../../docs/summary.md");
    for status in [0, 1, 2, 3, 4, 5, 6, 7, 99, 130] {
        let in_help = help.lines().find_map(|line| {
            let (number, meaning) = line.trim().split_once("  ")?;
            (number.parse() == Ok(status)).then(|| meaning.trim())
        });
        let meaning = in_help.expect("a line of the help");
        let row = format!("| {status} | {meaning} |");
        assert!(page.replace('`', "").contains(&row), "{row}");
    }
}

#[test]
fn commands_as_others_have_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let target = Target::start(TargetSettings::default()).expect("a target");
    let host = target.address().to_string();
    let url = format!("http://{host}/");
    for arguments in [
        &["-c", "2", "-n", "5", &url][..],
        &["-n=5", "--vus", "2", &url],
        &["-requests=5", "-rate", "1k", "-duration=1s", &url],
        &[&host, "-n", "5", "--workers", "2", "--http1.1", "-L"],
        &[&url, "-u", "me:secret", "-n", "5"],
    ] {
        let (status, text) = said(folder, &[arguments, &["-q"]].concat());
        assert_eq!(status, Some(0), "{arguments:?}: {text}");
        assert!(text.contains("= done 5 "), "{arguments:?}: {text}");
    }
    for (arguments, says) in [
        (&[&*url, "-u", "10", "-n", "1"][..], "--vus N"),
        (&[&*url, "-n", "1", "-d", "10s", "-q"], "-z 10s"),
        (&["-t", "1", &*url], "as in ab"),
        (&["-targets=a", &*url], "--format vegeta"),
        (&["-A", "text/html", &*url], "Accept: text/html"),
        (&["-max-workers=5", &*url], "write --connections N"),
        (
            &["-disable-keepalive", &*url, "-n", "1"],
            "Connection: close",
        ),
        (&["-host", "a", &*url], "Host: TEXT"),
        (&["--cacert", "a.pem", &*url], "--ca-file"),
        (&["--conections", "2", &*url], "--connections"),
        (&["stas", "a.enc"], "encarno stats"),
        (&["attack", "-rate=5"], "--format vegeta"),
        (&["run", "script.js"], "k6 run script.js"),
    ] {
        let (_, text) = said(folder, arguments);
        assert!(text.contains(says), "{arguments:?}: {text}");
    }
    let (status, text) = said(
        folder,
        &[&url, "-n", "5", "-c", "1", "-j", "-q", "-o", "a.enc"],
    );
    let json: Value = serde_json::from_str(&text).expect("JSON alone");
    assert_eq!((status, &json["total"]["hits"]), (Some(0), &5.into()));
    // Commands that read files read the standard input.
    for arguments in [
        &["stats", "-", "a.enc"][..],
        &["show", "-"],
        &["convert", "-", "-o", "-", "--to", "csv"],
    ] {
        let mut child = command(folder, arguments);
        child.stdin(Stdio::from(
            fs::File::open(folder.join("a.enc")).expect("there"),
        ));
        let output = child.output().expect("it starts");
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        assert!(!output.stdout.is_empty());
    }
}
