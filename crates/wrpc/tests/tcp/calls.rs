//! Calls that do what they should, and their bytes.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use encarno_wrpc::ErrorCode;
use encarno_wrpc::tcp::{Options, Remote};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::rig::*;

#[tokio::test]
async fn results_of_every_size_come_back_whole() {
    let server = Echo::start().await;
    for client in server.clients() {
        for size in [
            0,
            1,
            127,
            128,
            4096,
            (256 << 10) - 100,
            (256 << 10) - 18,
            256 << 10,
            (1 << 20) - 3,
            1 << 20,
            (1 << 20) + 1,
            5 << 20,
        ] {
            let payload: Vec<u8> = (0..size).map(|index| (index % 251) as u8).collect();
            echoes(&client, &payload).await;
        }
    }
}

#[tokio::test]
async fn the_bytes_of_a_call_of_its_own() {
    let server = Echo::start().await;
    // As upstream's caller sends it, and what it makes of the answer: an empty
    // frame, the results, an empty frame.
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    let call = [HEADER, b"\x00\x06\x05hello"].concat();
    stream.write_all(&call).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    within(5, stream.read_to_end(&mut answer)).await.unwrap();
    assert_eq!(answer, b"\x00\x00\x00\x06\x05hello\x00\x00");

    // What our caller sends, answered as upstream's receiver does.
    let call = [&call[..], b"\x00\x00"].concat();
    let options = receiver(move |mut stream| {
        let call = call.clone();
        async move {
            assert_eq!(read(&mut stream, call.len()).await, call);
            stream.write_all(b"\x00\x03\x05he").await.unwrap();
            stream.write_all(b"\x00\x03llo").await.unwrap();
        }
    })
    .await;
    let client = Remote::new(Options {
        reuse: false,
        ..options
    });
    let outcome = call_echo(&client).await;
    assert_eq!(outcome.traffic.bytes_sent, HEADER.len() as u64 + 10);
    assert_eq!(outcome.traffic.bytes_received, 10);
    assert!(outcome.timing.accepted.is_none(), "upstream doesn't say so");
    assert_eq!(&outcome.result.unwrap()[..], b"\x05hello");
}

async fn call_echo(client: &Remote) -> encarno_wrpc::Outcome {
    call(client, "echo", list(b"hello"), 5000).await
}

#[tokio::test]
async fn the_bytes_of_a_shared_connection() {
    let server = Echo::start().await;
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    let payload = [&HEADER[1..], b"\x05hello"].concat();
    // The caller needn't wait for the receiver's preface.
    let both = [PREFACE, &message(1, 77, &payload)].concat();
    stream.write_all(&both).await.unwrap();
    assert_eq!(read(&mut stream, PREFACE.len()).await, PREFACE);
    assert_eq!(
        take_message(&mut stream).await,
        (7, 77, b"\x05hello".to_vec())
    );

    let client = shared_receiver(move |mut stream| {
        let payload = payload.clone();
        async move {
            let (kind, call, sent) = take_message(&mut stream).await;
            assert_eq!((kind, sent), (1, payload));
            let answer = [
                message(5, call, b""),
                message(6, call, b"\x05he"),
                message(7, call, b"llo"),
            ];
            stream.write_all(&answer.concat()).await.unwrap();
            let _ = stream.read_u8().await;
        }
    })
    .await;
    let outcome = call_echo(&client).await;
    assert!(outcome.timing.accepted.is_some());
    assert_eq!(outcome.traffic.bytes_received, 3 * 13 + 6);
    assert_eq!(&outcome.result.unwrap()[..], b"\x05hello");
}

#[tokio::test]
async fn many_calls_share_a_connection() {
    let server = Echo::start_with(
        "127.0.0.1:0",
        encarno_wrpc::tcp::serve::Settings {
            connections_max: 1,
            ..settings()
        },
    )
    .await;
    let [client, _] = server.clients();
    let client = std::sync::Arc::new(client);
    let calls: Vec<_> = (0..500u32)
        .map(|number| {
            let client = std::sync::Arc::clone(&client);
            tokio::spawn(async move {
                let payload = vec![number as u8; (number * 37 % 5000) as usize];
                for _ in 0..4 {
                    echoes(&client, &payload).await;
                }
            })
        })
        .collect();
    for call in calls {
        call.await.unwrap();
    }
}

#[tokio::test]
async fn errors_arrive_with_code_and_sentence() {
    let server = Echo::start().await;
    for client in server.clients() {
        let trapped = error(call(&client, "fail", list(b""), 5000).await);
        assert_eq!(trapped.code, ErrorCode::GuestTrap);
        assert_eq!(trapped.message, "as asked  for");
        let unknown = error(call(&client, "other", list(b""), 5000).await);
        assert_eq!(unknown.code, ErrorCode::NoResponders);
        assert!(unknown.message.contains("pkg:name/echo.other"), "{unknown}");
        let undecodable = error(call(&client, "echo", Bytes::from_static(b"\x05h"), 5000).await);
        assert_eq!(undecodable.code, ErrorCode::ProtocolViolation);
        let trailing = error(call(&client, "echo", Bytes::from_static(b"\x00h"), 5000).await);
        assert_eq!(trailing.code, ErrorCode::ProtocolViolation);
        echoes(&client, b"and on").await;
    }
}

#[tokio::test]
async fn parameters_up_to_the_limit() {
    let server = Echo::start().await;
    for client in server.clients() {
        let head = 4; // the length of such a list
        echoes(&client, &vec![1; PARAMS_BYTES_MAX - head]).await;
        let params = list(&vec![1; PARAMS_BYTES_MAX - head + 1]);
        let refused = error(call(&client, "echo", params, 10_000).await);
        assert_eq!(refused.code, ErrorCode::PayloadTooLarge, "{refused}");
        let huge = Bytes::from_static(b"\xff\xff\xff\xff\x0f and no more");
        let refused = error(call(&client, "echo", huge, 10_000).await);
        let expected = [ErrorCode::PayloadTooLarge, ErrorCode::ProtocolViolation];
        assert!(expected.contains(&refused.code), "{refused}");
        echoes(&client, b"and on").await;
    }
}

#[tokio::test]
async fn a_caller_that_goes_is_noticed() {
    let server = Echo::start().await;
    let [client, _] = server.clients();
    let late = error(call(&client, "hold", list(b""), 100).await);
    assert_eq!(late.code, ErrorCode::Timeout);
    assert!(late.message.contains("accepted"), "{late}");
    {
        let hold = function("hold");
        let held = client.call(
            &hold,
            list(b""),
            std::time::Instant::now() + Duration::from_secs(60),
        );
        let _ = tokio::time::timeout(Duration::from_millis(50), held).await;
    }
    within(5, async {
        while server.gone.load(Ordering::SeqCst) < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    // So is one that takes its connection along.
    let held = tokio::spawn(async move { call(&client, "hold", list(b""), 60_000).await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    held.abort();
    within(5, async {
        while server.gone.load(Ordering::SeqCst) < 3 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn addresses_of_every_kind() {
    let v6 = Echo::start_with("[::1]:0", settings()).await;
    for client in v6.clients() {
        assert!(client.peer().starts_with("[::1]:"));
        echoes(&client, b"hello").await;
    }
    // A name whose first address may be that of another family.
    let v4 = Echo::start().await;
    for client in both(Options::new(&format!("localhost:{}", v4.addr.port())).unwrap()) {
        echoes(&client, b"hello").await;
    }
    let (sender, mut peers) = tokio::sync::mpsc::unbounded_channel();
    let options = receiver(move |stream| {
        sender.send(stream.peer_addr().unwrap()).unwrap();
        async {}
    })
    .await;
    let client = Remote::new(Options {
        source_addr: Some([127, 0, 0, 5].into()),
        ..options
    });
    call(&client, "echo", list(b""), 5000).await;
    assert_eq!(peers.recv().await.unwrap().ip().to_string(), "127.0.0.5");
}
