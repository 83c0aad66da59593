//! HTTP/3 between the hit generator and its target: every hit once, whatever the target and
//! the network do; and servers that aren't there, say nothing, or speak another protocol.

#![allow(clippy::expect_used, clippy::unwrap_used)] // a test that fails here says enough

#[path = "rig/logged.rs"]
mod logged;
#[path = "rig/program.rs"]
mod program;
#[path = "rig/recorded.rs"]
#[allow(dead_code)] // not all of it is needed here
mod recorded;

use std::collections::{HashMap, VecDeque};
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use encarno_nib::delay::Delay;
use encarno_record::Hit;
use encarno_target::{LogEntry, Target, TargetSettings};
use logged::logged;
use recorded::hits;

fn hit(folder: &Path, arguments: &[&str]) -> (bool, String) {
    let arguments = [&["hit"], arguments, &["--quiet", "--threads", "2"]].concat();
    let output = program::run(folder, &arguments);
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

fn with_tls() -> TargetSettings {
    TargetSettings {
        tls: true,
        ..TargetSettings::default()
    }
}

/// Sends so many numbered requests to a target, and gives what was said and the target's
/// log by their numbers.
fn numbered(
    count: u64,
    settings: TargetSettings,
    flags: &[&str],
) -> (bool, String, HashMap<u64, Vec<LogEntry>>) {
    let lines: String = (0..count).map(|number| format!("/{number}\n")).collect();
    let ((ok, text), log) = logged(settings, |folder, address| {
        std::fs::write(folder.join("records"), lines).unwrap();
        let url = format!("https://{address}/");
        let input = ["-i", "records", "--loop", "1", "--http3", "--insecure"];
        hit(folder, &[&[&*url], &input[..], flags].concat())
    });
    (ok, text, log)
}

fn assert_once(log: &HashMap<u64, Vec<LogEntry>>, count: usize, text: &str) {
    assert_eq!(log.len(), count, "{text}");
    let once = |entries: &Vec<LogEntry>| entries.len() == 1 && entries[0].sent_ns > 0;
    assert!(log.values().all(once), "{text}");
}

#[test]
fn every_hit_comes_once_while_the_target_asks_to_leave() {
    let settings = TargetSettings {
        close_rate: 0.02,
        body_bytes: 3000,
        ..with_tls()
    };
    let (ok, text, log) = numbered(2000, settings, &["-c", "2", "--streams", "10"]);
    assert!(ok, "{text}");
    assert_once(&log, 2000, &text);
}

#[test]
fn what_is_broken_off_is_failed_and_nothing_else() {
    let settings = TargetSettings {
        reset_rate: 0.1,
        body_bytes: 1000,
        ..with_tls()
    };
    let (_, text, log) = numbered(1000, settings, &["-c", "1", "--streams", "20"]);
    let failed = log.values().filter(|entries| entries[0].sent_ns == 0);
    let (failed, all) = (failed.count(), log.len());
    assert_eq!(all, 1000, "{text}");
    assert!((30..200).contains(&failed), "{failed}");
    let account = format!("done {} + failed {failed} + dropped 0", all - failed);
    assert!(text.contains(&account), "{failed}: {text}");
    assert!(text.contains("1012"), "{text}");
}

#[test]
fn the_streams_that_the_server_allows_are_kept() {
    let settings = TargetSettings {
        streams_max: Some(3),
        body_bytes: 5000,
        delay: Delay::Fixed(Duration::from_millis(1)),
        ..with_tls()
    };
    let (ok, text, log) = numbered(200, settings, &["-c", "1", "--streams", "8"]);
    assert!(ok, "{text}");
    assert_once(&log, 200, &text);
    assert!(at_once(log.values().flatten()) <= 3, "{text}");
}

/// The most requests that the target had at a time.
fn at_once<'a>(entries: impl Iterator<Item = &'a LogEntry>) -> i32 {
    let mut instants: Vec<_> = entries
        .flat_map(|entry| [(entry.received_ns, 1), (entry.sent_ns, -1)])
        .collect();
    instants.sort_unstable();
    let (mut running, mut most) = (0, 0);
    for (_, step) in instants {
        running += step;
        most = most.max(running);
    }
    most
}

#[test]
fn hits_spread_over_connections_if_asked_to() {
    let settings = TargetSettings {
        streams_max: Some(3),
        delay: Delay::Fixed(Duration::from_millis(5)),
        ..with_tls()
    };
    let flags = ["-c", "1", "--streams", "8", "-O", "spread=true"];
    let (ok, text, log) = numbered(400, settings, &flags);
    assert!(ok, "{text}");
    assert_once(&log, 400, &text);
    assert!(at_once(log.values().flatten()) > 3, "{text}");
    // Three connections have room for all eight, and each has one at least.
    let mut by_connection: HashMap<u64, Vec<&LogEntry>> = HashMap::new();
    for entry in log.values().flatten() {
        by_connection
            .entry(entry.connection)
            .or_default()
            .push(entry);
    }
    assert!((3..=8).contains(&by_connection.len()), "{text}");
    for entries in by_connection.values() {
        assert!(at_once(entries.iter().copied()) <= 3, "{text}");
    }
}

/// What a network does to datagrams.
#[derive(Clone, Copy, Default)]
struct Faults {
    /// It loses one in nine, and swaps one in seven with the next one.
    loses_and_swaps: bool,
    /// Each takes so long.
    delay: Duration,
}

/// Carries datagrams between the clients of `listens` and a server.
struct BadNetwork {
    address: SocketAddr,
    is_over: Arc<AtomicBool>,
    carrying: Option<thread::JoinHandle<()>>,
}

impl BadNetwork {
    /// Each new client goes to the next server.
    fn to(servers: &[SocketAddr], faults: Faults) -> Self {
        let listens = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = listens.local_addr().unwrap();
        let is_over = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&is_over);
        let servers = servers.to_vec();
        let carrying = thread::spawn(move || carry(&listens, &servers, faults, &ends));
        Self {
            address,
            is_over,
            carrying: Some(carrying),
        }
    }
}

impl Drop for BadNetwork {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.carrying.take().unwrap().join().unwrap();
    }
}

/// A datagram of a client, or for it.
type Carried = (Vec<u8>, Option<SocketAddr>, SocketAddr);

fn carry(listens: &UdpSocket, servers: &[SocketAddr], faults: Faults, is_over: &AtomicBool) {
    listens.set_nonblocking(true).unwrap();
    let mut clients: HashMap<SocketAddr, UdpSocket> = HashMap::new();
    let (mut buffer, mut count) = ([0; 65536], 0_u64);
    let mut next = servers.iter().cycle();
    let mut kept: Option<Carried> = None;
    let mut on_the_way: VecDeque<(Instant, Carried)> = VecDeque::new();
    while !is_over.load(Ordering::Relaxed) {
        let mut came = Vec::new();
        while let Some((length, from)) = received(listens, &mut buffer) {
            clients.entry(from).or_insert_with(|| {
                let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
                socket.connect(next.next().unwrap()).unwrap();
                socket.set_nonblocking(true).unwrap();
                socket
            });
            came.push((buffer[..length].to_vec(), None, from));
        }
        for (client, socket) in &clients {
            while let Some((length, _)) = received(socket, &mut buffer) {
                came.push((buffer[..length].to_vec(), Some(*client), *client));
            }
        }
        if came.is_empty() {
            thread::sleep(Duration::from_micros(200));
        }
        for one in came {
            count += u64::from(faults.loses_and_swaps);
            if count.is_multiple_of(9) && faults.loses_and_swaps {
                continue;
            }
            if count.is_multiple_of(7) && kept.is_none() && faults.loses_and_swaps {
                kept = Some(one);
                continue;
            }
            let arrives = Instant::now() + faults.delay;
            let both = [Some(one), kept.take()].into_iter().flatten();
            on_the_way.extend(both.map(|one| (arrives, one)));
        }
        while let Some((_, (bytes, to_client, client))) =
            on_the_way.pop_front_if(|(arrives, _)| *arrives <= Instant::now())
        {
            // Full sockets lose datagrams, too.
            let _sent = match to_client {
                Some(to) => listens.send_to(&bytes, to),
                None => clients[&client].send(&bytes),
            };
        }
    }
}

fn received(socket: &UdpSocket, buffer: &mut [u8]) -> Option<(usize, SocketAddr)> {
    match socket.recv_from(buffer) {
        Ok(received) => Some(received),
        Err(error) if error.kind() == ErrorKind::WouldBlock => None,
        // A peer that is gone says so once.
        Err(_) => None,
    }
}

#[test]
fn a_network_that_loses_and_reorders_datagrams_loses_no_hit() {
    let settings = TargetSettings {
        body_bytes: 2000,
        ..with_tls()
    };
    let lines: String = (0..300).map(|number| format!("/{number}\n")).collect();
    let ((ok, text), log) = logged(settings, |folder, address| {
        std::fs::write(folder.join("records"), lines).unwrap();
        let faults = Faults {
            loses_and_swaps: true,
            ..Faults::default()
        };
        let network = BadNetwork::to(&[address], faults);
        let url = format!("https://{}/", network.address);
        let input = ["-i", "records", "--loop", "1", "--http3", "--insecure"];
        let flags = ["-c", "2", "--streams", "5", "--timeout", "60s"];
        let output = ["-o", "run.enc", "--summary", "summary.json"];
        let outcome = hit(folder, &[&[&*url], &input[..], &flags, &output].concat());
        // The summary, and `stats` of the file, say what was lost.
        let summary = transport(&std::fs::read(folder.join("summary.json")).unwrap());
        assert_eq!(summary["connections"], 2, "{summary}");
        let lost = summary["packets_lost"].as_u64().unwrap();
        assert!(lost > 0 && summary["packets_sent"].as_u64() > Some(lost));
        let stats = program::run(folder, &["stats", "--json", "run.enc"]);
        assert_eq!(transport(&stats.stdout), summary);
        outcome
    });
    assert!(ok && text.contains("QUIC: 2 connections, "), "{text}");
    assert!(
        text.contains(" lost (") && text.contains("sent again"),
        "{text}"
    );
    assert_once(&log, 300, &text);
}

/// What the connections counted, by a summary.
fn transport(json: &[u8]) -> serde_json::Value {
    let summary: serde_json::Value = serde_json::from_slice(json).unwrap();
    summary["transport"].clone()
}

/// Sends numbered requests over connections that the target closes often, and with 0-RTT:
/// what the connections counted, and the hits.
fn early(
    folder: &Path,
    address: SocketAddr,
    count: u64,
    flags: &[&str],
) -> (serde_json::Value, Vec<Hit>) {
    let lines: String = (0..count).map(|number| format!("/{number}\n")).collect();
    std::fs::write(folder.join("records"), lines).unwrap();
    let url = format!("https://{address}/");
    let input = ["-i", "records", "--loop", "1", "--http3", "--insecure"];
    let output = ["-o", "run.enc", "--summary", "summary.json", "-c", "1"];
    let (ok, text) = hit(
        folder,
        &[
            &[&*url, "-O", "early-data=true"],
            &input[..],
            &output,
            flags,
        ]
        .concat(),
    );
    assert!(ok, "{text}");
    let summary = transport(&std::fs::read(folder.join("summary.json")).unwrap());
    let hits = hits(&folder.join("run.enc"));
    (summary, hits.into_iter().map(|(hit, _)| hit).collect())
}

fn leaving() -> TargetSettings {
    TargetSettings {
        close_rate: 0.1,
        ..with_tls()
    }
}

#[test]
fn early_data_come_once_and_do_not_wait_for_the_handshake() {
    let run = |flags: &[&str]| {
        let ((summary, hits), log) = logged(leaving(), |folder, address| {
            early(folder, address, 300, flags)
        });
        assert_once(&log, 300, &format!("{flags:?}"));
        assert_eq!(summary["early_rejected"], 0, "{flags:?}: {summary}");
        let waited = hits.iter().filter(|hit| hit.tls_us > 0).count();
        (summary, waited as u64)
    };
    for flags in [&[][..], &["-X", "HEAD"], &["--streams", "5"]] {
        let (summary, waited) = run(flags);
        let connections = summary["connections"].as_u64().unwrap();
        assert!(connections > 5, "{flags:?}: {summary}");
        assert_eq!(
            summary["early_accepted"],
            connections - 1,
            "{flags:?}: {summary}"
        );
        // The first handshake is a whole one, and all that the connection may carry wait.
        assert!((1..=5).contains(&waited), "{flags:?}: {waited}");
    }
    // What isn't idempotent waits for each handshake.
    let (summary, waited) = run(&["-d", "x"]);
    assert_eq!(summary["connections"], waited, "{summary}");
}

/// The two targets don't know each other's sessions, and connections go to both in turns.
#[test]
fn early_data_that_are_rejected_are_sent_again_and_come_once() {
    for streams in ["1", "10"] {
        let (((summary, hits), mut one), other) = logged(leaving(), |_, first| {
            logged(leaving(), |folder, second| {
                let network = BadNetwork::to(&[first, second], Faults::default());
                early(folder, network.address, 300, &["--streams", streams])
            })
        });
        for (number, entries) in other {
            one.entry(number).or_default().extend(entries);
        }
        assert_once(&one, 300, &summary.to_string());
        assert!(summary["early_rejected"].as_u64() > Some(0), "{summary}");
        for hit in &hits {
            assert!(hit.connected_ns >= hit.started_ns, "{hit:?}");
            assert!(hit.sent_ns >= hit.connected_ns && hit.ended_ns >= hit.sent_ns);
        }
        // Each of them waited for a handshake that others didn't.
        let waited = hits.iter().filter(|hit| hit.tls_us > 0).count() as u64;
        assert!(
            waited > summary["early_rejected"].as_u64().unwrap(),
            "{summary}"
        );
    }
}

/// QUIC takes all of this body at once, and congestion control lets it leave over several
/// round trips, of 40 ms each: 12,000 bytes in the first, and at most twice as many in each
/// one that follows.
#[test]
fn a_request_is_sent_when_its_last_byte_has_left() {
    let faults = Faults {
        delay: Duration::from_millis(20),
        ..Faults::default()
    };
    let body = "x".repeat(100_000);
    let ((ok, text, recorded), log) = logged(with_tls(), |folder, address| {
        let network = BadNetwork::to(&[address], faults);
        let url = format!("https://{}/7", network.address);
        std::fs::write(folder.join("body"), body.repeat(4)).unwrap();
        let flags = ["--http3", "--insecure", "-n", "1", "--timeout", "60s"];
        let output = ["-d", "@body", "-o", "run.enc"];
        let (ok, text) = hit(folder, &[&[&*url], &flags[..], &output].concat());
        (ok, text, hits(&folder.join("run.enc")))
    });
    assert!(ok, "{text}");
    assert_once(&log, 1, &text);
    let (hit, _) = recorded.first().unwrap();
    let sending = Duration::from_nanos(hit.sent_ns - hit.connected_ns);
    assert!(sending > Duration::from_millis(4 * 40), "{hit:?}");
    assert!(hit.sent_ns <= hit.first_byte_ns, "{hit:?}");
    assert!(hit.sent_bytes > 400_000, "{hit:?}");
}

#[test]
fn a_head_that_the_server_does_not_allow_is_not_sent() {
    let long = format!("x-long: {}", "x".repeat(110_000));
    // The target takes 300 KiB.
    for (fields, arrive) in [(2, 3), (3, 0)] {
        let fields = ["-H", &long].repeat(fields);
        let (ok, text, log) = numbered(3, with_tls(), &fields);
        assert_eq!((ok, log.len()), (arrive > 0, arrive), "{text}");
        if arrive == 0 {
            let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(text.contains("1008: 3"), "{text}");
            assert!(text.contains("the server allows: 307200 bytes"), "{text}");
        }
    }
}

#[test]
fn servers_that_are_not_there_or_say_nothing_are_failures_in_time() {
    let folder = tempfile::tempdir().unwrap();
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let closed = UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    for (address, code) in [(silent.local_addr().unwrap(), "1001"), (closed, "111")] {
        let url = format!("https://{address}/");
        let flags = [
            "--http3",
            "--insecure",
            "-n",
            "4",
            "-c",
            "2",
            "--timeout",
            "1s",
        ];
        let (ok, text) = hit(folder.path(), &[&[&*url], &flags[..]].concat());
        assert!(!ok && text.contains("done 0 + failed 4"), "{text}");
        assert!(text.contains(&format!("{code}: 4")), "{code}: {text}");
    }
}

#[test]
fn a_certificate_that_nobody_vouches_for_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let target = Target::start(with_tls()).unwrap();
    let url = format!("https://{}/", target.address());
    let (ok, text) = hit(folder.path(), &[&url, "--http3", "-n", "2"]);
    assert!(!ok && text.contains("failed 2"), "{text}");
    assert!(text.contains("certificate"), "{text}");
}

#[test]
fn what_http3_cannot_do_is_said_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, expected) in [
        (
            &["http://127.0.0.1:9/", "--http3"][..],
            "no form without TLS",
        ),
        (&["https://127.0.0.1:9/", "--http3", "--http2"], "--http2"),
        (
            &[
                "https://127.0.0.1:9/",
                "--http3",
                "--proxy",
                "http://127.0.0.1:9",
            ],
            "an HTTP proxy doesn't carry",
        ),
        (&["tcp://127.0.0.1:9", "--http3"], "it is another protocol"),
        (
            &[
                "https://127.0.0.1:9/",
                "--http3",
                "-O",
                "early-data=true",
                "--no-tls-resumption",
            ],
            "resumes a session",
        ),
    ] {
        let (ok, text) = hit(folder.path(), arguments);
        assert!(!ok && text.contains(expected), "{arguments:?}: {text}");
    }
}

#[test]
fn a_configuration_and_a_script_work_as_over_http1() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let target = Target::start(with_tls()).unwrap();
    let config = format!(
        "input: {{payloadfile: records, format: uri, sharing: per-worker, iterationlimit: 5}}\n\
         output: {{nativefile: run.enc}}\n\
         workers: {{mode: closed, maxworkers: 4}}\n\
         protocol: {{driver: http3, streams: 2, address: 'https://{}', timeout: 20s, \
         tlsconf: {{insecureskipverify: true}}}}\n",
        target.address()
    );
    std::fs::write(folder.join("run.yml"), config).unwrap();
    std::fs::write(folder.join("records"), "/a\n/b\n").unwrap();
    let output = program::run(folder, &["run", "run.yml", "--quiet"]);
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success(), "{text}");
    assert!(text.contains("done 40 + failed 0"), "{text}");
}
