//! gRPC at a server of grpc-go, a client of it at the target, and servers that lie, flood
//! and fall silent.

#![allow(clippy::expect_used, clippy::unwrap_used)] // a test that fails here says enough

#[path = "rig/go_peer.rs"]
#[allow(dead_code)] // what servers print isn't needed here
mod go_peer;
#[path = "rig/http2_peer.rs"]
mod http2_peer;
#[path = "rig/peer.rs"]
mod peer;
#[path = "rig/process.rs"]
mod process;
#[path = "rig/program.rs"]
mod program;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Output, Stdio};

use encarno_http2::hpack::write_field;
use encarno_target::{Target, TargetSettings};
use go_peer::{GoServer, go_peer};
use http2_peer::{frame, http2_peer};

fn hit(folder: &Path, arguments: &[&str]) -> (bool, String) {
    let arguments = [&["hit"], arguments, &["--quiet", "--threads", "1"]].concat();
    let output = program::run(folder, &arguments);
    let words = said(&output);
    let words: Vec<_> = words.split_whitespace().collect();
    (output.status.success(), words.join(" "))
}

fn said(output: &Output) -> String {
    String::from_utf8([&output.stdout[..], &output.stderr].concat()).unwrap()
}

fn folder_with_echo() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let echo = include_str!("../../target/src/echo.proto");
    std::fs::write(folder.path().join("echo.proto"), echo).unwrap();
    folder
}

/// A head, or trailers.
fn head(fields: &[(&str, &str)], ends: bool) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        write_field(name.as_bytes(), value.as_bytes(), &mut block);
    }
    let first = block.len().min(16_000);
    let flags = u8::from(ends);
    if first == block.len() {
        return frame(1, flags | 4, 1, &block);
    }
    let mut out = frame(1, flags, 1, &block[..first]);
    let mut rest = block[first..].chunks(16_000).peekable();
    while let Some(piece) = rest.next() {
        let flags = if rest.peek().is_none() { 4 } else { 0 };
        out.extend(frame(9, flags, 1, piece));
    }
    out
}

fn ok() -> Vec<u8> {
    head(
        &[(":status", "200"), ("content-type", "application/grpc")],
        false,
    )
}

fn data(bytes: &[u8]) -> Vec<u8> {
    bytes
        .chunks(16_000)
        .flat_map(|piece| frame(0, 0, 1, piece))
        .collect()
}

fn trailers(status: &str) -> Vec<u8> {
    head(&[("grpc-status", status)], true)
}

/// Waits for the call on stream 1, and says this.
fn says(bytes: Vec<u8>) -> SocketAddr {
    http2_peer(move |stream| stream.write_all(&bytes))
}

#[test]
fn hostile_servers_are_failures_with_a_reason() {
    let folder = folder_with_echo();
    let folder = folder.path();
    let all = |parts: &[Vec<u8>]| parts.concat();
    let gzip = |fields: &[(&str, &str)]| {
        let usual = [(":status", "200"), ("content-type", "application/grpc")];
        head(&[&usual[..], fields].concat(), false)
    };
    let mut bomb = Vec::new();
    encarno_grpc::write(&encarno_grpc::gzip(&vec![0; 64 << 20]), true, &mut bomb);
    let message = [0, 0, 0, 0, 2, 0x10, 5];
    let long = "x".repeat(250_000);
    let cases: Vec<(Vec<u8>, &str, &str)> = vec![
        // A prefix of 4 GiB, a flag that there isn't, and one that nobody explained.
        (
            all(&[ok(), data(&[0, 255, 255, 255, 255])]),
            "1002",
            "a message of 4294967295 bytes",
        ),
        (
            all(&[ok(), data(&[7, 0, 0, 0, 0])]),
            "1002",
            "begins with the byte 7",
        ),
        (
            all(&[ok(), data(&[1, 0, 0, 0, 0])]),
            "1002",
            "without grpc-encoding",
        ),
        (
            gzip(&[("grpc-encoding", "zstd")]),
            "1002",
            "compressed by zstd",
        ),
        (
            all(&[
                gzip(&[("grpc-encoding", "gzip")]),
                data(&bomb),
                trailers("0"),
            ]),
            "1002",
            "longer than 4194304 bytes decompressed",
        ),
        // Endings.
        (
            all(&[ok(), data(&message), frame(0, 1, 1, &[])]),
            "1002",
            "without trailers",
        ),
        (
            all(&[ok(), data(&message[..6]), trailers("0")]),
            "1002",
            "in the middle of a message",
        ),
        (all(&[ok(), trailers("0")]), "1002", "has no message"),
        (
            all(&[ok(), data(&message.repeat(2)), trailers("0")]),
            "1002",
            "several messages",
        ),
        (
            all(&[ok(), data(&message), head(&[("x", "y")], true)]),
            "1002",
            "no grpc-status",
        ),
        (
            all(&[ok(), data(&message), trailers("no")]),
            "1002",
            "isn't a number",
        ),
        (
            all(&[ok(), data(&[0, 0, 0, 0, 2, 0xff, 0xff]), trailers("0")]),
            "1002",
            "isn't encarno.Words",
        ),
        // What isn't gRPC.
        (
            head(&[(":status", "200"), ("content-type", "text/html")], true),
            "1002",
            "content-type is text/html",
        ),
        (head(&[(":status", "200")], true), "1002", "no content-type"),
        (
            head(&[(":status", "502")], true),
            "503: 1",
            "UNAVAILABLE: the answer has HTTP status 502",
        ),
        (
            head(&[(":status", "404")], false),
            "501: 1",
            "UNIMPLEMENTED",
        ),
        // Texts.
        (
            all(&[
                ok(),
                head(&[("grpc-status", "5"), ("grpc-message", &long)], true),
            ]),
            "404: 1",
            "NOT_FOUND: xxx",
        ),
        (
            all(&[
                ok(),
                head(
                    &[("grpc-status", "5"), ("grpc-message", &long.repeat(8))],
                    true,
                ),
            ]),
            "1014",
            "a head that is longer",
        ),
        (
            head(
                &[
                    (":status", "200"),
                    ("content-type", "application/grpc"),
                    ("grpc-status", "14"),
                    ("grpc-message", "%E2%9C%93 50% %1b[31m"),
                ],
                true,
            ),
            "503: 1",
            "UNAVAILABLE: ✓ 50%  [31m",
        ),
    ];
    let call = "POST /encarno.Echo/Say HTTP/1.1\r\nHost: h\r\n\r\n{}";
    let keys = r#""asserts": [{"jsonpath": "$.number", "equals": "5"}]"#;
    let record = format!("{{\"plen\": {}, {keys}}}\n{call}\n", call.len());
    std::fs::write(folder.join("records"), record).unwrap();
    for (bytes, code, reason) in cases {
        let url = format!("grpc://{}", says(bytes));
        // Somebody looks at the answer.
        let input = ["-i", "records", "--loop", "1"];
        let flags = [
            "--proto",
            "echo.proto",
            "--per-worker",
            "-c",
            "1",
            "--timeout",
            "20s",
        ];
        let (_, text) = hit(folder, &[&[&*url], &input[..], &flags].concat());
        assert!(text.contains("failed 1 "), "{reason}: {text}");
        let reason = reason.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(&reason), "{reason}: {text}");
        assert!(text.contains(code), "{code} {reason}: {text}");
    }
    // The same that is sound.
    let sound = says(all(&[ok(), data(&message), trailers("0")]));
    let url = format!("grpc://{sound}/encarno.Echo/Say");
    let (ok_, text) = hit(folder, &[&url, "-n", "1", "--proto", "echo.proto"]);
    assert!(ok_, "{text}");
}

#[test]
fn a_flood_of_messages_takes_no_memory() {
    let folder = folder_with_echo();
    let folder = folder.path();
    let flood = http2_peer(|stream| {
        stream.write_all(&ok())?;
        let many = data(&[0, 0, 0, 0, 2, 0x10, 5].repeat(2000));
        loop {
            stream.write_all(&many)?;
        }
    });
    let url = format!("grpc://{flood}/encarno.Echo/Repeat");
    let flags = [
        "--proto",
        "echo.proto",
        "-n",
        "1",
        "-c",
        "1",
        "--timeout",
        "1s",
    ];
    let mut command = program::command(
        folder,
        &[&["hit", &*url], &flags[..], &["--trace", "trace"]].concat(),
    );
    let mut child = command.spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut most_kib = 0;
    while child.try_wait().unwrap().is_none() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        most_kib = most_kib.max(kib.unwrap_or(0));
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let text = said(&child.wait_with_output().unwrap());
    assert!(text.contains("1001"), "{text}");
    assert!(most_kib < 300_000, "{most_kib} KiB");
}

/// A server of grpc-go; it ends with the test.
struct Server {
    url: String,
    _server: GoServer,
}

impl Server {
    fn start(reflection: &[&str]) -> Self {
        let server = GoServer::start("grpc-peer", reflection);
        Self {
            url: format!("grpc://{}/grpc.testing.TestService/", server.address),
            _server: server,
        }
    }

    fn url(&self, method: &str) -> String {
        format!("{}{method}", self.url)
    }
}

#[test]
fn a_server_of_grpc_go_tells_its_methods_and_gets_every_call() {
    let server = Server::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let trace = ["--trace", "trace", "--trace-show", "body", "-c", "1"];
    let traced = |method: &str, body: &str, flags: &[&str]| {
        let url = server.url(method);
        let (ok, text) = hit(folder, &[&[&*url, "-d", body], &trace[..], flags].concat());
        let trace = std::fs::read(folder.join("trace")).unwrap();
        assert!(ok, "{text}");
        String::from_utf8(trace).unwrap()
    };
    let body = r#"{"payload": {"body": "AAEC"}}"#;
    let flags = [
        "-n",
        "300",
        "-c",
        "2",
        "--streams",
        "10",
        "-H",
        "x-test: abc",
    ];
    let (ok, text) = hit(
        folder,
        &[&[&*server.url("UnaryCall"), "-d", body], &flags[..]].concat(),
    );
    assert!(ok && text.contains("200: 300 "), "{text}");
    // The server has counted them; it knows the deadline and the metadata.
    let flags = [
        "-n",
        "1",
        "-H",
        "x-test: abc",
        "--timeout",
        "1h",
        "-O",
        "compression=gzip",
    ];
    let seen = traced("UnaryCall", body, &flags);
    assert!(seen.contains(r#""username":"301""#), "{seen}");
    assert!(seen.contains("deadline=1h0m0s x-test=[abc]"), "{seen}");
    assert!(seen.contains(r#""body":"AAEC""#), "{seen}");
    let body = r#"{"responseParameters": [{"size": 70000}, {"size": 1}, {}]}"#;
    let seen = traced(
        "StreamingOutputCall",
        body,
        &["-n", "1", "-O", "compression=gzip"],
    );
    assert!(seen.contains("encarno-messages: 3;"), "{seen}");
    let body = r#"{"payload": {"body": "AAEC"}} {"payload": {"body": "AA=="}}"#;
    let seen = traced("StreamingInputCall", body, &["-n", "1"]);
    assert!(seen.contains(r#"{"aggregatedPayloadSize":4}"#), "{seen}");
    let seen = traced("FullDuplexCall", body, &["-n", "1"]);
    assert!(seen.contains("encarno-messages: 2;"), "{seen}");
    // A status with a text, and a message that is too long unless it is allowed.
    let body = r#"{"responseStatus": {"code": 9, "message": "ça % va"}}"#;
    let (_, text) = hit(folder, &[&server.url("UnaryCall"), "-d", body, "-n", "1"]);
    assert!(
        text.contains("FAILED_PRECONDITION: ça % va") && text.contains("400: 1"),
        "{text}"
    );
    let body = r#"{"responseSize": 5000000}"#;
    let (_, text) = hit(folder, &[&server.url("UnaryCall"), "-d", body, "-n", "1"]);
    assert!(text.contains("-O answer-max=N"), "{text}");
    let flags = ["-d", body, "-n", "1", "-O", "answer-max=6000000"];
    let (ok, text) = hit(folder, &[&[&*server.url("UnaryCall")], &flags[..]].concat());
    assert!(ok, "{text}");
    let (_, text) = hit(folder, &[&server.url("UnimplementedCall"), "-n", "1"]);
    assert!(
        text.contains("501: 1") && text.contains("UNIMPLEMENTED"),
        "{text}"
    );
}

#[test]
fn servers_with_older_reflection_or_none() {
    let folder = tempfile::tempdir().unwrap();
    let older = Server::start(&["v1alpha"]);
    let (ok, text) = hit(folder.path(), &[&older.url("EmptyCall"), "-n", "1"]);
    // It is there, and isn't implemented.
    assert!(!ok && text.contains("501: 1"), "{text}");
    let none = Server::start(&["none"]);
    let (ok, text) = hit(folder.path(), &[&none.url("UnaryCall"), "-n", "1"]);
    assert!(
        !ok && text.contains("doesn't tell its services (reflection)"),
        "{text}"
    );
    assert!(
        text.contains("give --proto FILE or --descriptors FILE"),
        "{text}"
    );
}

#[test]
fn a_client_of_grpc_go_is_answered_by_the_target() {
    let target = Target::start(TargetSettings::default()).unwrap();
    let address = target.address().to_string();
    let call = |method: &str, input: &str, gzip: bool| {
        let mut command = go_peer("grpc-peer");
        command
            .args(["call", &address, "encarno.Echo", method])
            .stderr(Stdio::piped());
        if gzip {
            command.env("GRPC_PEER_GZIP", "1");
        }
        let mut child = command.spawn().unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(input.as_bytes())
            .unwrap();
        said(&child.wait_with_output().unwrap())
            .replace(": ", ":")
            .replace(", ", ",")
    };
    for gzip in [false, true] {
        let answer = call("Say", r#"{"text":"hello","number":7}"#, gzip);
        assert_eq!(answer, "{\"text\":\"hello\",\"number\":\"7\"}\n");
        let answer = call("Repeat", r#"{"text":"a","times":3,"pauseMs":1}"#, gzip);
        assert_eq!(answer.lines().count(), 3, "{answer}");
        let answer = call("Collect", r#"{"text":"a"}{"text":"b"}"#, gzip);
        assert_eq!(answer, "{\"text\":\"ab\"}\n");
        let answer = call("Chat", r#"{"text":"a"}{"text":"b"}"#, gzip);
        assert_eq!(answer, "{\"text\":\"a\"}\n{\"text\":\"b\"}\n");
    }
    let answer = call("Say", r#"{"status":5,"statusText":"ça va"}"#, false);
    assert!(answer.contains("NotFound desc = ça va"), "{answer}");
    target.stop().unwrap();
}
