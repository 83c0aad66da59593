//! The caller's side of a connection of one call, shut down behind the parameters:
//! receivers that need it, and proxies that answer it by closing the connection.

use std::time::{Duration, Instant};

use bytes::Bytes;
use encarno_test_peers::Toxiproxy;
use encarno_wrpc::http::{FUNCTION, INSTANCE as HANDLER, RequestHead};
use encarno_wrpc::tcp::{FunctionNames, Options, Remote};
use encarno_wrpc::{Error, ErrorCode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::rig::*;

/// Status 200, no headers, no body, no trailers.
const RESPONSE: &[u8] = b"\0\x01\0\x01\0\xc8\x01\0";

/// Says all in frames of upstream's, and closes.
async fn answer(mut stream: TcpStream, results: &[u8]) {
    let frame = [&[0, results.len() as u8][..], results].concat();
    let frame = if results.is_empty() { &[] } else { &frame[..] };
    let _ = stream.write_all(frame).await;
    let _ = stream.shutdown().await;
}

/// Takes the whole of what is sent before it begins.
async fn reads_to_the_end(mut stream: TcpStream) {
    let mut call = Vec::new();
    let Ok(_) = stream.read_to_end(&mut call).await else {
        return;
    };
    if call.starts_with(b"\0") {
        let is_http = call[2..].starts_with(b"wrpc:http");
        answer(stream, if is_http { RESPONSE } else { b"" }).await;
    }
}

/// Begins when the parameters are whole, as upstream's does, and takes its time.
async fn reads_parameters(mut stream: TcpStream) {
    if read(&mut stream, 1).await != [0] {
        return;
    }
    let is_http = read(&mut stream, 10).await[1..].starts_with(b"wrpc:http");
    tokio::time::sleep(Duration::from_millis(300)).await;
    answer(stream, if is_http { RESPONSE } else { b"" }).await;
}

fn client(addr: &str, reuse: bool, half_close: Option<bool>) -> Remote {
    Remote::new(Options {
        reuse,
        half_close,
        connect_timeout: Duration::from_secs(1),
        ..Options::new(addr).unwrap()
    })
}

async fn http(client: &Remote, timeout: Duration) -> Result<u16, Error> {
    let function = FunctionNames::new(HANDLER, FUNCTION);
    let deadline = Instant::now() + timeout;
    let head = RequestHead::default();
    let outcome = within(20, client.http(&function, head, Bytes::new(), deadline)).await;
    outcome.result.map(|response| response.head.status)
}

const PATIENCE: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_receiver_that_reads_to_the_end_is_served() {
    let addr = receiver(reads_to_the_end).await.peer();
    for reuse in [true, false] {
        let usual = client(&addr, reuse, None);
        assert_eq!(http(&usual, PATIENCE).await.unwrap(), 200);
        let error = error(call(&usual, "blast", list(b"one"), 300).await);
        assert_eq!(error.code, ErrorCode::Timeout);
        assert!(error.message.contains("half_close"), "{error}");
        // Without parameters, nothing else could tell that there are none.
        let nothing = call(&usual, "blast", Bytes::new(), 10_000).await;
        assert_eq!(nothing.result.unwrap(), "");
        let told = client(&addr, reuse, Some(true));
        let outcome = call(&told, "blast", list(b"one"), 10_000).await;
        assert_eq!(outcome.result.unwrap(), "");
    }
}

#[tokio::test]
async fn a_proxy_that_closes_on_it_makes_no_success() {
    let behind = receiver(reads_parameters).await.peer();
    let proxy = Toxiproxy::start(&behind);
    for reuse in [true, false] {
        let usual = client(proxy.address(), reuse, None);
        let error = http(&usual, PATIENCE).await.expect_err("no answer");
        assert_eq!(error.code, ErrorCode::ConnectionLost);
        assert!(error.message.contains("without an answer"), "{error}");
        // Neither may a call without results end before the receiver has done its work.
        let begun = Instant::now();
        let outcome = call(&usual, "blast", list(b"one"), 10_000).await;
        assert_eq!(outcome.result.unwrap(), "");
        assert!(begun.elapsed() >= Duration::from_millis(300));
        let told = client(proxy.address(), reuse, Some(false));
        assert_eq!(http(&told, PATIENCE).await.unwrap(), 200);
    }
}

/// A receiver of ours that is known needs nothing of it, and sees its callers go.
#[tokio::test]
async fn our_receivers_are_told_the_end_in_a_frame() {
    let server = Echo::start().await;
    let direct = client(&server.addr.to_string(), false, Some(true));
    let proxy = Toxiproxy::start(&server.addr.to_string());
    let through = client(proxy.address(), false, None);
    for _ in 0..3 {
        echoes(&direct, b"here").await;
        echoes(&through, b"here").await;
    }
}
