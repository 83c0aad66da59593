//! Servers that do what is rare: close, speak first, stall, answer late.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // a test that fails here says enough

mod rig;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::num::{NonZeroU64, NonZeroUsize};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use encarno::protocols::{self, Protocol, Run};
use encarno_engine::settings::Source;
use encarno_input::{InputFormat, InputSettings};
use encarno_nib::{NetworkSettings, NetworkedSettings};
use encarno_nibs::udp::UdpProtocol;
use encarno_record::{Hit, code};
use rig::{closed, machine};
use rustix::net::{self, AddressFamily, SocketType};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// A server whose connections are served by that function, with a count of them.
struct Server {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

fn server(serve: impl Fn(TcpStream, usize) + Send + Sync + 'static) -> Server {
    server_at("127.0.0.1:0", serve)
}

fn server_at(address: &str, serve: impl Fn(TcpStream, usize) + Send + Sync + 'static) -> Server {
    let listener = TcpListener::bind(address).unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let (serve, count) = (Arc::new(serve), Arc::clone(&connections));
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let number = count.fetch_add(1, Ordering::Relaxed);
            let serve = Arc::clone(&serve);
            thread::spawn(move || {
                stream.set_nodelay(true).unwrap();
                serve(stream, number);
            });
        }
    });
    Server {
        address,
        connections,
    }
}

/// Reads up to the end of a head; false if the peer closed.
fn read_head(stream: &mut TcpStream) -> bool {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return false,
        }
    }
    true
}

/// Holds the connection until the peer closes it.
fn hold(mut stream: TcpStream) {
    let _closed = std::io::copy(&mut stream, &mut std::io::sink());
}

struct Outcome {
    hits: Vec<Hit>,
    texts: Vec<String>,
}

impl Outcome {
    /// Net code and status of each hit, in order.
    fn codes(&self) -> Vec<(u16, u16)> {
        let codes = self
            .hits
            .iter()
            .map(|hit| (hit.net_code, hit.protocol_code));
        codes.collect()
    }
}

fn network(timeout_ms: u64, address: String) -> NetworkSettings {
    NetworkSettings {
        address: Some(address),
        timeout: Duration::from_millis(timeout_ms),
        ..NetworkSettings::default()
    }
}

/// Hits with one worker, so that they come one after the other.
fn run(payload: &[u8], hits: u64, network: NetworkSettings) -> Outcome {
    let mut settings = closed(1);
    settings.settings.threads = NonZeroUsize::new(1);
    settings.protocol = Protocol::Http(network.into());
    settings.settings.source = Source::Request {
        payload: Bytes::copy_from_slice(payload),
        label: "hit".to_owned(),
        hits_max: Some(hits),
    };
    outcome(settings)
}

fn outcome(mut settings: Run) -> Outcome {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("run.enc");
    settings.settings.output.native = Some(file.clone());
    protocols::run(&settings, |_| {}).unwrap();
    let (mut hits, texts) = rig::read_results(&file);
    hits.sort_by_key(|hit| hit.started_ns);
    let text = |hit: &Hit| texts.get(&hit.error).cloned().unwrap_or_default();
    Outcome {
        texts: hits.iter().map(text).collect(),
        hits,
    }
}

fn get(server: &Server, fields: &str) -> Vec<u8> {
    format!("GET / HTTP/1.1\r\nHost: {}\r\n{fields}\r\n", server.address).into_bytes()
}

#[test]
fn a_connection_that_the_request_closes_is_not_used_again() {
    let _machine = machine();
    // As Python's http.server: it says nothing, and closes.
    let server = server(|mut stream, _| {
        if read_head(&mut stream) {
            stream.write_all(OK).unwrap();
            thread::sleep(Duration::from_millis(2));
        }
    });
    let url = format!("http://{}", server.address);
    let outcome = run(
        &get(&server, "Connection: close\r\n"),
        50,
        network(2000, url.clone()),
    );
    assert_eq!(outcome.codes(), [(0, 200); 50], "{:?}", outcome.texts);
    assert_eq!(server.connections.load(Ordering::Relaxed), 50);
    let old = format!("GET / HTTP/1.0\r\nHost: {}\r\n\r\n", server.address);
    let outcome = run(old.as_bytes(), 50, network(2000, url));
    assert_eq!(outcome.codes(), [(0, 200); 50], "{:?}", outcome.texts);
}

#[test]
fn a_server_that_speaks_first_is_heard() {
    let _machine = machine();
    let server = server(|mut stream, _| {
        let busy = b"HTTP/1.1 503 Busy\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno";
        stream.write_all(busy).unwrap();
        hold(stream);
    });
    let url = format!("http://{}", server.address);
    let outcome = run(&get(&server, ""), 20, network(5000, url));
    assert_eq!(outcome.codes(), [(0, 503); 20], "{:?}", outcome.texts);
}

#[test]
fn connect_has_no_body() {
    let _machine = machine();
    let server = server(|mut stream, _| {
        read_head(&mut stream);
        stream
            .write_all(b"HTTP/1.1 200 Established\r\n\r\n")
            .unwrap();
        hold(stream);
    });
    let url = format!("http://{}", server.address);
    let connect = b"CONNECT h.test:443 HTTP/1.1\r\nHost: h.test:443\r\n\r\n";
    let outcome = run(connect, 3, network(5000, url));
    assert_eq!(outcome.codes(), [(0, 200); 3], "{:?}", outcome.texts);
    assert_eq!(server.connections.load(Ordering::Relaxed), 3);
}

#[test]
fn the_answer_to_a_second_request_in_a_record_is_nobodys() {
    let _machine = machine();
    let server = server(|mut stream, _| {
        while read_head(&mut stream)
            && stream
                .write_all(b"HTTP/1.1 201 A\r\nContent-Length: 0\r\n\r\n")
                .is_ok()
        {
            read_head(&mut stream);
            thread::sleep(Duration::from_millis(5));
            let _closed = stream.write_all(b"HTTP/1.1 202 B\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let url = format!("http://{}", server.address);
    let two = [get(&server, ""), get(&server, "")].concat();
    let outcome = run(&two, 20, network(5000, url));
    assert_eq!(outcome.codes(), [(0, 201); 20], "{:?}", outcome.texts);
}

#[test]
fn a_status_that_came_is_kept() {
    let _machine = machine();
    let case = |text: &'static str, closes: bool| {
        let server = server(move |mut stream, _| {
            read_head(&mut stream);
            stream.write_all(text.as_bytes()).unwrap();
            if !closes {
                hold(stream);
            }
        });
        let url = format!("http://{}", server.address);
        let outcome = run(&get(&server, ""), 1, network(300, url));
        let text = outcome.texts[0].replace(&server.address.to_string(), "PEER");
        (outcome.codes()[0], text)
    };
    let head = "HTTP/1.1 503 No\r\nContent-Length: 5\r\n\r\nab";
    let within = || "timeout after 300ms within the response of PEER".to_owned();
    assert_eq!(case(head, false), ((code::TIMEOUT, 503), within()));
    let in_head = "HTTP/1.1 503 No\r\nContent-Le";
    assert_eq!(case(in_head, false), ((code::TIMEOUT, 503), within()));
    assert_eq!(case(in_head, true).0, (code::CLOSED_EARLY, 503));
    let waiting = "timeout after 300ms while waiting for the response of PEER".to_owned();
    assert_eq!(case("", false), ((code::TIMEOUT, 0), waiting));
    assert_eq!(case(head, true).0, (code::CLOSED_EARLY, 503));
    let (codes, text) = case("HTTP/1.1 404 No\r\nno colon\r\n\r\n", true);
    assert_eq!(codes, (code::PROTOCOL, 404));
    assert!(text.contains("isn't a field"), "{text}");
    assert_eq!(
        case("HTTP/1.1 099 Low\r\n\r\n", true).0,
        (code::PROTOCOL, 99)
    );
    assert_eq!(case("HTTP/1.1 000 No\r\n\r\n", true).0, (code::PROTOCOL, 0));
}

#[test]
fn the_bound_of_heads_is_an_option_that_the_error_names() {
    let _machine = machine();
    let server = server(|mut stream, _| {
        while read_head(&mut stream) {
            let field = "a".repeat(100_000);
            let head = format!("HTTP/1.1 200 OK\r\nA: {field}\r\nContent-Length: 0\r\n\r\n");
            if stream.write_all(head.as_bytes()).is_err() {
                return;
            }
        }
    });
    let url = format!("http://{}", server.address);
    let outcome = run(&get(&server, ""), 3, network(5000, url.clone()));
    assert_eq!(outcome.codes(), [(0, 200); 3], "{:?}", outcome.texts);
    let bounded = NetworkSettings {
        head_bytes_max: 64 << 10,
        ..network(5000, url)
    };
    let outcome = run(&get(&server, ""), 1, bounded);
    assert_eq!(outcome.codes(), [(code::HEAD_TOO_LONG, 200)]);
    let text = &outcome.texts[0];
    assert!(
        text.contains("65536") && text.contains("--max-head-bytes"),
        "{text}"
    );
}

#[test]
fn an_address_that_refuses_is_passed_over() {
    let _machine = machine();
    let server = server(
        |mut stream, _| {
            while read_head(&mut stream) && stream.write_all(OK).is_ok() {}
        },
    );
    let port = server.address.port();
    let ip = |last: u8| [127, 0, 0, last].into();
    let both = NetworkSettings {
        hosts: [("both.test".to_owned(), vec![ip(2), ip(1), ip(3)])].into(),
        ..network(5000, format!("http://both.test:{port}"))
    };
    let closing = get(&server, "Connection: close\r\n");
    let outcome = run(&closing, 20, both.clone());
    assert_eq!(outcome.codes(), [(0, 200); 20], "{:?}", outcome.texts);
    // Only if all of them refuse the hit fails, with what the last one said.
    let none = NetworkSettings {
        hosts: [("both.test".to_owned(), vec![ip(2), ip(3)])].into(),
        ..both
    };
    let outcome = run(&closing, 3, none);
    let refused = rustix::io::Errno::CONNREFUSED.raw_os_error() as u16;
    assert_eq!(outcome.codes(), [(refused, 0); 3]);
}

/// An address whose queue of connections is full: the kernel drops what comes.
fn black_hole(address: SocketAddr) -> (OwnedFd, TcpStream) {
    let listener = net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    net::bind(&listener, &address).unwrap();
    net::listen(&listener, 0).unwrap();
    let first = TcpStream::connect(address).unwrap();
    (listener, first)
}

#[test]
fn an_address_that_is_silent_is_passed_over() {
    let _machine = machine();
    let server = server(
        |mut stream, _| {
            while read_head(&mut stream) && stream.write_all(OK).is_ok() {}
        },
    );
    let port = server.address.port();
    let silent = SocketAddr::from(([127, 0, 0, 2], port));
    let _full = black_hole(silent);
    let both = NetworkSettings {
        hosts: [(
            "both.test".to_owned(),
            vec![silent.ip(), server.address.ip()],
        )]
        .into(),
        ..network(20_000, format!("http://both.test:{port}"))
    };
    let closing = get(&server, "Connection: close\r\n");
    let outcome = run(&closing, 10, both.clone());
    assert_eq!(outcome.codes(), [(0, 200); 10], "{:?}", outcome.texts);
    // The wait is part of connecting.
    let waited = |hit: &Hit| hit.connected_ns - hit.started_ns >= 300_000_000;
    assert!(outcome.hits.iter().any(waited));
    // Alone it times out, and the text says in which phase.
    let alone = NetworkSettings {
        hosts: [("both.test".to_owned(), vec![silent.ip()])].into(),
        timeout: Duration::from_millis(200),
        ..both
    };
    let outcome = run(&closing, 1, alone);
    assert_eq!(outcome.codes(), [(code::TIMEOUT, 0)]);
    assert!(outcome.texts[0].contains("connect"), "{:?}", outcome.texts);
}

#[test]
fn a_peer_that_sends_without_end_does_not_stop_the_others() {
    let _machine = machine();
    let server = server(|mut stream, number| {
        if number == 0 && read_head(&mut stream) {
            let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
            stream.write_all(head).unwrap();
            let chunks = b"1\r\nz\r\n".repeat(10_000);
            while stream.write_all(&chunks).is_ok() {}
        }
        while read_head(&mut stream) && stream.write_all(OK).is_ok() {}
    });
    let mut settings = closed(2);
    settings.settings.threads = NonZeroUsize::new(1);
    settings.protocol = Protocol::Http(network(700, format!("http://{}", server.address)).into());
    settings.settings.source = Source::Request {
        payload: get(&server, "").into(),
        label: "hit".to_owned(),
        hits_max: Some(200),
    };
    let outcome = outcome(settings);
    let ended = outcome
        .codes()
        .iter()
        .filter(|&&codes| codes == (0, 200))
        .count();
    assert_eq!(ended, 199, "{:?}", outcome.codes());
    assert!(outcome.codes().contains(&(code::TIMEOUT, 200)));
}

#[test]
fn a_second_datagram_is_not_the_next_hits_answer() {
    let _machine = machine();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    // Each answer comes twice, and is as long as its question says.
    thread::spawn(move || {
        let mut buffer = [0; 2000];
        while let Ok((count, peer)) = socket.recv_from(&mut buffer) {
            let text = String::from_utf8_lossy(&buffer[..count]).into_owned();
            let answer = vec![b'a'; text.trim().parse().unwrap()];
            for _ in 0..2 {
                let _nobody = socket.send_to(&answer, peer);
            }
        }
    });
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ammo");
    let records: String = (1..=200)
        .map(|length| format!("4 {length}\n{length:4}\n"))
        .collect();
    std::fs::write(&file, records).unwrap();
    let mut settings = closed(1);
    settings.settings.threads = NonZeroUsize::new(1);
    settings.protocol = Protocol::Udp(NetworkedSettings {
        network: network(2000, format!("udp://{address}")),
        protocol: UdpProtocol { answer: true },
    });
    settings.settings.source = Source::File(InputSettings {
        format: Some(InputFormat::Raw),
        passes: NonZeroU64::new(1),
        ..InputSettings::of_file(file)
    });
    let outcome = outcome(settings);
    let lengths: Vec<u64> = outcome.hits.iter().map(|hit| hit.received_bytes).collect();
    assert_eq!(lengths, (1..=200).collect::<Vec<u64>>());
}

/// A peer that answers each datagram without end holds up neither the loop nor the run.
#[test]
fn datagrams_without_an_end() {
    let _machine = machine();
    let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").unwrap());
    let address = socket.local_addr().unwrap();
    let over = Arc::new(AtomicBool::new(false));
    let flood = thread::spawn({
        let over = Arc::clone(&over);
        move || {
            socket
                .set_read_timeout(Some(Duration::from_millis(1)))
                .unwrap();
            let (mut buffer, mut peer) = ([0; 100], None);
            while !over.load(Ordering::Relaxed) {
                if let Ok((_, asks)) = socket.recv_from(&mut buffer) {
                    peer = Some(asks);
                }
                for _ in 0..2000 {
                    let _nobody = peer.map(|peer| socket.send_to(b"again", peer));
                }
            }
        }
    });
    let mut settings = closed(4);
    settings.settings.threads = NonZeroUsize::new(1);
    settings.protocol = Protocol::Udp(NetworkedSettings {
        network: network(5000, format!("udp://{address}")),
        protocol: UdpProtocol { answer: true },
    });
    settings.settings.source = Source::Request {
        payload: b"question".to_vec().into(),
        label: "hit".to_owned(),
        hits_max: Some(40),
    };
    let outcome = outcome(settings);
    over.store(true, Ordering::Relaxed);
    flood.join().unwrap();
    let codes = outcome.codes();
    assert_eq!(codes.len(), 40, "{codes:?}");
    assert!(codes.contains(&(0, 0)), "{codes:?}");
}
