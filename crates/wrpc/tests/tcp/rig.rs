//! A server that echoes, clients for it, and peers written by hand.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use encarno_wrpc::memory::Memory;
use encarno_wrpc::serve::{Export, Invocation, Limits, Respond};
use encarno_wrpc::tcp::serve::{Draining, Responder, Settings};
use encarno_wrpc::tcp::{FunctionNames, Options, Remote, Server};
use encarno_wrpc::value::{Reader, Write as _};
use encarno_wrpc::{Error, ErrorCode, Outcome};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub(crate) const INSTANCE: &str = "pkg:name/echo";
pub(crate) const PARAMS_BYTES_MAX: usize = 16 << 20;
/// How a call to `echo` begins on a connection of its own.
pub(crate) const HEADER: &[u8] = b"\x00\x0dpkg:name/echo\x04echo";
pub(crate) use encarno_wrpc::tcp::fuzz::{PREFACE, message};

/// Serves `echo: func(list<u8>) -> list<u8>`, `fail` and `hold`, which take as much.
/// `fail` fails; `hold` is accepted and never answered.
pub(crate) struct Echo {
    pub(crate) addr: SocketAddr,
    /// Callers of `hold` that were seen to go.
    pub(crate) gone: Arc<AtomicUsize>,
    stop: Option<oneshot::Sender<()>>,
    running: Option<JoinHandle<Draining>>,
}

pub(crate) fn settings() -> Settings {
    Settings {
        header_timeout: Duration::from_millis(300),
        silence_max: Duration::from_millis(500),
        ..Settings::default()
    }
}

impl Echo {
    pub(crate) async fn start() -> Self {
        Self::start_with("127.0.0.1:0", settings()).await
    }

    pub(crate) async fn start_with(addr: &str, settings: Settings) -> Self {
        Self::start_within(addr, settings, Memory::unlimited()).await
    }

    pub(crate) async fn start_within(addr: &str, settings: Settings, memory: Memory) -> Self {
        let export = |function: &str| Export {
            instance: INSTANCE.into(),
            function: function.into(),
            check: Box::new(|params| {
                let mut reader = Reader::new(params);
                reader.bytes()?;
                reader.finish()
            }),
            has_streams: false,
        };
        let limits = Limits {
            memory,
            ..Limits::new(PARAMS_BYTES_MAX, Duration::from_secs(1))
        };
        let exports = vec![export("echo"), export("fail"), export("hold")];
        let server = Server::bind(addr, exports, limits, settings).await.unwrap();
        let addr = server.local_addr().unwrap();
        let gone = Arc::<AtomicUsize>::default();
        let (stop, stopped) = oneshot::channel();
        let counter = Arc::clone(&gone);
        let serve = move |invocation| {
            tokio::spawn(answer(invocation, Arc::clone(&counter)));
        };
        let stopped = async {
            let _ = stopped.await;
        };
        Self {
            addr,
            gone,
            stop: Some(stop),
            running: Some(tokio::spawn(server.run(stopped, serve))),
        }
    }

    /// Takes no more calls.
    pub(crate) async fn drain(&mut self) -> Draining {
        self.stop.take().unwrap().send(()).unwrap();
        self.running.take().unwrap().await.unwrap()
    }

    pub(crate) fn options(&self) -> Options {
        Options::new(&self.addr.to_string()).unwrap()
    }

    /// A client for each of the two ways.
    pub(crate) fn clients(&self) -> [Remote; 2] {
        both(self.options())
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        if let Some(running) = &self.running {
            running.abort(); // ends its connections, too
        }
    }
}

async fn answer(invocation: Invocation<Responder>, gone: Arc<AtomicUsize>) {
    let mut responder = invocation.responder;
    let params = invocation.parameters.receive(&mut responder).await;
    match invocation.export {
        0 => responder.finish(params).await,
        1 => {
            let error = Error::new(ErrorCode::GuestTrap, "as asked\r\nfor");
            responder.finish(Err(error)).await;
        }
        _ => {
            responder.accept().await;
            responder.caller_gone().await;
            gone.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// A client for each of the two ways.
pub(crate) fn both(options: Options) -> [Remote; 2] {
    [true, false].map(|reuse| {
        Remote::new(Options {
            reuse,
            ..options.clone()
        })
    })
}

pub(crate) fn function(name: &str) -> FunctionNames {
    FunctionNames::new(INSTANCE, name)
}

pub(crate) fn list(payload: &[u8]) -> Bytes {
    let mut params = Vec::new();
    params.bytes(payload);
    params.into()
}

pub(crate) async fn call(client: &Remote, name: &str, params: Bytes, timeout_ms: u64) -> Outcome {
    let deadline = Instant::now() + Duration::from_millis(timeout_ms);
    within(
        timeout_ms / 1000 + 5,
        client.call(&function(name), params, deadline),
    )
    .await
}

pub(crate) async fn echoes(client: &Remote, payload: &[u8]) {
    let outcome = call(client, "echo", list(payload), 10_000).await;
    assert_eq!(outcome.result.expect("echo"), list(payload));
}

pub(crate) fn error(outcome: Outcome) -> Error {
    outcome.result.expect_err("an error")
}

/// Every test ends, whatever happens.
pub(crate) async fn within<T>(seconds: u64, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(seconds), future)
        .await
        .expect("it hangs")
}

/// A receiver written by hand: `answer` gets each connection.
pub(crate) async fn receiver<F>(answer: impl Fn(TcpStream) -> F + Send + 'static) -> Options
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let options = Options::new(&listener.local_addr().unwrap().to_string()).unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream));
        }
    });
    options
}

/// Reads until so many bytes are there.
pub(crate) async fn read(stream: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    within(10, stream.read_exact(&mut bytes)).await.unwrap();
    bytes
}

/// Takes a message of the shared wire: kind, call and payload.
pub(crate) async fn take_message(stream: &mut TcpStream) -> (u8, u64, Vec<u8>) {
    let head = read(stream, 13).await;
    let length = u32::from_le_bytes(head[..4].try_into().unwrap()) as usize;
    let call = u64::from_le_bytes(head[5..].try_into().unwrap());
    (head[4], call, read(stream, length).await)
}

/// A receiver on the shared wire, written by hand: `answer` gets each connection
/// after the prefaces.
pub(crate) async fn shared_receiver<F>(
    answer: impl Fn(TcpStream) -> F + Clone + Send + 'static,
) -> Remote
where
    F: Future<Output = ()> + Send + 'static,
{
    let options = receiver(move |mut stream| {
        let answer = answer.clone();
        let answer = move |stream| answer(stream);
        async move {
            assert_eq!(read(&mut stream, PREFACE.len()).await, PREFACE);
            stream.write_all(PREFACE).await.unwrap();
            answer(stream).await;
        }
    })
    .await;
    Remote::new(options)
}
