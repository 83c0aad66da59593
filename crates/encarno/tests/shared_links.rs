//! Many hits on one connection: each is counted once, whatever the peer does.

#![allow(clippy::unwrap_used)] // a test that fails here says enough

mod rig;

use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use encarno::protocols::{self, Protocol, Run};
use encarno_engine::meter::Summary;
use encarno_engine::settings::Source;
use encarno_input::{InputFormat, InputSettings};
use encarno_nib::{NetworkSettings, NetworkedSettings};
use encarno_nibs::echo::EchoProtocol;
use encarno_record::{Hit, code};
use rig::{closed, machine, open, read_results};

/// What a peer does with the line that came; connections and lines are counted from 0.
#[derive(Clone, Copy)]
enum Deed {
    Echo,
    /// Another line than the one that came.
    Lie,
    /// No answer, and the next ones wait for it.
    Late(Duration),
    /// Half of the answer, and the end.
    CutShort,
    /// Never an answer any more.
    Silence,
}

/// A server that echoes as told.
struct Peer {
    address: SocketAddr,
    lines: Arc<Mutex<Vec<String>>>,
    connections: Arc<AtomicU64>,
}

impl Peer {
    fn start(deed: impl Fn(u64, u64) -> Deed + Send + Sync + Copy + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let connections = Arc::new(AtomicU64::new(0));
        let (all_lines, all) = (Arc::clone(&lines), Arc::clone(&connections));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let number = all.fetch_add(1, Ordering::Relaxed);
                let lines = Arc::clone(&all_lines);
                let stream = stream.unwrap();
                stream.set_nodelay(true).unwrap();
                thread::spawn(move || {
                    // The client may be gone at any moment.
                    let _gone = serve(&stream, &lines, |line| deed(number, line));
                    let _gone = stream.shutdown(Shutdown::Both);
                });
            }
        });
        Self {
            address,
            lines,
            connections,
        }
    }
}

fn serve(
    mut stream: &TcpStream,
    lines: &Mutex<Vec<String>>,
    deed: impl Fn(u64) -> Deed,
) -> std::io::Result<()> {
    for (number, line) in BufReader::new(stream).lines().enumerate() {
        let line = line?;
        lines.lock().unwrap().push(line.clone());
        match deed(number as u64) {
            Deed::Echo => writeln!(stream, "{line}")?,
            Deed::Lie => writeln!(stream, "not {line}")?,
            Deed::Late(time) => {
                thread::sleep(time);
                writeln!(stream, "{line}")?;
            }
            Deed::CutShort => return write!(stream, "{}", &line[..line.len() / 2]),
            Deed::Silence => loop {
                thread::sleep(Duration::from_secs(1));
                stream.write_all(b"")?;
            },
        }
    }
    Ok(())
}

struct Account {
    summary: Summary,
    hits: Vec<Hit>,
    labels: Vec<String>,
    lines: Vec<String>,
    connections: u64,
}

impl Account {
    fn with_code(&self, code: u16) -> usize {
        self.hits.iter().filter(|hit| hit.net_code == code).count()
    }
}

/// Sends numbered lines, and joins what both sides know of them.
fn echo(
    mut run: Run,
    count: u64,
    streams: u32,
    timeout: Duration,
    deed: impl Fn(u64, u64) -> Deed + Send + Sync + Copy + 'static,
) -> Account {
    let directory = tempfile::tempdir().unwrap();
    let peer = Peer::start(deed);
    let records: String = (0..count)
        .map(|number| {
            let line = format!("line {number}");
            format!("{} {number}\n{line}\n", line.len())
        })
        .collect();
    let file = directory.path().join("records");
    std::fs::write(&file, records + "0\n").unwrap();
    run.settings.source = Source::File(InputSettings {
        format: Some(InputFormat::Raw),
        passes: std::num::NonZeroU64::new(1),
        ..InputSettings::of_file(file)
    });
    run.settings.output.native = Some(directory.path().join("run.enc"));
    run.protocol = Protocol::Echo(NetworkedSettings {
        network: NetworkSettings {
            address: Some(format!("echo://{}", peer.address)),
            timeout,
            ..NetworkSettings::default()
        },
        protocol: EchoProtocol { streams },
    });
    let summary = protocols::run(&run, |_| {}).unwrap();
    let (hits, texts) = read_results(&directory.path().join("run.enc"));
    let labels: Vec<_> = hits.iter().map(|hit| texts[&hit.label].clone()).collect();
    let lines = peer.lines.lock().unwrap().clone();
    // Each hit is recorded once, and was sent once at most.
    assert_eq!(labels.iter().collect::<HashSet<_>>().len(), count as usize);
    assert_eq!(hits.len() as u64, count);
    assert_eq!(summary.totals.scheduled, count);
    assert_eq!(summary.totals.done + summary.totals.failed, count);
    let mut seen = HashMap::new();
    for line in &lines {
        *seen.entry(line.clone()).or_insert(0) += 1;
    }
    for (line, times) in &seen {
        assert_eq!(*times, 1, "{line} was sent again");
    }
    for (hit, label) in hits.iter().zip(&labels) {
        if hit.net_code == 0 {
            assert!(seen.contains_key(&format!("line {label}")), "{label}");
            assert_eq!(hit.sent_bytes, hit.received_bytes);
            assert!(hit.started_ns <= hit.connected_ns && hit.connected_ns <= hit.sent_ns);
            assert!(hit.sent_ns <= hit.first_byte_ns && hit.first_byte_ns <= hit.ended_ns);
        }
    }
    Account {
        summary,
        hits,
        labels,
        lines,
        connections: peer.connections.load(Ordering::Relaxed),
    }
}

const PATIENT: Duration = Duration::from_secs(60);

#[test]
fn many_hits_share_a_connection_and_each_gets_its_own_answer() {
    let _machine = machine();
    for (workers, threads, connections) in [(64, 1, 2), (64, 2, 2), (40, 2, 2), (5, 1, 1)] {
        let mut run = closed(workers);
        run.settings.threads = NonZeroUsize::new(threads);
        let account = echo(run, 5000, 32, PATIENT, |_, _| Deed::Echo);
        assert_eq!(account.summary.totals.done, 5000);
        // A loop that starts late may find nothing left to do.
        assert!(
            (1..=connections).contains(&account.connections),
            "{workers} workers"
        );
        let workers_seen: HashSet<_> = account.hits.iter().map(|hit| hit.worker).collect();
        assert!(workers_seen.iter().all(|&worker| worker < workers));
    }
    let account = echo(open("const(2000,1s)", 64), 2000, 16, PATIENT, |_, _| {
        Deed::Echo
    });
    assert_eq!(account.summary.totals.done, 2000);
    assert!(account.connections <= 4, "{}", account.connections);
}

#[test]
fn a_peer_that_closes_in_the_middle_fails_those_on_that_link_and_no_others() {
    let _machine = machine();
    let account = echo(closed(32), 3000, 16, PATIENT, |_, line| match line {
        100 => Deed::CutShort,
        _ => Deed::Echo,
    });
    // Those behind the one whose answer had begun are stale.
    let lost = account.with_code(code::STALE)
        + account.with_code(code::CLOSED_EARLY)
        + account.with_code(104)
        + account.with_code(32);
    assert_eq!(lost as u64, account.summary.totals.failed);
    // Each connection answers 100, and takes no more than it has streams with it.
    let connections = account.connections;
    assert!(connections >= 2);
    assert!(account.summary.totals.done <= connections * 100);
    assert!(lost as u64 <= connections * 16, "{lost} of {connections}");
    for (hit, label) in account.hits.iter().zip(&account.labels) {
        let sent = account.lines.contains(&format!("line {label}"));
        assert!(hit.net_code != 0 || sent);
    }
}

#[test]
fn late_answers_are_nobody_elses_and_the_link_goes_on() {
    let _machine = machine();
    // The 50th answer comes after the timeout of whoever waits for it, and holds
    // up those behind it.
    let timeout = Duration::from_millis(400);
    let mut run = closed(8);
    run.settings.threads = NonZeroUsize::new(1);
    let account = echo(run, 400, 8, timeout, |_, line| match line {
        50 => Deed::Late(Duration::from_millis(600)),
        _ => Deed::Echo,
    });
    let late = account.with_code(code::TIMEOUT);
    assert!(late >= 1);
    assert_eq!(late as u64, account.summary.totals.failed);
    // All were sent on one connection: a wrong answer would be a failure of another kind.
    assert_eq!(account.connections, 1);
    assert_eq!(account.lines.len(), 400);
}

#[test]
fn silence_times_every_hit_out_and_a_lie_is_told() {
    let _machine = machine();
    let mut run = closed(8);
    run.settings.threads = NonZeroUsize::new(1);
    let timeout = Duration::from_millis(50);
    let account = echo(run.clone(), 200, 8, timeout, |_, _| Deed::Silence);
    let lost = account.with_code(code::TIMEOUT) + account.with_code(code::CLOSED_EARLY);
    assert_eq!(lost, 200);
    // So many missing answers, and the connection is given up for a new one.
    assert!(account.connections >= 2);
    let account = echo(run, 100, 8, PATIENT, |_, line| match line {
        10 => Deed::Lie,
        _ => Deed::Echo,
    });
    assert_eq!(account.with_code(code::PROTOCOL), 1);
    assert_eq!(account.summary.totals.done, 99);
}

#[test]
fn a_record_that_is_no_line_and_what_the_protocol_cannot_do_are_told() {
    let peer = Peer::start(|_, _| Deed::Echo);
    let mut run = closed(1);
    run.protocol = Protocol::Echo(NetworkedSettings {
        network: NetworkSettings {
            address: Some(format!("echo://{}", peer.address)),
            ..NetworkSettings::default()
        },
        protocol: EchoProtocol { streams: 4 },
    });
    let request = |bytes: &'static [u8]| Source::Request {
        payload: Bytes::from_static(bytes),
        label: String::new(),
        hits_max: Some(3),
    };
    run.settings.source = request(b"two\nlines\n");
    let error = protocols::run(&run, |_| {}).unwrap_err().to_string();
    assert!(error.contains("one line"), "{error}");
    run.settings.source = request(b"no end");
    assert_eq!(protocols::run(&run, |_| {}).unwrap().totals.done, 3);
    run.settings.script.cookies = true;
    run.settings.source = Source::File(InputSettings {
        sharing: encarno_input::Sharing::PerWorker,
        ..InputSettings::of_file("none")
    });
    let error = protocols::run(&run, |_| {}).unwrap_err().to_string();
    assert!(error.contains("only HTTP has cookies, not echo"), "{error}");
}
