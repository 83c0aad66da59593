//! One bound for all that calls take together, whatever takes it.

use std::time::Duration;

use bytes::Bytes;
use encarno_test_peers::NatsServer;
use encarno_wrpc::ErrorCode;
use encarno_wrpc::tcp::fuzz::{PREFACE, message};
use encarno_wrpc::tcp::{FunctionNames, Options, Remote};
use encarno_wrpc::value::Write as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::guests;
use crate::program::{self, INSTANCE, Receiver};

/// What a receiver with that limit takes at most. A quarter of the limit may be kept by the
/// pool, or be on its way back to the system; the rest is for the program itself.
const fn most_kib(limit_mib: u64) -> u64 {
    (limit_mib + limit_mib / 4 + 160) << 10
}

async fn call(
    client: &Remote,
    function: &str,
    params: Bytes,
) -> Result<Bytes, encarno_wrpc::Error> {
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    let function = FunctionNames::new(INSTANCE, function);
    client.call(&function, params, deadline).await.result
}

fn client(receiver: &Receiver) -> Remote {
    Remote::new(Options::new(receiver.addr()).unwrap())
}

fn list(bytes: usize) -> Bytes {
    let mut params = Vec::new();
    params.bytes(&vec![7; bytes]);
    params.into()
}

/// A caller that says what it likes on a connection that calls share.
struct Raw(TcpStream);

impl Raw {
    async fn connect(receiver: &Receiver) -> Self {
        let mut stream = TcpStream::connect(receiver.addr()).await.unwrap();
        stream.write_all(PREFACE).await.unwrap();
        let mut answer = [0; PREFACE.len()];
        stream.read_exact(&mut answer).await.unwrap();
        Self(stream)
    }

    /// Kinds are 1: a call, 2: a call that begins, 3: more parameters.
    async fn say(&mut self, kind: u8, call: u64, function: Option<&str>, params: &[u8]) {
        let mut payload = Vec::new();
        if let Some(function) = function {
            payload.bytes(INSTANCE.as_bytes());
            payload.bytes(function.as_bytes());
        }
        payload.extend_from_slice(params);
        let message = message(kind, call, &payload);
        self.0.write_all(&message).await.unwrap();
    }

    /// Waits until all that was said was read: a call of nothing with that number is
    /// refused then.
    async fn reach(&mut self, call: u64) {
        self.say(1, call, Some("nothing"), &[]).await;
        loop {
            let mut head = [0; 13];
            self.0.read_exact(&mut head).await.unwrap();
            let [a, b, c, d, _, number @ ..] = head;
            let mut payload = vec![0; u32::from_le_bytes([a, b, c, d]) as usize];
            self.0.read_exact(&mut payload).await.unwrap();
            if u64::from_le_bytes(number) == call {
                return;
            }
        }
    }
}

#[tokio::test]
async fn guests() {
    let nats = NatsServer::start();
    let arguments = ["--max-total-memory-mb", "64", "--max-memory-mb", "1024"];
    let _receiver = Receiver::start(&nats.url(), &guests::worker(), &arguments);
    let client = program::Client::connect(&nats.url()).await;
    let about = "the 64 MiB that all calls together may take are used up (--max-total-memory-mb)";
    for _ in 0..3 {
        client
            .fails("grow", &[], ErrorCode::ReceiverBusy, about)
            .await;
        client.echo(1).await;
    }
    // Parameters for which the guest would have to grow beyond it: 40 MiB, twice.
    client
        .fails("echo", &list(40 << 20), ErrorCode::ReceiverBusy, about)
        .await;
    client.echo(1).await;
}

/// Guests that find no room at their start wait for it.
#[tokio::test]
async fn guests_wait_for_one_another() {
    // Each takes some 700 KiB, so that about ten run at the same time.
    let arguments = ["--max-total-memory-mb", "8", "--max-concurrency", "1000"];
    let receiver = Receiver::start_tcp(&guests::worker(), &arguments);
    let client = std::sync::Arc::new(client(&receiver));
    let calls: Vec<_> = (0..50)
        .map(|_| {
            let client = std::sync::Arc::clone(&client);
            tokio::spawn(async move { call(&client, "sleep", Bytes::from_static(&[50])).await })
        })
        .collect();
    for call in calls {
        call.await.unwrap().expect("it waits for its turn");
    }
}

#[tokio::test]
async fn handles_of_the_host() {
    let receiver = Receiver::start_tcp(&guests::worker(), &[]);
    let error = call(&client(&receiver), "leak", Bytes::new()).await;
    let error = error.expect_err("too many");
    assert_eq!(error.code, ErrorCode::GuestLimit, "{error}");
    assert!(error.message.contains("4096 handles"), "{error}");
    drop(receiver);

    // They are counted, too.
    let arguments = ["--max-total-memory-mb", "3"];
    let receiver = Receiver::start_tcp(&guests::worker(), &arguments);
    let error = call(&client(&receiver), "leak", Bytes::new()).await;
    let error = error.expect_err("too much");
    assert_eq!(error.code, ErrorCode::ReceiverBusy, "{error}");
    let echoed = call(&client(&receiver), "echo", list(5)).await;
    assert_eq!(echoed, Ok(list(5)));
}

#[tokio::test]
async fn results_that_nobody_reads() {
    let limits = ["--max-total-memory-mb", "128", "--max-concurrency", "8"];
    // The caller stays, and no call ends by its time, however slow the machine is.
    let arguments = [&limits[..], &["--silence", "10m", "--timeout", "10m"]].concat();
    let receiver = Receiver::start_tcp(&guests::worker(), &arguments);
    let mut raw = Raw::connect(&receiver).await;
    for number in 0..20 {
        raw.say(1, number, Some("large"), &[]).await;
    }
    // Each is 32 MiB, so that all of them are five times what is allowed. What another
    // caller sees meanwhile depends on how far they are: it is served, waits, or is
    // refused.
    let client = client(&receiver);
    for _ in 0..5 {
        let called = call(&client, "large", Bytes::new());
        if let Ok(Err(refused)) = tokio::time::timeout(Duration::from_secs(1), called).await {
            assert_eq!(refused.code, ErrorCode::ReceiverBusy, "{refused}");
            let way_out = "--max-total-memory-mb";
            assert!(refused.message.contains(way_out), "{refused}");
        }
    }
    let peak = receiver.peak_rss_kib();
    assert!(peak < most_kib(128), "{peak} KiB");
    drop(raw);
    let served = async {
        while call(&client, "large", Bytes::new()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let served = tokio::time::timeout(Duration::from_secs(60), served).await;
    assert!(served.is_ok(), "its memory is there again once it is gone");
}

#[tokio::test]
async fn parameters_that_do_not_end() {
    let arguments = ["--max-total-memory-mb", "64", "--timeout", "60s"];
    let receiver = Receiver::start_tcp(&guests::worker(), &arguments);
    let mut raw = Raw::connect(&receiver).await;
    let begun = &list(600_000)[..200_000];
    for number in 0..1000 {
        raw.say(2, number, Some("echo"), begun).await;
    }
    // Whoever goes on is served at the expense of whoever doesn't.
    let client = client(&receiver);
    for _ in 0..3 {
        let params = list(8_000_000);
        let echoed = call(&client, "echo", params.clone()).await;
        assert!(echoed.expect("it has room") == params);
    }
    let peak = receiver.peak_rss_kib();
    assert!(peak < most_kib(64), "{peak} KiB");
}

/// Calls that wait keep no more than they are, whatever else came along with them.
#[tokio::test]
async fn parameters_between_others() {
    const WAITING: u64 = 300;
    let limits = ["--max-concurrency", "100", "--max-total-memory-mb", "512"];
    let arguments = [&limits[..], &["--timeout", "10m"]].concat();
    let receiver = Receiver::start_tcp(&guests::worker(), &arguments);
    let mut raw = Raw::connect(&receiver).await;
    let mut long = Vec::new();
    long.unsigned(600_000);
    for number in 0..100 {
        raw.say(1, number, Some("sleep"), &long).await;
    }
    raw.reach(1000).await;
    let before = receiver.rss_kib();
    let (small, nothing) = (list(33_000), vec![0; (1 << 20) - 100]);
    for number in 100..100 + WAITING {
        raw.say(1, number, Some("echo"), &small).await;
        // More parameters of a call that isn't there.
        raw.say(3, 2000, None, &nothing).await;
    }
    raw.reach(1001).await;
    let after = receiver.rss_kib();
    assert!(
        after < before + WAITING * 256,
        "{after} KiB, {before} before"
    );
}

/// What was announced and didn't come takes nothing from others.
#[tokio::test]
async fn parameters_that_only_begin() {
    let arguments = ["--timeout", "60s"];
    let receiver = Receiver::start_tcp(&guests::worker(), &arguments);
    let mut raw = Raw::connect(&receiver).await;
    let begun = &list(60_000_000)[..3];
    for number in 0..1000 {
        raw.say(2, number, Some("echo"), begun).await;
    }
    let client = client(&receiver);
    let params = list(5_000_000);
    let echoed = call(&client, "echo", params.clone()).await;
    assert!(echoed.expect("it has room") == params);
}

/// What is large goes back to the kernel as soon as the account has it back.
#[tokio::test]
async fn parameters_and_results_of_many() {
    let arguments = ["--max-total-memory-mb", "256"];
    let receiver = Receiver::start_tcp(&guests::worker(), &arguments);
    let client = std::sync::Arc::new(client(&receiver));
    let params = list(30 << 20);
    let calls: Vec<_> = (0..12)
        .map(|_| {
            let (client, params) = (std::sync::Arc::clone(&client), params.clone());
            tokio::spawn(async move {
                for _ in 0..3 {
                    // There may be no room for it, or no time on a slow machine.
                    if let Ok(results) = call(&client, "echo", params.clone()).await {
                        assert!(results == params);
                    }
                }
            })
        })
        .collect();
    for call in calls {
        call.await.unwrap();
    }
    let peak = receiver.peak_rss_kib();
    assert!(peak < most_kib(256), "{peak} KiB");
}

/// A guest that recurses deeply takes no memory any more when it has ended.
#[tokio::test]
async fn stacks_go_back() {
    const COUNT: u64 = 200;
    let arguments = ["--max-concurrency", "200", "--max-total-memory-mb", "512"];
    let receiver = Receiver::start_tcp(&guests::worker(), &arguments);
    let client = std::sync::Arc::new(client(&receiver));
    let all = async |calls: u32| {
        let mut params = Vec::new();
        params.unsigned(calls.into());
        params.unsigned(1000);
        let params = Bytes::from(params);
        let all: Vec<_> = (0..COUNT)
            .map(|_| {
                let (client, params) = (std::sync::Arc::clone(&client), params.clone());
                tokio::spawn(async move { call(&client, "deep", params).await })
            })
            .collect();
        for call in all {
            call.await.unwrap().expect("it comes back");
        }
        receiver.rss_kib()
    };
    let shallow = all(0).await;
    let deep = all(8000).await;
    // Each of them touched 128 KiB at least.
    assert!(deep < shallow + COUNT * 48, "{deep} KiB, {shallow} before");
}
