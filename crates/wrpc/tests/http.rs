//! HTTP requests over a real nats-server, to servers that break the rules: each
//! gives an error of its own, none a hang.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::{Duration, Instant};

use bytes::Bytes;
use encarno_test_peers::NatsServer;
use encarno_wrpc::ErrorCode;
use encarno_wrpc::http::{FUNCTION, INSTANCE, Outcome, RequestHead, Response};
use encarno_wrpc::nats::{Connection, Options, subject};
use futures_util::StreamExt as _;

/// What a server publishes for a call: a part of the reply subject, and a payload.
type Script = Vec<(&'static str, Vec<u8>)>;

/// Answers each call with that script.
async fn serve(url: &str, script: Script) {
    let client = async_nats::connect(url).await.unwrap();
    let function = subject::function("test", INSTANCE, FUNCTION).unwrap();
    let mut calls = client.subscribe(function).await.unwrap();
    client.flush().await.unwrap();
    tokio::spawn(async move {
        while let Some(call) = calls.next().await {
            let reply = call.reply.unwrap();
            let own = client.new_inbox();
            client
                .publish_with_reply(reply.clone(), own, Bytes::new())
                .await
                .unwrap();
            for (part, payload) in &script {
                let part = format!("{reply}.{part}");
                client.publish(part, payload.clone().into()).await.unwrap();
            }
        }
    });
}

async fn get(url: &str, timeout: Duration) -> Outcome {
    let connection = Connection::connect(&Options::new(url).unwrap())
        .await
        .unwrap();
    let function = subject::function("test", INSTANCE, FUNCTION).unwrap();
    let head = RequestHead {
        method: "GET".into(),
        ..RequestHead::default()
    };
    let deadline = Instant::now() + timeout;
    connection
        .http(function, head, Bytes::new(), deadline)
        .await
}

/// Status 200, no headers, and body and trailers to follow.
const HEAD: &[u8] = b"\0\0\0\xc8\x01\0";

/// The body that comes of a script, and what it ended with.
async fn body(script: Script) -> (usize, Option<(ErrorCode, String)>) {
    let nats = NatsServer::start();
    serve(&nats.url(), script).await;
    let outcome = get(&nats.url(), Duration::from_secs(2)).await;
    let mut response = match outcome.result {
        Ok(response) => response,
        Err(error) => return (0, Some((error.code, error.message))),
    };
    let mut length = 0;
    loop {
        match response.body.chunk().await {
            Ok(None) => return (length, None),
            Ok(Some(chunk)) => length += chunk.len(),
            Err(error) => return (length, Some((error.code, error.message))),
        }
    }
}

#[tokio::test]
async fn streams_of_upstream_are_read() {
    let script = vec![
        ("results", HEAD.to_vec()),
        ("results", vec![]),
        ("results.0", vec![]),
        ("results.0.0", b"\x05he".to_vec()),
        ("results.0.0", b"llo\x01!".to_vec()),
        ("results.0.0", vec![0]),
        ("results.0.0", vec![]),
        ("results.0.1", vec![0]),
        ("results.0.1", vec![]),
    ];
    assert_eq!(body(script).await, (6, None));
}

#[tokio::test]
async fn what_no_response_can_be_has_a_code() {
    let whole = |payload: &[u8]| vec![("results", payload.to_vec()), ("results", vec![])];
    let with = |part: &'static str, payload: &[u8]| {
        let mut script = whole(HEAD);
        script.push((part, payload.to_vec()));
        script
    };
    let mut trailers = with("results.0.0", &[0]);
    trailers.push(("results.0.1", b"\x01\x01\x03a b\x01\x01c".to_vec()));
    for (script, length, about) in [
        (whole(&[]), 0, "without a response"),
        (whole(b"\0\x01\0\x01\0\x63\0"), 0, "status"),
        (
            whole(b"\0\x01\0\x01\0\xc8\x01\x01\x03a b\x01\x01c"),
            0,
            "header name",
        ),
        (whole(b"\0\x01\xff\xff\xff\xff\x0f"), 0, "truncated"),
        (whole(b"\x01\x27"), 0, "error-code"),
        (with("results.0.0", b"\xff\xff\xff\xff\x1f"), 0, "too large"),
        (with("results.0.0", b"\x01x\0y"), 1, "after its end"),
        (with("results.0.0", b""), 0, "in the middle"),
        (trailers, 0, "trailers"),
    ] {
        let (read, error) = body(script).await;
        let (code, message) = error.expect(about);
        assert_eq!(
            (read, code),
            (length, ErrorCode::InvalidResponse),
            "{message}"
        );
        assert!(message.contains(about), "{message}");
    }
}

#[tokio::test]
async fn a_body_that_never_ends_ends_at_the_deadline_or_with_its_sender() {
    let nats = NatsServer::start();
    let script = vec![("results", HEAD.to_vec()), ("results", vec![])];
    serve(&nats.url(), script).await;
    // The server's reply subject has no subscriber, so that a probe finds it gone.
    for (timeout, code) in [
        (Duration::from_millis(300), ErrorCode::Timeout),
        (Duration::from_secs(60), ErrorCode::ReceiverGone),
    ] {
        let mut response = get(&nats.url(), timeout).await.result.unwrap();
        let error = response.body.chunk().await.expect_err("no end");
        assert_eq!(error.code, code, "{error}");
    }
}

#[tokio::test]
async fn a_body_that_comes_too_fast_is_an_error_and_stalls_nobody() {
    let nats = NatsServer::start();
    // 66 MiB, from a server that knows no windows; 64 are kept.
    let mut script = vec![("results", HEAD.to_vec()), ("results", vec![])];
    let mut piece = vec![0xf0, 0xff, 0x3f]; // a chunk of 1 MiB - 16
    piece.resize(piece.len() + (1 << 20) - 16, b'x');
    script.extend((0..66).map(|_| ("results.0.0", piece.clone())));
    serve(&nats.url(), script).await;
    let mut response = get(&nats.url(), Duration::from_secs(30))
        .await
        .result
        .unwrap();
    let received = |response: &Response| response.body.traffic().unwrap().bytes_received;
    let deadline = Instant::now() + Duration::from_secs(20);
    while received(&response) < 65 << 20 {
        assert!(Instant::now() < deadline, "{} bytes", received(&response));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let error = response.body.collect(1 << 30).await.expect_err("too much");
    assert_eq!(error.code, ErrorCode::PayloadTooLarge, "{error}");
}
