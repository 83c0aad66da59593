//! `${n}` is the number of the hit: each of them reaches the target once, in every protocol.

#![allow(clippy::expect_used, clippy::unwrap_used)] // a test that fails here says enough

#[path = "rig/logged.rs"]
mod logged;
#[path = "rig/program.rs"]
mod program;
#[path = "rig/said.rs"]
mod said;

use std::collections::HashMap;
use std::path::Path;

use encarno_target::{LogEntry, TargetSettings};
use logged::logged;
use said::said;

/// It ends with status 0, and says that.
fn ends_well(folder: &Path, arguments: &[&str], says: &str) {
    let (status, said) = said(folder, arguments);
    assert!(
        status == Some(0) && said.contains(says),
        "{arguments:?}: {said}"
    );
}

/// A run of 300 hits, and the target's log of it.
fn logged_run(
    settings: TargetSettings,
    scheme: &str,
    path: &str,
    flags: &[&str],
) -> HashMap<u64, Vec<LogEntry>> {
    let ((), log) = logged(settings, |folder, address| {
        let url = format!("{scheme}://{address}{path}");
        let usual = [
            "hit",
            &url,
            "-n",
            "300",
            "-c",
            "4",
            "--threads",
            "2",
            "--quiet",
        ];
        let arguments = [&usual[..], flags].concat();
        ends_well(folder, &arguments, "done 300 + failed 0");
    });
    log
}

#[test]
fn every_number_is_sent_once() {
    let usual = TargetSettings::default();
    let udp = TargetSettings {
        udp: true,
        ..usual.clone()
    };
    let text = r#"{"n": ${n}}"#;
    // A field of Protocol Buffers that is 0 isn't sent.
    let call = r#"{"text": "no ${m}", "number": 1${n}}"#;
    let request = r"GET /${n} HTTP/1.1\r\nHost: h\r\nX: ${n}\r\n\r\n";
    let cases: [(_, _, _, &[&str]); 9] = [
        (
            &usual,
            "ws",
            "/chat",
            &["-d", text, "--answer-match", "\"n\":"],
        ),
        (
            &usual,
            "ws",
            "/",
            &["-d", text, "-O", "streams=8", "-O", "compression=deflate"],
        ),
        (&usual, "http", "/a/${n}", &["-d", "a body of ${n}"]),
        (&usual, "http", "/?a=${n}", &[]),
        (
            &usual,
            "http",
            "/${n}",
            &["-d", text, "--http2", "--streams", "5"],
        ),
        (
            &usual,
            "http",
            "/${n}",
            &["-d", text, "-L", "--rate", "3000"],
        ),
        (
            &usual,
            "grpc",
            "/encarno.Echo/Say",
            &["-d", call, "--streams", "5"],
        ),
        (
            &usual,
            "tcp",
            "",
            &["-d", request, "--answer-match", "x{1024}"],
        ),
        (&udp, "udp", "", &["-d", "datagram ${n}"]),
    ];
    for (settings, scheme, path, flags) in cases {
        let settings = TargetSettings {
            body_bytes: 1024,
            ..settings.clone()
        };
        let log = logged_run(settings, scheme, path, flags);
        let mut numbers: Vec<_> = log.keys().copied().collect();
        numbers.sort_unstable();
        let prefix = if scheme == "grpc" { "1" } else { "" };
        let mut expected: Vec<u64> = (0..300)
            .map(|number| format!("{prefix}{number}").parse().unwrap())
            .collect();
        expected.sort_unstable();
        assert!(numbers == expected, "{scheme} {flags:?}: {log:?}");
        assert!(log.values().all(|entries| entries.len() == 1), "{scheme}");
    }
}

#[test]
fn parts_of_a_run_share_the_numbers() {
    let ((), log) = logged(TargetSettings::default(), |folder, address| {
        let url = format!("http://{address}/${{n}}");
        for part in ["1/2", "2/2"] {
            let arguments = [
                "hit", &url, "-n", "101", "-c", "4", "--part", part, "--quiet",
            ];
            ends_well(folder, &arguments, "failed 0");
        }
    });
    let mut numbers: Vec<_> = log.keys().copied().collect();
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(0..101), "{log:?}");
}

#[test]
fn the_length_of_a_body_is_that_with_its_number() {
    let (output, _) = logged(TargetSettings::default(), |folder, address| {
        let url = format!("http://{address}/");
        let arguments = [
            "hit",
            &url,
            "-n",
            "11",
            "-c",
            "1",
            "-d",
            "n=${n}&${m}",
            "-H",
            "X-Number: <${n}>",
            "--trace",
            "trace",
            "--trace-show",
            "body",
            "--trace-show",
            "X-Number",
            "--quiet",
        ];
        ends_well(folder, &arguments, "done 11 + failed 0");
        std::fs::read_to_string(folder.join("trace")).unwrap()
    });
    for (number, length) in [(0, 8), (9, 8), (10, 9)] {
        let fields = format!("X-Number: <{number}>");
        assert!(output.contains(&fields), "{fields}: {output}");
        assert!(output.contains(&format!("n={number}&${{m}}")), "{output}");
        assert!(
            output.contains(&format!("Content-Length: {length}\r\n")),
            "{output}"
        );
    }
}

#[test]
fn what_becomes_no_message_ends_the_run() {
    let (said, log) = logged(TargetSettings::default(), |folder, address| {
        let run = |arguments: &[&str]| {
            let url = format!("ws://{address}/");
            let arguments = [&["hit", &url, "-n", "20", "-c", "1", "--quiet"], arguments].concat();
            let (status, said) = said(folder, &arguments);
            assert_ne!(status, Some(0), "{said}");
            said
        };
        let long = "x".repeat(124) + "${n}";
        let odd = "0${n}";
        [
            run(&["-d", &long, "-O", "ping=true"]),
            run(&["-d", odd, "-O", "payload=hex"]),
        ]
    });
    assert!(
        said[0].contains("hit 10: a ping has 125 bytes at most"),
        "{}",
        said[0]
    );
    assert!(said[1].contains("hit 10: "), "{}", said[1]);
    assert!(log.len() <= 10, "the others were sent");
}
