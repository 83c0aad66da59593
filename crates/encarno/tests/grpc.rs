//! gRPC between the hit generator and its target: every call once, streams and their
//! times, statuses, compression, files of calls, scripts, and what is wrong at the start.

#![allow(clippy::expect_used, clippy::unwrap_used)] // a test that fails here says enough

#[path = "rig/logged.rs"]
mod logged;
#[path = "rig/program.rs"]
mod program;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use encarno_nib::delay::Delay;
use encarno_target::{LogEntry, Target, TargetSettings};
use logged::logged;

const PROTO: &str = include_str!("../../target/src/echo.proto");

fn hit(folder: &Path, arguments: &[&str]) -> (bool, String) {
    let arguments = [&["hit"], arguments, &["--quiet", "--threads", "2"]].concat();
    said(folder, &arguments)
}

/// Whether it went well, and what it said, without the ends of lines.
fn said(folder: &Path, arguments: &[&str]) -> (bool, String) {
    let output = program::run(folder, arguments);
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    let words: Vec<_> = text.split_whitespace().collect();
    (output.status.success(), words.join(" "))
}

/// A target, and a folder.
fn target(run: impl FnOnce(&Path, SocketAddr)) {
    let target = Target::start(TargetSettings::default()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), target.address());
    target.stop().unwrap();
}

/// What the trace says of one call with that body.
fn traced(folder: &Path, url: &str, body: &str, flags: &[&str]) -> String {
    let usual = [
        url,
        "-n",
        "1",
        "-c",
        "1",
        "-d",
        body,
        "--trace",
        "trace",
        "--trace-show",
        "body",
    ];
    let (_, text) = hit(folder, &[&usual, flags].concat());
    let trace = std::fs::read(folder.join("trace")).unwrap_or_default();
    format!("{text}\n{}", String::from_utf8_lossy(&trace))
}

#[test]
fn every_call_comes_once() {
    let lines: String = (1..=2000)
        .map(|number| {
            let body = format!("{{\"number\": {number}, \"text\": \"t{number}\"}}");
            let head = "POST /encarno.Echo/Say HTTP/1.1\r\nHost: h\r\n";
            let text = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
            format!("{} n\n{text}\n", text.len())
        })
        .collect();
    let settings = TargetSettings {
        close_rate: 0.01,
        ..TargetSettings::default()
    };
    let ((ok, text), log) = logged(settings, |folder, address| {
        std::fs::write(folder.join("records"), lines).unwrap();
        let url = format!("grpc://{address}/");
        let input = ["-i", "records", "--format", "raw", "--loop", "1"];
        hit(
            folder,
            &[&[&*url, "-c", "2", "--streams", "10"], &input[..]].concat(),
        )
    });
    assert!(ok, "{text}");
    assert!(text.contains("200: 2000"), "{text}");
    assert_eq!(log.len(), 2000, "{text}");
    let once = |entries: &Vec<LogEntry>| entries.len() == 1 && entries[0].sent_ns > 0;
    assert!(log.values().all(once), "{text}");
    assert!((1..=2000).all(|number| log.contains_key(&number)));
}

#[test]
fn calls_of_all_four_kinds_are_answered() {
    target(|folder, address| {
        let url = |method: &str| format!("grpc://{address}/encarno.Echo/{method}");
        std::fs::write(folder.join("echo.proto"), PROTO).unwrap();
        for flags in [
            &[][..],
            &["--proto", "echo.proto"],
            &["-O", "compression=gzip"],
        ] {
            for (method, body, answer) in [
                (
                    "Say",
                    r#"{"text": "hello", "number": 5}"#,
                    r#"{"text":"hello","number":"5""#,
                ),
                ("Repeat", r#"{"text": "a", "times": 3}"#, r#""number":"3""#),
                (
                    "Collect",
                    r#"{"text": "a"} {"text": "b"}"#,
                    r#"{"text":"ab""#,
                ),
                (
                    "Chat",
                    "{\"text\": \"a\"}\n{\"number\": 8}",
                    r#""number":"8""#,
                ),
            ] {
                let text = traced(folder, &url(method), body, flags);
                assert!(text.contains("200: 1 "), "{method} {flags:?}: {text}");
                assert!(text.contains(answer), "{method} {flags:?}: {text}");
                assert!(text.contains("grpc-status: 0"), "{method}: {text}");
            }
        }
        // Without any message, as far as the method allows it.
        let (ok, text) = hit(folder, &[&url("Collect"), "-n", "2"]);
        assert!(ok, "{text}");
        let (ok, text) = hit(folder, &[&url("Say"), "-n", "2"]);
        assert!(ok, "{text}");
    });
}

#[test]
fn a_stream_tells_when_its_messages_came() {
    target(|folder, address| {
        let url = format!("grpc://{address}/encarno.Echo/Repeat");
        let body = r#"{"times": 5, "pause_ms": 40}"#;
        let text = traced(folder, &url, body, &[]);
        let number = |before: &str| -> u64 {
            let digits = text.split(before).nth(1).expect(&text).chars();
            let digits: String = digits.take_while(char::is_ascii_digit).collect();
            digits.parse().expect(&text)
        };
        assert_eq!(number("encarno-messages: "), 5);
        assert!(number("; last=") >= 160_000, "{text}");
        assert!(number("; first=") <= number("; last=") - 160_000, "{text}");
        // From the first message to the end.
        assert!(number("\"ReadTime\":") >= 160_000_000, "{text}");
    });
}

#[test]
fn a_file_has_the_times_of_a_streams_messages() {
    target(|folder, address| {
        let run = |method: &str, file: &str| {
            let url = format!("grpc://{address}/encarno.Echo/{method}");
            let body = r#"{"times": 5, "pause_ms": 20}"#;
            let flags = ["-n", "6", "-c", "2", "--label", method, "-o", file];
            let (ok, text) = hit(folder, &[&[&*url, "-d", body], &flags[..]].concat());
            assert!(ok, "{text}");
            text
        };
        let metrics = |file: &str| -> Vec<serde_json::Value> {
            let output = program::run(folder, &["stats", "--json", file]);
            let read: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
            read["metrics"].as_array().cloned().unwrap_or_default()
        };
        let text = run("Repeat", "one.enc");
        assert!(text.contains("grpc_message_gap"), "{text}");
        run("Repeat", "two.enc");
        let (ok, text) = said(folder, &["merge", "one.enc", "two.enc", "-o", "both.enc"]);
        assert!(ok, "{text}");
        for (file, streams) in [("one.enc", 6), ("both.enc", 12)] {
            let metrics = metrics(file);
            let of = |name: &str| {
                let metric = metrics.iter().find(|metric| metric["metric"] == name);
                metric.unwrap_or_else(|| panic!("{name}: {metrics:?}"))
            };
            let (time, gap) = (of("grpc_message_time"), of("grpc_message_gap"));
            assert_eq!(time["count"], streams * 5);
            assert_eq!(gap["count"], streams * 4);
            assert_eq!(time["series"][0]["tags"]["label"], "Repeat");
            // Message k comes at least k pauses of 20 ms after the start: 40 ms in the mean.
            let value =
                |metric: &serde_json::Value, name: &str| metric["values"][name].as_f64().unwrap();
            assert!(value(time, "avg") >= 39.9, "{metrics:?}");
            assert!(value(time, "max") >= value(gap, "max"), "{metrics:?}");
        }
        // Calls of one message cost nothing, and have none.
        run("Say", "say.enc");
        assert_eq!(metrics("say.enc"), [] as [serde_json::Value; 0]);
    });
}

#[test]
fn statuses_become_codes_and_keep_their_names() {
    target(|folder, address| {
        let url = format!("grpc://{address}/encarno.Echo/Say");
        for (status, code, name) in [
            (5, 404, "NOT_FOUND: no übung"),
            (14, 503, "UNAVAILABLE"),
            (4, 504, "DEADLINE_EXCEEDED"),
            (8, 429, "RESOURCE_EXHAUSTED"),
            (16, 401, "UNAUTHENTICATED"),
            (77, 500, "UNKNOWN"),
        ] {
            let body = format!("{{\"status\": {status}, \"statusText\": \"no übung\"}}");
            let (_, text) = hit(folder, &[&url, "-n", "3", "-d", &body]);
            assert!(text.contains(&format!("{code}: 3 ")), "{text}");
            assert!(text.contains(name), "{text}");
            assert!(text.contains("failed 3"), "{text}");
        }
        // One that is expected is no failure.
        let flags = ["-n", "3", "-d", r#"{"status": 5}"#, "--expect", "404"];
        let (ok, text) = hit(folder, &[&[&*url], &flags[..]].concat());
        assert!(ok && text.contains("failed 0"), "{text}");
    });
    let settings = TargetSettings {
        error_rate: 1.0,
        ..TargetSettings::default()
    };
    let ((_, text), _) = logged(settings, |folder, address| {
        let url = format!("grpc://{address}/encarno.Echo/Repeat");
        hit(folder, &[&url, "-n", "3"])
    });
    assert!(
        text.contains("INTERNAL") && text.contains("500: 3"),
        "{text}"
    );
}

#[test]
fn a_call_that_takes_too_long_fails_and_is_given_up() {
    let settings = TargetSettings {
        delay: Delay::Fixed(Duration::from_secs(60)),
        ..TargetSettings::default()
    };
    let ((_, text), _) = logged(settings, |folder, address| {
        let url = format!("grpc://{address}/encarno.Echo/Say");
        hit(folder, &[&url, "-n", "2", "--timeout", "300ms"])
    });
    assert!(text.contains("1001") && text.contains("failed 2"), "{text}");
}

#[test]
fn values_and_answers_are_for_scripts() {
    let record = |keys: &str, method: &str, body: &str| {
        let text = format!("POST /encarno.Echo/{method} HTTP/1.1\r\nHost: h\r\n\r\n{body}");
        format!("{{\"plen\": {}, {keys}}}\n{text}\n", text.len())
    };
    let records = [
        record(
            r#""label": "first", "extracts": {"n": {"jsonpath": "$.number"}},
            "asserts": [{"jsonpath": "$.text", "equals": "seven"}, {"text": "grpc-status: 0", "subject": "headers"}]"#
                .replace('\n', "")
                .as_str(),
            "Say",
            r#"{"text": "seven", "number": 7}"#,
        ),
        record(
            r#""label": "second", "replaces": ["n"], "asserts": [{"jsonpath": "$[1].number", "equals": "2"}]"#,
            "Repeat",
            r#"{"number": ${n}, "times": 2}"#,
        ),
    ];
    let ((_, text), log) = logged(TargetSettings::default(), |folder, address| {
        let run = format!(
            "protocol: {{driver: grpc, address: 'grpc://{address}'}}\n\
             input: {{payloadfile: records, iterationlimit: 3}}\n\
             workers: {{mode: closed, maxworkers: 1}}\n"
        );
        std::fs::write(folder.join("records"), records.concat()).unwrap();
        std::fs::write(folder.join("run.yaml"), run).unwrap();
        said(folder, &["run", "run.yaml"])
    });
    assert!(text.contains("failed 0 "), "{text}");
    assert!(text.contains("200: 6 "), "{text}");
    assert_eq!(log[&7].len(), 6, "{text}");
}

#[test]
fn what_is_wrong_is_said_at_the_start() {
    target(|folder, address| {
        std::fs::write(folder.join("echo.proto"), PROTO).unwrap();
        std::fs::write(folder.join("bad.proto"), "syntax = \"proto3\"; message {").unwrap();
        let url = |path: &str| format!("grpc://{address}{path}");
        let say = url("/encarno.Echo/Say");
        for (arguments, part) in [
            (vec![&*url("/encarno.Echo/say")], "did you mean Say?"),
            (
                vec![&*url("/encarno.Ecko/Say")],
                "did you mean encarno.Echo/Say?",
            ),
            (vec![&*url("/")], "the URL names no method"),
            (vec![&*say, "-d", "{\"txt\": 1}"], "did you mean text?"),
            (
                vec![&*say, "-d", "{\"text\""],
                "isn't encarno.Words in JSON",
            ),
            (vec![&*say, "-d", "{} {}"], "takes one message"),
            (
                vec![&*say, "--proto", "none.proto"],
                "none.proto: there is no such file",
            ),
            (vec![&*say, "--proto", "bad.proto"], "bad.proto"),
            (
                vec![&*say, "--descriptors", "echo.proto"],
                "isn't a descriptor set",
            ),
            (vec![&*say, "-X", "GET"], "names the method"),
            (vec![&*say, "-L"], "redirects"),
            (vec!["grpc://localhost/a.B/C"], "port"),
            (vec!["grpc://127.0.0.1:1/a.B/C"], "give --proto FILE"),
            (
                vec![&*say.replace("grpc:", "http:"), "--proto", "echo.proto"],
                "proto",
            ),
        ] {
            let (ok, text) = hit(folder, &[&arguments[..], &["-n", "1"]].concat());
            assert!(!ok, "{arguments:?}: {text}");
            assert!(text.contains(part), "{arguments:?}: {text}");
        }
    });
}

#[test]
fn through_tls_the_server_is_asked_and_called() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let key = rcgen::KeyPair::generate().unwrap();
    let parameters = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = parameters.self_signed(&key).unwrap();
    let (cert, secret) = (folder.join("cert.pem"), folder.join("key.pem"));
    std::fs::write(&cert, certificate.pem()).unwrap();
    std::fs::write(&secret, key.serialize_pem()).unwrap();
    let target = Target::start(TargetSettings {
        identity: Some((cert, secret)),
        ..TargetSettings::default()
    });
    let target = target.unwrap();
    let url = format!("grpcs://{}/encarno.Echo/Say", target.address());
    let (ok, text) = hit(
        folder,
        &[&url, "-n", "50", "--streams", "5", "-c", "1", "-k"],
    );
    assert!(ok && text.contains("200: 50 "), "{text}");
    // Without -k the certificate isn't believed, and that is said at the start.
    let (ok, text) = hit(folder, &[&url, "-n", "1"]);
    assert!(!ok && text.contains("certificate"), "{text}");
    assert_eq!(target.stop().unwrap().requests, 50);
}

#[test]
fn a_descriptor_set_says_what_there_is() {
    use encarno_grpc::wire::{write_bytes, write_number};
    let (mut file, mut message, mut field) = (Vec::new(), Vec::new(), Vec::new());
    write_bytes(1, b"text", &mut field);
    write_number(3, 1, &mut field);
    write_number(4, 1, &mut field);
    write_number(5, 9, &mut field);
    write_bytes(1, b"Words", &mut message);
    write_bytes(2, &field, &mut message);
    let (mut service, mut method, mut set) = (Vec::new(), Vec::new(), Vec::new());
    for (number, text) in [(1, "Say"), (2, ".encarno.Words"), (3, ".encarno.Words")] {
        write_bytes(number, text.as_bytes(), &mut method);
    }
    write_bytes(1, b"Echo", &mut service);
    write_bytes(2, &method, &mut service);
    for (number, bytes) in [
        (1, &b"x.proto"[..]),
        (2, b"encarno"),
        (4, &message),
        (6, &service),
    ] {
        write_bytes(number, bytes, &mut file);
    }
    write_bytes(1, &file, &mut set);
    target(|folder, address| {
        std::fs::write(folder.join("set.bin"), set).unwrap();
        let url = format!("grpc://{address}/encarno.Echo/Say");
        let flags = ["--descriptors", "set.bin", "-n", "5", "-d"];
        let (ok, text) = hit(
            folder,
            &[&[&*url], &flags[..], &[r#"{"text": "a"}"#]].concat(),
        );
        assert!(ok && text.contains("200: 5 "), "{text}");
        // What the set doesn't have isn't there.
        let (ok, text) = hit(
            folder,
            &[&[&*url], &flags[..], &[r#"{"number": 1}"#]].concat(),
        );
        assert!(!ok && text.contains("has no field number"), "{text}");
        // A file that is read isn't written over.
        let (ok, text) = hit(
            folder,
            &[&[&*url], &flags[..], &["{}", "-o", "set.bin"]].concat(),
        );
        assert!(
            !ok && text.contains("would be written over the descriptor set"),
            "{text}"
        );
    });
}
