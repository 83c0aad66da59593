//! HTTP/3 between the hit generator and its target: every hit once, whatever the target and
//! the network do; and servers that aren't there, say nothing, or speak another protocol.

#![allow(clippy::expect_used, clippy::unwrap_used)] // a test that fails here says enough

#[path = "rig/logged.rs"]
mod logged;
#[path = "rig/program.rs"]
mod program;

use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use encarno_nib::delay::Delay;
use encarno_target::{LogEntry, Target, TargetSettings};
use logged::logged;

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
    let mut instants: Vec<_> = log
        .values()
        .flatten()
        .flat_map(|entry| [(entry.received_ns, 1), (entry.sent_ns, -1)])
        .collect();
    instants.sort_unstable();
    let mut at_once = 0;
    for (_, step) in instants {
        at_once += step;
        assert!(at_once <= 3, "{text}");
    }
}

/// Carries datagrams between the clients of `listens` and a server. It loses one in nine,
/// and swaps one in seven with the next one.
struct BadNetwork {
    address: SocketAddr,
    is_over: Arc<AtomicBool>,
    carrying: Option<thread::JoinHandle<()>>,
}

impl BadNetwork {
    fn to(server: SocketAddr) -> Self {
        let listens = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = listens.local_addr().unwrap();
        let is_over = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&is_over);
        let carrying = thread::spawn(move || carry(&listens, server, &ends));
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

fn carry(listens: &UdpSocket, server: SocketAddr, is_over: &AtomicBool) {
    listens.set_nonblocking(true).unwrap();
    let mut clients: HashMap<SocketAddr, UdpSocket> = HashMap::new();
    let (mut buffer, mut count) = ([0; 65536], 0_u64);
    let mut kept: Option<(Vec<u8>, Option<SocketAddr>, SocketAddr)> = None;
    while !is_over.load(Ordering::Relaxed) {
        let mut came = Vec::new();
        while let Some((length, from)) = received(listens, &mut buffer) {
            clients.entry(from).or_insert_with(|| {
                let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
                socket.connect(server).unwrap();
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
            count += 1;
            if count.is_multiple_of(9) {
                continue;
            }
            if count.is_multiple_of(7) && kept.is_none() {
                kept = Some(one);
                continue;
            }
            for (bytes, to_client, client) in [Some(one), kept.take()].into_iter().flatten() {
                // Full sockets lose datagrams, too.
                let _sent = match to_client {
                    Some(to) => listens.send_to(&bytes, to),
                    None => clients[&client].send(&bytes),
                };
            }
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
        let network = BadNetwork::to(address);
        let url = format!("https://{}/", network.address);
        let input = ["-i", "records", "--loop", "1", "--http3", "--insecure"];
        let flags = ["-c", "2", "--streams", "5", "--timeout", "60s"];
        hit(folder, &[&[&*url], &input[..], &flags].concat())
    });
    assert!(ok, "{text}");
    assert_once(&log, 300, &text);
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
