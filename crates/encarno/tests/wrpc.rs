//! wRPC: every call once, by the count of the peer that serves them, and peers that lie.

#![allow(clippy::expect_used, clippy::unwrap_used)] // a test that fails here says enough

#[path = "rig/peer.rs"]
mod peer;
#[path = "rig/program.rs"]
mod program;
#[path = "rig/receiver.rs"]
mod receiver;

use std::io::{Read as _, Write as _};
use std::path::Path;

use encarno_test_peers::NatsServer;
use peer::peer;
use receiver::{Receiver, WIT};

fn hit(folder: &Path, arguments: &[&str]) -> (bool, String) {
    std::fs::write(folder.join("peer.wit"), WIT).unwrap();
    let arguments = [&["hit"], arguments, &["--quiet"]].concat();
    let output = program::run(folder, &arguments);
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8(text).unwrap();
    let words: Vec<_> = text.split_whitespace().collect();
    (output.status.success(), words.join(" "))
}

/// Records in the format `raw`, each with its number in JSON.
fn records(folder: &Path, count: u64, json: impl Fn(u64) -> String) {
    let records = (0..count).map(|number| {
        let json = json(number);
        format!("{} n\n{json}\n", json.len())
    });
    std::fs::write(folder.join("records"), records.collect::<String>()).unwrap();
}

const RECORDS: [&str; 6] = ["-i", "records", "--format", "raw", "--loop", "1"];
const OF_WIT: [&str; 2] = ["--wit", "peer.wit"];

#[test]
fn every_call_once_over_nats_and_tcp() {
    let nats = NatsServer::start();
    for (receiver, streams) in [
        (Receiver::over_nats(&nats), "8"),
        (Receiver::over_nats(&nats), "1"),
        (Receiver::over_tcp(), "8"),
        (Receiver::over_tcp(), "1"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        records(folder.path(), 500, |number| {
            format!("[{number}, \"é{number}\", [0, 255]]")
        });
        let flags = ["--call", "test:peer/jobs.echo", "-c", "4", "--threads", "2"];
        let streams = ["--streams", streams, "-o", "run.enc"];
        let url = receiver.url();
        let arguments = [&[&*url], &flags[..], &streams, &OF_WIT, &RECORDS].concat();
        let (ok, said) = hit(folder.path(), &arguments);
        assert!(ok, "{said}");
        assert!(said.contains("done 500 + failed 0 + dropped 0"), "{said}");
        assert!(!said.contains("WARN"), "its end is no loss: {said}");
        assert!(said.contains("200: 500 (100.00 %)"), "{said}");
        assert_eq!(receiver.numbers("echo"), Vec::from_iter(0..500));
    }
}

#[test]
fn blasts_have_a_flag_each() {
    let receiver = Receiver::over_tcp();
    let folder = tempfile::tempdir().unwrap();
    let url = receiver.url();
    let flags = [
        "--cpu-burn-ms",
        "3",
        "--mem-burn-mb",
        "2",
        "--wait-ms",
        "1",
        "-d",
        "hello",
    ];
    let (ok, said) = hit(folder.path(), &[&[&*url, "-n", "5"], &flags[..]].concat());
    assert!(ok && said.contains("done 5 + failed 0"), "{said}");
    assert_eq!(receiver.blasts(), vec![("hello".to_owned(), [2, 3, 1]); 5]);
    let packet = r#"{"id":"","payload":[],"mem-burn-mb":0,"cpu-burn-ms":1,"wait-ms":0}"#;
    let call = [
        "--call",
        "xk6:wrpc/blaster@0.0.1.blast",
        "-d",
        packet,
        "-n",
        "1",
    ];
    let (ok, said) = hit(folder.path(), &[&[&*url], &call[..]].concat());
    assert!(ok, "its WIT is known: {said}");
    assert_eq!(receiver.blasts().last(), Some(&(String::new(), [0, 1, 0])));
}

#[test]
fn results_are_values_for_scripts() {
    let nats = NatsServer::start();
    let receiver = Receiver::over_nats(&nats);
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("peer.wit"), WIT).unwrap();
    let record = |meta: &str, payload: &str| {
        let meta = meta.replace("LEN", &payload.len().to_string());
        format!("{meta}\n{payload}\n")
    };
    // What one call returns, the next one is given.
    let records = [
        record(
            r#"{"plen": LEN, "label": "first", "extracts": {"got": {"jsonpath": "$[0]"}}, "asserts": [{"jsonpath": "$[1]", "equals": "some \"text\""}, {"text": "200", "subject": "code"}]}"#,
            r#"[18446744073709551615, "some \"text\"", []]"#,
        ),
        record(
            r#"{"plen": LEN, "label": "second", "replaces": ["got"], "asserts": [{"jsonpath": "$[2][1]", "equals": "255"}]}"#,
            r#"[${got}, "", [0, 255]]"#,
        ),
        record(
            r#"{"plen": LEN, "label": "third", "asserts": [{"jsonpath": "$[0]", "equals": "4"}]}"#,
            "[3, \"\", []]",
        ),
    ];
    std::fs::write(folder.path().join("records"), records.concat()).unwrap();
    let configuration = format!(
        "protocol:\n  driver: wrpc\n  streams: 2\n  timeout: 60s\n  address: {}\n  \
           options: {{call: test:peer/jobs.echo, wit: peer.wit, name: hits, password: hunter2, user: me}}\n\
         input: {{payloadfile: records, format: payload, iterationlimit: 1, sharing: per-worker}}\n\
         workers: {{mode: closed, maxworkers: 1}}\n\
         output: {{nativefile: run.enc, reqrespfile: trace}}\nrun: {{threads: 1}}\n",
        receiver.url()
    );
    std::fs::write(folder.path().join("load.yaml"), configuration).unwrap();
    let output = program::run(folder.path(), &["run", "load.yaml"]);
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(said.contains("done 2 + failed 1"), "{said}");
    assert_eq!(receiver.numbers("echo"), [3, u64::MAX, u64::MAX]);
    // Arguments and results as JSON, whose values are shown to nobody.
    let trace = std::fs::read_to_string(folder.path().join("trace")).unwrap();
    let masked = format!("[{},\"{}\",[]]", "*".repeat(20), "*".repeat(13));
    assert_eq!(trace.matches(&masked).count(), 2, "{trace}");
    let file = std::fs::read(folder.path().join("run.enc")).unwrap();
    let is_told = file.windows(7).any(|part| part == b"hunter2");
    assert!(!is_told, "the result file has a password");
}

#[test]
fn results_that_say_err_have_a_status() {
    let receiver = Receiver::over_tcp();
    let folder = tempfile::tempdir().unwrap();
    let settle = |number: &str, further: &[&str]| {
        let call = ["--call", "test:peer/jobs.settle", "-d", number, "-n", "4"];
        let url = receiver.url();
        let arguments = [&[&*url], &call[..], &OF_WIT, further].concat();
        hit(folder.path(), &arguments).1
    };
    let even = settle("8", &[]);
    assert!(even.contains("done 4") && even.contains("200: 4"), "{even}");
    let odd = settle("7", &[]);
    assert!(odd.contains("failed 4") && odd.contains("500: 4"), "{odd}");
    let expected = settle("7", &["--expect", "200,500"]);
    assert!(expected.contains("done 4 + failed 0"), "{expected}");
}

#[test]
fn http_over_wrpc() {
    let nats = NatsServer::start();
    for receiver in [Receiver::over_nats(&nats), Receiver::over_tcp()] {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("{}/http", receiver.url());
        let request = [
            "-X",
            "POST",
            "-d",
            "some body",
            "-H",
            "X-Own: yes",
            "/a/path?q=1",
        ];
        let run = ["-n", "20", "-c", "2", "--streams", "4"];
        let arguments = [&[&*url], &request[..], &run].concat();
        let (ok, said) = hit(folder.path(), &arguments);
        assert!(ok && said.contains("done 20 + failed 0"), "{said}");
        assert!(said.contains("201: 20 (100.00 %)"), "{said}");
        let requests = receiver.requests();
        assert_eq!(requests.len(), 20);
        for request in requests {
            assert_eq!(request, "POST /a/path?q=1 localhost yes some body");
        }
    }
}

#[test]
fn peers_that_lie() {
    let nats = NatsServer::start();
    for receiver in [Receiver::over_nats(&nats), Receiver::over_tcp()] {
        let folder = tempfile::tempdir().unwrap();
        for (function, says) in [
            (
                "wrong",
                "protocol_violation: the results of test:peer/jobs.wrong can't be decoded",
            ),
            ("long", "4294967295 more expected"),
            ("fail", "guest_trap: as asked"),
            (
                "unserved",
                if receiver.is_nats() {
                    "no_responders: "
                } else {
                    "unserved"
                },
            ),
        ] {
            let call = format!("test:peer/jobs.{function}");
            let url = receiver.url();
            let arguments = [
                &*url,
                "--call",
                &call,
                "-d",
                "1",
                "-n",
                "2",
                "--timeout",
                "60s",
            ];
            let (ok, said) = hit(folder.path(), &[&arguments[..], &OF_WIT].concat());
            assert!(
                said.contains("failed 2") && said.contains(says),
                "{ok} {function}: {said}"
            );
        }
        let url = receiver.url();
        let hold = [
            &*url,
            "--call",
            "test:peer/jobs.hold",
            "-d",
            "1",
            "-n",
            "2",
            "--timeout",
            "300ms",
        ];
        let (_, said) = hit(folder.path(), &[&hold[..], &OF_WIT].concat());
        assert!(
            said.contains("failed 2") && said.contains("timeout"),
            "{said}"
        );
    }
}

#[test]
fn peers_that_say_nothing_or_close() {
    let folder = tempfile::tempdir().unwrap();
    let silent = peer(|mut stream| {
        let mut bytes = [0; 64];
        while stream.read(&mut bytes)? > 0 {}
        Ok(())
    });
    let closing = peer(|mut stream| {
        let mut bytes = [0; 8];
        stream.read(&mut bytes).map(drop)
    });
    let other = peer(|mut stream| {
        stream.write_all(b"SSH-2.0-OpenSSH_9.6\r\n")?;
        let mut bytes = [0; 64];
        while stream.read(&mut bytes)? > 0 {}
        Ok(())
    });
    for address in [silent, closing, other] {
        for scheme in ["nats", "tcp"] {
            let url = format!("wrpc+{scheme}://{address}");
            let (_, said) = hit(folder.path(), &[&url, "-n", "2", "--timeout", "2s"]);
            assert!(said.contains("done 0 + failed 2"), "{scheme}: {said}");
        }
    }
    let (_, said) = hit(folder.path(), &["wrpc+tcp://127.0.0.1:1", "-n", "2"]);
    assert!(said.contains("connection_refused: "), "{said}");
}

#[test]
fn what_cannot_be_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, part) in [
        (
            &["wrpc+nats://h", "--call", "a:b/c.d"][..],
            "name the file or the folder of its WIT by --wit",
        ),
        (
            &[
                "wrpc+nats://h",
                "--call",
                "test:peer/jobs.nothing",
                "--wit",
                "none.wit",
            ],
            "can't read none.wit",
        ),
        (
            &["wrpc+nats://h", "--call", "x", "--wit", "peer.wit"],
            "test:peer/jobs.echo",
        ),
        (&["wrpc+nats://h", "--wit", "peer.wit"], "--call"),
        (&["wrpc+nats://h/a/b"], "isn't a prefix"),
        (&["wrpc+tcp://h:1/a"], "over TCP there is no prefix"),
        (
            &["wrpc+tcp://h:1", "-O", "token=hidden"],
            "it is one of wRPC over NATS",
        ),
        (&["wrpc+tcp://me:hidden@h:1"], "takes no credentials"),
        (
            &["wrpc+tcp://h:1", "-H", "a: b"],
            "no place for the headers",
        ),
        (&["wrpc+nats://h", "-k"], "no --insecure"),
        (&["wrpc+nats://h", "-x", "http://p:1"], "proxy"),
        (&["wrpc+nats://h", "-O", "ping-interval=x"], "ping-interval"),
        (&["wrpc+nats://h", "/path"], "for HTTP over wRPC"),
        (
            &["wrpc+nats://h/p/http", "--cpu-burn-ms", "1"],
            "leave it out",
        ),
        (&["wrpc+nats://h", "-X", "POST"], "a call has no method"),
        (&["http://h", "--call", "a"], "call"),
        (&["http://h", "http://i"], "http://i"),
    ] {
        let (ok, said) = hit(folder.path(), &[arguments, &["-n", "1"]].concat());
        assert!(!ok && said.contains(part), "{arguments:?}: {said}");
        assert!(!said.contains("hidden"), "{said}");
    }
    let bad = [
        "wrpc+nats://h",
        "--call",
        "test:peer/jobs.echo",
        "-d",
        r#"[1, "a", [300]]"#,
        "-n",
        "1",
    ];
    let (ok, said) = hit(folder.path(), &[&bad[..], &OF_WIT].concat());
    assert!(
        !ok && said.contains("args[2][0]: 300 doesn't fit u8"),
        "{said}"
    );
}

#[test]
fn an_open_workload_is_on_time() {
    let receiver = Receiver::over_tcp();
    let folder = tempfile::tempdir().unwrap();
    let url = receiver.url();
    let arguments = [
        &*url,
        "--rate",
        "200",
        "--for",
        "2s",
        "--streams",
        "8",
        "-c",
        "4",
        "-o",
        "run.enc",
    ];
    let (ok, said) = hit(folder.path(), &arguments);
    assert!(ok && said.contains("scheduled 400 = done 400"), "{said}");
    assert_eq!(receiver.blasts().len(), 400);
}
