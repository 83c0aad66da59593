//! Peers that don't keep to the wire.

use std::time::Duration;

use encarno_wrpc::ErrorCode;
use encarno_wrpc::memory::Memory;
use encarno_wrpc::tcp::Remote;
use encarno_wrpc::tcp::serve::Settings;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::rig::*;

/// Whether the server closes the connection, whatever it says before.
async fn is_dropped(mut stream: TcpStream) {
    let mut sink = Vec::new();
    let _ = within(5, stream.read_to_end(&mut sink)).await;
}

#[tokio::test]
async fn slow_callers_are_dropped() {
    let server = Echo::start().await;
    // Silent; half a header; half a preface; half a message; a byte at a time.
    for beginning in [
        &b""[..],
        &HEADER[..9],
        &PREFACE[..4],
        &[PREFACE, &[9, 0, 0, 0, 1]].concat(),
    ] {
        let mut stream = TcpStream::connect(server.addr).await.unwrap();
        stream.write_all(beginning).await.unwrap();
        is_dropped(stream).await;
    }
    for whole in [
        [HEADER, b"\x00\x06\x05hello"].concat(),
        [PREFACE, &message(1, 1, &[0; 600])].concat(),
    ] {
        let (mut read, mut write) = TcpStream::connect(server.addr).await.unwrap().into_split();
        let dribble = tokio::spawn(async move {
            for &byte in whole.iter().cycle() {
                if write.write_all(&[byte]).await.is_err() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(30)).await;
            }
        });
        let mut sink = Vec::new();
        let _ = within(10, read.read_to_end(&mut sink)).await;
        dribble.abort();
    }
    let [client, _] = server.clients();
    echoes(&client, b"and on").await;
}

#[tokio::test]
async fn a_caller_that_doesnt_read_is_dropped() {
    let server = Echo::start().await;
    let payload = list(&vec![1; 200_000]);
    let one = [&HEADER[1..], &payload].concat();
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    stream.write_all(PREFACE).await.unwrap();
    // The server stops reading, too, and then gives up.
    let flood = async {
        for call in 1.. {
            if stream.write_all(&message(1, call, &one)).await.is_err() {
                break;
            }
        }
    };
    within(20, flood).await;
    let [client, _] = server.clients();
    echoes(&client, b"and on").await;
}

#[tokio::test]
async fn a_second_call_of_the_same_number_ends_the_connection() {
    let server = Echo::start().await;
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    let hold = [&b"\x0dpkg:name/echo\x04hold"[..], b"\x00"].concat();
    let twice = [PREFACE, &message(1, 5, &hold), &message(1, 5, &hold)].concat();
    stream.write_all(&twice).await.unwrap();
    is_dropped(stream).await;
}

#[tokio::test]
async fn answers_twice_late_and_to_nobody() {
    let client = shared_receiver(|mut stream| async move {
        let (_, first, _) = take_message(&mut stream).await;
        let answers = [
            message(7, u64::MAX, b"to nobody"),
            message(7, 0, b"to nobody"),
            message(7, first, b"\x05first"),
            message(7, first, b"\x05twice"),
            message(8, first, b"not an error"),
        ];
        stream.write_all(&answers.concat()).await.unwrap();
        let (_, second, _) = take_message(&mut stream).await;
        let (_, third, _) = take_message(&mut stream).await;
        assert!(first != second && second != third);
        let answers = [
            message(6, third, b"\x05"),
            message(6, second, b"\x06sec"),
            message(7, third, b"third"),
            message(7, first, b"late"),
            message(7, second, b"ond"),
        ];
        stream.write_all(&answers.concat()).await.unwrap();
        let _ = stream.read_u8().await;
    })
    .await;
    let first = call(&client, "echo", list(b""), 5000).await;
    assert_eq!(&first.result.unwrap()[..], b"\x05first");
    let (second, third) = tokio::join!(
        call(&client, "echo", list(b""), 5000),
        call(&client, "echo", list(b""), 5000)
    );
    assert_eq!(&second.result.unwrap()[..], b"\x06second");
    assert_eq!(&third.result.unwrap()[..], b"\x05third");
}

#[tokio::test]
async fn peers_that_speak_something_else() {
    for answer in [
        &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"\x15\x03\x01\x00\x02\x02\x28",
        b"\xffencarno\x03",
        b"\xffenc",
    ] {
        let options = receiver(move |mut stream| async move {
            let _ = stream.read_u8().await;
            let _ = stream.write_all(answer).await;
            let _ = stream.shutdown().await;
            let mut sink = Vec::new();
            let _ = stream.read_to_end(&mut sink).await;
        })
        .await;
        for client in both(options) {
            let refused = error(call(&client, "echo", list(b"hello"), 5000).await);
            let expected = [ErrorCode::ProtocolViolation, ErrorCode::ConnectionLost];
            assert!(expected.contains(&refused.code), "{answer:?}: {refused}");
            assert!(refused.message.contains(client.peer()), "{refused}");
        }
    }
}

fn bytes_from_a_peer() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![4 => 0u8..12, 1 => Just(0xff), 1 => any::<u8>()];
    (0usize..4, prop::collection::vec(byte, 0..120)).prop_map(|(beginning, rest)| {
        let beginning = [&b""[..], HEADER, PREFACE, b"\x00\x00"][beginning];
        [beginning, &rest].concat()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_a_caller_says_others_are_served(said in prop::collection::vec(bytes_from_a_peer(), 8)) {
        run(async {
            let server = Echo::start().await;
            for bytes in said {
                let mut stream = TcpStream::connect(server.addr).await.unwrap();
                let _ = stream.write_all(&bytes).await;
                let _ = stream.shutdown().await;
                is_dropped(stream).await;
            }
            for client in server.clients() {
                echoes(&client, b"and on").await;
            }
        });
    }

    #[test]
    fn whatever_a_receiver_says_calls_end(bytes in bytes_from_a_peer()) {
        run(async {
            let options = receiver(move |mut stream| {
                let bytes = bytes.clone();
                async move {
                    let _ = stream.read(&mut [0; 64]).await;
                    let _ = stream.write_all(&bytes).await;
                }
            })
            .await;
            for client in both(options) {
                for _ in 0..2 {
                    let _ = call(&client, "echo", list(b""), 2000).await;
                }
            }
        });
    }

    #[test]
    fn whatever_a_shared_receiver_says_calls_end(bytes in bytes_from_a_peer()) {
        run(async {
            let client: Remote = shared_receiver(move |mut stream| {
                let bytes = bytes.clone();
                async move {
                    let (_, number, _) = take_message(&mut stream).await;
                    let _ = stream.write_all(&message(5, number, b"")).await;
                    let _ = stream.write_all(&bytes).await;
                }
            })
            .await;
            let _ = call(&client, "echo", list(b""), 2000).await;
        });
    }
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(test);
}

/// Connections on which no call was made leave their place soon.
#[tokio::test]
async fn prefaces_alone_keep_nobody_out() {
    let settings = Settings {
        connections_max: 5,
        ..settings()
    };
    let server = Echo::start_with("127.0.0.1:0", settings).await;
    let mut silent = Vec::new();
    for _ in 0..5 {
        let mut stream = TcpStream::connect(server.addr).await.unwrap();
        stream.write_all(PREFACE).await.unwrap();
        assert_eq!(read(&mut stream, PREFACE.len()).await, PREFACE);
        silent.push(stream);
    }
    for client in server.clients() {
        within(10, async {
            while call(&client, "echo", list(b"x"), 5000)
                .await
                .result
                .is_err()
            {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    }
    for mut stream in silent {
        let mut said = Vec::new();
        let _ = within(10, stream.read_to_end(&mut said)).await;
    }
}

/// A shared connection without calls is closed after a while, and its caller is none
/// the worse for it.
#[tokio::test]
async fn idle_connections_are_closed() {
    let settings = Settings {
        idle_max: Duration::from_millis(50),
        ..settings()
    };
    let server = Echo::start_with("127.0.0.1:0", settings).await;
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    stream.write_all(PREFACE).await.unwrap();
    assert_eq!(read(&mut stream, PREFACE.len()).await, PREFACE);
    let call = [b"\x0dpkg:name/echo\x04echo", &[0][..]].concat();
    stream.write_all(&message(1, 7, &call)).await.unwrap();
    assert_eq!(take_message(&mut stream).await, (7, 7, vec![0]));
    assert_eq!(
        take_message(&mut stream).await.0,
        9,
        "to make no more calls"
    );
    let closed = within(10, stream.read(&mut [0])).await;
    assert!(matches!(closed, Ok(0)), "{closed:?}");

    let [shared, _] = server.clients();
    for _ in 0..3 {
        echoes(&shared, b"again").await;
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

/// Where no place is left, whoever is idle makes room.
#[tokio::test]
async fn idle_connections_make_room() {
    let settings = Settings {
        connections_max: 1,
        header_timeout: Duration::from_millis(50),
        ..settings()
    };
    let server = Echo::start_with("127.0.0.1:0", settings).await;
    let [first, _] = server.clients();
    let [second, _] = server.clients();
    for _ in 0..3 {
        for client in [&first, &second] {
            within(10, async {
                while call(client, "echo", list(b"x"), 5000).await.result.is_err() {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            })
            .await;
        }
    }
}

/// The same where no memory is left: whoever comes is not refused before the memory of
/// those who are idle is there.
#[tokio::test]
async fn idle_connections_give_their_memory() {
    const CONNECTION_BYTES: usize = 64 << 10;
    let settings = Settings {
        connections_max: 10,
        header_timeout: Duration::from_millis(50),
        ..settings()
    };
    let memory = Memory::new(3 * CONNECTION_BYTES);
    let server = Echo::start_within("127.0.0.1:0", settings, memory.clone()).await;
    let mut idle = Vec::new();
    for number in 0..10 {
        let [client, _] = server.clients();
        echoes(&client, b"x").await;
        idle.push(client);
        if number >= 2 {
            assert_eq!(memory.reserved(), 3 * CONNECTION_BYTES);
        }
        // So long is nobody idle by then that isn't to be.
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}
