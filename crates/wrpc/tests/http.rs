//! HTTP requests over a real nats-server, to servers that break the rules: each
//! gives an error of its own, none a hang.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod rig;

use std::time::{Duration, Instant};

use bytes::Bytes;
use encarno_test_peers::NatsServer;
use encarno_wrpc::http::{FUNCTION, INSTANCE, Message, Part, RequestHead, Response, ResponseHead};
use encarno_wrpc::nats::serve::Responder;
use encarno_wrpc::nats::{Connection, Server, subject};
use encarno_wrpc::serve::{Export, Invocation, Limits, Parameters, Respond};
use encarno_wrpc::{ErrorCode, Outcome};
use futures_util::{FutureExt as _, StreamExt as _};

use crate::rig::{connect, settle};

/// What a server publishes for a call: a part of the reply subject, and a payload.
type Script = Vec<(&'static str, Vec<u8>)>;

/// Answers each call with that script.
async fn serve(url: &str, script: Script) {
    let client = async_nats::connect(url).await.unwrap();
    let function = subject::function("test", INSTANCE, FUNCTION).unwrap();
    let mut calls = client.subscribe(function.to_string()).await.unwrap();
    settle(&client).await;
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

async fn get(url: &str, timeout: Duration) -> Outcome<Response> {
    request(&connect(url).await, "GET", Bytes::new(), timeout).await
}

async fn request(
    connection: &Connection,
    method: &str,
    body: Bytes,
    timeout: Duration,
) -> Outcome<Response> {
    let function = subject::function("test", INSTANCE, FUNCTION).unwrap();
    let head = RequestHead {
        method: method.into(),
        ..RequestHead::default()
    };
    let deadline = Instant::now() + timeout;
    connection.http(function, head, body, deadline).await
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

/// A receiver of ours that answers with the body of the request.
async fn echo(url: &str) {
    let export = Export {
        instance: INSTANCE.into(),
        function: FUNCTION.into(),
        check: Box::new(Message::<RequestHead>::check),
        has_streams: true,
    };
    let limits = Limits::new(1 << 20, Duration::from_secs(5));
    let server = Server::new(connect(url).await, "test", None, vec![export], limits);
    let server = server.await.unwrap();
    let answer = |invocation: Invocation<Responder>| {
        tokio::spawn(async move {
            let Parameters::Whole(params) = invocation.parameters else {
                unreachable!("the heads here are small");
            };
            let mut responder = invocation.responder;
            let request = Message::<RequestHead>::decode(&params).unwrap();
            let result = match responder.body(request) {
                Ok(mut body) => match body.collect(1 << 20).now_or_never() {
                    Some(body) => body,
                    None => {
                        responder.accept().await; // now it is sent
                        body.collect(1 << 20).await
                    }
                },
                Err(error) => Err(error),
            };
            let response = |body| Message {
                head: ResponseHead {
                    status: 200,
                    headers: Vec::new(),
                },
                body: Part::Ready(body),
                trailers: Part::Ready(None),
            };
            let result = result.map(|body| response(body).encode().into());
            responder.finish(result).await;
        });
    };
    tokio::spawn(server.run(std::future::pending(), answer));
}

const PATIENCE: Duration = Duration::from_secs(30);

/// Sends a request and gives the body that comes back.
async fn echoed(connection: &Connection, body: &'static [u8]) -> Bytes {
    let outcome = request(connection, "POST", body.into(), PATIENCE).await;
    outcome.result.unwrap().body.collect(1 << 20).await.unwrap()
}

#[tokio::test]
async fn a_small_request_is_one_message_each_way() {
    let nats = NatsServer::start();
    echo(&nats.url()).await;
    let spy = async_nats::connect(nats.url()).await.unwrap();
    let mut seen = spy.subscribe("test.>").await.unwrap();
    let mut answers = spy.subscribe("_INBOX.>").await.unwrap();
    settle(&spy).await;
    let connection = connect(&nats.url()).await;
    // A body is put behind the head as soon as a receiver has shown that it is ours.
    assert_eq!(&echoed(&connection, b"").await[..], b"");
    assert_eq!(&echoed(&connection, b"body").await[..], b"body");
    let asked = request(&connection, "POST", b"body"[..].into(), PATIENCE);
    assert_eq!(asked.await.timing.uploaded, None);
    for length in ["0", "4"] {
        let message = seen.next().await.unwrap();
        let headers = message.headers.unwrap();
        assert_eq!(headers.get("Encarno-Body").unwrap().as_str(), length);
        let reply = message.reply.unwrap();
        let answer = loop {
            // Other connections ask themselves whether they are up.
            let message = answers.next().await.unwrap();
            if message.subject.starts_with(reply.as_str()) {
                break message;
            }
        };
        assert_eq!(answer.subject.as_str(), format!("{reply}.whole"));
    }
}

/// Serves as upstream's receivers do, and gives what it was sent: the parameters and
/// the stream of the body.
async fn upstream(
    client: async_nats::Client,
    mut calls: async_nats::Subscriber,
) -> (async_nats::Message, Vec<u8>) {
    let call = calls.next().await.unwrap();
    let (reply, own) = (call.reply.clone().unwrap(), client.new_inbox());
    let mut parts = client.subscribe(format!("{own}.params.0.0")).await.unwrap();
    client
        .publish_with_reply(reply.clone(), own, Bytes::new())
        .await
        .unwrap();
    let mut stream = Vec::new();
    while stream.last() != Some(&0) {
        stream.extend_from_slice(&parts.next().await.unwrap().payload);
    }
    for (part, payload) in [
        ("results", HEAD),
        ("results", b""),
        ("results.0.0", &[0]),
        ("results.0.1", &[0]),
    ] {
        let subject = format!("{reply}.{part}");
        client.publish(subject, payload.into()).await.unwrap();
    }
    (call, stream)
}

#[tokio::test]
async fn a_receiver_that_reads_no_body_behind_the_head_is_sent_a_stream() {
    let nats = NatsServer::start();
    let connection = connect(&nats.url()).await;
    let client = async_nats::connect(nats.url()).await.unwrap();
    let function = subject::function("test", INSTANCE, FUNCTION).unwrap();
    // Whether the receiver seemed to be ours, and whether the body stands behind the head.
    for (ours, announced) in [(false, None), (true, Some("4")), (false, None)] {
        if ours {
            let mut calls = client.subscribe(function.to_string()).await.unwrap();
            settle(&client).await;
            let answering = async {
                let reply = calls.next().await.unwrap().reply.unwrap();
                let whole = b"\0\x01\0\x01\0\xc8\x01\0";
                let subject = format!("{reply}.whole");
                client.publish(subject, whole[..].into()).await.unwrap();
            };
            tokio::join!(echoed(&connection, b""), answering);
            drop(calls);
        }
        let calls = client.subscribe(function.to_string()).await.unwrap();
        settle(&client).await;
        let answering = upstream(client.clone(), calls);
        let asking = request(&connection, "POST", b"body"[..].into(), PATIENCE);
        let (outcome, (call, stream)) = tokio::join!(asking, answering);
        assert!(outcome.timing.uploaded > outcome.timing.sent);
        drop(outcome.result.unwrap());
        let headers = call.headers.unwrap();
        let header = headers.get("Encarno-Body").map(|value| value.as_str());
        assert_eq!(header, announced);
        assert_eq!(call.payload.ends_with(b"body"), announced.is_some());
        assert_eq!(stream, b"\x04body\0");
    }
}

#[tokio::test]
async fn a_length_that_is_none_is_refused() {
    let nats = NatsServer::start();
    echo(&nats.url()).await;
    let client = async_nats::connect(nats.url()).await.unwrap();
    let function = subject::function("test", INSTANCE, FUNCTION).unwrap();
    let head = |body| Message {
        head: RequestHead {
            method: "GET".into(),
            ..RequestHead::default()
        },
        body,
        trailers: Part::Ready(None),
    };
    let pending = head(Part::Pending).encode();
    let ready = head(Part::Ready(Bytes::from_static(b"one"))).encode();
    let behind = [&pending[..], b"body"].concat();
    let large = [&pending[..], &vec![0; 262_144]].concat();
    for (payload, length, about) in [
        (&behind, "4", ""),
        (&behind, "3", "left over"),
        (&behind, "5", "truncated"),
        (&behind, "1000", "Encarno-Body"),
        (&behind, "-1", "Encarno-Body"),
        (&behind, "", "Encarno-Body"),
        (&behind, "99999999999999999999999", "Encarno-Body"),
        (&pending, "x", "Encarno-Body"),
        (&large, "262144", ""),
        (&large, "262145", "Encarno-Body"),
        (&ready, "0", "two bodies"),
    ] {
        let mut headers = async_nats::HeaderMap::new();
        headers.insert("Encarno-Window", "1000");
        headers.insert("Encarno-Body", length);
        let reply = client.new_inbox();
        let mut answers = client.subscribe(format!("{reply}.*")).await.unwrap();
        client
            .publish_with_reply_and_headers(
                function.to_string(),
                reply,
                headers,
                payload.clone().into(),
            )
            .await
            .unwrap();
        let answer = answers.next().await.unwrap();
        let headers = answer.headers.unwrap_or_default();
        let error = headers
            .get("Encarno-Error-Message")
            .map(|value| value.as_str());
        match error {
            None => assert_eq!(about, "", "{length:?}"),
            Some(error) => {
                let code = headers.get("Encarno-Error").unwrap().as_str();
                assert_eq!(code, "protocol_violation", "{error}");
                assert!(!about.is_empty() && error.contains(about), "{error}");
            }
        }
    }
}
