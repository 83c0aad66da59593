//! The log, and what guests write: nobody waits for whoever reads it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use encarno_wrpc::tcp::{FunctionNames, Options, Remote};
use encarno_wrpc::{Error, ErrorCode};
use rustix::process::Signal;

use crate::guests;
use crate::program::{INSTANCE, Receiver};

async fn call(remote: &Remote, function: &str) -> Result<Bytes, Error> {
    let function = FunctionNames::new(INSTANCE, function);
    let deadline = Instant::now() + Duration::from_secs(20);
    remote.call(&function, Bytes::new(), deadline).await.result
}

fn remote(receiver: &Receiver) -> Arc<Remote> {
    Arc::new(Remote::new(Options::new(receiver.addr()).unwrap()))
}

#[tokio::test]
async fn a_stderr_that_nobody_reads_stops_nothing() {
    // A trap is some lines of the log, and a pipe holds 64 KiB.
    let mut receiver = Receiver::start_tcp_unread(&guests::worker(), &[]);
    let client = remote(&receiver);
    for _ in 0..1000 {
        let trapped = call(&client, "trap").await.expect_err("it traps");
        assert_eq!(trapped.code, ErrorCode::GuestTrap, "{trapped}");
    }
    receiver.signal(Signal::TERM);
    assert_eq!(receiver.wait().code(), Some(0));

    let arguments = ["--timeout", "500ms"];
    let mut receiver = Receiver::start_tcp_unread(&guests::writer(), &arguments);
    let client = remote(&receiver);
    let floods: Vec<_> = (0..8)
        .map(|_| {
            let client = Arc::clone(&client);
            tokio::spawn(async move { call(&client, "flood").await })
        })
        .collect();
    call(&client, "write").await.expect("others write, too");
    for flood in floods {
        let stopped = flood.await.unwrap().expect_err("it has no end");
        assert_eq!(stopped.code, ErrorCode::GuestLimit, "{stopped}");
    }
    // Two signals end it whatever is left to be written.
    receiver.signal(Signal::TERM);
    receiver.signal(Signal::TERM);
    receiver.wait();
}

#[tokio::test]
async fn what_guests_write_has_a_rate() {
    let arguments = ["--timeout", "1s"];
    let mut receiver = Receiver::start_tcp(&guests::writer(), &arguments);
    let client = remote(&receiver);
    call(&client, "write").await.unwrap();
    receiver.logged("written by a guest").await;
    let began = Instant::now();
    let stopped = call(&client, "flood").await.expect_err("it has no end");
    assert_eq!(stopped.code, ErrorCode::GuestLimit, "{stopped}");
    receiver
        .logged("bytes that guests wrote were left out")
        .await;
    let seconds = began.elapsed().as_secs() as usize + 1;
    receiver.signal(Signal::TERM);
    assert_eq!(receiver.wait().code(), Some(0));
    // 256 KiB at once, and as much in each second.
    let written = receiver.stderr().len();
    assert!(written < (1 + seconds) * (256 << 10) + 10_000, "{written}");
}
