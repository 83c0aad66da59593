//! What the tests over a real nats-server have in common.

#![allow(dead_code, unreachable_pub)] // each test file uses its part of it

use std::future::Future;
use std::time::{Duration, Instant};

use bytes::Bytes;
use encarno_wrpc::nats::serve::Responder;
use encarno_wrpc::nats::{Connection, Options, Server, Subject, subject};
use encarno_wrpc::serve::{Export, Invocation, Limits, Respond};
use encarno_wrpc::value::{Reader, Write as _};
use encarno_wrpc::{Error, ErrorCode, Outcome};
use tokio::task::JoinHandle;

pub const PREFIX: &str = "test";
const PARAMS_BYTES_MAX: usize = 16 << 20;

/// What the echo server does with a call.
#[derive(Clone, Copy)]
pub enum Behaviour {
    Echo,
    AcceptOnly,
    Fail(ErrorCode),
}

pub async fn connect(url: &str) -> Connection {
    Connection::connect(&Options::new(url).unwrap())
        .await
        .unwrap()
}

/// Limits that no well-behaved call meets.
pub fn limits() -> Limits {
    Limits::new(PARAMS_BYTES_MAX, Duration::from_secs(5))
}

/// A server of `pkg:name/echo.echo: func(list<u8>) -> list<u8>`, not running yet.
pub async fn server(connection: Connection, limits: Limits) -> Server {
    try_server(connection, limits).await.unwrap()
}

/// The same, or why it can't be.
pub async fn try_server(connection: Connection, limits: Limits) -> Result<Server, Error> {
    let export = Export {
        has_streams: false,
        instance: "pkg:name/echo".into(),
        function: "echo".into(),
        check: Box::new(|params| {
            let mut reader = Reader::new(params);
            reader.bytes()?;
            reader.finish()
        }),
    };
    Server::new(connection, PREFIX, None, vec![export], limits).await
}

/// Serves as it is told.
pub async fn serve(url: &str, behaviour: Behaviour) -> JoinHandle<()> {
    let server = server(connect(url).await, limits()).await;
    let serve = move |invocation: Invocation<Responder>| {
        tokio::spawn(answer(invocation, behaviour));
    };
    tokio::spawn(server.run(std::future::pending(), serve))
}

pub async fn answer(invocation: Invocation<Responder>, behaviour: Behaviour) {
    let mut responder = invocation.responder;
    let params = invocation.parameters.receive(&mut responder).await;
    match behaviour {
        Behaviour::Echo => responder.finish(params).await,
        Behaviour::AcceptOnly => responder.accept().await,
        Behaviour::Fail(code) => {
            let error = Error::new(code, "as asked\r\nfor");
            responder.finish(Err(error)).await;
        }
    }
}

pub fn echo() -> Subject {
    subject::function(PREFIX, "pkg:name/echo", "echo").unwrap()
}

pub fn list(payload: &[u8]) -> Bytes {
    let mut params = Vec::new();
    params.bytes(payload);
    params.into()
}

pub async fn call(connection: &Connection, params: Bytes, timeout_ms: u64) -> Outcome {
    let deadline = Instant::now() + Duration::from_millis(timeout_ms);
    connection.call(echo(), params, deadline).await
}

pub fn code(outcome: &Outcome) -> ErrorCode {
    outcome.result.as_ref().expect_err("an error").code
}

pub fn code_or_ok(outcome: &Outcome) -> Option<ErrorCode> {
    outcome.result.as_ref().err().map(|error| error.code)
}

/// Returns when the server knows the subscriptions that were made.
pub async fn settle(client: &async_nats::Client) {
    use futures_util::StreamExt as _;
    let inbox = client.new_inbox();
    let mut own = client.subscribe(inbox.clone()).await.unwrap();
    client.publish(inbox, Bytes::new()).await.unwrap();
    within(5, own.next()).await.unwrap();
}

/// Every test ends, whatever happens.
pub async fn within<T>(seconds: u64, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(seconds), future)
        .await
        .expect("it hangs")
}
