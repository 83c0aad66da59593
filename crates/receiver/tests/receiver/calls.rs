//! Calls that succeed: values, sizes, many at once, groups, imports.

use std::collections::HashSet;
use std::time::Duration;

use encarno_test_peers::NatsServer;
use encarno_wrpc::ErrorCode;
use encarno_wrpc::value::Write as _;

use crate::guests;
use crate::program::{Client, INSTANCE, Receiver};

#[tokio::test]
async fn values_and_names() {
    let nats = NatsServer::start();
    let receiver = Receiver::start(&nats.url(), &guests::worker(), &[]);
    assert!(
        receiver.ready.contains("test:guest/work@0.1.0.echo"),
        "{}",
        receiver.ready
    );
    assert!(
        receiver.ready.contains(&format!("at {} (pid", nats.url())),
        "{}",
        receiver.ready
    );

    let client = Client::connect(&nats.url()).await;
    client.echo(3).await;
    assert_eq!(&client.call("echo", &[0]).await.unwrap()[..], [0]);
    assert_eq!(
        &client.call("text", b"\x03h\xc3\xa9").await.unwrap()[..],
        b"\x03h\xc3\xa9"
    );
    assert_eq!(
        &client.call("sum", &[0xac, 0x02, 1]).await.unwrap()[..],
        [0xad, 0x02]
    );
    assert!(client.call("sleep", &[1]).await.unwrap().is_empty());

    let outcome = client.outcome(INSTANCE, "sleep", &[50]).await;
    let waited = outcome.timing.finished.unwrap() - outcome.timing.accepted.unwrap();
    assert!(outcome.result.is_ok());
    // Accepted when the guest went to sleep, not when it ended.
    assert!(waited > Duration::from_millis(25), "{waited:?}");
}

#[tokio::test]
async fn parameters_and_results_of_several_messages() {
    let nats = NatsServer::start();
    let _receiver = Receiver::start(&nats.url(), &guests::worker(), &[]);
    let client = Client::connect(&nats.url()).await;
    // nats-server takes 1 MiB at once.
    for length in [1 << 20, 5_000_000] {
        let mut params = Vec::new();
        params.bytes(&(0..length).map(|index| index as u8).collect::<Vec<_>>());
        assert_eq!(client.call("echo", &params).await.unwrap(), params);
    }
}

#[tokio::test]
async fn what_no_parameters_can_be_is_refused() {
    let nats = NatsServer::start();
    let _receiver = Receiver::start(&nats.url(), &guests::worker(), &[]);
    let client = Client::connect(&nats.url()).await;
    let bomb = [0xff, 0xff, 0xff, 0xff, 0x0f];
    for function in ["echo", "text"] {
        client
            .fails(function, &bomb, ErrorCode::PayloadTooLarge, "larger than")
            .await;
        // Whoever sends this has nothing more to send.
        client
            .fails(function, &[5, 1], ErrorCode::ProtocolViolation, "truncated")
            .await;
        client
            .fails(function, &[0, 0], ErrorCode::ProtocolViolation, "left over")
            .await;
    }
    client
        .fails("text", &[1, 0xff], ErrorCode::ProtocolViolation, "UTF-8")
        .await;
    client
        .fails("sum", &[0xff; 11], ErrorCode::ProtocolViolation, "invalid")
        .await;
    client
        .fails("no-such-function", &[], ErrorCode::NoResponders, "nobody")
        .await;
    client.echo(1).await;
}

#[tokio::test]
async fn two_thousand_calls_at_once() {
    const CALLS: usize = 2000;
    let nats = NatsServer::start();
    let receiver = Receiver::start(&nats.url(), &guests::worker(), &[]);
    let client = Client::connect(&nats.url()).await;
    let calls: Vec<_> = (0..CALLS)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.outcome(INSTANCE, "sleep", &[0xd0, 0x0f]).await })
        })
        .collect();
    let mut accepted_last = None;
    let mut finished_first = None;
    for call in calls {
        let outcome = call.await.unwrap();
        assert!(outcome.result.is_ok(), "{:?}", outcome.result);
        let (accepted, finished) = (outcome.timing.accepted, outcome.timing.finished);
        accepted_last = accepted_last.max(accepted);
        finished_first = [finished_first, finished].into_iter().flatten().min();
    }
    // Every call slept before any woke up, two seconds after it began.
    assert!(accepted_last < finished_first);
    let status = std::fs::read_to_string(format!("/proc/{}/status", receiver.pid())).unwrap();
    let threads = status
        .lines()
        .find_map(|line| line.strip_prefix("Threads:"));
    let threads: usize = threads.unwrap().trim().parse().unwrap();
    let cores = std::thread::available_parallelism().unwrap().get();
    assert!(threads <= cores + 8, "{threads} threads for {cores} cores");
}

#[tokio::test]
async fn calls_beyond_the_slots_wait_and_beyond_the_queue_are_refused() {
    let nats = NatsServer::start();
    let _receiver = Receiver::start(&nats.url(), &guests::worker(), &["--max-concurrency", "2"]);
    let client = Client::connect(&nats.url()).await;
    let calls: Vec<_> = (0..30)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.call("sleep", &[0xc8, 0x01]).await })
        })
        .collect();
    let mut served = 0;
    for call in calls {
        match call.await.unwrap() {
            Ok(_) => served += 1,
            Err(error) => assert_eq!(error.code, ErrorCode::ReceiverBusy, "{error}"),
        }
    }
    // Two run and eight wait; a few more may come when the first have ended.
    assert!((10..30).contains(&served), "{served}");
    client.echo(1).await;
}

#[tokio::test]
async fn a_call_that_waits_too_long_for_a_slot() {
    let nats = NatsServer::start();
    let arguments = ["--max-concurrency", "1", "--timeout", "400ms"];
    let _receiver = Receiver::start(&nats.url(), &guests::worker(), &arguments);
    let client = Client::connect(&nats.url()).await;
    let long = tokio::spawn({
        let client = client.clone();
        async move { client.call("sleep", &[0x88, 0x27]).await } // 5 s
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    // The first is stopped before the second has waited as long.
    assert!(client.call("sleep", &[1]).await.is_ok());
    assert_eq!(long.await.unwrap().unwrap_err().code, ErrorCode::GuestLimit);
}

#[tokio::test]
async fn a_group_shares_the_calls() {
    let nats = NatsServer::start();
    let receivers = [1, 2].map(|number| {
        Receiver::start(
            &nats.url(),
            &guests::numbered(number),
            &["--group", "shared"],
        )
    });
    let client = Client::connect(&nats.url()).await;
    let mut seen = HashSet::new();
    for _ in 0..200 {
        let answer = client.call("who", &[]).await.unwrap();
        assert_eq!(answer.len(), 1);
        seen.insert(answer[0]);
    }
    assert_eq!(seen, HashSet::from([1, 2]));
    drop(receivers);
}

#[tokio::test]
async fn imports_are_called_over_wrpc() {
    let nats = NatsServer::start();
    let _relay = Receiver::start(&nats.url(), &guests::relay(), &[]);
    let client = Client::connect(&nats.url()).await;
    let relay = async |function: &str, params: &[u8]| {
        let outcome = client
            .outcome("test:guest/relay@0.1.0", function, params)
            .await;
        outcome.result
    };

    let error = relay("relay", b"\x02hi").await.unwrap_err();
    assert_eq!(error.code, ErrorCode::GuestTrap, "{error}");
    assert!(
        error
            .message
            .contains("test:guest/work@0.1.0.echo failed: no_responders"),
        "{error}"
    );

    let _worker = Receiver::start(&nats.url(), &guests::worker(), &[]);
    assert_eq!(&relay("relay", b"\x02hi").await.unwrap()[..], b"\x02hi");
    let error = relay("relay-trap", &[]).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::GuestTrap, "{error}");
    assert!(error.message.contains("trap failed: guest_trap"), "{error}");
    assert_eq!(&relay("relay", b"\x02hi").await.unwrap()[..], b"\x02hi");
}
