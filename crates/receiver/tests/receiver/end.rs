//! How a receiver ends, and how it goes on.

use std::time::Duration;

use encarno_test_peers::NatsServer;
use encarno_wrpc::ErrorCode;
use rustix::process::Signal;

use crate::guests;
use crate::program::{Client, Receiver};

#[tokio::test]
async fn a_signal_drains() {
    let nats = NatsServer::start();
    let client = Client::connect(&nats.url()).await;
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let mut receiver = Receiver::start(&nats.url(), &guests::worker(), &[]);
        let running = tokio::spawn({
            let client = client.clone();
            async move { client.call("sleep", &[0xd0, 0x0f]).await } // 2 s
        });
        client.echo(1).await; // the sleeper's message went ahead of this one
        receiver.signal(signal);
        receiver.logged("draining").await;
        let late = loop {
            match client.call("echo", &[0]).await {
                Ok(_) => {} // the server hasn't heard of the end yet
                Err(error) => break error,
            }
        };
        assert_eq!(late.code, ErrorCode::NoResponders, "{late}");
        assert!(!running.is_finished());
        assert!(running.await.unwrap().is_ok());
        assert_eq!(receiver.wait().code(), Some(0), "{}", receiver.stderr());
    }
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let nats = NatsServer::start();
    let mut receiver = Receiver::start(&nats.url(), &guests::worker(), &[]);
    let client = Client::connect(&nats.url()).await;
    let running = tokio::spawn({
        let client = client.clone();
        async move { client.call("sleep", &[0xc0, 0x3e]).await } // 8 s
    });
    client.echo(1).await;
    receiver.signal(Signal::TERM);
    receiver.logged("draining").await;
    receiver.signal(Signal::TERM);
    assert_eq!(receiver.wait().code(), Some(1));
    assert!(
        receiver.stderr().contains("cut off 1 calls"),
        "{}",
        receiver.stderr()
    );
    assert_eq!(
        running.await.unwrap().unwrap_err().code,
        ErrorCode::ReceiverGone
    );
}

#[tokio::test]
async fn a_lost_connection_comes_back() {
    let mut nats = NatsServer::start();
    let receiver = Receiver::start(&nats.url(), &guests::worker(), &[]);
    nats.kill();
    receiver.logged("was lost").await;
    nats.restart();
    receiver.logged("is back").await;
    let client = Client::connect(&nats.url()).await;
    // Subscriptions follow the connection, without a sign of their own.
    while let Err(error) = client.call("echo", &[0]).await {
        assert_eq!(error.code, ErrorCode::NoResponders, "{error}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    client.echo(10).await;
}

#[tokio::test]
async fn a_signal_without_a_connection() {
    let mut nats = NatsServer::start();
    let mut receiver = Receiver::start(&nats.url(), &guests::worker(), &[]);
    nats.kill();
    receiver.logged("was lost").await;
    receiver.signal(Signal::TERM);
    assert_eq!(receiver.wait().code(), Some(0), "{}", receiver.stderr());
}
