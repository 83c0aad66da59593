//! The network between us and NATS is slow, narrow, broken or silent.

use std::time::{Duration, Instant};

use encarno_test_peers::{Namespace, NatsServer, Toxiproxy, json};
use encarno_wrpc::ErrorCode;
use encarno_wrpc::nats::{Connection, Options};

use crate::load::{Executions, Load};
use crate::rig::{Behaviour, call, code, connect, list, serve, within};

/// With the defaults: five seconds, and some more on a busy machine. A call alone would
/// wait for a minute.
#[tokio::test]
async fn a_black_hole_is_noticed() {
    let nats = NatsServer::start();
    let _server = serve(&nats.url(), Behaviour::AcceptOnly).await;
    let proxy = Toxiproxy::start(&format!("127.0.0.1:{}", nats.port()));
    let connection = connect(&format!("nats://{}", proxy.address())).await;
    let calling = tokio::spawn({
        let connection = connection.clone();
        async move { call(&connection, list(b""), 60_000).await }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    proxy.add("timeout", &json!({"timeout": 0})); // swallows all, closes nothing
    let began = Instant::now();
    let outcome = within(30, calling).await.unwrap();
    assert_eq!(code(&outcome), ErrorCode::ConnectionLost);
    assert!(outcome.timing.accepted.is_some());
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );

    proxy.clear();
    within(30, async {
        // Accepted and never answered: this server's way.
        while call(&connection, list(b""), 300)
            .await
            .timing
            .accepted
            .is_none()
        {}
    })
    .await;
}

/// The host of NATS is gone: no packet passes, and nobody says so.
#[tokio::test]
async fn a_server_that_vanishes_is_noticed() {
    let Some(namespace) = Namespace::new() else {
        return;
    };
    let nats = NatsServer::start_in(&namespace);
    let _server = serve(&nats.url(), Behaviour::AcceptOnly).await;
    let connection = connect(&nats.url()).await;
    let calling = tokio::spawn({
        let connection = connection.clone();
        async move { call(&connection, list(b""), 60_000).await }
    });
    let mut accepted = call(&connection, list(b""), 300).await;
    assert_eq!(code(&accepted), ErrorCode::Timeout);
    assert!(accepted.timing.accepted.is_some());

    namespace.cut();
    let began = Instant::now();
    let short = within(5, call(&connection, list(b""), 500)).await;
    assert_eq!(code(&short), ErrorCode::Timeout, "{short:?}");
    assert!(short.timing.accepted.is_none());
    let outcome = within(30, calling).await.unwrap();
    assert_eq!(code(&outcome), ErrorCode::ConnectionLost, "{outcome:?}");
    let took = began.elapsed();
    assert!(took < Duration::from_secs(10), "{took:?}");
    println!("noticed after {took:.1?}");

    namespace.mend();
    within(30, async {
        loop {
            accepted = call(&connection, list(b""), 300).await;
            if accepted.timing.accepted.is_some() {
                break;
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_end_whatever_the_network_does() {
    let nats = NatsServer::start();
    let executions = Executions::default();
    let _server = executions.serve(&nats.url()).await;
    let proxy = Toxiproxy::start(&format!("127.0.0.1:{}", nats.port()));
    let mut options = Options::new(&format!("nats://{}", proxy.address())).unwrap();
    options.ping_interval = Duration::from_millis(300);
    options.connect_timeout = Duration::from_millis(500);
    let connection = Connection::connect(&options).await.unwrap();
    let load = Load::start(&connection, 16, 2000, Duration::from_secs(2));
    // Whether calls get through: always, or not while the connection is cut.
    for (toxic, attributes, gets_through) in [
        ("latency", json!({"latency": 40, "jitter": 20}), true),
        ("bandwidth", json!({"rate": 1000}), true), // KB/s
        (
            "slicer",
            json!({"average_size": 9, "size_variation": 5, "delay": 5}),
            true,
        ),
        ("limit_data", json!({"bytes": 30_000}), false),
        ("reset_peer", json!({"timeout": 100}), false),
        ("timeout", json!({"timeout": 0}), false),
    ] {
        load.progress(50).await;
        proxy.add(toxic, &attributes);
        if gets_through {
            load.progress(50).await;
        } else {
            tokio::time::sleep(Duration::from_millis(1000)).await;
        }
        proxy.clear();
    }
    load.progress(50).await;
    let account = load.account(&executions).await;
    let known = [
        ErrorCode::ConnectionLost,
        ErrorCode::ConnectionRefused,
        ErrorCode::Timeout,
    ];
    for code in account.failed.keys() {
        assert!(known.contains(code), "{code}");
    }
    assert!(account.failed.contains_key(&ErrorCode::ConnectionLost));
}

/// The second server is reached though the first swallows all.
#[tokio::test]
async fn one_of_several_servers_is_enough() {
    let nats = NatsServer::start();
    let _server = serve(&nats.url(), Behaviour::Echo).await;
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("nats://{}", silent.local_addr().unwrap());
    let mut options = Options::new(&format!("{silent},{}", nats.url())).unwrap();
    options.connect_timeout = Duration::from_millis(300);
    let connection = within(20, Connection::connect(&options)).await.unwrap();
    let outcome = within(5, call(&connection, list(b"x"), 5000)).await;
    assert_eq!(outcome.result, Ok(list(b"x")));
}
