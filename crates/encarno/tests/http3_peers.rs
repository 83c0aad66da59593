//! HTTP/3 at a server of quic-go, and a client of it at the target: every hit once by the log
//! of the other side, and servers that stop an upload.

#![allow(clippy::expect_used, clippy::unwrap_used)] // a test that fails here says enough

#[path = "rig/go_peer.rs"]
mod go_peer;
#[path = "rig/logged.rs"]
mod logged;
#[path = "rig/process.rs"]
mod process;
#[path = "rig/program.rs"]
mod program;
#[path = "rig/recorded.rs"]
#[allow(dead_code)] // not all of it is needed here
mod recorded;

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

use encarno_target::TargetSettings;
use go_peer::{GoServer, go_peer};
use logged::logged;
use recorded::hits;

/// A server of quic-go.
struct Server(GoServer);

/// What the server saw of a request.
struct Seen {
    body_bytes: u64,
    connection: String,
    is_resumed: bool,
}

impl Server {
    fn start(flags: &[&str]) -> Self {
        Self(GoServer::start("http3-peer", flags))
    }

    /// Sends these requests, which all have this body; gives what was said, and whether no
    /// hit failed.
    fn hit(&self, folder: &Path, paths: &str, body: &[u8], flags: &[&str]) -> (bool, String) {
        std::fs::write(folder.join("records"), paths).unwrap();
        std::fs::write(folder.join("body"), body).unwrap();
        let url = format!("https://{}/", self.0.address);
        let input = ["-i", "records", "--loop", "1", "--http3", "--insecure"];
        let output = ["--quiet", "--threads", "2", "-o", "run.enc"];
        let data: &[&str] = if body.is_empty() {
            &[]
        } else {
            &["-d", "@body"]
        };
        let arguments = [&["hit", &url], &input[..], &output, data, flags].concat();
        let output = program::run(folder, &arguments);
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(text).unwrap())
    }

    /// Ends it: what it saw, by the numbers of the requests.
    fn seen(mut self) -> HashMap<u64, Vec<Seen>> {
        drop(self.0.process.0.stdin.take());
        let mut log = String::new();
        self.0.stdout.read_to_string(&mut log).unwrap();
        let mut seen: HashMap<u64, Vec<Seen>> = HashMap::new();
        for line in log.lines().filter(|line| !line.is_empty()) {
            let words: Vec<_> = line.split(' ').collect();
            let one = Seen {
                body_bytes: words[1].parse().unwrap(),
                connection: words[2].to_owned(),
                is_resumed: words[3] == "resumed=true",
            };
            seen.entry(words[0].parse().unwrap()).or_default().push(one);
        }
        seen
    }
}

fn assert_once(seen: &HashMap<u64, Vec<Seen>>, count: usize, body_bytes: u64, text: &str) {
    assert_eq!(seen.len(), count, "{text}");
    let once = |all: &Vec<Seen>| all.len() == 1 && all[0].body_bytes == body_bytes;
    assert!(seen.values().all(once), "{text}");
}

fn connections(seen: &HashMap<u64, Vec<Seen>>) -> usize {
    let all = seen.values().flatten().map(|seen| &seen.connection);
    all.collect::<std::collections::HashSet<_>>().len()
}

#[test]
fn a_server_of_quic_go_gets_every_hit_once() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    // Bodies in both directions are longer than windows and the rest shorter than a datagram.
    let answers: String = (0..400)
        .map(|number| match number % 50 {
            0 => format!("/{number}?bytes=2000000\n"),
            size => format!("/{number}?bytes={}\n", size * 100),
        })
        .collect();
    let uploads: String = (0..30).map(|number| format!("/{number}\n")).collect();
    let (few, many) = (
        ["-c", "1", "--streams", "7"],
        ["-c", "3", "--streams", "20"],
    );
    for (server_flags, flags, paths, count, body_bytes) in [
        (&[][..], many, &answers, 400, 0),
        (&["--streams", "3"], few, &answers, 400, 0),
        (&[], few, &uploads, 30, 1_500_000),
        (&["--streams", "1"], few, &uploads, 30, 1_500_000),
    ] {
        let server = Server::start(server_flags);
        let (ok, text) = server.hit(folder, paths, &vec![b'x'; body_bytes], &flags);
        assert!(ok, "{text}");
        let seen = server.seen();
        assert_once(&seen, count, body_bytes as u64, &text);
        assert_eq!(connections(&seen).to_string(), flags[1], "{text}");
        let received: u64 = hits(&folder.join("run.enc"))
            .iter()
            .map(|(hit, _)| hit.received_bytes)
            .sum();
        assert!(body_bytes > 0 || received > 8 * 2_000_000, "{text}");
    }
}

/// What reaches the server after it has decided to leave is refused, and not sent again.
#[test]
fn a_server_that_leaves_again_and_again_gets_no_hit_twice() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&["--leave-after", "100"]);
    let paths: String = (0..1000).map(|number| format!("/{number}\n")).collect();
    let flags = ["-c", "2", "--streams", "10"];
    let (_, text) = server.hit(folder.path(), &paths, b"", &flags);
    let (mut done, mut refused) = (0, 0);
    for (hit, _) in hits(&folder.path().join("run.enc")) {
        match hit.net_code {
            0 => done += 1,
            1013 => refused += 1,
            other => panic!("{other}: {text}"),
        }
    }
    assert_eq!(done + refused, 1000, "{text}");
    let seen = server.seen();
    assert_once(&seen, done, 0, &text);
    // Each has left five times at least, and at most ten times in all.
    assert!((6..=24).contains(&connections(&seen)), "{text}");
}

#[test]
fn sessions_are_resumed_unless_asked_not_to() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let paths: String = (0..200).map(|number| format!("/{number}\n")).collect();
    let early = ["-O", "early-data=true"];
    for (flags, is_resumed, is_early) in [
        (&[][..], true, false),
        (&["--no-tls-resumption"], false, false),
        (&early, true, true),
    ] {
        let server = Server::start(&["--leave-after", "20", "--early"]);
        let usual = ["-c", "1", "--summary", "summary.json"];
        let (_, text) = server.hit(folder, &paths, b"", &[&usual, flags].concat());
        let hits = hits(&folder.join("run.enc"));
        // What reaches it after it has left is refused.
        let done = hits.iter().filter(|(hit, _)| hit.net_code != 1013);
        let seen = server.seen();
        assert_once(&seen, done.count(), 0, &text);
        let first = &seen[&0][0].connection;
        for (number, requests) in &seen {
            let expected = is_resumed && requests[0].connection != *first;
            assert_eq!(requests[0].is_resumed, expected, "{number}: {text}");
        }
        let summary = std::fs::read(folder.join("summary.json")).unwrap();
        let summary: serde_json::Value = serde_json::from_slice(&summary).unwrap();
        let summary = &summary["transport"];
        let connections = summary["connections"].as_u64().unwrap();
        assert!(connections > 5, "{text}");
        let expected = if is_early { connections - 1 } else { 0 };
        assert_eq!(summary["early_accepted"], expected, "{text}");
        assert_eq!(summary["early_rejected"], 0, "{text}");
    }
}

#[test]
fn uploads_that_the_server_stops_leave_their_neighbours_alone() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let body = vec![b'x'; 3_000_000];
    for (what, code, status) in [("reset", 1012, 0), ("refuse", 0, 413)] {
        let server = Server::start(&[]);
        let path = |number| match number % 3 {
            0 => format!("/{what}/{number}?after=100000\n"),
            _ => format!("/{number}\n"),
        };
        let paths: String = (0..30).map(path).collect();
        let flags = ["-c", "1", "--streams", "6", "--expect", "200,413"];
        let (ok, text) = server.hit(folder, &paths, &body, &flags);
        assert!(ok, "{text}");
        let (mut stopped, mut whole) = (0, 0);
        for (hit, _) in hits(&folder.join("run.enc")) {
            if (hit.net_code, hit.protocol_code) == (0, 200) {
                whole += 1;
                assert!(hit.sent_bytes > 3_000_000, "{hit:?}");
                continue;
            }
            stopped += 1;
            assert_eq!((hit.net_code, hit.protocol_code), (code, status), "{text}");
            // The server's windows are smaller than the body.
            assert!((100_000..3_000_000).contains(&hit.sent_bytes), "{hit:?}");
        }
        assert_eq!((stopped, whole), (10, 20), "{text}");
        assert!(code == 0 || text.contains("H3_INTERNAL_ERROR"), "{text}");
        let seen = server.seen();
        assert_eq!((seen.len(), connections(&seen)), (30, 1), "{text}");
        for (number, requests) in seen {
            let body_bytes = if number % 3 == 0 { 100_000 } else { 3_000_000 };
            assert_eq!(requests.len(), 1);
            assert_eq!(requests[0].body_bytes, body_bytes, "{number}");
        }
    }
}

#[test]
fn a_head_that_is_too_long_for_the_server_is_not_sent() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let server = Server::start(&["--head-bytes", "20000"]);
    for (length, says) in [
        (15_000, "200: 1"),
        (19_000, "200: 1"),
        (20_000, "1008: 1"),
        (100_000, "1008: 1"),
    ] {
        let field = format!("x-long: {}", "x".repeat(length));
        let (_, text) = server.hit(folder, &format!("/{length}\n"), b"", &["-H", &field]);
        assert!(text.contains(says), "{length}: {text}");
    }
    assert_eq!(server.seen().len(), 2);
}

#[test]
fn a_client_of_quic_go_is_answered_by_the_target() {
    let usual = || TargetSettings {
        tls: true,
        ..TargetSettings::default()
    };
    let few = TargetSettings {
        streams_max: Some(3),
        ..usual()
    };
    let large = TargetSettings {
        body_bytes: 2_000_000,
        ..usual()
    };
    let leaves = TargetSettings {
        close_rate: 0.05,
        ..usual()
    };
    for (settings, count, body) in [
        (usual(), 2000, "0"),
        (usual(), 20, "3000000"),
        (few, 200, "5000"),
        (large, 20, "0"),
        (leaves, 500, "0"),
    ] {
        let body_bytes = settings.body_bytes;
        let (text, log) = logged(settings, |_, address| {
            let output = go_peer("http3-peer")
                .args(["fetch", "-n", &count.to_string(), "-streams", "20"])
                .args(["-body", body, &format!("https://{address}/")])
                .output()
                .unwrap();
            let text = [output.stdout, output.stderr].concat();
            String::from_utf8(text).unwrap()
        });
        let bytes = count * body_bytes;
        assert_eq!(text, format!("{count} answers, {bytes} bytes\n"));
        assert_eq!(log.len(), count);
        let once = |entries: &Vec<encarno_target::LogEntry>| entries.len() == 1;
        assert!(log.values().all(once));
    }
}
