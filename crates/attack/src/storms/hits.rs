//! Storms against the hit generator.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use encarno_test_peers::Random;

use crate::failure::Failure;
use crate::programs::ours;
use crate::row::{Row, number};
use crate::run::{Folder, beside, under_watch};

/// After the first bytes of each client, writes to it until that fails.
fn serve(
    behave: impl Fn(&mut TcpStream, u64) + Send + Sync + 'static,
) -> Result<SocketAddr, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let addr = listener.local_addr()?;
    let behave = Arc::new(behave);
    std::thread::spawn(move || {
        for (number, stream) in (0..).zip(listener.incoming()) {
            let Ok(mut stream) = stream else { continue };
            let behave = Arc::clone(&behave);
            std::thread::spawn(move || {
                let _ = stream.set_write_timeout(Some(Duration::from_secs(10)));
                if stream.read(&mut [0; 4096]).is_ok_and(|read| read > 0) {
                    behave(&mut stream, number);
                }
            });
        }
    });
    Ok(addr)
}

/// A target that answers each hit in this way.
async fn http(
    time: Duration,
    scheme: &str,
    what: &str,
    behave: impl Fn(&mut TcpStream, u64, &AtomicU64) + Send + Sync + 'static,
) -> Result<Row, Failure> {
    let thrown = Arc::<AtomicU64>::default();
    let count = Arc::clone(&thrown);
    let addr = serve(move |stream, number| behave(stream, number, &count))?;
    beside(time, &format!("{scheme}://{addr}"), what, &thrown).await
}

/// Sends a part again and again, and counts the bytes in MiB.
fn again(stream: &mut TcpStream, head: &[u8], part: &[u8], thrown: &AtomicU64) {
    let many = part.repeat((64 << 10) / part.len());
    let mut bytes = 0;
    if stream.write_all(head).is_ok() {
        while stream.write_all(&many).is_ok() {
            bytes += many.len() as u64;
            if bytes >= 1 << 20 {
                thrown.fetch_add(bytes >> 20, Ordering::Relaxed);
                bytes %= 1 << 20;
            }
        }
    }
}

pub(super) async fn endless_chunks(time: Duration) -> Result<Row, Failure> {
    http(time, "http", "MiB", |stream, _, thrown| {
        let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        again(stream, head, b"1\r\nz\r\n", thrown);
    })
    .await
}

pub(super) async fn header_floods(time: Duration) -> Result<Row, Failure> {
    http(time, "http", "MiB", |stream, number, thrown| {
        let (head, part): (&[u8], &[u8]) = match number % 4 {
            0 => (b"HTTP/1.1 200 OK\r\n", b"X-Field: value\r\n"),
            1 => (b"HTTP/1.1 200 OK\r\nX-Field: ", b"value"),
            2 => (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
            _ => (
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
                b"T: v\r\n",
            ),
        };
        again(stream, head, part, thrown);
    })
    .await
}

pub(super) async fn slow_target(time: Duration) -> Result<Row, Failure> {
    http(time, "http", "bytes", |stream, number, thrown| {
        let answer: &[u8] = match number % 2 {
            0 => b"HTTP/1.1 200 OK\r\nX-A: b\r\nX-C: d\r\nContent-Length: 1000\r\n\r\n",
            _ => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;x=y\r\nz\r\n1\r\nz\r\n",
        };
        for byte in answer.iter().cycle() {
            if stream.write_all(&[*byte]).is_err() {
                return;
            }
            thrown.fetch_add(1, Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(50));
        }
    })
    .await
}

/// Responses that are changed at random.
const RESPONSES: &[&[u8]] = &[
    b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=\"y\"\r\nhello\r\n0\r\nT: v\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.0 302 Found\r\nLocation: http://127.0.0.1:1/\r\nSet-Cookie: a=b\r\n\r\nrest",
    b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 23\r\n\r\n\x1f\x8b\x08\0\0\0\0\0\0\x03\
      \x4b\x04\0\x43\xbe\xb7\xe8\x01\0\0\0\0\0",
    b"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\n",
    b"HTTP/2.0 200\r\n\r\n",
    b"",
];

pub(super) async fn hostile_http(time: Duration) -> Result<Row, Failure> {
    http(time, "http", "responses", |stream, number, thrown| {
        let mut random = Random::new(number);
        loop {
            let mut response = RESPONSES[random.below(RESPONSES.len())].to_vec();
            random.change(&mut response, &[]);
            let sent = stream.write_all(&response).is_ok();
            thrown.fetch_add(1, Ordering::Relaxed);
            let closes = random.below(4) == 0;
            if !sent || closes || !stream.read(&mut [0; 4096]).is_ok_and(|read| read > 0) {
                return;
            }
        }
    })
    .await
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, length @ ..] = (payload.len() as u32).to_be_bytes();
    [&length[..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

pub(super) async fn hostile_http2(time: Duration) -> Result<Row, Failure> {
    let thrown = Arc::<AtomicU64>::default();
    let count = Arc::clone(&thrown);
    let addr = serve(move |stream, number| {
        let mut random = Random::new(number);
        let (settings, ok) = (frame(4, 0, 0, &[]), frame(1, 4, 1, &[0x88]));
        let answer = [&settings[..], &ok, &frame(0, 1, 1, b"hello")].concat();
        match number % 8 {
            // Endless frames that don't advance a message, and an endless body.
            0 => again(stream, &settings, &settings, &count),
            1 => again(stream, &settings, &frame(6, 0, 0, &[0; 8]), &count),
            2 => again(
                stream,
                &[&settings[..], &frame(1, 0, 1, &[0x88])].concat(),
                &frame(9, 0, 1, &[]),
                &count,
            ),
            3 => again(
                stream,
                &[&settings[..], &ok].concat(),
                &frame(0, 0, 1, &[]),
                &count,
            ),
            4 => again(
                stream,
                &[&settings[..], &ok].concat(),
                &frame(0, 0, 1, &[0; 1000]),
                &count,
            ),
            5 => again(
                stream,
                &settings,
                &frame(1, 4, 1, &[8, 3, b'1', b'0', b'3']),
                &count,
            ),
            _ => loop {
                let mut answer = answer.clone();
                random.change(&mut answer, &[]);
                let sent = stream.write_all(&answer).is_ok();
                if !sent || !stream.read(&mut [0; 4096]).is_ok_and(|read| read > 0) {
                    return;
                }
            },
        }
    })?;
    let folder = Folder::new();
    let mut command = ours("encarno");
    command.args(["hit", &format!("http://{addr}"), "--http2"]);
    command.args(["--connections", "16", "--timeout", "1s", "--grace", "5s"]);
    let (mut row, by_label) = under_watch(time, &folder, command).await?;
    let (hits, _) = sums(&by_label);
    let thrown = number(thrown.load(Ordering::Relaxed));
    row.thrown = format!("{thrown} MiB to {} hits", number(hits));
    row.neighbours = "none; the run ended in its time".to_owned();
    row.check(hits > 0, "no hit ended");
    Ok(row)
}

/// The beginning of a handshake: a server hello of TLS 1.2, and the head of a certificate
/// that never follows.
const SERVER_HELLO: &[u8] = b"\x16\x03\x03\x00\x31\x02\x00\x00\x2d\x03\x03\
    0123456789abcdef0123456789abcdef\x00\xc0\x2f\x00\x00\x05\xff\x01\x00\x01\x00\
    \x16\x03\x03\x40\x00\x0b\x00\xff\xfc\x00\xff\xf9";

pub(super) async fn hostile_tls(time: Duration) -> Result<Row, Failure> {
    http(time, "https", "answers", |stream, number, thrown| {
        let mut random = Random::new(number);
        let mut answer = match number % 4 {
            0 => b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
            1 => random.bytes(4000),
            _ => SERVER_HELLO.to_vec(),
        };
        if number % 3 == 0 {
            random.change(&mut answer, &[]);
        }
        let _ = stream.write_all(&answer);
        thrown.fetch_add(1, Ordering::Relaxed);
        if number % 5 == 0 {
            // Sends nothing more, and keeps the connection.
            let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
            while stream.read(&mut [0; 4096]).is_ok_and(|read| read > 0) {}
        } else if number % 5 == 1 {
            again(stream, b"", b"\x17\x03\x03\x00\x01a", &AtomicU64::new(0));
        }
    })
    .await
}

/// A target for datagrams with its own answers, until the storm is long over.
fn datagrams(
    time: Duration,
    answer: impl Fn(&UdpSocket, &[u8], SocketAddr) + Send + 'static,
) -> Result<SocketAddr, Failure> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let addr = socket.local_addr()?;
    socket.set_read_timeout(Some(Duration::from_millis(100)))?;
    let until = Instant::now() + time + Duration::from_secs(10);
    std::thread::spawn(move || {
        let mut buffer = [0; 2048];
        while Instant::now() < until {
            if let Ok((bytes, from)) = socket.recv_from(&mut buffer) {
                answer(&socket, &buffer[..bytes], from);
            }
        }
    });
    Ok(addr)
}

fn udp(addr: SocketAddr, arguments: &[&str]) -> std::process::Command {
    let mut command = ours("encarno");
    command.args([
        "hit",
        &format!("udp://{addr}"),
        "--data",
        "hello",
        "--grace",
        "2s",
    ]);
    command.args(arguments);
    command
}

pub(super) async fn udp_flood(time: Duration) -> Result<Row, Failure> {
    let thrown = Arc::<AtomicU64>::default();
    let count = Arc::clone(&thrown);
    let addr = datagrams(time, move |socket, bytes, to| {
        for _ in 0..200 {
            let sent = socket.send_to(bytes, to).is_ok();
            count.fetch_add(u64::from(sent), Ordering::Relaxed);
        }
    })?;
    let folder = Folder::new();
    let command = udp(addr, &["--connections", "8", "--timeout", "5s"]);
    let (mut row, by_label) = under_watch(time, &folder, command).await?;
    let (hits, failed) = sums(&by_label);
    row.thrown = format!("{} datagrams", number(thrown.load(Ordering::Relaxed)));
    row.neighbours = format!("{} hits, {failed} failed", number(hits));
    row.check(hits > 0 && failed == 0, "hits failed");
    Ok(row)
}

pub(super) async fn udp_late(time: Duration) -> Result<Row, Failure> {
    let thrown = Arc::<AtomicU64>::default();
    let count = Arc::clone(&thrown);
    let (late, due) = std::sync::mpsc::channel::<(Instant, UdpSocket, SocketAddr)>();
    std::thread::spawn(move || {
        for (at, socket, to) in due {
            std::thread::sleep(at.saturating_duration_since(Instant::now()));
            let sent = socket.send_to(b"late", to).is_ok();
            count.fetch_add(u64::from(sent), Ordering::Relaxed);
        }
    });
    let addr = datagrams(time, move |socket, _, from| {
        if let Ok(socket) = socket.try_clone() {
            let _ = late.send((Instant::now() + Duration::from_millis(150), socket, from));
        }
    })?;
    let folder = Folder::new();
    let command = udp(addr, &["--connections", "8", "--timeout", "100ms"]);
    let (mut row, by_label) = under_watch(time, &folder, command).await?;
    let (hits, failed) = sums(&by_label);
    row.thrown = format!("{} datagrams", number(thrown.load(Ordering::Relaxed)));
    row.neighbours = format!(
        "{} hits, {} took another's answer",
        number(hits),
        hits - failed
    );
    row.check(
        hits > 0 && failed == hits,
        "an answer was taken for another hit's",
    );
    Ok(row)
}

fn sums(by_label: &std::collections::BTreeMap<Arc<str>, crate::run::Tally>) -> (u64, u64) {
    let hits = by_label.values().map(|tally| tally.hits).sum();
    let failed = by_label.values().map(|tally| tally.failed).sum();
    (hits, failed)
}
