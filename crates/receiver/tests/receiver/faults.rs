//! A receiver that is killed: each of its calls ends in time, and the next receiver
//! serves the same callers.

use std::time::{Duration, Instant};

use encarno_test_peers::NatsServer;
use encarno_wrpc::ErrorCode;
use encarno_wrpc::value::Write as _;
use rustix::process::Signal;

use crate::guests;
use crate::program::{Client, Receiver};

fn list(bytes: usize) -> Vec<u8> {
    let mut params = Vec::new();
    params.bytes(&vec![7; bytes]);
    params
}

#[tokio::test]
async fn killed_in_each_phase_of_a_call() {
    const TIMEOUT: Duration = Duration::from_secs(4);
    let nats = NatsServer::start();
    let client = Client::connect(&nats.url()).await;
    let worker = guests::worker();
    for (phase, function, params, stopped_first, expected) in [
        // It has the call and didn't accept it: nobody knows but the clock.
        (
            "before it accepts",
            "echo",
            list(5),
            true,
            ErrorCode::Timeout,
        ),
        (
            "while parameters arrive",
            "echo",
            list(40 << 20),
            false,
            ErrorCode::ReceiverGone,
        ),
        (
            "while it sleeps",
            "sleep",
            vec![0xe0, 0xd4, 0x03],
            false,
            ErrorCode::ReceiverGone,
        ),
        (
            "while it burns",
            "spin",
            vec![],
            false,
            ErrorCode::ReceiverGone,
        ),
        (
            "while results leave",
            "huge",
            vec![],
            false,
            ErrorCode::ReceiverGone,
        ),
    ] {
        let receiver = Receiver::start(&nats.url(), &worker, &["--timeout", "60s"]);
        client.echo(1).await;
        if stopped_first {
            receiver.signal(Signal::STOP);
        }
        let calling = tokio::spawn({
            let (client, began) = (client.clone(), Instant::now());
            async move {
                (
                    client.call_within(TIMEOUT, function, &params).await,
                    began.elapsed(),
                )
            }
        });
        // The large ones take longer than this, and the others have no end.
        let phase_begins = if params_are_large(function) { 30 } else { 200 };
        tokio::time::sleep(Duration::from_millis(phase_begins)).await;
        receiver.signal(Signal::KILL);
        let (result, took) = calling.await.unwrap();
        assert!(took < TIMEOUT + Duration::from_secs(5), "{phase}: {took:?}");
        match result {
            Err(error) if error.code == expected => {}
            // A quick machine was through, or a slow one had not begun.
            Ok(_) if params_are_large(function) => {}
            Err(error)
                if params_are_large(function)
                    && matches!(
                        error.code,
                        ErrorCode::Timeout | ErrorCode::PayloadTooLarge | ErrorCode::NoResponders
                    ) => {}
            other => panic!("{phase}: {:?}", other.map(|result| result.len())),
        }
        drop(receiver);
        client
            .fails("echo", &[0], ErrorCode::NoResponders, "nobody serves")
            .await;
    }
    let _receiver = Receiver::start(&nats.url(), &worker, &[]);
    client.echo(10).await;
}

fn params_are_large(function: &str) -> bool {
    matches!(function, "huge" | "echo")
}

/// One of two in a group dies under load: what it had fails, the other goes on.
#[tokio::test]
async fn one_of_a_group_is_killed_under_load() {
    let nats = NatsServer::start();
    let client = Client::connect(&nats.url()).await;
    let worker = guests::worker();
    let group = ["--group", "g"];
    let doomed = Receiver::start(&nats.url(), &worker, &group);
    let _other = Receiver::start(&nats.url(), &worker, &group);
    let callers: Vec<_> = (0..32)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move {
                let (mut answered, mut gone) = (0, 0);
                for _ in 0..20 {
                    let timeout = Duration::from_secs(5);
                    match client.call_within(timeout, "sleep", &[20]).await {
                        Ok(_) => answered += 1,
                        Err(error) => {
                            let known = [ErrorCode::ReceiverGone, ErrorCode::Timeout];
                            assert!(known.contains(&error.code), "{error}");
                            gone += 1;
                        }
                    }
                }
                (answered, gone)
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(100)).await;
    doomed.signal(Signal::KILL);
    let (mut answered, mut gone) = (0, 0);
    for caller in callers {
        let counts = caller.await.unwrap();
        answered += counts.0;
        gone += counts.1;
    }
    assert_eq!(answered + gone, 32 * 20);
    assert!(gone <= 32, "more than were in flight: {gone}");
    client.echo(10).await;
}
