//! HTTP/2: every hit once at real servers, and peers that lie, flood and fall silent.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::print_stdout)] // a test that fails here says enough

#[path = "rig/http2_peer.rs"]
mod http2_peer;
#[path = "rig/peer.rs"]
mod peer;
#[path = "rig/process.rs"]
mod process;
#[path = "rig/program.rs"]
mod program;

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use http2_peer::{frame, http2_peer};
use peer::peer;
use process::Process;

fn hit(folder: &Path, arguments: &[&str]) -> (bool, String) {
    let arguments = [
        &["hit", "--http2"],
        arguments,
        &["--quiet", "--threads", "2"],
    ]
    .concat();
    let output = program::run(folder, &arguments);
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

fn settings() -> Vec<u8> {
    frame(4, 0, 0, &[])
}

/// Waits for the request on stream 1, and says this.
fn says(bytes: impl Fn() -> Vec<u8> + Send + Sync + 'static) -> SocketAddr {
    http2_peer(move |stream| stream.write_all(&bytes()))
}

#[test]
fn hostile_servers_are_failures_with_a_reason() {
    let ok = || frame(1, 4, 1, &[0x88]);
    let row = |bytes: Vec<u8>, times: usize| bytes.repeat(times);
    let length_5 = [&[0x88, 0x0f, 0x0d, 1][..], b"5"].concat();
    // A literal with indexing of 3,000 bytes, and references to it.
    let mut bomb = vec![0x88, 0x40, 1, b'a', 0x7f, 0xb9, 0x16];
    bomb.extend([b'x'; 3000]);
    bomb.extend([0xbe; 12_000]);
    let is_http1 = peer(|mut stream| {
        stream.read_exact(&mut [0; 24])?;
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    });
    let cases: Vec<(SocketAddr, u16, &str)> = vec![
        (is_http1, 1002, "speaks HTTP/1.1"),
        (says(move || frame(1, 4, 1, &bomb)), 1008, "head is longer"),
        (
            says(move || [frame(1, 0, 1, &[0x88]), row(frame(9, 0, 1, &[]), 10_000)].concat()),
            1014,
            "flood",
        ),
        (says(move || row(settings(), 10_000)), 1014, "flood"),
        (
            says(move || row(frame(6, 0, 0, &[0; 8]), 10_000)),
            1014,
            "flood",
        ),
        (
            says(move || [ok(), row(frame(0, 0, 1, &[]), 10_000)].concat()),
            1014,
            "flood",
        ),
        (
            says(|| frame(8, 0, 0, &[0x7f, 0xff, 0xff, 0xff])),
            1002,
            "window larger",
        ),
        (says(|| frame(5, 4, 1, &[0, 0, 0, 2])), 1002, "PUSH_PROMISE"),
        (
            says(|| frame(3, 0, 1, &[0, 0, 0, 2])),
            1012,
            "INTERNAL_ERROR",
        ),
        (
            says(|| frame(3, 0, 1, &[0, 0, 0, 7])),
            1013,
            "REFUSED_STREAM",
        ),
        (
            says(|| frame(3, 0, 1, &[0, 0, 0, 11])),
            1014,
            "ENHANCE_YOUR_CALM",
        ),
        (says(|| frame(7, 0, 0, &[0; 8])), 1013, "didn't look at"),
        (
            says(|| frame(1, 4, 1, &[0xff])),
            1002,
            "can't be decompressed",
        ),
        (says(|| frame(1, 4, 3, &[0x88])), 1002, "unknown stream"),
        (
            says(move || frame(1, 5, 1, &length_5)),
            1002,
            "content-length",
        ),
        (says(|| vec![0xff; 9]), 1002, "frame longer"),
        (says(Vec::new), 1001, "timeout"),
    ];
    let folder = tempfile::tempdir().unwrap();
    for (address, code, reason) in cases {
        let url = format!("http://{address}/");
        let arguments = [&*url, "-n", "1", "-c", "1", "--timeout", "5s"];
        let arguments = match reason {
            "timeout" => [&arguments[..6], &["500ms"]].concat(),
            _ => arguments.to_vec(),
        };
        let (_, text) = hit(folder.path(), &arguments);
        assert!(text.contains(reason), "{code} {reason}: {text}");
        assert!(text.contains(&code.to_string()), "{code} {reason}: {text}");
    }
}

#[test]
fn what_cannot_be_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let (ok, text) = hit(folder.path(), &["tcp://localhost:1", "-n", "1"]);
    assert!(!ok && text.contains("--http2 is for http"), "{text}");
    let (ok, text) = hit(
        folder.path(),
        &["http://localhost:1", "-n", "1", "--streams", "0"],
    );
    assert!(!ok && text.contains("--streams"), "{text}");
    let output = program::run(
        folder.path(),
        &["hit", "http://localhost:1", "-n", "1", "--streams", "2"],
    );
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("--http2"), "{text}");
}

const NODE: &str = r#"
const http2 = require("http2"), fs = require("fs");
const settings = { settings: { maxConcurrentStreams: 7 } };
const server = http2.createServer(settings);

server.on("stream", (stream, headers) => {
  let body = 0;
  stream.on("data", (piece) => { body += piece.length; });
  stream.on("end", () => {
    fs.appendFileSync("log", headers[":path"] + " " + body + "\n");
    if (headers[":path"] === "/moved") {
      stream.respond({ ":status": 302, location: "/here", "set-cookie": "a=b" });
      return stream.end();
    }
    if (headers[":method"] === "HEAD") {
      return stream.respond({ ":status": 200, "content-length": 5 }, { endStream: true });
    }
    stream.respond({ ":status": 200 }, { waitForTrailers: true });
    stream.on("wantTrailers", () => stream.sendTrailers({ "x-end": "1" }));
    stream.end("x".repeat(100000));
  });
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
"#;

/// A server of Node's own HTTP/2; none where there is no Node.
fn node(folder: &Path) -> Option<(Process, String)> {
    let started = Command::new("node")
        .args(["-e", NODE])
        .current_dir(folder)
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut child) = started else {
        println!("SKIPPED: there is no node here, so that its HTTP/2 isn't met");
        return None;
    };
    let mut port = String::new();
    let stdout = child.stdout.take().unwrap();
    BufReader::new(stdout).read_line(&mut port).unwrap();
    Some((Process(child), format!("http://127.0.0.1:{}", port.trim())))
}

#[test]
fn every_hit_comes_once_to_a_server_of_node() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let Some((_server, url)) = node(folder) else {
        return;
    };
    let bodies = [0, 3, 70_000];
    let records: String = (0..1500)
        .map(|n| {
            let body = "y".repeat(bodies[n % 3]);
            let length = body.len();
            let text =
                format!("POST /{n} HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n{body}");
            format!("{} n\n{text}\n", text.len())
        })
        .collect();
    std::fs::write(folder.join("records"), records).unwrap();
    let input = ["-i", "records", "--format", "raw", "--loop", "1"];
    let arguments = [&[&*url, "-c", "2", "--streams", "20"], &input[..]].concat();
    let (ok, text) = hit(folder, &arguments);
    assert!(ok, "{text}");
    let log = std::fs::read_to_string(folder.join("log")).unwrap();
    let mut seen = HashMap::new();
    for line in log.lines() {
        let (path, body) = line.split_once(' ').unwrap();
        let n: usize = path[1..].parse().unwrap();
        assert_eq!(body, bodies[n % 3].to_string(), "{path}");
        *seen.entry(n).or_insert(0) += 1;
    }
    assert_eq!(seen.len(), 1500, "{text}");
    assert!(seen.values().all(|&times| times == 1));
    // Redirects are followed, and HEAD has no body.
    let (ok, text) = hit(folder, &[&format!("{url}/moved"), "-n", "3", "-L"]);
    assert!(ok, "{text}");
    let log = std::fs::read_to_string(folder.join("log")).unwrap();
    assert_eq!(log.lines().filter(|line| *line == "/here 0").count(), 3);
    let (ok, text) = hit(folder, &[&url, "-n", "3", "-X", "HEAD"]);
    assert!(ok, "{text}");
}
