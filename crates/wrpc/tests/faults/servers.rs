//! The server of NATS dies, retires, or finds us too slow.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use encarno_test_peers::NatsServer;
use encarno_wrpc::nats::{Connection, Options, subject};
use encarno_wrpc::serve::Respond as _;
use encarno_wrpc::{Counters, ErrorCode};
use futures_util::StreamExt as _;
use rustix::process::{Pid, Signal, kill_process};

use crate::load::{Executions, Load};
use crate::rig::{
    Behaviour, answer, call, code, code_or_ok, connect, limits, list, serve, server, settle, within,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_and_restarted_a_hundred_times_under_load() {
    const TIMES: u64 = 100;
    let mut nats = NatsServer::start();
    let executions = Executions::default();
    let _server = executions.serve(&nats.url()).await;
    let counters = Arc::<Counters>::default();
    let options = Options::new(&nats.url()).unwrap();
    let connection = Connection::connect_counted(&options, Arc::clone(&counters))
        .await
        .unwrap();
    let load = Load::start(&connection, 64, 128, Duration::from_secs(1));
    for _ in 0..TIMES {
        load.progress(10).await;
        tokio::task::block_in_place(|| nats.restart());
    }
    // Both sides come back by themselves.
    load.progress(100).await;
    let account = load.account(&executions).await;
    let known = [
        ErrorCode::ConnectionLost,
        ErrorCode::ConnectionRefused,
        ErrorCode::NoResponders,
        ErrorCode::ReceiverGone,
        ErrorCode::Timeout,
    ];
    for code in account.failed.keys() {
        assert!(known.contains(code), "{code}");
    }
    assert!(account.answered.len() as u64 >= 10 * TIMES && !account.failed.is_empty());
    let counted = counters.counted();
    assert_eq!((counted.connects, counted.connect_failures), (1, 0));
    assert_eq!((counted.losses, counted.reconnects), (TIMES, TIMES));
}

/// Two servers of a cluster, the first of which can be asked who is there, by HTTP.
fn cluster() -> (NatsServer, NatsServer, u16) {
    let free = || TcpListener::bind("127.0.0.1:0").unwrap();
    let [route, other_route, monitor] =
        [free(), free(), free()].map(|free| free.local_addr().unwrap().port());
    let server = |listen: u16, more: &str| {
        NatsServer::start_configured(&format!(
            "cluster {{ name: c, listen: \"127.0.0.1:{listen}\", {more}\n\
             lame_duck_duration: 40s\nlame_duck_grace_period: 30s\n"
        ))
    };
    let first = server(route, &format!("}}\nhttp: \"127.0.0.1:{monitor}\""));
    let second = server(
        other_route,
        &format!("routes: [\"nats://127.0.0.1:{route}\"] }}"),
    );
    (first, second, monitor)
}

/// Who is connected to a server, and the subscriptions that they have there.
async fn connected(monitor: u16) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", monitor))
        .await
        .unwrap();
    let request = b"GET /connz?subs=1 HTTP/1.0\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

/// A server that is about to stop says so. Connections move before they are cut, and no
/// call fails; the other server is known by what the first one tells of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_retires_hands_its_clients_over() {
    let (mut first, _second, monitor) = cluster();
    let executions = Executions::default();
    let _server = executions.serve(&first.url()).await;
    let counters = Arc::<Counters>::default();
    let options = Options::new(&first.url()).unwrap();
    let connection = Connection::connect_counted(&options, Arc::clone(&counters))
        .await
        .unwrap();
    // By now the first one knows the second, which it told its clients.
    let load = Load::start(&connection, 8, 128, Duration::from_secs(20));
    load.progress(100).await;
    // A call that takes long stays where it was begun.
    let parked = subject::function("parked", "", "f").unwrap();
    let receiver = async_nats::connect(first.url()).await.unwrap();
    let mut calls = receiver.subscribe(parked.to_string()).await.unwrap();
    settle(&receiver).await;
    let long = tokio::spawn({
        let (connection, parked) = (connection.clone(), parked.clone());
        let deadline = std::time::Instant::now() + Duration::from_secs(60);
        async move { connection.call(parked, list(b"x"), deadline).await }
    });
    let call = within(20, calls.next()).await.unwrap();

    let pid = Pid::from_raw(first.pid() as i32).unwrap();
    kill_process(pid, Signal::USR2).unwrap(); // as `nats-server --signal ldm` does
    within(30, async {
        while counters.counted().connects < 2 || connected(monitor).await.contains("test.wrpc") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    load.progress(100).await;
    let reply = call.reply.unwrap();
    for (part, payload) in [("", ""), (".results", "result"), (".results", "")] {
        let subject = format!("{reply}{part}");
        receiver.publish(subject, payload.into()).await.unwrap();
    }
    let outcome = within(20, long).await.unwrap();
    assert_eq!(outcome.result, Ok(Bytes::from_static(b"result")));
    first.kill();
    load.progress(100).await;
    assert!(!connection.is_closed());
    let account = load.account(&executions).await;
    assert_eq!(account.failed.len(), 0, "{:?}", account.failed);
    let counted = counters.counted();
    assert_eq!((counted.connects, counted.losses), (2, 0));
}

/// Where there is no other server, the connection stays until it is cut, and is restored
/// as any other.
#[tokio::test]
async fn a_server_that_retires_and_has_no_other() {
    let mut nats =
        NatsServer::start_configured("lame_duck_duration: 40s\nlame_duck_grace_period: 30s\n");
    let _server = serve(&nats.url(), Behaviour::Echo).await;
    let connection = connect(&nats.url()).await;
    let pid = Pid::from_raw(nats.pid() as i32).unwrap();
    kill_process(pid, Signal::USR2).unwrap();
    within(20, async {
        while std::net::TcpStream::connect(("127.0.0.1", nats.port())).is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    for _ in 0..3 {
        let outcome = within(20, call(&connection, list(b"x"), 10_000)).await;
        assert_eq!(outcome.result, Ok(list(b"x")));
    }
    nats.kill();
    nats.restart();
    within(30, async {
        while call(&connection, list(b"x"), 5000).await.result.is_err() {}
    })
    .await;
}

/// The server cuts off a client that doesn't read. A thread of its own stands still.
#[test]
fn a_client_that_stands_still_is_cut_off_and_comes_back() {
    const RESULT: usize = 256 << 10;
    let nats = NatsServer::start_configured("max_pending: 8MB\nwrite_deadline: \"100ms\"\n");
    let url = nats.url();
    let receiver = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    receiver.spawn({
        let url = url.clone();
        async move {
            let server = server(connect(&url).await, limits()).await;
            let large = Bytes::from(vec![1; RESULT]);
            server
                .run(std::future::pending(), move |invocation| {
                    tokio::spawn(invocation.responder.finish(Ok(large.clone())));
                })
                .await;
        }
    });
    let caller = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    caller.block_on(async {
        let counters = Arc::<Counters>::default();
        let options = Options::new(&url).unwrap();
        let connection = Connection::connect_counted(&options, Arc::clone(&counters))
            .await
            .unwrap();
        within(20, async {
            while call(&connection, list(b""), 5000).await.result.is_err() {}
        })
        .await;
        let calls: Vec<_> = (0..200)
            .map(|_| {
                let connection = connection.clone();
                tokio::spawn(async move { call(&connection, list(b""), 20_000).await })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(20)).await;
        std::thread::sleep(Duration::from_millis(1500));
        let mut lost = 0;
        for call in calls {
            match within(30, call).await.unwrap().result {
                Ok(result) => assert_eq!(result.len(), RESULT),
                Err(error) => {
                    assert_eq!(error.code, ErrorCode::ConnectionLost, "{error}");
                    lost += 1;
                }
            }
        }
        assert!(lost > 0);
        assert!(counters.counted().losses >= 1);
        within(20, async {
            while call(&connection, list(b""), 5000).await.result.is_err() {}
        })
        .await;
    });
}

/// Calls that we have no room for are dropped and counted; they time out, and others don't.
#[tokio::test]
async fn calls_beyond_our_room_are_counted() {
    const ROOM: u64 = 4;
    const CALLS: u64 = 100;
    let nats = NatsServer::start();
    let counters = Arc::<Counters>::default();
    let mut options = Options::new(&nats.url()).unwrap();
    options.unread_calls_max = ROOM as usize;
    let receiver = Connection::connect_counted(&options, Arc::clone(&counters))
        .await
        .unwrap();
    let server = server(receiver, limits()).await; // takes no calls yet
    let connection = connect(&nats.url()).await;
    let calls: Vec<_> = (0..CALLS)
        .map(|_| {
            let connection = connection.clone();
            tokio::spawn(async move { call(&connection, list(b"x"), 3000).await })
        })
        .collect();
    within(20, async {
        while counters.counted().messages_dropped < CALLS - ROOM {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    tokio::spawn(server.run(std::future::pending(), |invocation| {
        tokio::spawn(answer(invocation, Behaviour::Echo));
    }));
    for call in calls {
        let outcome = within(20, call).await.unwrap();
        if let Some(code) = code_or_ok(&outcome) {
            assert_eq!(code, ErrorCode::Timeout);
        }
    }
    assert_eq!(counters.counted().messages_dropped, CALLS - ROOM);
    let outcome = within(20, call(&connection, list(b"x"), 10_000)).await;
    assert_eq!(outcome.result, Ok(list(b"x")));
}

#[tokio::test]
async fn payloads_around_the_servers_limit() {
    const MAX: usize = 2048;
    let nats = NatsServer::start_configured(&format!("max_payload: {MAX}\n"));
    let _server = serve(&nats.url(), Behaviour::Echo).await;
    let connection = connect(&nats.url()).await;
    assert_eq!(connection.max_payload(), MAX);
    // Of the parameters (with their length, and with the reply subject beside them)
    // and of the results.
    for size in (MAX - 80..=MAX + 3).chain(2 * MAX - 3..=2 * MAX + 3) {
        let payload = vec![7; size];
        let outcome = within(20, call(&connection, list(&payload), 10_000)).await;
        assert!(outcome.result == Ok(list(&payload)), "{size} bytes");
    }
}

#[tokio::test]
async fn a_hundred_thousand_timeouts_leave_nothing_behind() {
    let nats = NatsServer::start();
    let silent = async_nats::connect(nats.url()).await.unwrap();
    let subscriber = silent
        .subscribe(crate::rig::echo().to_string())
        .await
        .unwrap();
    crate::rig::settle(&silent).await;
    let connection = connect(&nats.url()).await;
    for _ in 0..10 {
        let calls: Vec<_> = (0..10_000)
            .map(|_| {
                let connection = connection.clone();
                tokio::spawn(async move { call(&connection, list(b""), 30).await })
            })
            .collect();
        for call in calls {
            let outcome = within(30, call).await.unwrap();
            assert_eq!(code(&outcome), ErrorCode::Timeout);
        }
    }
    drop(subscriber);
    drop(silent);
    let _server = serve(&nats.url(), Behaviour::Echo).await;
    for number in 0..100u32 {
        let params = list(&number.to_le_bytes());
        let outcome = within(20, call(&connection, params.clone(), 10_000)).await;
        assert_eq!(outcome.result, Ok(params));
    }
}

/// A connection that is given up fails its calls at once.
#[tokio::test]
async fn a_connection_is_given_up_after_so_many_attempts() {
    let mut nats = NatsServer::start();
    let mut options = Options::new(&nats.url()).unwrap();
    options.max_reconnects = Some(3);
    let connection = Connection::connect(&options).await.unwrap();
    nats.kill();
    within(20, async {
        while !connection.is_closed() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let outcome = within(5, call(&connection, list(b""), 60_000)).await;
    assert_eq!(code(&outcome), ErrorCode::ConnectionRefused);
    assert!(outcome.result.unwrap_err().message.contains("given up"));
}
