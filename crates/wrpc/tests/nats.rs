//! Calls over a real nats-server: each thing that can go wrong is an error of
//! its own, none a hang.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod rig;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use encarno_test_peers::NatsServer;
use encarno_wrpc::nats::{Connection, Options, subject};
use encarno_wrpc::serve::{Limits, Parameters, Respond};
use encarno_wrpc::{Error, ErrorCode};
use futures_util::StreamExt as _;
use tokio::task::JoinHandle;

use rig::{
    Behaviour, call, code, code_or_ok, connect, echo, limits, list, serve, server, settle, within,
};

#[tokio::test]
async fn results_of_every_size_come_back_whole() {
    let nats = NatsServer::start();
    let _server = serve(&nats.url(), Behaviour::Echo).await;
    let connection = connect(&nats.url()).await;
    let max = connection.max_payload();
    // Around the size at which the parameters no longer fit the first message.
    let sizes = [
        0,
        1,
        127,
        128,
        max - 100,
        max - 5,
        max - 4,
        max - 3,
        max,
        max + 1,
        5 * max,
    ];
    for size in sizes.into_iter().chain(max - 70..max - 30) {
        let payload: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
        let outcome = within(20, call(&connection, list(&payload), 10_000)).await;
        assert!(
            outcome.result.as_ref().unwrap() == &list(&payload),
            "{size} bytes"
        );
        let timing = outcome.timing;
        assert!(timing.sent <= timing.accepted && timing.accepted <= timing.finished);
        assert!(outcome.traffic.bytes_sent >= size as u64);
        assert!(outcome.traffic.bytes_received >= size as u64);
    }
}

#[tokio::test]
async fn ten_thousand_calls_in_flight() {
    let nats = NatsServer::start();
    let _server = serve(&nats.url(), Behaviour::Echo).await;
    let connection = connect(&nats.url()).await;
    let calls = (0..10_000u32).map(|number| {
        let connection = connection.clone();
        tokio::spawn(async move {
            let params = list(&number.to_le_bytes());
            let outcome = call(&connection, params.clone(), 30_000).await;
            assert_eq!(outcome.result, Ok(params), "the answer of another call");
        })
    });
    for call in calls.collect::<Vec<_>>() {
        within(40, call).await.unwrap();
    }
}

#[tokio::test]
async fn nobody_serves_the_function() {
    let nats = NatsServer::start();
    let connection = connect(&nats.url()).await;
    let outcome = within(5, call(&connection, list(b""), 10_000)).await;
    assert_eq!(code(&outcome), ErrorCode::NoResponders);
    assert!(outcome.timing.accepted.is_none());
}

#[tokio::test]
async fn errors_arrive_by_name_and_in_one_line() {
    let nats = NatsServer::start();
    let _server = serve(&nats.url(), Behaviour::Fail(ErrorCode::GuestTrap)).await;
    let connection = connect(&nats.url()).await;
    let outcome = within(5, call(&connection, list(b""), 10_000)).await;
    let error = outcome.result.unwrap_err();
    assert_eq!(error, Error::new(ErrorCode::GuestTrap, "as asked  for"));
}

#[tokio::test]
async fn parameters_that_cannot_be_right_are_refused() {
    let nats = NatsServer::start();
    let _server = serve(&nats.url(), Behaviour::Echo).await;
    let connection = connect(&nats.url()).await;
    for (params, expected) in [
        (
            &[0xff, 0xff, 0xff, 0xff, 0x0f][..],
            ErrorCode::PayloadTooLarge,
        ),
        (
            &[0xff, 0xff, 0xff, 0xff, 0x7f],
            ErrorCode::ProtocolViolation,
        ),
        (&[0, 0], ErrorCode::ProtocolViolation),
    ] {
        let params = Bytes::from_static(params);
        let outcome = within(5, call(&connection, params.clone(), 10_000)).await;
        assert_eq!(code(&outcome), expected, "{params:?}");
    }
    // The server is none the worse for it.
    let outcome = within(5, call(&connection, list(b"x"), 10_000)).await;
    assert_eq!(outcome.result, Ok(list(b"x")));
}

#[tokio::test]
async fn a_call_that_is_never_answered_times_out() {
    let nats = NatsServer::start();
    let _server = serve(&nats.url(), Behaviour::AcceptOnly).await;
    let connection = connect(&nats.url()).await;
    // Longer than the interval of the probes, which the receiver must survive.
    let outcome = within(10, call(&connection, list(b""), 2500)).await;
    assert_eq!(code(&outcome), ErrorCode::Timeout);
    assert!(outcome.timing.accepted.is_some());
}

#[tokio::test]
async fn a_call_that_is_never_accepted_times_out() {
    let nats = NatsServer::start();
    let silent = async_nats::connect(nats.url()).await.unwrap();
    let _subscriber = silent.subscribe(echo().to_string()).await.unwrap();
    settle(&silent).await;
    let connection = connect(&nats.url()).await;
    for size in [0, 3 << 20] {
        let outcome = within(5, call(&connection, list(&vec![0; size]), 300)).await;
        assert_eq!(code(&outcome), ErrorCode::Timeout);
        assert!(outcome.timing.accepted.is_none());
    }
}

#[tokio::test]
async fn a_receiver_that_dies_is_noticed_before_the_deadline() {
    let nats = NatsServer::start();
    let server = serve(&nats.url(), Behaviour::AcceptOnly).await;
    let connection = connect(&nats.url()).await;
    let calling = tokio::spawn({
        let connection = connection.clone();
        async move { call(&connection, list(b""), 60_000).await }
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    server.abort(); // drops its connection
    let outcome = within(20, calling).await.unwrap();
    assert_eq!(code(&outcome), ErrorCode::ReceiverGone);
}

/// Upstream's receivers keep what comes at the parameters. One message there says that
/// the parameters have ended; whether the receiver lives is asked elsewhere.
#[tokio::test]
async fn probes_fill_no_queue_of_the_receiver() {
    let nats = NatsServer::start();
    let client = async_nats::connect(nats.url()).await.unwrap();
    let function = subject::function(rig::PREFIX, "pkg:name/echo", "echo").unwrap();
    let mut calls = client.subscribe(function.to_string()).await.unwrap();
    let own = client.new_inbox();
    let mut rest = client.subscribe(format!("{own}.>")).await.unwrap();
    settle(&client).await;
    let connection = connect(&nats.url()).await;
    let calling = tokio::spawn(async move { call(&connection, list(b"x"), 60_000).await });
    let reply = within(10, calls.next()).await.unwrap().reply.unwrap();
    let accepted = client.publish_with_reply(reply.clone(), own.clone(), Bytes::new());
    accepted.await.unwrap();
    for part in ["params", "probe"] {
        let message = within(10, rest.next()).await.unwrap();
        assert_eq!(message.subject.as_str(), format!("{own}.{part}"));
        assert!(message.payload.is_empty());
    }
    let results = format!("{reply}.results");
    client.publish(results, Bytes::new()).await.unwrap();
    let outcome = within(10, calling).await.unwrap();
    assert_eq!(outcome.result, Ok(Bytes::new()));
}

#[tokio::test]
async fn a_lost_server_fails_what_is_in_flight_and_is_found_again() {
    let mut nats = NatsServer::start();
    let url = nats.url();
    let _server = serve(&url, Behaviour::AcceptOnly).await;
    let connection = connect(&url).await;
    let calling = tokio::spawn({
        let connection = connection.clone();
        async move { call(&connection, list(b""), 60_000).await }
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    nats.kill();
    let outcome = within(10, calling).await.unwrap();
    assert_eq!(code(&outcome), ErrorCode::ConnectionLost);

    // With the server away a call fails by its own deadline …
    let outcome = within(5, call(&connection, list(b""), 200)).await;
    assert_eq!(code(&outcome), ErrorCode::Timeout);
    // … and once it is back, both connections serve again. The receiver's may take
    // longer than ours, until when nobody serves the function.
    nats.restart();
    within(10, async {
        while call(&connection, list(b""), 300)
            .await
            .timing
            .accepted
            .is_none()
        {}
    })
    .await;
}

#[tokio::test]
async fn a_connection_that_cannot_be_made_says_why() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let closed_port = free.local_addr().unwrap().port();
    drop(free);
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent_port = silent.local_addr().unwrap().port();
    let secured = NatsServer::start_with(&["--user", "me", "--pass", "secret"]);
    for (url, expected) in [
        (
            format!("nats://127.0.0.1:{closed_port}"),
            ErrorCode::ConnectionRefused,
        ),
        (
            format!("nats://127.0.0.1:{silent_port}"),
            ErrorCode::ConnectionRefused,
        ),
        (
            "nats://no.such.host.invalid:4222".to_owned(),
            ErrorCode::UnresolvedHost,
        ),
        (secured.url(), ErrorCode::Authentication),
        (
            format!("nats://me:wrong@127.0.0.1:{}", secured.port()),
            ErrorCode::Authentication,
        ),
    ] {
        let mut options = Options::new(&url).unwrap();
        options.connect_timeout = Duration::from_millis(700);
        let error = within(5, Connection::connect(&options))
            .await
            .err()
            .unwrap();
        assert_eq!(error.code, expected, "{url}: {error}");
        assert!(!error.message.contains("wrong"), "{error}");
    }
    connect(&format!("nats://me:secret@127.0.0.1:{}", secured.port())).await;
}

#[tokio::test]
async fn a_caller_like_upstreams_is_served() {
    let nats = NatsServer::start();
    let _server = serve(&nats.url(), Behaviour::Echo).await;
    let caller = async_nats::connect(nats.url()).await.unwrap();
    let reply = caller.new_inbox();
    let mut inbox = caller.subscribe(format!("{reply}.>")).await.unwrap();
    let mut accepted = caller.subscribe(reply.clone()).await.unwrap();
    let params = list(b"hello");
    caller
        .publish_with_reply(echo().to_string(), reply.clone(), params.clone())
        .await
        .unwrap();
    let receiver = within(5, accepted.next()).await.unwrap().reply.unwrap();
    // Upstream sends the end of the parameters even where none are left.
    caller
        .publish(format!("{receiver}.params"), Bytes::new())
        .await
        .unwrap();
    let mut results = Vec::new();
    loop {
        let message = within(5, inbox.next()).await.unwrap();
        assert_eq!(message.subject.as_str(), format!("{reply}.results"));
        if message.payload.is_empty() {
            assert!(message.headers.is_none());
            break;
        }
        results.extend_from_slice(&message.payload);
    }
    assert_eq!(results, params);
}

/// A receiver that answers by a script: twice, late, out of order, garbage.
async fn misbehave(url: &str, script: Vec<(&'static str, &'static [u8])>) -> JoinHandle<()> {
    let client = async_nats::connect(url).await.unwrap();
    let mut calls = client.subscribe(echo().to_string()).await.unwrap();
    settle(&client).await;
    let script = Arc::new(script);
    tokio::spawn(async move {
        while let Some(message) = calls.next().await {
            let reply = message.reply.unwrap();
            for (part, payload) in script.iter() {
                let subject = format!("{reply}{part}");
                client
                    .publish(subject, Bytes::from_static(payload))
                    .await
                    .unwrap();
            }
        }
    })
}

#[tokio::test]
async fn a_receiver_that_breaks_the_rules_harms_nobody() {
    let nats = NatsServer::start();
    let connection = connect(&nats.url()).await;
    for (script, expected) in [
        (
            vec![
                ("", &b""[..]),
                ("", b""),
                (".results", b"a"),
                (".results", b""),
                (".results", b"b"),
                (".results", b""),
            ],
            Ok(&b"a"[..]),
        ),
        (
            vec![(".results", b"a"), (".results", b""), ("", b"")],
            Ok(b"a"),
        ),
        (
            vec![
                ("", b"\xff\xff"),
                (".nonsense", b"x"),
                (".results.0.1", b"x"),
                (".results", b""),
            ],
            Ok(b""),
        ),
        (vec![(".nonsense", b"x")], Err(ErrorCode::Timeout)),
        (
            vec![("", b""), (".results", b"half")],
            Err(ErrorCode::Timeout),
        ),
    ] {
        let receiver = misbehave(&nats.url(), script).await;
        for _ in 0..3 {
            let outcome = within(5, call(&connection, list(b""), 300)).await;
            match expected {
                Ok(result) => assert_eq!(outcome.result.as_deref(), Ok(result)),
                Err(expected) => assert_eq!(code(&outcome), expected),
            }
        }
        receiver.abort();
        // Its subscription must be gone before the next one serves.
        let _ = receiver.await;
        within(5, async {
            while code_or_ok(&call(&connection, list(b""), 300).await)
                != Some(ErrorCode::NoResponders)
            {}
        })
        .await;
    }
}

/// The server takes no more than 300 bytes of headers: the sentence is cut, and the code
/// arrives.
#[tokio::test]
async fn an_error_larger_than_a_message_is_shortened() {
    let nats = NatsServer::start_configured("max_payload: 300\n");
    let connection = connect(&nats.url()).await;
    let server = server(connect(&nats.url()).await, limits()).await;
    tokio::spawn(server.run(std::future::pending(), |invocation| {
        let error = Error::new(ErrorCode::GuestTrap, "é".repeat(2000));
        tokio::spawn(invocation.responder.finish(Err(error)));
    }));
    let outcome = within(10, call(&connection, list(b"x"), 5000)).await;
    let error = outcome.result.expect_err("it fails");
    assert_eq!(error.code, ErrorCode::GuestTrap, "{error}");
    assert!(
        error.message.starts_with("éé") && error.message.len() < 300,
        "{error}"
    );
}

#[tokio::test]
async fn a_parameter_stream_that_stops_is_given_up() {
    let nats = NatsServer::start();
    let connection = connect(&nats.url()).await;
    let impatient = Limits {
        params_timeout: Duration::from_millis(200),
        ..limits()
    };
    let server = server(connect(&nats.url()).await, impatient).await;
    tokio::spawn(server.run(std::future::pending(), |invocation| {
        tokio::spawn(async move {
            let mut responder = invocation.responder;
            assert!(matches!(invocation.parameters, Parameters::Partial));
            let params = responder.complete().await;
            responder.finish(params).await;
        });
    }));
    // 100 bytes are announced, one comes, and no end.
    let short = Bytes::from_static(&[100, 1]);
    let outcome = within(5, call(&connection, short, 5000)).await;
    assert_eq!(code(&outcome), ErrorCode::Timeout);
    assert!(outcome.result.unwrap_err().message.contains("parameters"));
}

#[tokio::test]
async fn a_stopped_server_finishes_what_it_was_given() {
    let nats = NatsServer::start();
    let server = server(connect(&nats.url()).await, limits()).await;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let (running, mut ran) = tokio::sync::mpsc::unbounded_channel();
    let serving = tokio::spawn(server.run(
        async {
            let _ = stopped.await;
        },
        move |invocation| {
            running
                .send(tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(300)).await;
                    invocation.responder.finish(Ok(Bytes::new())).await;
                }))
                .unwrap();
        },
    ));
    let connection = connect(&nats.url()).await;
    let calling = tokio::spawn({
        let connection = connection.clone();
        async move { call(&connection, list(b""), 10_000).await }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    stop.send(()).unwrap();
    within(5, serving).await.unwrap();
    while let Some(task) = ran.recv().await {
        task.await.unwrap();
    }
    let outcome = within(5, calling).await.unwrap();
    assert_eq!(outcome.result, Ok(Bytes::new()));
    let outcome = within(5, call(&connection, list(b""), 10_000)).await;
    assert_eq!(code(&outcome), ErrorCode::NoResponders);
}
