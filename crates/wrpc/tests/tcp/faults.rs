//! Peers that go, stay silent, or refuse.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use encarno_test_peers::{Toxiproxy, json};
use encarno_wrpc::tcp::serve::Settings;
use encarno_wrpc::tcp::{Options, Remote};
use encarno_wrpc::{Counters, ErrorCode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::rig::*;

/// Closes the connection as a killed process does that had read everything.
async fn close(stream: TcpStream) {
    drop(stream);
}

/// Resets it.
async fn reset(stream: TcpStream) {
    stream.set_zero_linger().unwrap();
}

#[tokio::test]
async fn nobody_listens() {
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap().port()
    };
    for client in both(Options::new(&format!("127.0.0.1:{port}")).unwrap()) {
        let refused = error(call(&client, "echo", list(b""), 5000).await);
        assert_eq!(refused.code, ErrorCode::ConnectionRefused);
        assert!(refused.message.contains(&port.to_string()), "{refused}");
    }
    for client in both(Options::new("no-such-host.invalid:1").unwrap()) {
        let unresolved = error(call(&client, "echo", list(b""), 10_000).await);
        assert_eq!(unresolved.code, ErrorCode::UnresolvedHost);
        assert!(unresolved.message.contains("no-such-host"), "{unresolved}");
    }
    for client in both(Options {
        source_addr: Some([192, 0, 2, 1].into()),
        ..Options::new("127.0.0.1:1").unwrap()
    }) {
        let refused = error(call(&client, "echo", list(b""), 5000).await);
        assert_eq!(refused.code, ErrorCode::ConnectionRefused);
        assert!(refused.message.contains("source_addr"), "{refused}");
    }
}

#[tokio::test]
async fn silent_peers() {
    // It is there, and says nothing.
    let options = receiver(|mut stream| async move {
        let mut sink = Vec::new();
        let _ = stream.read_to_end(&mut sink).await;
        std::future::pending::<()>().await;
    })
    .await;
    for client in both(options.clone()) {
        let begun = Instant::now();
        let late = error(call(&client, "echo", list(b""), 200).await);
        assert_eq!(late.code, ErrorCode::Timeout, "{late}");
        assert!(begun.elapsed() >= Duration::from_millis(200));
    }
    let client = Remote::new(Options {
        connect_timeout: Duration::from_millis(100),
        ..options
    });
    let silent = error(call(&client, "echo", list(b""), 20_000).await);
    assert_eq!(silent.code, ErrorCode::ConnectionRefused);
    assert!(silent.message.contains("did not answer"), "{silent}");
}

/// A port whose queue of connections is full: the kernel drops what comes.
fn black_hole() -> (socket2::Socket, Vec<socket2::Socket>, SocketAddr) {
    let new = || socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let listener = new();
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    listener.bind(&any.into()).unwrap();
    listener.listen(0).unwrap();
    let addr = listener.local_addr().unwrap();
    let fill = (0..8)
        .map(|_| {
            let socket = new();
            socket.set_nonblocking(true).unwrap();
            let _ = socket.connect(&addr);
            socket
        })
        .collect();
    (listener, fill, addr.as_socket().unwrap())
}

#[tokio::test]
async fn a_black_hole() {
    let (_listener, _fill, addr) = black_hole();
    tokio::time::sleep(Duration::from_millis(50)).await;
    for client in both(Options {
        connect_timeout: Duration::from_millis(200),
        ..Options::new(&addr.to_string()).unwrap()
    }) {
        let lost = error(call(&client, "echo", list(b""), 20_000).await);
        assert_eq!(lost.code, ErrorCode::ConnectionRefused);
        assert!(lost.message.contains("no answer within"), "{lost}");
    }
    for client in both(Options::new(&addr.to_string()).unwrap()) {
        let late = error(call(&client, "echo", list(b""), 100).await);
        assert_eq!(late.code, ErrorCode::Timeout, "{late}");
        assert!(late.message.contains(&addr.to_string()), "{late}");
    }
}

#[tokio::test]
async fn a_receiver_of_single_calls_that_dies() {
    /// What it says before it goes, how, and what that is.
    struct Case(&'static [u8], bool, Result<(), ErrorCode>);
    for Case(said, resets, expected) in [
        // All that upstream's wire can say of a success without results.
        Case(b"", false, Ok(())),
        Case(b"", true, Err(ErrorCode::ConnectionLost)),
        Case(b"\x00", false, Err(ErrorCode::ConnectionLost)),
        Case(b"\x00\x05he", false, Err(ErrorCode::ConnectionLost)),
        Case(b"\x00\x00", false, Err(ErrorCode::ReceiverGone)),
        Case(b"\x00\x00", true, Err(ErrorCode::ReceiverGone)),
        Case(b"\x00\x00\x00\x02ab", false, Err(ErrorCode::ReceiverGone)),
        Case(b"\x00\x00\x00\x02ab\x00\x00", false, Ok(())),
        Case(b"\x00\x00\x00\x00\x00\x00", false, Ok(())),
    ] {
        let options = receiver(move |mut stream| async move {
            read(&mut stream, HEADER.len() + 2).await;
            stream.write_all(said).await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
            match resets {
                true => reset(stream).await,
                false => close(stream).await,
            }
        })
        .await;
        let client = Remote::new(Options {
            reuse: false,
            ..options
        });
        let outcome = call(&client, "echo", bytes::Bytes::from_static(b""), 5000).await;
        let result = outcome.result.map(drop).map_err(|error| error.code);
        assert_eq!(result, expected, "{said:?}, reset: {resets}");
    }
}

#[tokio::test]
async fn a_shared_receiver_that_dies() {
    for (answer, expected) in [
        (&b""[..], ErrorCode::ConnectionLost),
        (b"half a message"[..5].as_ref(), ErrorCode::ConnectionLost),
        (&message(5, 0, b"")[..], ErrorCode::ReceiverGone),
        (
            &[message(5, 0, b""), message(6, 0, b"ab")].concat(),
            ErrorCode::ReceiverGone,
        ),
    ] {
        for resets in [false, true] {
            let answer = answer.to_vec();
            let client = shared_receiver(move |mut stream| {
                let mut answer = answer.clone();
                async move {
                    let (_, call, _) = take_message(&mut stream).await;
                    for head in answer.chunks_mut(15).filter(|chunk| chunk.len() >= 13) {
                        head[5..13].copy_from_slice(&call.to_le_bytes());
                    }
                    if answer.len() >= 26 {
                        answer[18..26].copy_from_slice(&call.to_le_bytes());
                        answer[5..13].copy_from_slice(&call.to_le_bytes());
                    }
                    stream.write_all(&answer).await.unwrap();
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    match resets {
                        true => reset(stream).await,
                        false => close(stream).await,
                    }
                }
            })
            .await;
            let gone = error(call(&client, "echo", list(b""), 5000).await);
            assert_eq!(gone.code, expected, "{gone}");
        }
    }
}

#[tokio::test]
async fn a_restarted_receiver_is_found_again() {
    let mut server = Echo::start().await;
    let addr = server.addr.to_string();
    let clients = server.clients();
    for client in &clients {
        echoes(client, b"before").await;
    }
    let _ = server.drain().await.close().await;
    drop(server);
    for client in &clients {
        let gone = error(call(client, "echo", list(b""), 5000).await);
        let expected = [ErrorCode::ConnectionRefused, ErrorCode::ConnectionLost];
        assert!(expected.contains(&gone.code), "{gone}");
    }
    let _server = Echo::start_with(&addr, settings()).await;
    for client in &clients {
        echoes(client, b"after").await;
    }
}

#[tokio::test]
async fn a_server_that_drains_answers_and_sends_callers_away() {
    let mut server = Echo::start().await;
    let addr = server.addr.to_string();
    let [client, _] = server.clients();
    let client = std::sync::Arc::new(client);
    let held = tokio::spawn({
        let client = std::sync::Arc::clone(&client);
        async move { call(&client, "hold", list(b""), 500).await }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    let draining = server.drain().await;
    // Another one takes its place; the client goes there, the held call stays.
    let _next = Echo::start_with(&addr, settings()).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    echoes(&client, b"there").await;
    assert_eq!(error(held.await.unwrap()).code, ErrorCode::Timeout);
    within(5, draining.close()).await;
}

#[tokio::test]
async fn timeouts_by_the_thousand_leave_nothing_behind() {
    let server = Echo::start().await;
    let [client, _] = server.clients();
    let client = std::sync::Arc::new(client);
    let calls: Vec<_> = (0..10_000)
        .map(|_| {
            let client = std::sync::Arc::clone(&client);
            tokio::spawn(async move { call(&client, "hold", list(b"x"), 300).await })
        })
        .collect();
    for held in calls {
        assert_eq!(error(held.await.unwrap()).code, ErrorCode::Timeout);
    }
    echoes(&client, b"and on").await;
    // Sent before `echo`, the cancellations were seen before it.
    within(5, async {
        while server.gone.load(std::sync::atomic::Ordering::SeqCst) < 10_000 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn more_connections_than_may_be() {
    let two = Settings {
        connections_max: 2,
        header_timeout: Duration::from_secs(20), // and so nobody is idle for long enough
        ..settings()
    };
    let server = Echo::start_with("127.0.0.1:0", two).await;
    let [shared, _] = server.clients();
    echoes(&shared, b"the first").await;
    let second = TcpStream::connect(server.addr).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    for client in server.clients() {
        let refused = error(call(&client, "echo", list(b""), 5000).await);
        assert_eq!(refused.code, ErrorCode::ReceiverBusy, "{refused}");
        assert!(refused.message.contains("--max-connections"), "{refused}");
    }
    echoes(&shared, b"goes on").await;
    drop(second);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let [_, single] = server.clients();
    echoes(&single, b"there is room").await;
}

/// Both ways of a connection, each over its own proxy.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_end_whatever_the_network_does() {
    let echo = Echo::start_with("127.0.0.1:0", Settings::default()).await;
    let known = [
        ErrorCode::ConnectionLost,
        ErrorCode::ConnectionRefused,
        ErrorCode::ReceiverGone,
        ErrorCode::Timeout,
        ErrorCode::ProtocolViolation,
    ];
    for reuse in [true, false] {
        let proxy = Toxiproxy::start(&echo.addr.to_string());
        let client = Remote::new(Options {
            reuse,
            ..Options::new(proxy.address()).unwrap()
        });
        echoes(&client, b"before").await;
        // Whether calls get through: always, or not while the network is broken.
        for (toxic, attributes, gets_through) in [
            ("latency", json!({"latency": 40, "jitter": 20}), true),
            ("bandwidth", json!({"rate": 1000}), true), // KB/s
            (
                "slicer",
                json!({"average_size": 9, "size_variation": 5, "delay": 5}),
                true,
            ),
            ("limit_data", json!({"bytes": 20_000}), false),
            ("reset_peer", json!({"timeout": 50}), false),
            ("timeout", json!({"timeout": 0}), false),
        ] {
            proxy.add(toxic, &attributes);
            let timeout_ms = if gets_through { 10_000 } else { 700 };
            let payloads: Vec<_> = (0..20u8).map(|number| vec![number; 2000]).collect();
            let calls = payloads
                .iter()
                .map(|payload| call(&client, "echo", list(payload), timeout_ms));
            let outcomes = futures_util::future::join_all(calls).await;
            for (payload, outcome) in payloads.iter().zip(outcomes) {
                match outcome.result {
                    Ok(result) => assert_eq!(result, list(payload), "{toxic}, reuse: {reuse}"),
                    Err(error) => assert!(
                        !gets_through && known.contains(&error.code),
                        "{toxic}, reuse: {reuse}: {error}"
                    ),
                }
            }
            proxy.clear();
            // What the broken network left behind holds nobody up for long.
            let mut healed = false;
            for _ in 0..20 {
                let outcome = call(&client, "echo", list(b"after"), 1000).await;
                healed |= outcome.result.is_ok();
                if healed {
                    break;
                }
            }
            assert!(healed, "{toxic}, reuse: {reuse}: no call succeeds any more");
        }
    }
}

/// Given up by deadline or by being dropped, on both kinds of connections.
#[tokio::test]
async fn a_caller_that_goes_is_noticed() {
    let server = Echo::start().await;
    let gone = |count| {
        let gone = Arc::clone(&server.gone);
        within(5, async move {
            while gone.load(Ordering::SeqCst) < count {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        })
    };
    let mut count = 0;
    for client in server.clients() {
        let late = error(call(&client, "hold", list(b"x"), 100).await);
        assert_eq!(late.code, ErrorCode::Timeout, "{late}");
        count += 1;
        gone(count).await;
        let dropped = timeout(
            Duration::from_millis(100),
            call(&client, "hold", list(&[7; 1 << 20]), 60_000),
        );
        assert!(dropped.await.is_err());
        count += 1;
        gone(count).await;
    }
}

/// Upstream's callers close their side when their parameters were sent, and wait.
#[tokio::test]
async fn a_caller_that_closes_its_side_is_there() {
    let server = Echo::start().await;
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    let hold = b"\x00\x0dpkg:name/echo\x04hold\x00\x02\x01x";
    stream.write_all(hold).await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(read(&mut stream, 2).await, b"\x00\x00"); // accepted
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(server.gone.load(Ordering::SeqCst), 0);
    stream.set_zero_linger().unwrap();
    drop(stream);
    within(5, async {
        while server.gone.load(Ordering::SeqCst) == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn what_connections_of_one_call_do_is_counted() {
    let echo = Echo::start().await;
    let counters = Arc::<Counters>::default();
    let options = Options {
        reuse: false,
        ..echo.options()
    };
    let client = Remote::counted(options, Arc::clone(&counters));
    for _ in 0..3 {
        echoes(&client, b"x").await;
    }
    let counted = counters.counted();
    assert_eq!((counted.connects, counted.losses), (3, 0));
    // Parameters and their end; accepted, the results and their end.
    assert_eq!((counted.messages_sent, counted.messages_received), (6, 9));

    let options = receiver(|mut stream| async move {
        read(&mut stream, HEADER.len()).await;
        stream.write_all(b"\x00\x00").await.unwrap();
        reset(stream).await;
    })
    .await;
    let options = Options {
        reuse: false,
        ..options
    };
    let counters = Arc::<Counters>::default();
    let client = Remote::counted(options, Arc::clone(&counters));
    for _ in 0..2 {
        error(call(&client, "echo", list(b"x"), 5000).await);
    }
    let counted = counters.counted();
    assert_eq!((counted.connects, counted.losses), (2, 2), "{counted:?}");
    assert_eq!(counted.reconnects, 0, "each call has a new connection");
}

#[tokio::test]
async fn what_connections_do_is_counted() {
    let echo = Echo::start().await;
    let counters = Arc::<Counters>::default();
    let client = Remote::counted(echo.options(), Arc::clone(&counters));
    for _ in 0..3 {
        echoes(&client, b"x").await;
    }
    let counted = counters.counted();
    assert_eq!((counted.connects, counted.connect_failures), (1, 0));
    assert_eq!((counted.losses, counted.reconnects), (0, 0));
    assert_eq!(counted.messages_sent, 3);
    assert!(counted.messages_received >= 3, "{counted:?}");

    let addr = echo.addr.to_string();
    drop(echo);
    error(call(&client, "echo", list(b"x"), 1000).await);
    let _echo = Echo::start_with(&addr, settings()).await;
    echoes(&client, b"y").await;
    let counted = counters.counted();
    assert_eq!((counted.losses, counted.reconnects), (1, 1), "{counted:?}");
    assert_eq!(counted.connects, 1, "{counted:?}");
}
