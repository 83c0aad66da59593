//! Another implementation understands what this one says, and is understood.

#![allow(clippy::unwrap_used)] // a test that fails here says enough

#[path = "rig/seen.rs"]
mod seen;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use encarno_websocket::{CloseCode, Connection, Kind, Limits, Role};
use seen::Seen;
use tungstenite::protocol::{Role as OtherRole, WebSocket};
use tungstenite::{Error, Message};

const LIMITS: Limits = Limits {
    message_bytes_max: 1 << 20,
};

fn messages() -> Vec<(Kind, Vec<u8>)> {
    let lengths = [0, 1, 125, 126, 127, 65_535, 65_536, 200_000];
    let texts = lengths.map(|length| (Kind::Text, "ä".repeat(length / 2).into_bytes()));
    let binaries = lengths.map(|length| (Kind::Binary, vec![0xff; length]));
    texts.into_iter().chain(binaries).collect()
}

/// Sends back what comes, until the other side closes.
fn echo(stream: TcpStream, role: OtherRole) {
    let mut socket = WebSocket::from_raw_socket(stream, role, None);
    loop {
        match socket.read() {
            Ok(message @ (Message::Text(_) | Message::Binary(_))) => socket.send(message).unwrap(),
            Ok(_) => {}
            Err(Error::ConnectionClosed) => return,
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn both_sides_of_another_implementation() {
    for (role, other) in [
        (Role::Client, OtherRole::Server),
        (Role::Server, OtherRole::Client),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (served, _) = listener.accept().unwrap();
        let peer = thread::spawn(move || echo(served, other));
        let mut connection = Connection::new(role, LIMITS, 7);
        let mut heard = Seen::default();
        let mut buffer = [0; 10_000];
        for (number, (kind, bytes)) in messages().iter().enumerate() {
            connection.send(*kind, bytes);
            connection.ping(&[number as u8; 125]);
            let mut sending = stream.try_clone().unwrap();
            let outbox = connection.outbox().to_vec();
            connection.sent(outbox.len());
            let sent = thread::spawn(move || sending.write_all(&outbox).unwrap());
            while heard.messages.len() <= number || heard.pongs.len() <= number {
                let count = stream.read(&mut buffer).unwrap();
                assert!(count > 0);
                connection
                    .receive(&mut buffer[..count], &mut heard)
                    .unwrap();
            }
            sent.join().unwrap();
        }
        assert!(heard.messages == messages());
        connection.close(CloseCode::NORMAL, "enough");
        stream.write_all(connection.outbox()).unwrap();
        while heard.closed.is_none() {
            let count = stream.read(&mut buffer).unwrap();
            assert!(count > 0);
            connection
                .receive(&mut buffer[..count], &mut heard)
                .unwrap();
        }
        assert_eq!(heard.closed.map(|(code, _)| code), Some(Some(1000)));
        drop(stream);
        peer.join().unwrap();
    }
}
