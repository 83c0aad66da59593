//! Clients that send without end: others are answered, and the target can be stopped.

#![allow(clippy::unwrap_used)] // a test that fails here says enough

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::thread;
use std::time::Duration;

use encarno_target::{Target, TargetSettings};

/// Whatever hangs ends the test.
const PATIENCE: Duration = Duration::from_secs(60);
const FLOODS: usize = 3;

/// Floods a target from several threads; `ask` is answered meanwhile, and it stops.
fn under_a_flood(
    settings: TargetSettings,
    flood: fn(SocketAddr, &AtomicBool, &Barrier),
    ask: fn(SocketAddr),
) {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let target = Target::start(settings).unwrap();
        let (address, over) = (target.address(), Arc::new(AtomicBool::new(false)));
        // Asked once all of them are there.
        let begun = Arc::new(Barrier::new(FLOODS + 1));
        let floods: Vec<_> = (0..FLOODS)
            .map(|_| {
                let (over, begun) = (Arc::clone(&over), Arc::clone(&begun));
                thread::spawn(move || flood(address, &over, &begun))
            })
            .collect();
        begun.wait();
        for _ in 0..5 {
            ask(address);
        }
        // While it goes on.
        let summary = target.stop().unwrap();
        over.store(true, Ordering::Relaxed);
        for flood in floods {
            flood.join().unwrap();
        }
        sender.send(summary).unwrap();
    });
    let summary = receiver.recv_timeout(PATIENCE).unwrap();
    assert!(summary.requests >= 5, "{summary:?}");
}

#[test]
fn a_body_without_an_end() {
    under_a_flood(
        TargetSettings::default(),
        |address, over, begun| {
            let mut stream = TcpStream::connect(address).unwrap();
            let head = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
            stream.write_all(head).unwrap();
            begun.wait();
            let chunks = b"1\r\nz\r\n".repeat(40_000);
            while !over.load(Ordering::Relaxed) && stream.write_all(&chunks).is_ok() {}
        },
        |address| {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream.write_all(b"GET /1 HTTP/1.1\r\n\r\n").unwrap();
            let mut answer = [0; 12];
            stream.read_exact(&mut answer).unwrap();
            assert_eq!(&answer, b"HTTP/1.1 200");
        },
    );
}

#[test]
fn datagrams_without_an_end() {
    let settings = TargetSettings {
        udp: true,
        ..TargetSettings::default()
    };
    under_a_flood(
        settings,
        |address, over, begun| {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.connect(address).unwrap();
            begun.wait();
            while !over.load(Ordering::Relaxed) {
                let _nobody = socket.send(b"again");
            }
        },
        |address| {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.connect(address).unwrap();
            let pause = Duration::from_millis(50);
            socket.set_read_timeout(Some(pause)).unwrap();
            // What has no room is lost: it is asked until it answers.
            let mut answer = [0; 100];
            while socket.send(b"7").is_err() || socket.recv(&mut answer).is_err() {}
        },
    );
}
