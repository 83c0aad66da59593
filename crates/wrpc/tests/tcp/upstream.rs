//! Upstream's own client and server at the other end.

use std::sync::Arc;

use bytes::Bytes;
use encarno_wrpc::ErrorCode;
use encarno_wrpc::tcp::Options;
use futures_util::StreamExt as _;
use tokio::net::TcpListener;
use wrpc_transport::tcp::Client as UpstreamClient;
use wrpc_transport::{InvokeExt as _, ServeExt as _};

use crate::rig::*;

const NO_PATHS: [[Option<usize>; 0]; 0] = [];

#[tokio::test]
async fn upstream_calls_us() {
    let server = Echo::start().await;
    let client = UpstreamClient::from(server.addr);
    for size in [0, 1, 5000, 300_000, 3_000_000] {
        let payload = Bytes::from(vec![7; size]);
        let echo = client.invoke_values_blocking::<_, (Bytes,), (Bytes,)>(
            (),
            INSTANCE,
            "echo",
            (payload.clone(),),
            NO_PATHS,
        );
        assert_eq!(within(10, echo).await.unwrap().0, payload);
    }
}

#[tokio::test]
async fn an_upstream_caller_sees_failures_as_such() {
    let server = Echo::start().await;
    let client = UpstreamClient::from(server.addr);
    // Its own receivers would let it take this for a success.
    for function in ["fail", "other"] {
        let call = client.invoke_values_blocking::<_, (Bytes,), ()>(
            (),
            INSTANCE,
            function,
            (Bytes::new(),),
            NO_PATHS,
        );
        assert!(within(10, call).await.is_err(), "{function}");
    }
}

type UpstreamServer = wrpc_transport::Server<
    std::net::SocketAddr,
    tokio::io::BufReader<tokio::net::tcp::OwnedReadHalf>,
    tokio::net::tcp::OwnedWriteHalf,
>;

/// Upstream's server, which serves the connections one after the other.
async fn upstream() -> Options {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let options = Options::new(&listener.local_addr().unwrap().to_string()).unwrap();
    let server = Arc::new(UpstreamServer::default());
    let calls = server
        .serve_values::<(Bytes,), (Bytes,)>(INSTANCE, "echo", Arc::from([]))
        .await
        .unwrap();
    let voids = server
        .serve_values::<(Bytes,), ()>(INSTANCE, "nothing", Arc::from([]))
        .await
        .unwrap();
    tokio::spawn(async move {
        while let Ok((stream, peer)) = listener.accept().await {
            let (rx, tx) = stream.into_split();
            let _ = server.accept(peer, tx, tokio::io::BufReader::new(rx)).await;
        }
    });
    tokio::spawn(async move {
        let mut calls = std::pin::pin!(calls);
        while let Some(call) = calls.next().await {
            let Ok((_, params, _, answer)) = call else {
                continue;
            };
            let _ = answer(params).await;
        }
    });
    tokio::spawn(async move {
        let mut calls = std::pin::pin!(voids);
        while let Some(call) = calls.next().await {
            let Ok((_, _, _, answer)) = call else {
                continue;
            };
            let _ = answer(()).await;
        }
    });
    options
}

#[tokio::test]
async fn we_call_upstream() {
    // Also where the first connection asks for what upstream doesn't know.
    for client in both(upstream().await) {
        for size in [0, 1, 5000, 300_000, 3_000_000] {
            echoes(&client, &vec![7; size]).await;
        }
        let nothing = call(&client, "nothing", list(b"hello"), 5000).await;
        assert_eq!(nothing.result.as_deref(), Ok(&b""[..]));
        // What upstream says of a function that it doesn't have: nothing.
        let unknown = call(&client, "unknown", list(b""), 5000).await;
        assert!(matches!(
            unknown.result.map_err(|error| error.code),
            Ok(_) | Err(ErrorCode::ConnectionLost)
        ));
    }
}

#[tokio::test]
async fn a_receiver_of_ours_in_the_place_of_upstreams_is_noticed() {
    let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = upstream.local_addr().unwrap();
    let client = encarno_wrpc::tcp::Remote::new(Options::new(&addr.to_string()).unwrap());
    let closed = tokio::spawn(async move {
        // The preface and the call, both closed as upstream does.
        for _ in 0..2 {
            drop(upstream.accept().await.unwrap());
        }
    });
    let _ = call(&client, "echo", list(b""), 5000).await;
    closed.await.unwrap();
    let one = encarno_wrpc::tcp::serve::Settings {
        connections_max: 1,
        ..settings()
    };
    let _server = Echo::start_with(&addr.to_string(), one).await;
    echoes(&client, b"on a connection of its own").await;
    // Two at once have room on a shared connection alone.
    let held = call(&client, "hold", list(b""), 300);
    let echoed = async {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        echoes(&client, b"shared").await;
    };
    let (held, ()) = tokio::join!(held, echoed);
    assert_eq!(error(held).code, ErrorCode::Timeout);
}
