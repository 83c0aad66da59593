//! HTTP requests on a shared connection, to receivers written by hand: bodies in both
//! directions, their windows, and what no receiver may say.

use std::time::{Duration, Instant};

use bytes::Bytes;
use encarno_wrpc::http::{FUNCTION, INSTANCE, RequestHead, Response};
use encarno_wrpc::tcp::{FunctionNames, Remote};
use encarno_wrpc::{Error, ErrorCode, Outcome, Timing};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::rig::*;

const CALL: u8 = 1;
const CANCEL: u8 = 4;
const END: u8 = 7;
const ERROR: u8 = 8;
const BODY: u8 = 10;
const TRAILERS: u8 = 11;
const WINDOW: u8 = 12;

/// What an end takes of a body before it has read any of it.
const WINDOW_BYTES: usize = 512 << 10;

/// Status 200, no headers, and body and trailers to follow.
const HEAD: &[u8] = b"\0\0\0\xc8\x01\0";

async fn request(client: &Remote, body: Bytes) -> Outcome<Response> {
    let head = RequestHead {
        method: "POST".into(),
        ..RequestHead::default()
    };
    let function = FunctionNames::new(INSTANCE, FUNCTION);
    let deadline = Instant::now() + Duration::from_secs(10);
    within(20, client.http(&function, head, body, deadline)).await
}

/// Says all of that about a call.
async fn say(stream: &mut TcpStream, call: u64, said: &[(u8, &[u8])]) {
    let mut bytes = Vec::new();
    for (kind, payload) in said {
        bytes.extend(message(*kind, call, payload));
    }
    let _ = stream.write_all(&bytes).await;
}

/// Answers each request with that, and closes the connection when the request has
/// been given up, or at once.
async fn answering(said: &'static [(u8, &'static [u8])], closes: bool) -> Remote {
    shared_receiver(move |mut stream| async move {
        let (kind, call, _) = take_message(&mut stream).await;
        assert_eq!(kind, CALL);
        say(&mut stream, call, said).await;
        if !closes {
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
    })
    .await
}

/// What comes of a body, and how it ends.
async fn body(client: &Remote) -> (Vec<u8>, Option<Error>) {
    let mut response = request(client, Bytes::new()).await.result.unwrap();
    let mut read = Vec::new();
    loop {
        match within(20, response.body.chunk()).await {
            Ok(None) => return (read, None),
            Ok(Some(chunk)) => read.extend_from_slice(&chunk),
            Err(error) => return (read, Some(error)),
        }
    }
}

#[tokio::test]
async fn a_body_goes_out_as_far_as_the_window_allows() {
    let client = shared_receiver(|mut stream| async move {
        let (kind, call, _) = take_message(&mut stream).await;
        assert_eq!(kind, CALL);
        let mut received = 0;
        let mut window = WINDOW_BYTES;
        let mut last = Vec::new();
        while last != [0] {
            if received == window || window - received < 2 {
                // Nothing more comes before it is granted: the next answer of the
                // connection is that to something else.
                let head = tokio::time::timeout(Duration::from_millis(50), stream.read_u8());
                assert!(head.await.is_err(), "more than the window");
                say(&mut stream, call, &[(WINDOW, &100_000u64.to_le_bytes())]).await;
                window += 100_000;
            }
            let (kind, of, payload) = take_message(&mut stream).await;
            assert_eq!((kind, of), (BODY, call));
            if payload != [0] {
                received += payload.len();
            }
            assert!(received <= window, "{received} of {window}");
            last = payload;
        }
        say(&mut stream, call, &[(END, b"\0\x01\0\x01\0\xc8\x01\0")]).await;
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await;
    let outcome = request(&client, vec![7; 1_000_000].into()).await;
    // The receiver rested five times before it granted more.
    let Timing { sent, uploaded, .. } = outcome.timing;
    assert!(uploaded.unwrap() - sent.unwrap() >= Duration::from_millis(5 * 50));
    assert!(uploaded <= outcome.timing.finished);
    assert!(outcome.result.unwrap().body.is_ended());
    assert!(outcome.traffic.bytes_sent > 1_000_000);
}

#[tokio::test]
async fn a_body_comes_in_pieces_and_with_trailers() {
    let client = answering(
        &[
            (END, HEAD),
            (BODY, b"\x05he"),
            (BODY, b"llo\x01"),
            (BODY, b"!\0"),
            (TRAILERS, b"\x01\x01\x01t\x01"),
            (TRAILERS, b"\x01u"),
        ],
        false,
    )
    .await;
    let mut response = request(&client, Bytes::new()).await.result.unwrap();
    let read = within(20, response.body.collect(100)).await.unwrap();
    assert_eq!(&read[..], b"hello!");
    let trailers = response.body.trailers().unwrap();
    assert_eq!(
        (&trailers[0].name[..], &trailers[0].value[..]),
        ("t", &b"u"[..])
    );
}

#[tokio::test]
async fn what_ends_a_body_early_has_a_code() {
    for (said, closes, read, code) in [
        (
            &[
                (END, HEAD),
                (BODY, b"\x02ab"),
                (ERROR, b"\x0aguest_trap\x02it"),
            ][..],
            false,
            2,
            ErrorCode::GuestTrap,
        ),
        (
            &[(END, HEAD), (BODY, b"\x02ab")],
            true,
            2,
            ErrorCode::ReceiverGone,
        ),
        (
            &[(END, HEAD), (BODY, b"\x02ab"), (WINDOW, b"\x01\x02")],
            false,
            2,
            ErrorCode::ProtocolViolation,
        ),
        (
            &[(END, HEAD), (BODY, b"\xff\xff\xff\xff\x1f")],
            false,
            0,
            ErrorCode::InvalidResponse,
        ),
        (
            &[(END, HEAD), (BODY, b"\0"), (TRAILERS, b"\x07")],
            false,
            0,
            ErrorCode::InvalidResponse,
        ),
    ] {
        let client = answering(said, closes).await;
        let (found, error) = body(&client).await;
        let error = error.expect("an error");
        assert_eq!((found.len(), error.code), (read, code), "{error}");
    }
}

#[tokio::test]
async fn a_receiver_that_ignores_the_window_fails_its_own_call_alone() {
    let client = shared_receiver(|mut stream| async move {
        let (_, flooded, _) = take_message(&mut stream).await;
        let (_, other, _) = take_message(&mut stream).await;
        let piece = [&[0xfd, 0xff, 0x1f][..], &vec![1; 524_285]].concat();
        let flood = [(END, HEAD), (BODY, &piece), (BODY, &piece), (BODY, &piece)];
        say(&mut stream, flooded, &flood).await;
        say(
            &mut stream,
            other,
            &[(END, HEAD), (BODY, b"\x01a\0"), (TRAILERS, b"\0")],
        )
        .await;
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await;
    let (one, other) = tokio::join!(
        request(&client, Bytes::new()),
        request(&client, Bytes::new())
    );
    let mut codes = Vec::new();
    for outcome in [one, other] {
        let mut response = outcome.result.unwrap();
        match response.body.collect(1 << 30).await {
            Ok(body) => assert_eq!(&body[..], b"a"),
            Err(error) => codes.push(error.code),
        }
    }
    assert_eq!(codes, [ErrorCode::PayloadTooLarge]);
}

#[tokio::test]
async fn a_body_that_is_dropped_is_cancelled() {
    let (sender, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let client = shared_receiver(move |mut stream| {
        let sender = sender.clone();
        async move {
            let (_, call, _) = take_message(&mut stream).await;
            say(&mut stream, call, &[(END, HEAD), (BODY, b"\x01a")]).await;
            let (kind, of, _) = take_message(&mut stream).await;
            sender.send((kind, of == call)).unwrap();
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
    })
    .await;
    let response = request(&client, Bytes::new()).await.result.unwrap();
    drop(response);
    assert_eq!(within(5, seen.recv()).await, Some((CANCEL, true)));
}

#[tokio::test]
async fn callers_that_send_streams_where_there_are_none() {
    let server = Echo::start().await;
    let names = &HEADER[1..];
    // Of calls that aren't there they are late, and read past.
    let late = [
        PREFACE,
        &message(BODY, 1, b"x"),
        &message(TRAILERS, 1, b"x"),
        &message(WINDOW, 1, &[0; 8]),
        &message(CALL, 2, &[names, b"\x02ok"].concat()),
    ]
    .concat();
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    stream.write_all(&late).await.unwrap();
    assert_eq!(read(&mut stream, PREFACE.len()).await, PREFACE);
    let (kind, call, payload) = take_message(&mut stream).await;
    assert_eq!((kind, call, &payload[..]), (END, 2, &b"\x02ok"[..]));
}
