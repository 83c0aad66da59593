//! Unix sockets: every hit of each protocol of streams reaches the target once.

#![allow(clippy::expect_used, clippy::unwrap_used)] // a test that fails here says enough

#[path = "rig/logged.rs"]
mod logged;
#[path = "rig/program.rs"]
mod program;
#[path = "rig/said.rs"]
mod said;

use std::path::Path;

use encarno_target::{Target, TargetSettings};
use logged::logged;
use said::said;

const COUNT: u64 = 400;

/// A record for each number, in the format `raw`.
fn records(folder: &Path, file: &str, record: impl Fn(u64) -> String) {
    let line = |number| {
        let record = record(number);
        format!("{} n\n{record}\n", record.len())
    };
    // A field of Protocol Buffers that is 0 isn't sent.
    let text: String = (1..=COUNT).map(line).collect();
    std::fs::write(folder.join(file), text).unwrap();
}

#[test]
fn every_hit_once_in_each_protocol() {
    let kept = TargetSettings {
        body_bytes: 500,
        ..TargetSettings::default()
    };
    let closing = TargetSettings {
        close_rate: 0.05,
        ..kept.clone()
    };
    let cases: [(_, _, &[&str]); 9] = [
        ("http+unix", "requests", &[]),
        ("http+unix", "requests", &["--rate", "4000", "-n", "400"]),
        ("http+unix", "requests", &["--http2", "--streams", "8"]),
        ("grpc+unix", "calls", &["--streams", "8"]),
        ("ws+unix", "messages", &["--answer-match", "\"n\":"]),
        (
            "ws+unix",
            "messages",
            &["-O", "streams=8", "-O", "compression=deflate"],
        ),
        ("tcp+unix", "requests", &["--answer-match", "x{500}$"]),
        (
            "tcp+unix",
            "requests",
            &["--answer-match", "x{500}$", "-O", "streams=4"],
        ),
        ("http+unix", "requests", &["-k"]),
    ];
    for (scheme, file, flags) in cases {
        // Only a client of HTTP/1.1 is told that a connection ends with an answer.
        let settings = match (scheme, flags) {
            ("http+unix", []) => &closing,
            _ => &kept,
        };
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("socket");
        let settings = TargetSettings {
            unix: Some(socket.clone()),
            tls: flags == ["-k"],
            ..settings.clone()
        };
        let ((), log) = logged(settings, |folder, _| {
            let request = |number| format!("GET /{number} HTTP/1.1\r\nHost: h\r\n\r\n");
            let call = |number| {
                let body = format!("{{\"number\": {number}}}");
                format!("POST /encarno.Echo/Say HTTP/1.1\r\nHost: h\r\n\r\n{body}")
            };
            records(folder, "requests", request);
            records(folder, "calls", call);
            records(folder, "messages", |number| format!("{{\"n\": {number}}}"));
            let url = format!("{scheme}://{}", socket.display());
            let usual = [
                "hit",
                &url,
                "-i",
                file,
                "--format",
                "raw",
                "--loop",
                "1",
                "-c",
                "8",
                "--threads",
                "2",
                "--quiet",
            ];
            let arguments = [&usual[..], flags].concat();
            let (status, said) = said(folder, &arguments);
            let is_whole = said.contains("done 400 + failed 0");
            assert!(status == Some(0) && is_whole, "{arguments:?}: {said}");
        });
        let mut numbers: Vec<_> = log.keys().copied().collect();
        numbers.sort_unstable();
        assert!(numbers.into_iter().eq(1..=COUNT), "{scheme} {flags:?}");
        for entries in log.values() {
            assert!(
                entries.len() == 1 && entries[0].sent_ns > 0,
                "{scheme} {flags:?}"
            );
        }
        assert!(!socket.exists(), "the target deletes its socket");
    }
}

#[test]
fn a_socket_that_is_there_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("socket"), "").unwrap();
    let start = |path: &str| {
        let started = Target::start(TargetSettings {
            unix: Some(folder.join(path)),
            ..TargetSettings::default()
        });
        let error = started.err().unwrap();
        format!("{error}")
    };
    let error = start("socket");
    assert!(
        error.contains("socket: ") && error.contains("delete it if nobody listens"),
        "{error}"
    );
    let error = start("none/socket");
    assert!(error.contains("none/socket: "), "{error}");
    let url = format!("ws+unix://{}", folder.join("nobody").display());
    let (_, said) = said(folder, &["hit", &url, "-n", "1", "--quiet"]);
    assert!(
        said.contains("failed 1") && said.contains("there is no socket"),
        "{said}"
    );
}
