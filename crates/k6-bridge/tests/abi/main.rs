//! The exports as C calls them, over a real nats-server.

#![allow(unsafe_code, clippy::unwrap_used, clippy::expect_used)]

mod call;
mod http;

use std::collections::HashMap;
use std::fs::File;
use std::io::Read as _;
use std::os::fd::FromRawFd as _;
use std::ptr::{null, null_mut};
use std::time::{Duration, Instant};

use bytes::Bytes;
use encarno_k6_bridge::abi::*;
use encarno_test_peers::NatsServer;
use encarno_wrpc::ErrorCode;
use encarno_wrpc::blaster::{self, Packet};
use encarno_wrpc::nats::{self, Connection, Server};
use encarno_wrpc::serve::{Export, Invocation, Limits, Parameters, Respond};
use encarno_wrpc::tcp;

const TEN_SECONDS: u64 = 10_000_000_000;

fn view(bytes: &[u8]) -> EncarnoView {
    EncarnoView {
        data: bytes.as_ptr(),
        length: bytes.len(),
    }
}

/// Frees the text and returns it.
fn take_text(bytes: EncarnoOwnedBytes) -> String {
    String::from_utf8(take_bytes(bytes)).unwrap()
}

/// Frees the bytes and returns them.
fn take_bytes(mut bytes: EncarnoOwnedBytes) -> Vec<u8> {
    let taken = match bytes.data.is_null() {
        true => Vec::new(),
        false => unsafe { std::slice::from_raw_parts(bytes.data, bytes.length) }.to_vec(),
    };
    assert_eq!(unsafe { encarno_bytes_free(&mut bytes) }, EncarnoStatus::Ok);
    assert!(bytes.data.is_null() && bytes.length == 0);
    assert_eq!(unsafe { encarno_bytes_free(&mut bytes) }, EncarnoStatus::Ok);
    taken
}

struct TestBridge {
    handle: u64,
    event: File,
}

impl TestBridge {
    fn open() -> Self {
        let mut bridge = EncarnoBridge {
            handle: 0,
            event_fd: -1,
            io_threads: 0,
        };
        let mut error = EncarnoOwnedBytes::EMPTY;
        let status = unsafe { encarno_bridge_open(&mut bridge, &mut error) };
        assert_eq!(status, EncarnoStatus::Ok);
        assert!(bridge.handle != 0 && bridge.io_threads >= 1);
        Self {
            handle: bridge.handle,
            event: unsafe { File::from_raw_fd(bridge.event_fd) },
        }
    }

    fn try_client(&self, options: &str) -> Result<u64, (EncarnoStatus, String)> {
        let mut client = 0;
        let mut error = EncarnoOwnedBytes::EMPTY;
        let options = view(options.as_bytes());
        match unsafe { encarno_client_open(self.handle, options, &mut client, &mut error) } {
            EncarnoStatus::Ok => Ok(client),
            status => Err((status, take_text(error))),
        }
    }

    fn client(&self, url: &str) -> u64 {
        self.try_client(&format!(
            r#"{{"nats": {{"url": "{url}", "prefix": "test", "connect_timeout": 2000}}}}"#
        ))
        .unwrap()
    }

    /// Waits for as many completions as are asked, in batches of at most `batch`.
    fn take(&mut self, count: usize, batch: usize) -> Vec<Done> {
        let deadline = Instant::now() + Duration::from_secs(20);
        let mut all = Vec::new();
        while all.len() < count {
            assert!(
                Instant::now() < deadline,
                "{} of {count} completions came",
                all.len()
            );
            let mut poll = libc::pollfd {
                fd: std::os::fd::AsRawFd::as_raw_fd(&self.event),
                events: libc::POLLIN,
                revents: 0,
            };
            unsafe { libc::poll(&mut poll, 1, 100) };
            let _ = self.event.read(&mut [0; 8]);
            loop {
                let mut room: Vec<EncarnoCompletion> = Vec::with_capacity(batch);
                let mut taken = 0;
                let status = unsafe {
                    encarno_completions_take(self.handle, room.as_mut_ptr(), batch, &mut taken)
                };
                assert_eq!(status, EncarnoStatus::Ok);
                assert!(taken <= batch);
                unsafe { room.set_len(taken) };
                all.extend(room.into_iter().map(Done::from));
                if taken == 0 {
                    break;
                }
            }
        }
        all
    }
}

impl Drop for TestBridge {
    fn drop(&mut self) {
        encarno_bridge_close(self.handle);
    }
}

#[derive(Debug)]
struct Done {
    tag: u64,
    code: Option<ErrorCode>,
    text: String,
    sent_ns: u64,
    accepted_ns: u64,
    finished_ns: u64,
    bytes: (u64, u64),
    results: Vec<u8>,
}

impl From<EncarnoCompletion> for Done {
    fn from(completion: EncarnoCompletion) -> Self {
        let code = completion.error_code;
        Self {
            tag: completion.tag,
            code: ErrorCode::ALL
                .iter()
                .copied()
                .find(|&known| known as u32 == code),
            text: take_text(completion.error),
            sent_ns: completion.sent_ns,
            accepted_ns: completion.accepted_ns,
            finished_ns: completion.finished_ns,
            bytes: (completion.bytes_sent, completion.bytes_received),
            results: take_bytes(completion.results),
        }
    }
}

fn blast(tag: u64) -> EncarnoBlast {
    EncarnoBlast {
        tag,
        timeout_ns: TEN_SECONDS,
        ..EncarnoBlast::default()
    }
}

fn submit(client: u64, blast: &EncarnoBlast, payload: &[u8]) -> EncarnoStatus {
    unsafe { encarno_blast_submit(client, blast, view(payload)) }
}

/// A receiver on NATS, on a thread of its own.
struct Receiver {
    _stop: tokio::sync::oneshot::Sender<()>,
}

impl Receiver {
    /// One that sleeps as asked and answers.
    fn start(url: &str) -> Self {
        Self::serving(url, blaster(), |mut invocation| {
            tokio::spawn(async move {
                let responder = &mut invocation.responder;
                let params = invocation.parameters.receive(responder).await.unwrap();
                responder.accept().await;
                let packet = Packet::decode(&params).unwrap();
                tokio::time::sleep(Duration::from_millis(packet.wait_ms)).await;
                invocation.responder.finish(Ok(Bytes::new())).await;
            });
        })
    }

    fn serving(
        url: &str,
        export: Export,
        serve: impl Fn(Invocation<nats::serve::Responder>) + Send + 'static,
    ) -> Self {
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let (ready, is_ready) = std::sync::mpsc::channel();
        let url = url.to_owned();
        std::thread::spawn(move || {
            runtime().block_on(async {
                let options = nats::Options::new(&url).unwrap();
                let connection = Connection::connect(&options).await.unwrap();
                let server = Server::new(connection, "test", None, vec![export], limits())
                    .await
                    .unwrap();
                ready.send(()).unwrap();
                let stop = async {
                    let _ = stopped.await;
                };
                server.run(stop, serve).await;
            });
        });
        is_ready.recv_timeout(Duration::from_secs(10)).unwrap();
        Self { _stop: stop }
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

fn blaster() -> Export {
    Export {
        instance: blaster::INSTANCE.into(),
        function: blaster::FUNCTION.into(),
        check: Box::new(|params| Packet::decode(params).map(drop)),
        has_streams: false,
    }
}

fn limits() -> Limits {
    Limits::new(16 << 20, Duration::from_secs(5))
}

#[test]
fn handles_that_are_wrong_or_closed_are_a_status() {
    let bridge = TestBridge::open();
    let client = bridge.client("nats://127.0.0.1:1");
    let packet = blast(1);

    for wrong in [
        0,
        1,
        u64::MAX,
        bridge.handle,
        // The next place may be that of a test beside this one.
        client + (1 << 20),
        client + (1 << 32),
    ] {
        assert_eq!(submit(wrong, &packet, b""), EncarnoStatus::BadHandle);
        assert_eq!(encarno_client_cancel(wrong), EncarnoStatus::BadHandle);
        assert_eq!(encarno_client_close(wrong), EncarnoStatus::BadHandle);
    }
    for wrong in [0, u64::MAX, client] {
        assert_eq!(encarno_bridge_close(wrong), EncarnoStatus::BadHandle);
        let (mut room, mut taken) = (Vec::<EncarnoCompletion>::with_capacity(1), 7);
        let status = unsafe { encarno_completions_take(wrong, room.as_mut_ptr(), 1, &mut taken) };
        assert_eq!((status, taken), (EncarnoStatus::BadHandle, 7));
    }

    assert_eq!(encarno_client_close(client), EncarnoStatus::Ok);
    assert_eq!(encarno_client_close(client), EncarnoStatus::BadHandle);
    assert_eq!(submit(client, &packet, b""), EncarnoStatus::BadHandle);
    // The place is used again, with another generation.
    let next = bridge.client("nats://127.0.0.1:1");
    assert_ne!(next, client);
    assert_eq!(submit(client, &packet, b""), EncarnoStatus::BadHandle);

    // A bridge takes its clients with it.
    assert_eq!(encarno_bridge_close(bridge.handle), EncarnoStatus::Ok);
    assert_eq!(
        encarno_bridge_close(bridge.handle),
        EncarnoStatus::BadHandle
    );
    assert_eq!(submit(next, &packet, b""), EncarnoStatus::BadHandle);
}

#[test]
fn null_pointers_are_a_status() {
    let bridge = TestBridge::open();
    let client = bridge.client("nats://127.0.0.1:1");
    let packet = blast(1);
    let nothing = EncarnoView {
        data: null(),
        length: 5,
    };
    let endless = EncarnoView {
        data: b"x".as_ptr(),
        length: usize::MAX,
    };
    unsafe {
        assert_eq!(
            encarno_bridge_open(null_mut(), null_mut()),
            EncarnoStatus::BadArgument
        );
        let status = encarno_client_open(bridge.handle, view(b"{}"), null_mut(), null_mut());
        assert_eq!(status, EncarnoStatus::BadArgument);
        let (mut other, mut error) = (0, EncarnoOwnedBytes::EMPTY);
        for options in [nothing, endless] {
            let status = encarno_client_open(bridge.handle, options, &mut other, &mut error);
            assert_eq!(status, EncarnoStatus::BadArgument);
        }
        assert_eq!(
            encarno_blast_submit(client, null(), view(b"")),
            EncarnoStatus::BadArgument
        );
        for payload in [nothing, endless] {
            assert_eq!(
                encarno_blast_submit(client, &packet, payload),
                EncarnoStatus::BadArgument
            );
        }
        let status = encarno_blast_wait(client, &packet, view(b""), null_mut());
        assert_eq!(status, EncarnoStatus::BadArgument);
        let mut room = std::mem::MaybeUninit::<EncarnoCompletion>::uninit();
        for _ in 0..5 {
            // A waiter that was refused gives its place back.
            let status = encarno_blast_wait(client, &packet, nothing, room.as_mut_ptr());
            assert_eq!(status, EncarnoStatus::BadArgument);
        }
        let status = encarno_completions_take(bridge.handle, null_mut(), 1, null_mut());
        assert_eq!(status, EncarnoStatus::BadArgument);
        assert_eq!(
            encarno_error_name(1, null_mut()),
            EncarnoStatus::BadArgument
        );
        assert_eq!(encarno_bytes_free(null_mut()), EncarnoStatus::BadArgument);
    }
}

#[test]
fn options_that_are_wrong_are_a_status_and_a_text() {
    let bridge = TestBridge::open();
    let (status, text) = bridge
        .try_client(r#"{"nats": {"url": "nats://a", "prefx": "b"}}"#)
        .unwrap_err();
    assert_eq!(status, EncarnoStatus::BadOptions);
    assert!(
        text.contains("prefx") && text.contains("`prefix`"),
        "{text}"
    );
}

/// Of NATS.
fn counts(bridge: &TestBridge) -> EncarnoTransportCounts {
    counts_of(bridge, 0)
}

fn counts_of(bridge: &TestBridge, transport: u32) -> EncarnoTransportCounts {
    let mut counts = std::mem::MaybeUninit::uninit();
    let status = unsafe { encarno_transport_counts(bridge.handle, transport, counts.as_mut_ptr()) };
    assert_eq!(status, EncarnoStatus::Ok);
    unsafe { counts.assume_init() }
}

fn connect_times(bridge: &TestBridge, capacity: usize) -> Vec<u64> {
    let (mut times, mut taken) = (vec![0; capacity], 0);
    let status = unsafe {
        encarno_connect_times_take(bridge.handle, 0, times.as_mut_ptr(), capacity, &mut taken)
    };
    assert_eq!(status, EncarnoStatus::Ok);
    times.truncate(taken);
    times
}

#[test]
fn transports_are_counted() {
    let mut name = view(b"");
    assert_eq!(
        unsafe { encarno_transport_name(0, &mut name) },
        EncarnoStatus::Ok
    );
    let name = unsafe { std::slice::from_raw_parts(name.data, name.length) };
    assert_eq!(name, b"nats");
    let nats = NatsServer::start();
    let _receiver = Receiver::start(&nats.url());
    let mut bridge = TestBridge::open();
    let clients = [bridge.client(&nats.url()), bridge.client(&nats.url())];
    assert_eq!(counts(&bridge).connects, 0, "not before the first call");
    for (tag, client) in clients.into_iter().enumerate() {
        assert_eq!(
            submit(client, &blast(tag as u64), &[7; 1000]),
            EncarnoStatus::Ok
        );
    }
    assert!(bridge.take(2, 10).iter().all(|done| done.code.is_none()));
    let counted = counts(&bridge);
    assert_eq!((counted.connects, counted.connect_failures), (2, 0));
    assert_eq!((counted.messages_sent, counted.messages_received), (2, 4));
    assert!(counted.bytes_sent > 2000 && counted.bytes_received > 50);
    assert_eq!(
        (counted.calls_in_flight, counted.errors),
        (0, [0; ENCARNO_ERRORS])
    );
    // Each time once, also by small batches.
    assert_eq!(connect_times(&bridge, 1).len(), 1);
    assert!(connect_times(&bridge, 9)[0] > 0);
    assert_eq!(connect_times(&bridge, 9).len(), 0);

    let slow = EncarnoBlast {
        wait_ms: 5000,
        timeout_ns: 300_000_000,
        ..blast(9)
    };
    assert_eq!(submit(clients[0], &slow, b""), EncarnoStatus::Ok);
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(counts(&bridge).calls_in_flight, 1);
    bridge.take(1, 1);
    let timeouts = counts(&bridge).errors[ErrorCode::Timeout as usize];
    assert_eq!((counts(&bridge).calls_in_flight, timeouts), (0, 1));

    let mut counts = std::mem::MaybeUninit::uninit();
    unsafe {
        for (transport, expected) in [
            (99, EncarnoStatus::BadArgument),
            (0, EncarnoStatus::BadHandle),
        ] {
            let status = encarno_transport_counts(0, transport, counts.as_mut_ptr());
            assert_eq!(status, expected);
        }
        let status = encarno_transport_counts(bridge.handle, 0, null_mut());
        assert_eq!(status, EncarnoStatus::BadArgument);
        let status = encarno_connect_times_take(bridge.handle, 0, null_mut(), 1, null_mut());
        assert_eq!(status, EncarnoStatus::BadArgument);
        assert_eq!(
            encarno_transport_name(0, null_mut()),
            EncarnoStatus::BadArgument
        );
    }
}

/// What is given up is made anew by the next call.
#[test]
fn a_connection_that_was_given_up() {
    let mut nats = NatsServer::start();
    let mut bridge = TestBridge::open();
    let options = format!(
        r#"{{"nats": {{"url": "{}", "prefix": "test", "max_reconnects": 2}}}}"#,
        nats.url()
    );
    let client = bridge.try_client(&options).unwrap();
    let mut call = |expected: &[ErrorCode]| {
        assert_eq!(submit(client, &blast(1), b""), EncarnoStatus::Ok);
        let code = bridge.take(1, 1)[0].code.unwrap();
        assert!(expected.contains(&code), "{code}");
    };
    call(&[ErrorCode::NoResponders]);
    nats.kill();
    for _ in 0..3 {
        // Lost, given up, or refused to a new connection.
        call(&[ErrorCode::ConnectionLost, ErrorCode::ConnectionRefused]);
        std::thread::sleep(Duration::from_millis(100));
    }
    nats.restart();
    call(&[ErrorCode::NoResponders]);
    assert!(counts(&bridge).connects == 2 && counts(&bridge).reconnects == 0);
}

#[test]
fn error_codes_have_names() {
    let mut name = view(b"");
    for &code in ErrorCode::ALL {
        assert_eq!(
            unsafe { encarno_error_name(code as u32, &mut name) },
            EncarnoStatus::Ok
        );
        let bytes = unsafe { std::slice::from_raw_parts(name.data, name.length) };
        assert_eq!(bytes, code.name().as_bytes());
    }
    for code in [0, ErrorCode::ALL.len() as u32 + 1, u32::MAX] {
        let status = unsafe { encarno_error_name(code, &mut name) };
        assert_eq!(status, EncarnoStatus::BadArgument);
    }
}

#[test]
fn every_call_completes_once_in_batches() {
    let nats = NatsServer::start();
    let _receiver = Receiver::start(&nats.url());
    let mut bridge = TestBridge::open();
    let client = bridge.client(&nats.url());
    let payload = [7; 1000];
    for tag in 0..500 {
        assert_eq!(submit(client, &blast(tag), &payload), EncarnoStatus::Ok);
    }
    let mut done = bridge.take(500, 64);
    done.sort_by_key(|done| done.tag);
    assert!(done.iter().map(|done| done.tag).eq(0..500));
    for done in done {
        assert_eq!(done.code, None, "{}", done.text);
        assert!(done.sent_ns <= done.accepted_ns);
        assert!(done.accepted_ns <= done.finished_ns && done.finished_ns < TEN_SECONDS);
        assert!(done.bytes.0 > 1000 && done.bytes.1 > 0);
        assert_eq!(done.text, "");
    }
}

#[test]
fn a_short_call_is_waited_for_and_a_long_one_is_not() {
    let nats = NatsServer::start();
    let _receiver = Receiver::start(&nats.url());
    let mut bridge = TestBridge::open();
    let (first, client) = (bridge.client(&nats.url()), bridge.client(&nats.url()));
    let wait = |client, packet: &EncarnoBlast| {
        let mut room = std::mem::MaybeUninit::<EncarnoCompletion>::uninit();
        match unsafe { encarno_blast_wait(client, packet, view(b""), room.as_mut_ptr()) } {
            EncarnoStatus::Ok => Ok(Done::from(unsafe { room.assume_init() })),
            status => Err(status),
        }
    };
    // Long: the completion comes by the queue, and the thread is free long before.
    let begin = Instant::now();
    let endless = EncarnoBlast {
        wait_ms: 600_000,
        timeout_ns: 600_000_000_000,
        ..blast(0)
    };
    assert_eq!(wait(first, &endless).unwrap_err(), EncarnoStatus::Pending);
    assert!(begin.elapsed() < Duration::from_secs(300));
    assert_eq!(encarno_client_close(first), EncarnoStatus::Ok);
    assert_eq!(bridge.take(1, 16)[0].code, Some(ErrorCode::Cancelled));
    let long = EncarnoBlast {
        wait_ms: 100,
        ..blast(1)
    };
    let done = wait(client, &long).unwrap_or_else(|_| bridge.take(1, 16).remove(0));
    assert_eq!((done.tag, done.code), (1, None));
    assert!(done.finished_ns >= 100_000_000);

    // Short: each comes either way, and never both ways. On a busy machine it may take
    // a while until one is short.
    let (mut waited, mut tag) = (0, 1);
    while waited == 0 || tag < 200 {
        tag += 1;
        assert!(tag < 50_000, "none was waited for");
        let done = match wait(client, &blast(tag)) {
            Ok(done) => {
                waited += 1;
                done
            }
            Err(status) => {
                assert_eq!(status, EncarnoStatus::Pending);
                bridge.take(1, 16).remove(0)
            }
        };
        assert_eq!((done.tag, done.code), (tag, None));
    }
}

#[test]
fn a_timeout_is_an_error_of_its_own() {
    let nats = NatsServer::start();
    let _receiver = Receiver::start(&nats.url());
    let mut bridge = TestBridge::open();
    let client = bridge.client(&nats.url());
    let packet = EncarnoBlast {
        wait_ms: 60_000,
        timeout_ns: 100_000_000,
        ..blast(1)
    };
    assert_eq!(submit(client, &packet, b""), EncarnoStatus::Ok);
    let done = &bridge.take(1, 16)[0];
    assert_eq!(done.code, Some(ErrorCode::Timeout), "{}", done.text);
    assert!(done.finished_ns >= 100_000_000);
    // Afterwards the client is as good as before.
    assert_eq!(submit(client, &blast(2), b""), EncarnoStatus::Ok);
    assert_eq!(bridge.take(1, 16)[0].code, None);
}

#[test]
fn failures_to_connect_are_results_and_the_next_call_tries_again() {
    let mut nats = NatsServer::start();
    nats.kill();
    let mut bridge = TestBridge::open();
    let client = bridge.client(&nats.url());
    for tag in 0..3 {
        assert_eq!(submit(client, &blast(tag), b""), EncarnoStatus::Ok);
    }
    for done in bridge.take(3, 16) {
        assert_eq!(
            done.code,
            Some(ErrorCode::ConnectionRefused),
            "{}",
            done.text
        );
        assert_eq!(
            (done.sent_ns, done.accepted_ns),
            (ENCARNO_NEVER, ENCARNO_NEVER)
        );
    }
    nats.restart();
    assert_eq!(submit(client, &blast(9), b""), EncarnoStatus::Ok);
    let done = &bridge.take(1, 16)[0];
    assert_eq!(done.code, Some(ErrorCode::NoResponders), "{}", done.text);
}

#[test]
fn a_black_hole_ends_with_the_timeout_of_the_call() {
    // It takes the connection and never says a word.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("nats://{}", listener.local_addr().unwrap());
    let mut bridge = TestBridge::open();
    let client = bridge.client(&url);
    let packet = EncarnoBlast {
        timeout_ns: 100_000_000,
        ..blast(1)
    };
    assert_eq!(submit(client, &packet, b""), EncarnoStatus::Ok);
    assert_eq!(submit(client, &blast(2), b""), EncarnoStatus::Ok);
    let done = bridge.take(2, 16);
    assert_eq!((done[0].tag, done[0].code), (1, Some(ErrorCode::Timeout)));
    // The other lasts as long as the attempt to connect.
    assert_eq!(
        (done[1].tag, done[1].code),
        (2, Some(ErrorCode::ConnectionRefused))
    );
    assert!(done[1].finished_ns >= 1_900_000_000);
}

#[test]
fn cancelling_ends_what_is_in_flight_at_once() {
    let nats = NatsServer::start();
    let _receiver = Receiver::start(&nats.url());
    let mut bridge = TestBridge::open();
    let (client, other) = (bridge.client(&nats.url()), bridge.client(&nats.url()));
    let slow = |tag, wait_ms| EncarnoBlast {
        wait_ms,
        timeout_ns: 60_000_000_000,
        ..blast(tag)
    };
    for tag in 0..100 {
        assert_eq!(submit(client, &slow(tag, 50_000), b""), EncarnoStatus::Ok);
    }
    assert_eq!(submit(other, &slow(1000, 1_000), b""), EncarnoStatus::Ok);
    assert_eq!(encarno_client_cancel(client), EncarnoStatus::Ok);
    assert_eq!(submit(client, &blast(500), b""), EncarnoStatus::Ok);
    let done: HashMap<_, _> = bridge
        .take(102, 16)
        .into_iter()
        .map(|done| (done.tag, done.code))
        .collect();
    assert!((0..100).all(|tag| done[&tag] == Some(ErrorCode::Cancelled)));
    assert_eq!(done[&500], None, "a later call is not affected");
    assert_eq!(done[&1000], None, "another client is not affected");

    // Closing does the same.
    assert_eq!(submit(client, &slow(1, 50_000), b""), EncarnoStatus::Ok);
    assert_eq!(encarno_client_close(client), EncarnoStatus::Ok);
    let done = &bridge.take(1, 16)[0];
    assert_eq!((done.tag, done.code), (1, Some(ErrorCode::Cancelled)));
}

#[test]
fn closing_a_bridge_in_mid_call_wakes_its_reader() {
    let nats = NatsServer::start();
    let _receiver = Receiver::start(&nats.url());
    let mut bridge = TestBridge::open();
    let client = bridge.client(&nats.url());
    let packet = EncarnoBlast {
        wait_ms: 50_000,
        ..blast(1)
    };
    assert_eq!(submit(client, &packet, b""), EncarnoStatus::Ok);
    let begin = Instant::now();
    assert_eq!(encarno_bridge_close(bridge.handle), EncarnoStatus::Ok);
    assert!(begin.elapsed() < Duration::from_secs(5));
    assert_eq!(bridge.event.read(&mut [0; 8]).unwrap(), 8);
}

/// One caller alone, then others with it, then alone again, many times over: the
/// IO is lent and taken back, and no call is lost or late.
#[test]
fn callers_that_wait_alone_and_together() {
    const ROUNDS: u64 = 30;
    const ALONE: u64 = 40;
    const TOGETHER: u64 = 10;
    let nats = NatsServer::start();
    let _receiver = Receiver::start(&nats.url());
    let mut bridge = TestBridge::open();
    let clients: Vec<u64> = (0..3).map(|_| bridge.client(&nats.url())).collect();
    // Whether it came back at once.
    let call = |client, tag| {
        let mut room = std::mem::MaybeUninit::<EncarnoCompletion>::uninit();
        let packet = blast(tag);
        match unsafe { encarno_blast_wait(client, &packet, view(b"x"), room.as_mut_ptr()) } {
            EncarnoStatus::Ok => {
                let done = Done::from(unsafe { room.assume_init() });
                assert_eq!((done.tag, done.code), (tag, None), "{}", done.text);
                true
            }
            status => {
                assert_eq!(status, EncarnoStatus::Pending);
                false
            }
        }
    };
    let call = &call;
    let mut returned = 0;
    for round in 0..ROUNDS {
        returned += (0..ALONE)
            .filter(|&it| call(clients[0], round << 32 | it))
            .count();
        returned += std::thread::scope(|scope| {
            let together: Vec<_> = clients
                .iter()
                .map(|&client| {
                    scope.spawn(move || {
                        (0..TOGETHER)
                            .filter(|&it| call(client, round << 32 | client << 16 | it))
                            .count()
                    })
                })
                .collect();
            together
                .into_iter()
                .map(|it| it.join().unwrap())
                .sum::<usize>()
        });
    }
    let all = (ROUNDS * (ALONE + 3 * TOGETHER)) as usize;
    let left = bridge.take(all - returned, 16);
    assert_eq!(returned + left.len(), all);
    for done in left {
        assert_eq!(done.code, None, "{}", done.text);
    }
}

#[test]
fn threads_submit_cancel_and_close_all_at_once() {
    const THREADS: u64 = 4;
    const CALLS: u64 = 2_000;
    let nats = NatsServer::start();
    let _receiver = Receiver::start(&nats.url());
    let mut bridge = TestBridge::open();
    let shared = bridge.client(&nats.url());
    let url = nats.url();
    let handle = bridge.handle;
    let opener = TestBridge {
        handle,
        event: bridge.event.try_clone().unwrap(),
    };
    let opener = std::mem::ManuallyDrop::new(opener);
    let opener = &opener;
    let url = &url;
    let done = std::thread::scope(|scope| {
        let mut submitters = Vec::new();
        for thread in 0..THREADS {
            submitters.push(scope.spawn(move || {
                let mut own = opener.client(url);
                let mut submitted = 0;
                for call in 0..CALLS {
                    let tag = thread * CALLS + call;
                    let client = if call % 2 == 0 { shared } else { own };
                    if submit(client, &blast(tag), b"x") == EncarnoStatus::Ok {
                        submitted += 1;
                    }
                    if call % 97 == 0 {
                        assert_eq!(encarno_client_cancel(own), EncarnoStatus::Ok);
                    }
                    if call % 501 == 0 {
                        assert_eq!(encarno_client_close(own), EncarnoStatus::Ok);
                        own = opener.client(url);
                    }
                }
                submitted
            }));
        }
        let reader = scope.spawn(|| bridge.take((THREADS * CALLS) as usize, 100));
        let submitted: u64 = submitters.into_iter().map(|it| it.join().unwrap()).sum();
        assert_eq!(submitted, THREADS * CALLS);
        reader.join().unwrap()
    });
    let mut tags: Vec<u64> = done.iter().map(|done| done.tag).collect();
    tags.sort_unstable();
    assert!(tags.into_iter().eq(0..THREADS * CALLS), "each exactly once");
    for done in done {
        assert!(
            matches!(done.code, None | Some(ErrorCode::Cancelled)),
            "{}",
            done.text
        );
    }
}

/// A receiver at an address, which counts the connections that it takes.
fn tcp_receiver() -> (String, std::sync::Arc<std::sync::atomic::AtomicUsize>) {
    use std::sync::atomic::Ordering;
    let connections = std::sync::Arc::<std::sync::atomic::AtomicUsize>::default();
    let counter = std::sync::Arc::clone(&connections);
    let (ready, is_ready) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        runtime().block_on(async {
            let settings = tcp::serve::Settings::default();
            let server = tcp::Server::bind("127.0.0.1:0", vec![blaster()], limits(), settings)
                .await
                .unwrap();
            // What is between the caller and the receiver counts.
            let front = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let back = server.local_addr().unwrap();
            ready.send(front.local_addr().unwrap().to_string()).unwrap();
            tokio::spawn(async move {
                while let Ok((mut caller, _)) = front.accept().await {
                    counter.fetch_add(1, Ordering::SeqCst);
                    tokio::spawn(async move {
                        let mut receiver = tokio::net::TcpStream::connect(back).await.unwrap();
                        let _ = tokio::io::copy_bidirectional(&mut caller, &mut receiver).await;
                    });
                }
            });
            let answer = |invocation: Invocation<tcp::serve::Responder>| {
                tokio::spawn(async move {
                    if let Parameters::Whole(params) = invocation.parameters {
                        let packet = Packet::decode(&params).unwrap();
                        tokio::time::sleep(Duration::from_millis(packet.wait_ms)).await;
                        invocation.responder.finish(Ok(Bytes::new())).await;
                    }
                });
            };
            server.run(std::future::pending(), answer).await;
        });
    });
    let addr = is_ready.recv_timeout(Duration::from_secs(10)).unwrap();
    (addr, connections)
}

#[test]
fn clients_share_the_connections_of_a_pool() {
    use std::sync::atomic::Ordering;
    // Connections, and messages to be sent: with `pool: 0` two frames a call.
    for (pool, expected, messages) in [(1, 1, 64), (3, 3, 64), (0, 64, 128)] {
        let (addr, connections) = tcp_receiver();
        let mut bridge = TestBridge::open();
        let options = format!(r#"{{"tcp": {{"addr": "{addr}", "pool": {pool}}}}}"#);
        let clients: Vec<u64> = (0..8)
            .map(|_| bridge.try_client(&options).unwrap())
            .collect();
        for tag in 0..64 {
            let client = clients[tag as usize % clients.len()];
            assert_eq!(submit(client, &blast(tag), b"hello"), EncarnoStatus::Ok);
        }
        let mut bytes = (0, 0);
        for done in bridge.take(64, 64) {
            assert_eq!(done.code, None, "{}", done.text);
            assert!(done.bytes.0 > 5 && done.bytes.1 > 0);
            bytes = (bytes.0 + done.bytes.0, bytes.1 + done.bytes.1);
        }
        let counted = counts_of(&bridge, 1);
        assert_eq!(counted.connects, expected as u64, "pool: {pool}");
        assert_eq!(counted.messages_sent, messages, "pool: {pool}");
        assert!(counted.messages_received >= 64, "pool: {pool}");
        assert_eq!((counted.bytes_sent, counted.bytes_received), bytes);
        assert_eq!((counted.losses, counted.calls_in_flight), (0, 0));
        assert_eq!(connections.load(Ordering::SeqCst), expected, "pool: {pool}");
        if pool == 1 {
            // The calls of one client end with it; those of others go on.
            let long = EncarnoBlast {
                wait_ms: 300,
                ..blast(100)
            };
            assert_eq!(
                submit(clients[0], &EncarnoBlast { tag: 101, ..long }, b""),
                EncarnoStatus::Ok
            );
            assert_eq!(submit(clients[1], &long, b""), EncarnoStatus::Ok);
            assert_eq!(encarno_client_close(clients[0]), EncarnoStatus::Ok);
            let done = bridge.take(2, 2);
            assert_eq!(
                (done[0].tag, done[0].code),
                (101, Some(ErrorCode::Cancelled))
            );
            assert_eq!((done[1].tag, done[1].code), (100, None));
        }
    }
}
