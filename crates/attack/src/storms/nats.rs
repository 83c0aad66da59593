//! Storms against messages over NATS, and NATS itself.

use std::time::Duration;

use encarno_test_peers::Random;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::failure::Failure;
use crate::neighbours::{INSTANCE, PREFIX};
use crate::row::Row;
use crate::siege::{Siege, Transport, Under};

/// The parts of senseless messages.
const SUBJECTS: &[&[u8]] = &[
    b"_INBOX.a",
    b"_INBOX.\xff",
    b"a b",
    b"..",
    b"",
    b"\xff.\xfe",
    b"*",
];
const HEADERS: &[&[u8]] = &[
    b"NATS/1.0\r\n\r\n",
    b"NATS/1.0 503\r\n\r\n",
    b"NATS/1.0\r\nno colon\r\n\r\n",
    b"NATS/1.0\r\nEncarno-Window: \xff\r\n\r\n",
    b"NATS/1.0\r\nEncarno-Body: 99999999999\r\n\r\n",
    b"NATS/9.9\r\nA: b\r\n\r\n",
    b"\xff\xff\xff\xff",
    b"NATS/1.0\r\n: \r\n\r\n",
    b"NATS/1.0\r\nA\0B: c\r\n folded\r\n\r\n",
];
/// The interval for 100 a second.
const INTERVAL: Duration = Duration::from_millis(10);

pub(super) async fn nonsense(time: Duration) -> Result<Row, Failure> {
    let siege = Siege {
        transport: Transport::Nats,
        ..Siege::default()
    };
    siege.hold(time, "messages", publish_nonsense).await
}

async fn publish_nonsense(under: Under) -> Result<(), Failure> {
    let mut random = Random::new(1);
    let mut stream = connect(under.addr()).await?;
    let mut inbox = [0; 4096];
    while under.goes_on() {
        // A refusal by the server itself ends only this connection.
        while let Ok(read) = stream.try_read(&mut inbox) {
            if read == 0 || inbox[..read].starts_with(b"-ERR") {
                stream = connect(under.addr()).await?;
                break;
            }
            if inbox[..read].windows(4).any(|word| word == b"PING") {
                let _ = stream.write_all(b"PONG\r\n").await;
            }
        }
        if stream.write_all(&message(&mut random)).await.is_err() {
            stream = connect(under.addr()).await?;
        }
        under.threw(1);
        tokio::time::sleep(INTERVAL).await;
    }
    Ok(())
}

/// A message for the receiver: subject, reply subject, headers and payload.
fn message(random: &mut Random) -> Vec<u8> {
    let function = [b"echo".as_slice(), b"sum", b"e\xff", b"leak.params", b""][random.below(5)];
    let subject = [
        format!("{PREFIX}.wrpc.0.0.1.{INSTANCE}.").as_bytes(),
        function,
    ]
    .concat();
    let reply = SUBJECTS[random.below(SUBJECTS.len())];
    let headers = HEADERS[random.below(HEADERS.len())];
    let payload = random.bytes(600);
    let (operation, headers) = match random.below(3) {
        0 => ("PUB", &[][..]),
        _ => ("HPUB", headers),
    };
    let lengths = match operation {
        "PUB" => payload.len().to_string(),
        _ => format!("{} {}", headers.len(), headers.len() + payload.len()),
    };
    let parts: [&[u8]; 10] = [
        operation.as_bytes(),
        b" ",
        &subject,
        b" ",
        reply,
        b" ",
        lengths.as_bytes(),
        b"\r\n",
        headers,
        &payload,
    ];
    [parts.concat(), b"\r\n".to_vec()].concat()
}

async fn connect(addr: &str) -> Result<TcpStream, Failure> {
    let mut stream = TcpStream::connect(addr).await?;
    let _ = stream.read(&mut [0; 4096]).await?;
    let hello = b"CONNECT {\"verbose\":false,\"headers\":true,\"no_responders\":true}\r\n";
    stream.write_all(hello).await?;
    Ok(stream)
}

pub(super) async fn kills(time: Duration) -> Result<Row, Failure> {
    let siege = Siege {
        transport: Transport::Nats,
        // A call on its way may be lost; the next ones must succeed.
        may_say: &[
            "connection_lost",
            "connection_refused",
            "no_responders",
            "receiver_gone",
            "timeout",
        ],
        ..Siege::default()
    };
    let storm = |under: Under| async move {
        while under.goes_on() {
            let restart = under.clone();
            tokio::task::spawn_blocking(move || restart.restart_nats()).await?;
            under.threw(1);
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        Ok(())
    };
    siege.hold(time, "kills", storm).await
}
