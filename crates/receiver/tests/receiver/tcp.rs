//! The receiver over TCP: the same guests and limits, other connections.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use encarno_test_peers::Namespace;
use encarno_wrpc::ErrorCode;
use encarno_wrpc::tcp::{FunctionNames, Options, Remote};
use encarno_wrpc::{Error, Outcome};
use rustix::process::Signal;

use crate::guests;
use crate::program::{INSTANCE, Receiver, run_tcp};

/// A client for each of the two ways: a connection that is shared, and one for each call.
fn clients(receiver: &Receiver) -> [Arc<Remote>; 2] {
    [true, false].map(|reuse| {
        let mut options = Options::new(receiver.addr()).unwrap();
        options.reuse = reuse;
        Arc::new(Remote::new(options))
    })
}

async fn outcome(client: &Remote, function: &str, params: &[u8]) -> Outcome {
    let function = FunctionNames::new(INSTANCE, function);
    let deadline = Instant::now() + Duration::from_secs(20);
    let params = Bytes::copy_from_slice(params);
    client.call(&function, params, deadline).await
}

async fn call(client: &Remote, function: &str, params: &[u8]) -> Result<Bytes, Error> {
    outcome(client, function, params).await.result
}

#[tokio::test]
async fn guests_that_behave_and_guests_that_do_not() {
    let receiver = Receiver::start_tcp(&guests::worker(), &["--max-concurrency", "8"]);
    for client in clients(&receiver) {
        let echoed = call(&client, "echo", b"\x05hello").await;
        assert_eq!(echoed.as_deref(), Ok(&b"\x05hello"[..]));
        let large = [&[0x80, 0x80, 0x40][..], &vec![7; 1 << 20]].concat();
        assert_eq!(
            call(&client, "echo", &large).await.as_deref(),
            Ok(&large[..])
        );
        for (function, params, code) in [
            ("trap", &[][..], ErrorCode::GuestTrap),
            ("divide", &[0], ErrorCode::GuestTrap),
            ("echo", b"\x05hell", ErrorCode::ProtocolViolation),
            ("unknown", &[], ErrorCode::NoResponders),
        ] {
            let error = call(&client, function, params).await.expect_err(function);
            assert_eq!(error.code, code, "{function}: {error}");
        }
        let slept = outcome(&client, "sleep", &[100]).await;
        let (accepted, finished) = (
            slept.timing.accepted.unwrap(),
            slept.timing.finished.unwrap(),
        );
        assert!(
            finished - accepted >= Duration::from_millis(95),
            "accepted when it ran"
        );
        slept.result.unwrap();
    }
}

#[tokio::test]
async fn callers_that_go_leave_their_place() {
    let receiver = Receiver::start_tcp(&guests::worker(), &["--max-concurrency", "1"]);
    for client in clients(&receiver) {
        // Each would hold the only place for 8 s.
        for _ in 0..10 {
            let sleep = tokio::time::timeout(
                Duration::from_millis(100),
                call(&client, "sleep", &[0xc0, 0x3e]),
            );
            assert!(sleep.await.is_err());
        }
        let begun = Instant::now();
        call(&client, "echo", &[0]).await.unwrap();
        assert!(begun.elapsed() < Duration::from_secs(6));
    }
}

/// The receiver's host is gone: no packet passes, and nobody says so.
#[tokio::test]
async fn a_receiver_that_vanishes_is_noticed() {
    let Some(namespace) = Namespace::new() else {
        return;
    };
    let receiver = Receiver::start_tcp_in(&namespace, &guests::worker());
    let clients = clients(&receiver);
    for client in &clients {
        call(client, "echo", &[0]).await.unwrap();
    }
    let running = clients.clone().map(|client| {
        tokio::spawn(async move { call(&client, "sleep", &[0xc0, 0x3e]).await }) // 8 s
    });
    tokio::time::sleep(Duration::from_millis(300)).await;

    namespace.cut();
    let cut = Instant::now();
    for client in &clients {
        let echo = FunctionNames::new(INSTANCE, "echo");
        let deadline = Instant::now() + Duration::from_millis(500);
        let params = Bytes::from_static(&[0]);
        let late = client.call(&echo, params, deadline).await.result;
        assert_eq!(late.expect_err("it is gone").code, ErrorCode::Timeout);
        assert!(deadline.elapsed() < Duration::from_secs(5));
    }
    for running in running {
        let gone = running.await.unwrap().expect_err("it is gone");
        assert_eq!(gone.code, ErrorCode::ReceiverGone, "{gone}");
    }
    // Five seconds by default, and some more on a busy machine; the calls themselves
    // would wait for 20.
    let took = cut.elapsed();
    assert!(took < Duration::from_secs(12), "{took:?}");
    println!("noticed after {took:.1?}");

    namespace.mend();
    for client in &clients {
        let begun = Instant::now();
        while let Err(error) = call(client, "echo", &[0]).await {
            assert!(begun.elapsed() < Duration::from_secs(20), "{error}");
        }
    }
}

#[tokio::test]
async fn a_signal_drains() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut receiver = Receiver::start_tcp(&guests::worker(), &[]);
        let running = clients(&receiver)
            .map(|client| tokio::spawn(async move { call(&client, "sleep", &[0xf4, 0x03]).await }));
        tokio::time::sleep(Duration::from_millis(100)).await;
        receiver.signal(signal);
        receiver.logged("draining").await;
        for client in clients(&receiver) {
            let late = call(&client, "echo", &[0]).await.expect_err("it drains");
            let expected = [ErrorCode::ConnectionRefused, ErrorCode::ConnectionLost];
            assert!(expected.contains(&late.code), "{late}");
        }
        for running in running {
            running.await.unwrap().expect("it may finish");
        }
        assert_eq!(receiver.wait().code(), Some(0), "{}", receiver.stderr());
    }
}

#[tokio::test]
async fn a_killed_receiver_is_noticed_at_once() {
    let receiver = Receiver::start_tcp(&guests::worker(), &[]);
    let running = clients(&receiver)
        .map(|client| tokio::spawn(async move { call(&client, "sleep", &[0xc0, 0x3e]).await }));
    tokio::time::sleep(Duration::from_millis(200)).await;
    receiver.signal(Signal::KILL);
    for running in running {
        let gone = running.await.unwrap().expect_err("it was killed");
        assert_eq!(gone.code, ErrorCode::ReceiverGone, "{gone}");
    }
}

#[test]
fn starts_that_are_refused() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let (worker, relay) = (guests::worker(), guests::relay());
    let worker = worker.to_str().unwrap();
    for (arguments, status, about) in [
        (&[taken.as_str(), worker][..], 1, "in use"),
        (&["localhost", worker], 1, "HOST:PORT"),
        (&["no-such-host.invalid:1", worker], 1, "cannot listen"),
        (&["127.0.0.1:0", "missing.wasm"], 1, "missing.wasm"),
        (
            &["127.0.0.1:0", relay.to_str().unwrap()],
            1,
            "the component imports test:guest/work@0.1.0.echo, test:guest/work@0.1.0.trap: over TCP",
        ),
        (
            &["--tls-cert", "a.pem", "127.0.0.1:0", worker],
            2,
            "--tls-key",
        ),
        (
            &[
                "--tls-cert",
                "a.pem",
                "--tls-key",
                "b.pem",
                "127.0.0.1:0",
                worker,
            ],
            1,
            "a.pem",
        ),
    ] {
        let (code, stderr) = run_tcp(arguments);
        assert_eq!(code, Some(status), "{arguments:?}: {stderr}");
        assert!(stderr.contains(about), "{arguments:?}: {stderr}");
    }
}
