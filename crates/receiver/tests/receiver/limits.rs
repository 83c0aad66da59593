//! Guests that misbehave, each beside a neighbour that doesn't notice.

use encarno_test_peers::NatsServer;
use encarno_wrpc::ErrorCode;

use crate::guests;
use crate::program::{Client, Receiver};

/// Calls `function` several times at once, which is to fail, while others echo.
async fn fails_beside_a_neighbour(
    client: &Client,
    function: &'static str,
    params: &'static [u8],
    code: ErrorCode,
    about: &'static str,
) {
    let neighbour = tokio::spawn({
        let client = client.clone();
        async move { client.echo(20).await }
    });
    let failing = (0..4).map(|_| {
        let client = client.clone();
        tokio::spawn(async move { client.fails(function, params, code, about).await })
    });
    for failing in failing.collect::<Vec<_>>() {
        failing.await.unwrap();
    }
    neighbour.await.unwrap();
    client.echo(1).await;
}

#[tokio::test]
async fn traps() {
    let nats = NatsServer::start();
    let _receiver = Receiver::start(&nats.url(), &guests::worker(), &[]);
    let client = Client::connect(&nats.url()).await;
    for (function, params, about) in [
        ("trap", &[][..], "unreachable"),
        ("divide", &[0], "divide by zero"),
        ("deeper", &[], "stack"),
        ("exit", &[], "exited with status 1"),
        ("lie", &[], "isn't within its"),
    ] {
        fails_beside_a_neighbour(&client, function, params, ErrorCode::GuestTrap, about).await;
    }
    assert_eq!(&client.call("divide", &[1]).await.unwrap()[..], [1]);
}

#[tokio::test]
async fn memory() {
    let nats = NatsServer::start();
    let _receiver = Receiver::start(&nats.url(), &guests::worker(), &["--max-memory-mb", "20"]);
    let client = Client::connect(&nats.url()).await;
    let limit = ErrorCode::GuestLimit;
    fails_beside_a_neighbour(&client, "grow", &[], limit, "memory limit of 20 MiB").await;
    fails_beside_a_neighbour(&client, "grow-table", &[], limit, "table elements").await;
    fails_beside_a_neighbour(&client, "huge", &[], limit, "result is larger than 64 MiB").await;
    // A guest that copes with a denial is not at fault: it has its one page.
    assert_eq!(&client.call("grow-modestly", &[]).await.unwrap()[..], [1]);
    // Parameters for which the guest has no memory: 30 MiB.
    let mut params = vec![0x80, 0x80, 0x80, 0x0f];
    params.resize(4 + (30 << 20), 7);
    client
        .fails("echo", &params, limit, "memory limit of 20 MiB")
        .await;
    client.echo(1).await;
}

#[tokio::test]
async fn cpu() {
    let nats = NatsServer::start();
    let _receiver = Receiver::start(&nats.url(), &guests::worker(), &["--max-cpu-ms", "50"]);
    let client = Client::connect(&nats.url()).await;
    let limit = ErrorCode::GuestLimit;
    fails_beside_a_neighbour(&client, "spin", &[], limit, "CPU limit of 50 ms").await;
    fails_beside_a_neighbour(&client, "jog", &[], limit, "CPU limit of 50 ms").await;
    // Time asleep isn't CPU time.
    assert!(client.call("sleep", &[0xac, 0x02]).await.is_ok());
}

#[tokio::test]
async fn time() {
    let nats = NatsServer::start();
    let _receiver = Receiver::start(&nats.url(), &guests::worker(), &["--timeout", "300ms"]);
    let client = Client::connect(&nats.url()).await;
    let limit = ErrorCode::GuestLimit;
    fails_beside_a_neighbour(&client, "spin", &[], limit, "stopped after 300ms").await;
    fails_beside_a_neighbour(
        &client,
        "sleep",
        &[0x90, 0x4e],
        limit,
        "stopped after 300ms",
    )
    .await;
}

/// More guests that burn CPU than there are cores don't keep others from
/// being served.
#[tokio::test]
async fn many_spinning_guests() {
    let nats = NatsServer::start();
    let _receiver = Receiver::start(&nats.url(), &guests::worker(), &["--timeout", "2s"]);
    let client = Client::connect(&nats.url()).await;
    let spinning: Vec<_> = (0..16)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.call("spin", &[]).await })
        })
        .collect();
    client.echo(10).await;
    assert!(client.call("sleep", &[5]).await.is_ok());
    assert!(spinning.iter().all(|call| !call.is_finished()));
    for call in spinning {
        assert_eq!(call.await.unwrap().unwrap_err().code, ErrorCode::GuestLimit);
    }
}
