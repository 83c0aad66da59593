//! Calls of any function, as C makes them.

use std::mem::MaybeUninit;
use std::ptr::{null, null_mut};

use bytes::Bytes;
use encarno_k6_bridge::abi::*;
use encarno_test_peers::NatsServer;
use encarno_wrpc::nats::subject;
use encarno_wrpc::{ErrorCode, blaster};
use futures_util::StreamExt as _;

use crate::{Done, TEN_SECONDS, TestBridge, runtime, take_text, tcp_receiver, view};

const INTERFACE: &str = "test:any/thing@1.0.0";

/// A receiver of a function, which gives the parameters back in capitals, behind the value
/// of the call's header `traceparent`.
fn shout(url: &str, interface: &str, name: &str) {
    let (ready, is_ready) = std::sync::mpsc::channel();
    let url = url.to_owned();
    let function = subject::function("test", interface, name).unwrap();
    std::thread::spawn(move || {
        runtime().block_on(async {
            let client = async_nats::connect(url).await.unwrap();
            let mut calls = client.subscribe(function.to_string()).await.unwrap();
            client.flush().await.unwrap();
            ready.send(()).unwrap();
            while let Some(call) = calls.next().await {
                let reply = call.reply.unwrap();
                let headers = call.headers.unwrap_or_default();
                let trace = headers
                    .get("traceparent")
                    .map_or("", |value| value.as_str());
                let mut results = trace.as_bytes().to_vec();
                results.extend(call.payload.to_ascii_uppercase());
                let own = client.new_inbox();
                let accepted = client.publish_with_reply(reply.clone(), own, Bytes::new());
                accepted.await.unwrap();
                let to = format!("{reply}.results");
                client.publish(to.clone(), results.into()).await.unwrap();
                client.publish(to, Bytes::new()).await.unwrap();
            }
        });
    });
    let ready = is_ready.recv_timeout(std::time::Duration::from_secs(10));
    ready.unwrap();
}

fn open(client: u64, interface: &[u8], name: &[u8]) -> Result<u64, String> {
    let (mut function, mut error) = (u64::MAX, EncarnoOwnedBytes::EMPTY);
    let (interface, name) = (view(interface), view(name));
    match unsafe { encarno_function_open(client, interface, name, &mut function, &mut error) } {
        EncarnoStatus::Ok => Ok(function),
        EncarnoStatus::BadOptions => Err(take_text(error)),
        status => panic!("{status:?}"),
    }
}

fn call(tag: u64, function: u64) -> EncarnoCall {
    EncarnoCall {
        tag,
        function,
        timeout_ns: TEN_SECONDS,
    }
}

fn header(name: &str, value: &str) -> Vec<u8> {
    let mut encoded = Vec::new();
    for text in [name, value] {
        encoded.extend((text.len() as u32).to_le_bytes());
        encoded.extend(text.as_bytes());
    }
    encoded
}

fn submit(client: u64, call: &EncarnoCall, params: &[u8], headers: &[u8]) -> Result<(), String> {
    let mut error = EncarnoOwnedBytes::EMPTY;
    let (params, headers) = (view(params), view(headers));
    match unsafe { encarno_call_submit(client, call, params, headers, &mut error) } {
        EncarnoStatus::Ok => Ok(()),
        EncarnoStatus::BadOptions => Err(take_text(error)),
        status => panic!("{status:?}"),
    }
}

#[test]
fn any_function_is_called_and_its_results_come_back() {
    let nats = NatsServer::start();
    shout(&nats.url(), INTERFACE, "shout");
    let mut bridge = TestBridge::open();
    let client = bridge.client(&nats.url());
    let function = open(client, INTERFACE.as_bytes(), b"shout").unwrap();
    let again = open(client, INTERFACE.as_bytes(), b"shout").unwrap();
    let unknown = open(client, b"", b"whisper").unwrap();
    assert_eq!(function, again, "one number for one function");

    let headers = header("traceparent", "00-12-");
    submit(client, &call(1, function), b"hello", &headers).unwrap();
    let done = bridge.take(1, 1).remove(0);
    assert_eq!((done.tag, done.code), (1, None), "{}", done.text);
    assert_eq!(done.results, b"00-12-HELLO");

    let mut room = MaybeUninit::uninit();
    let mut error = EncarnoOwnedBytes::EMPTY;
    let submitted = call(2, function);
    let status = unsafe {
        let (params, headers) = (view(b"you"), view(b""));
        encarno_call_wait(
            client,
            &submitted,
            params,
            headers,
            room.as_mut_ptr(),
            &mut error,
        )
    };
    let done = match status {
        EncarnoStatus::Ok => Done::from(unsafe { room.assume_init() }),
        status => {
            assert_eq!(status, EncarnoStatus::Pending);
            bridge.take(1, 1).remove(0)
        }
    };
    assert_eq!((done.tag, &done.results[..]), (2, &b"YOU"[..]));

    // A blast with a trace has the same header.
    shout(&nats.url(), blaster::INSTANCE, blaster::FUNCTION);
    let traced = EncarnoBlast {
        trace: EncarnoTrace {
            high: 0x0af7_6519_16cd_43dd,
            low: 0x8448_eb21_1c80_319c,
            span: 0xb7ad_6b71_6920_3331,
        },
        ..crate::blast(4)
    };
    let status = unsafe { encarno_blast_submit(client, &traced, view(b"")) };
    assert_eq!(status, EncarnoStatus::Ok);
    let done = bridge.take(1, 1).remove(0);
    let traceparent = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    assert!(done.results.starts_with(traceparent), "{}", done.text);

    submit(client, &call(3, unknown), b"", b"").unwrap();
    let done = bridge.take(1, 1).remove(0);
    assert_eq!(done.code, Some(ErrorCode::NoResponders), "{}", done.text);
    assert!(done.results.is_empty());
}

#[test]
fn what_no_call_may_say() {
    let bridge = TestBridge::open();
    let client = bridge.client("nats://127.0.0.1:1");
    for (interface, name) in [
        (&b"a b"[..], &b"c"[..]),
        (b"a", b""),
        (b"a", b">"),
        (b"\xff", b"c"),
    ] {
        assert!(open(client, interface, name).is_err(), "{interface:?}");
    }
    let function = open(client, b"a", b"b").unwrap();
    let error = submit(client, &call(1, function), b"", &header("a b", "c")).unwrap_err();
    assert!(error.contains("\"a b\""), "{error}");
    let mut error = EncarnoOwnedBytes::EMPTY;
    unsafe {
        for (wrong, expected) in [
            (call(1, function + 1), EncarnoStatus::BadArgument),
            (call(1, u64::MAX), EncarnoStatus::BadArgument),
        ] {
            let status = encarno_call_submit(client, &wrong, view(b""), view(b""), &mut error);
            assert_eq!(status, expected);
        }
        let status = encarno_call_submit(client, null(), view(b""), view(b""), &mut error);
        assert_eq!(status, EncarnoStatus::BadArgument);
        let good = call(1, function);
        let status = encarno_call_submit(client, &good, view(b""), view(b""), null_mut());
        assert_eq!(status, EncarnoStatus::BadArgument);
        let status = encarno_call_submit(bridge.handle, &good, view(b""), view(b""), &mut error);
        assert_eq!(status, EncarnoStatus::BadHandle);
    }
}

/// The wire has no place for them: they are not dropped in silence.
#[test]
fn headers_over_tcp_are_an_error() {
    let (addr, _) = tcp_receiver();
    let mut bridge = TestBridge::open();
    let options = format!(r#"{{"tcp": {{"addr": "{addr}"}}}}"#);
    let client = bridge.try_client(&options).unwrap();
    let function = open(client, b"a", b"b").unwrap();
    let headers = header("traceparent", "00");
    submit(client, &call(1, function), b"", &headers).unwrap();
    let done = bridge.take(1, 1).remove(0);
    assert_eq!(done.code, Some(ErrorCode::ProtocolViolation));
    assert!(done.text.contains("headers"), "{}", done.text);
}

#[test]
fn the_library_says_its_version() {
    let mut version = 0;
    let status = unsafe { encarno_abi_version(&mut version) };
    assert_eq!((status, version), (EncarnoStatus::Ok, ENCARNO_ABI_VERSION));
    let status = unsafe { encarno_abi_version(null_mut()) };
    assert_eq!(status, EncarnoStatus::BadArgument);
}
