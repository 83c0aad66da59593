//! HTTP requests, as C makes them.

use std::mem::MaybeUninit;
use std::ptr::{null, null_mut};
use std::time::Duration;

use bytes::Bytes;
use encarno_k6_bridge::abi::*;
use encarno_test_peers::NatsServer;
use encarno_wrpc::ErrorCode;
use encarno_wrpc::http::{FUNCTION, Field, INSTANCE, Message, Part, RequestHead, ResponseHead};
use encarno_wrpc::serve::{Export, Invocation, Parameters, Respond};

use crate::{Receiver, TEN_SECONDS, TestBridge, take_text, view};

/// A receiver that answers with the path as a header and the request's body as its
/// own, and says nothing to a request for `/silence`.
fn echo(url: &str) -> Receiver {
    let export = Export {
        instance: INSTANCE.into(),
        function: FUNCTION.into(),
        check: Box::new(|params| {
            Message::<RequestHead>::decode(&Bytes::copy_from_slice(params)).map(drop)
        }),
        has_streams: true,
    };
    Receiver::serving(url, export, |invocation| {
        tokio::spawn(answer(invocation));
    })
}

async fn answer(mut invocation: Invocation<impl Respond>) {
    let responder = &mut invocation.responder;
    let Parameters::Whole(params) = invocation.parameters else {
        panic!("these requests are small");
    };
    let request = Message::<RequestHead>::decode(&params).unwrap();
    let path = request.head.path_with_query.clone().unwrap_or_default();
    let mut body = responder.body(request).unwrap();
    responder.accept().await;
    if path == "/silence" {
        return responder.caller_gone().await;
    }
    let response = Message {
        head: ResponseHead {
            status: 200,
            headers: vec![Field {
                name: "x-path".into(),
                value: path.into(),
            }],
        },
        body: Part::Ready(body.collect(16 << 20).await.unwrap()),
        trailers: Part::Ready(None),
    };
    let response = response.encode().into();
    invocation.responder.finish(Ok(response)).await;
}

fn head(path: &str) -> Vec<u8> {
    let mut head = Vec::new();
    for text in ["POST", "http", "host:80", path, "x-name", "value"] {
        head.extend((text.len() as u32).to_le_bytes());
        head.extend(text.as_bytes());
    }
    head
}

fn request(tag: u64, reading: u32) -> EncarnoHttpRequest {
    EncarnoHttpRequest {
        tag,
        timeout_ns: TEN_SECONDS,
        body_bytes_max: 1000,
        reading,
        reserved: 0,
    }
}

fn submit(
    client: u64,
    request: &EncarnoHttpRequest,
    head: &[u8],
    body: &[u8],
) -> Result<(), String> {
    let mut error = EncarnoOwnedBytes::EMPTY;
    let (head, body) = (view(head), view(body));
    match unsafe { encarno_http_submit(client, request, head, body, &mut error) } {
        EncarnoStatus::Ok => Ok(()),
        EncarnoStatus::BadOptions => Err(take_text(error)),
        status => panic!("{status:?}"),
    }
}

fn bytes(owned: &EncarnoOwnedBytes) -> Vec<u8> {
    if owned.data.is_null() {
        return Vec::new();
    }
    unsafe { std::slice::from_raw_parts(owned.data, owned.length) }.to_vec()
}

/// What C gets, and that it may free it more than once.
struct Taken {
    tag: u64,
    error: Option<(ErrorCode, String)>,
    /// EncarnoStatus, headers, body, and the length of the body.
    response: Option<(u32, Vec<u8>, Vec<u8>, u64)>,
}

fn take(mut completion: EncarnoCompletion) -> Taken {
    let code = completion.error_code;
    let known = ErrorCode::ALL.iter().find(|known| **known as u32 == code);
    let response = (!completion.response.is_null()).then(|| {
        let EncarnoHttpResponse {
            headers,
            trailers,
            body,
            body_bytes,
            head_ns,
            status,
            ..
        } = unsafe { &*completion.response };
        assert!(bytes(trailers).is_empty());
        assert!(*head_ns >= completion.sent_ns && *head_ns <= completion.finished_ns);
        (*status, bytes(headers), bytes(body), *body_bytes)
    });
    for _ in 0..2 {
        let status = unsafe { encarno_http_response_free(&mut completion.response) };
        assert_eq!(status, EncarnoStatus::Ok);
        assert!(completion.response.is_null());
    }
    let text = take_text(completion.error);
    Taken {
        tag: completion.tag,
        error: known.map(|known| (*known, text)),
        response,
    }
}

/// By the queue.
fn next(bridge: &TestBridge) -> Taken {
    let mut room = MaybeUninit::<EncarnoCompletion>::uninit();
    for _ in 0..2000 {
        let mut taken = 0;
        let status =
            unsafe { encarno_completions_take(bridge.handle, room.as_mut_ptr(), 1, &mut taken) };
        assert_eq!(status, EncarnoStatus::Ok);
        if taken == 1 {
            return take(unsafe { room.assume_init() });
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("no completion came within 20 s");
}

fn path_header(path: &str) -> Vec<u8> {
    let mut encoded = b"\x06\0\0\0x-path".to_vec();
    encoded.extend((path.len() as u32).to_le_bytes());
    encoded.extend(path.as_bytes());
    encoded
}

#[test]
fn a_response_comes_as_far_as_it_is_to_be_read() {
    let nats = NatsServer::start();
    let _echo = echo(&nats.url());
    let bridge = TestBridge::open();
    let client = bridge.client(&nats.url());
    let body = vec![b'x'; 1000];
    for (reading, kept, length) in [
        (ENCARNO_HTTP_KEEP, 1000, 1000),
        (ENCARNO_HTTP_DISCARD, 0, 1000),
        (ENCARNO_HTTP_IGNORE, 0, 0),
    ] {
        submit(client, &request(7, reading), &head("/a?b"), &body).unwrap();
        let done = next(&bridge);
        assert_eq!((done.tag, done.error), (7, None));
        let (status, headers, body, body_bytes) = done.response.expect("a response");
        assert_eq!((status, headers), (200, path_header("/a?b")));
        assert_eq!((body.len(), body_bytes), (kept, length), "{reading}");
    }

    submit(
        client,
        &request(8, ENCARNO_HTTP_KEEP),
        &head("/"),
        &[0; 1001],
    )
    .unwrap();
    let (code, text) = next(&bridge).error.expect("too large");
    assert_eq!(code, ErrorCode::PayloadTooLarge);
    assert!(text.contains("1000"), "{text}");
}

#[test]
fn a_request_is_waited_for_or_comes_by_the_queue() {
    let nats = NatsServer::start();
    let _echo = echo(&nats.url());
    let bridge = TestBridge::open();
    let client = bridge.client(&nats.url());
    let mut waited = 0;
    for tag in 0..50 {
        let (request, head) = (request(tag, ENCARNO_HTTP_KEEP), head("/"));
        let mut done = MaybeUninit::uninit();
        let mut error = EncarnoOwnedBytes::EMPTY;
        let (head, body) = (view(&head), view(b"body"));
        let status = unsafe {
            encarno_http_wait(client, &request, head, body, done.as_mut_ptr(), &mut error)
        };
        let done = match status {
            EncarnoStatus::Ok => {
                waited += 1;
                take(unsafe { done.assume_init() })
            }
            EncarnoStatus::Pending => next(&bridge),
            status => panic!("{status:?}"),
        };
        assert_eq!(done.tag, tag);
        assert_eq!(done.response.expect("a response").2, b"body");
    }
    // A busy machine may take its time, but not for all of them.
    assert!(waited > 0);

    let silent = EncarnoHttpRequest {
        timeout_ns: 200_000_000,
        ..request(50, ENCARNO_HTTP_KEEP)
    };
    submit(client, &silent, &head("/silence"), b"").unwrap();
    let (code, _) = next(&bridge).error.expect("an error");
    assert_eq!(code, ErrorCode::Timeout);
}

#[test]
fn what_is_no_request_is_a_status() {
    let bridge = TestBridge::open();
    let client = bridge.client("nats://127.0.0.1:1");
    let good = request(1, ENCARNO_HTTP_KEEP);
    let error = submit(client, &good, &head("no slash"), b"").unwrap_err();
    assert!(error.contains("the path"), "{error}");
    let error = submit(client, &good, &[9; 7], b"").unwrap_err();
    assert!(error.contains("in the middle"), "{error}");

    let (whole, reading) = (head("/"), request(1, 3));
    let head = view(&whole);
    let nothing = EncarnoView {
        data: null(),
        length: 5,
    };
    let mut error = EncarnoOwnedBytes::EMPTY;
    let mut done = MaybeUninit::uninit();
    unsafe {
        for (request, head, body) in [
            (null(), head, head),
            (&raw const good, nothing, head),
            (&raw const good, head, nothing),
            (&raw const reading, head, head),
        ] {
            let status = encarno_http_submit(client, request, head, body, &mut error);
            assert_eq!(status, EncarnoStatus::BadArgument);
            let done = done.as_mut_ptr();
            let status = encarno_http_wait(client, request, head, body, done, &mut error);
            assert_eq!(status, EncarnoStatus::BadArgument);
        }
        let status = encarno_http_submit(client, &good, head, head, null_mut());
        assert_eq!(status, EncarnoStatus::BadArgument);
        let status = encarno_http_wait(client, &good, head, head, null_mut(), &mut error);
        assert_eq!(status, EncarnoStatus::BadArgument);
        let status = encarno_http_submit(client + (1 << 20), &good, head, head, &mut error);
        assert_eq!(status, EncarnoStatus::BadHandle);
        assert_eq!(
            encarno_http_response_free(null_mut()),
            EncarnoStatus::BadArgument
        );
    }
}
