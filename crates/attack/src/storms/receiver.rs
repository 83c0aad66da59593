//! Storms against a receiver.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use encarno_test_peers::Random;
use encarno_wrpc::blaster::Packet;
use encarno_wrpc::value::Write as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::guests::WRITER;
use super::wire::{CALL, CALL_BEGINS, PREFACE, message, shared, single};
use crate::failure::Failure;
use crate::neighbours::{Caller, INSTANCE, Usage, list};
use crate::programs::PATIENCE;
use crate::row::Row;
use crate::siege::{Siege, Transport, Under};

/// The error that neighbours may get if memory is short; it names the option that helps.
const BUSY: &[&str] = &["--max-total-memory-mb"];

/// Runs `count` tasks of the same kind until the storm is over.
async fn many<F>(under: &Under, count: usize, one: impl Fn(Under, u64) -> F) -> Result<(), Failure>
where
    F: Future<Output = Result<(), Failure>> + Send + 'static,
{
    let mut all = JoinSet::new();
    for number in 0..count as u64 {
        all.spawn(one(under.clone(), number));
    }
    while let Some(ended) = all.join_next().await {
        ended??;
    }
    Ok(())
}

pub(super) async fn large_calls(time: Duration) -> Result<Row, Failure> {
    let siege = Siege {
        limit: 512,
        may_say: BUSY,
        ..Siege::default()
    };
    let params = list(60 << 20);
    let storm = |under: Under| async move {
        let caller = Arc::new(under.caller().await?);
        many(&under, 16, move |under, _| {
            let (caller, params) = (Arc::clone(&caller), params.clone());
            async move {
                while under.goes_on() {
                    let refused = caller.call("echo", params.clone(), PATIENCE).await.is_err();
                    under.threw(1);
                    if refused {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                }
                Ok(())
            }
        })
        .await
    };
    siege.hold(time, "calls with 60 MiB", storm).await
}

pub(super) async fn guest_memory(time: Duration) -> Result<Row, Failure> {
    let siege = Siege {
        guest: None,
        limit: 1024,
        usage: Usage::blast(),
        may_say: BUSY,
        ..Siege::default()
    };
    let large = Packet {
        mem_burn_mb: 250,
        ..Packet::default()
    };
    let large = Usage {
        params: large.encode().into(),
        ..Usage::blast()
    };
    let storm = |under: Under| async move {
        let caller = Arc::new(under.caller().await?);
        many(&under, 100, move |under, _| {
            let (caller, large) = (Arc::clone(&caller), large.clone());
            async move {
                while under.goes_on() {
                    drop(large.call(&caller).await);
                    under.threw(1);
                }
                Ok(())
            }
        })
        .await
    };
    siege.hold(time, "calls of 250 MiB", storm).await
}

pub(super) async fn begun_calls(time: Duration) -> Result<Row, Failure> {
    let siege = Siege {
        // The calls of neighbours don't fit into one message.
        usage: Usage::echo(2_000_000),
        ..Siege::default()
    };
    let begun = list(60_000_000).slice(..3);
    let storm = |under: Under| async move {
        let mut number = 0;
        while under.goes_on() {
            let mut stream = shared(under.addr()).await?;
            for _ in 0..64 {
                number += 1;
                stream
                    .write_all(&message(CALL_BEGINS, number, "echo", &begun))
                    .await?;
                under.threw(1);
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        Ok(())
    };
    siege.hold(time, "calls", storm).await
}

pub(super) async fn half_calls(time: Duration) -> Result<Row, Failure> {
    let siege = Siege {
        limit: 64,
        may_say: BUSY,
        usage: Usage::echo(2_000_000),
        ..Siege::default()
    };
    let begun = list(600_000).slice(..200_000);
    let storm = |under: Under| async move {
        while under.goes_on() {
            let mut stream = shared(under.addr()).await?;
            for number in 0..500 {
                let call = message(CALL_BEGINS, number, "echo", &begun);
                let sent = tokio::time::timeout(Duration::from_secs(5), stream.write_all(&call));
                if !matches!(sent.await, Ok(Ok(()))) {
                    break;
                }
                under.threw(1);
            }
        }
        Ok(())
    };
    siege.hold(time, "calls", storm).await
}

pub(super) async fn unread_results(time: Duration) -> Result<Row, Failure> {
    let siege = Siege {
        arguments: &["--max-concurrency", "8", "--silence", "2s"],
        limit: 128,
        may_say: BUSY,
        ..Siege::default()
    };
    let storm = |under: Under| async move {
        while under.goes_on() {
            let mut stream = shared(under.addr()).await?;
            for number in 0..20 {
                stream
                    .write_all(&message(CALL, number, "large", &[]))
                    .await?;
                under.threw(1);
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        Ok(())
    };
    siege.hold(time, "results of 32 MiB", storm).await
}

pub(super) async fn unread_stderr(time: Duration) -> Result<Row, Failure> {
    let writers = Siege {
        guest: Some(WRITER),
        arguments: &["--timeout", "500ms"],
        usage: Usage {
            instance: INSTANCE,
            function: "write",
            params: Bytes::new(),
            results: Bytes::new(),
        },
        unread: true,
        ..Siege::default()
    };
    let traps = Siege {
        unread: true,
        ..Siege::default()
    };
    let mut row = writers
        .hold(time / 2, "guests that write", |under| {
            again(under, 8, &["flood"])
        })
        .await?;
    let other = traps
        .hold(time / 2, "traps", |under| again(under, 8, &["trap"]))
        .await?;
    row.thrown = format!("{}, {}", row.thrown, other.thrown);
    row.broken.extend(other.broken);
    row.neighbours = format!("{}; {}", row.neighbours, other.neighbours);
    Ok(row)
}

/// Calls these functions again and again, whatever the results.
async fn again(
    under: Under,
    count: usize,
    functions: &'static [&'static str],
) -> Result<(), Failure> {
    let caller = Arc::new(under.caller().await?);
    many(&under, count, move |under, number| {
        let caller = Arc::clone(&caller);
        async move {
            let mut at = number as usize;
            while under.goes_on() {
                let function = functions[at % functions.len()];
                drop(caller.call(function, Bytes::new(), PATIENCE).await);
                under.threw(1);
                at += 1;
            }
            Ok(())
        }
    })
    .await
}

pub(super) async fn bad_guests(time: Duration) -> Result<Row, Failure> {
    let siege = Siege {
        arguments: &[
            "--timeout",
            "1s",
            "--max-memory-mb",
            "64",
            "--max-cpu-ms",
            "300",
            "--max-concurrency",
            "8",
        ],
        may_say: BUSY,
        ..Siege::default()
    };
    const BAD: &[&str] = &[
        "leak",
        "spin",
        "jog",
        "trap",
        "exit",
        "deeper",
        "grow",
        "grow-table",
        "huge",
        "large",
        "lie",
    ];
    siege
        .hold(time, "calls of bad guests", |under| again(under, 22, BAD))
        .await
}

pub(super) async fn deep_guests(time: Duration) -> Result<Row, Failure> {
    let siege = Siege {
        arguments: &["--max-concurrency", "420"],
        limit: 512,
        ..Siege::default()
    };
    // 8,000 calls, and 100 ms in the last of them.
    let mut params = Vec::new();
    params.unsigned(8000);
    params.unsigned(100);
    let params = Bytes::from(params);
    let storm = |under: Under| async move {
        let caller = Arc::new(under.caller().await?);
        many(&under, 400, move |under, _| {
            let (caller, params) = (Arc::clone(&caller), params.clone());
            async move {
                while under.goes_on() {
                    drop(caller.call("deep", params.clone(), PATIENCE).await);
                    under.threw(1);
                }
                Ok(())
            }
        })
        .await
    };
    siege.hold(time, "calls", storm).await
}

pub(super) async fn prefaces(time: Duration) -> Result<Row, Failure> {
    const COUNT: usize = 10_000;
    // Both ends of each connection are descriptors of a process.
    let wanted = COUNT as u64 + 1000;
    let mut limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    if limit.current.is_some_and(|current| current < wanted) {
        limit.current = limit
            .maximum
            .map_or(Some(wanted), |most| Some(most.min(wanted)));
        rustix::process::setrlimit(rustix::process::Resource::Nofile, limit)?;
    }
    let siege = Siege {
        arguments: &["--header-timeout", "2s"],
        // 64 KiB are reserved for each connection.
        limit: 1024,
        ..Siege::default()
    };
    let storm = |under: Under| async move {
        let mut held = std::collections::VecDeque::new();
        let mut newcomer = None;
        while under.goes_on() {
            if held.len() >= COUNT {
                held.pop_front();
            }
            // A refused connection isn't an error.
            if let Ok(mut stream) = TcpStream::connect(under.addr()).await {
                let _ = stream.write_all(PREFACE).await;
                held.push_back(stream);
                under.threw(1);
            }
            // A new client is also served, as soon as others have been idle for long
            // enough.
            if held.len() == COUNT && newcomer.is_none() {
                newcomer = Some(tokio::spawn(served(under.clone())));
            }
        }
        if let Some(newcomer) = newcomer {
            newcomer.await??;
        }
        Ok(())
    };
    siege.hold(time, "connections", storm).await
}

/// A new caller must be served within its timeout.
async fn served(under: Under) -> Result<(), Failure> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let caller = Caller::new(&under.place).await?;
        match caller.call("echo", list(10), PATIENCE).await {
            Ok(_) => return Ok(()),
            Err(error) if Instant::now() > deadline => {
                return Err(Failure::new(format!("a new caller: {error}")));
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

pub(super) async fn slow_callers(time: Duration) -> Result<Row, Failure> {
    let siege = Siege {
        arguments: &["--header-timeout", "2s", "--silence", "2s"],
        ..Siege::default()
    };
    let storm = |under: Under| async move {
        many(&under, 500, |under, number| async move {
            let whole = match number % 2 {
                0 => single("echo", &list(1000)),
                _ => [PREFACE, &message(CALL, number, "echo", &list(1000))].concat(),
            };
            while under.goes_on() {
                let mut stream = TcpStream::connect(under.addr()).await?;
                for byte in whole.chunks(1) {
                    if stream.write_all(byte).await.is_err() || !under.goes_on() {
                        break;
                    }
                    under.threw(1);
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
            Ok(())
        })
        .await
    };
    siege.hold(time, "bytes", storm).await
}

pub(super) async fn random_frames(time: Duration) -> Result<Row, Failure> {
    let storm = |under: Under| async move {
        many(&under, 8, |under, number| async move {
            let mut random = Random::new(number);
            while under.goes_on() {
                let mut bytes = match random.below(3) {
                    0 => single("echo", &list(random.below(300))),
                    1 => {
                        let mut bytes = PREFACE.to_vec();
                        for call in 0..4 {
                            let kind = 1 + random.below(12) as u8;
                            let params = list(random.below(300));
                            bytes.extend(message(kind, call, "echo", &params));
                        }
                        bytes
                    }
                    _ => random.bytes(2000),
                };
                random.change(&mut bytes, &[]);
                converse(under.addr(), &bytes).await?;
                under.threw(1);
            }
            Ok(())
        })
        .await
    };
    Siege::default().hold(time, "connections", storm).await
}

/// Sends bytes, and reads a little of the answer.
async fn converse(addr: &str, bytes: &[u8]) -> Result<(), Failure> {
    let mut stream = TcpStream::connect(addr).await?;
    if stream.write_all(bytes).await.is_ok() {
        let mut answer = [0; 512];
        let read = stream.read(&mut answer);
        drop(tokio::time::timeout(Duration::from_millis(5), read).await);
    }
    Ok(())
}

pub(super) async fn hostile_tls(time: Duration) -> Result<Row, Failure> {
    let siege = Siege {
        transport: Transport::Tls,
        arguments: &["--header-timeout", "2s"],
        ..Siege::default()
    };
    let storm = |under: Under| async move {
        many(&under, 8, |under, number| async move {
            let mut random = Random::new(number);
            while under.goes_on() {
                let mut bytes = match random.below(4) {
                    0 => b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
                    1 => random.bytes(2000),
                    _ => CLIENT_HELLO.to_vec(),
                };
                match random.below(3) {
                    0 => {}
                    1 => bytes.truncate(random.below(CLIENT_HELLO.len())),
                    _ => random.change(&mut bytes, &[]),
                }
                converse(under.addr(), &bytes).await?;
                under.threw(1);
            }
            Ok(())
        })
        .await
    };
    siege.hold(time, "connections", storm).await
}

/// The beginning of TLS 1.2: a version, random bytes, two ciphers, no extensions.
const CLIENT_HELLO: &[u8] = b"\x16\x03\x01\x00\x2f\x01\x00\x00\x2b\x03\x03\
    0123456789abcdef0123456789abcdef\x00\x00\x04\xc0\x2b\xc0\x2f\x01\x00";
