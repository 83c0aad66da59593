//! A receiver without wasm: it counts what it serves, and lies if asked to.

#![allow(dead_code, unreachable_pub)] // each test file uses its part of it

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use encarno_test_peers::NatsServer;
use encarno_wrpc::blaster::{self, Packet};
use encarno_wrpc::http::{self, Field, Message, Part, RequestHead, ResponseHead};
use encarno_wrpc::nats::{self, Connection};
use encarno_wrpc::serve::{Export, Invocation, Limits, Respond};
use encarno_wrpc::value::Reader;
use encarno_wrpc::{Error, ErrorCode, tcp};
use tokio::sync::oneshot;

/// What it serves beside blasts and HTTP.
pub const WIT: &str = "package test:peer;
interface jobs {
  echo: func(number: u64, text: string, bytes: list<u8>) -> tuple<u64, string, list<u8>>;
  settle: func(number: u64) -> result<u64, string>;
  nothing: func();
  wrong: func(number: u64) -> string;
  long: func(number: u64) -> string;
  hold: func(number: u64) -> string;
  fail: func(number: u64) -> string;
  unserved: func(number: u64) -> string;
}
";

const JOBS: &str = "test:peer/jobs";
const FUNCTIONS: [&str; 7] = ["echo", "settle", "nothing", "wrong", "long", "hold", "fail"];

/// What was served.
#[derive(Debug, Default)]
struct Served {
    calls: Vec<(String, u64)>,
    blasts: Vec<(String, [u64; 3])>,
    requests: Vec<String>,
}

/// A receiver on a thread of its own. It ends when dropped.
pub struct Receiver {
    url: String,
    served: Arc<Mutex<Served>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Receiver {
    /// Over that server, with a prefix of its own.
    pub fn over_nats(server: &NatsServer) -> Self {
        static COUNT: Mutex<u32> = Mutex::new(0);
        let mut count = COUNT.lock().unwrap();
        *count += 1;
        let prefix = format!("peer{count}");
        let url = server.url();
        let shown = format!("wrpc+{url}/{prefix}");
        Self::start(move |ready, served, stopped| async move {
            let options = nats::Options::new(&url).unwrap();
            let connection = Connection::connect(&options).await.unwrap();
            let server = nats::Server::new(connection, &prefix, None, exports(), limits());
            let server = server.await.unwrap();
            ready.send(shown).unwrap();
            let serve =
                move |invocation| drop(tokio::spawn(answer(invocation, Arc::clone(&served))));
            server.run(stopped_by(stopped), serve).await;
        })
    }

    /// On a free port.
    pub fn over_tcp() -> Self {
        Self::start(|ready, served, stopped| async move {
            let settings = tcp::serve::Settings::default();
            let server = tcp::Server::bind("127.0.0.1:0", exports(), limits(), settings);
            let server = server.await.unwrap();
            let address = server.local_addr().unwrap();
            ready.send(format!("wrpc+tcp://{address}")).unwrap();
            let serve =
                move |invocation| drop(tokio::spawn(answer(invocation, Arc::clone(&served))));
            server.run(stopped_by(stopped), serve).await;
        })
    }

    fn start<F>(
        run: impl FnOnce(oneshot::Sender<String>, Arc<Mutex<Served>>, oneshot::Receiver<()>) -> F
        + Send
        + 'static,
    ) -> Self
    where
        F: Future<Output = ()>,
    {
        let (ready, url) = oneshot::channel();
        let (stop, stopped) = oneshot::channel();
        let served = Arc::<Mutex<Served>>::default();
        let own = Arc::clone(&served);
        let thread = thread::spawn(move || {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = runtime.enable_all().build().unwrap();
            runtime.block_on(run(ready, own, stopped));
            runtime.shutdown_background();
        });
        Self {
            url: url.blocking_recv().unwrap(),
            served,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// Its URL, as `encarno hit` takes it.
    pub fn url(&self) -> String {
        self.url.clone()
    }

    pub fn is_nats(&self) -> bool {
        self.url.starts_with("wrpc+nats")
    }

    /// The numbers that a function was called with, in order.
    pub fn numbers(&self, function: &str) -> Vec<u64> {
        let served = self.served.lock().unwrap();
        let calls = served.calls.iter().filter(|(name, _)| name == function);
        let mut numbers: Vec<_> = calls.map(|(_, number)| *number).collect();
        numbers.sort_unstable();
        numbers
    }

    /// The payloads and the numbers of blasts.
    pub fn blasts(&self) -> Vec<(String, [u64; 3])> {
        self.served.lock().unwrap().blasts.clone()
    }

    /// Method, path, host, the header `X-Own` and body of requests.
    pub fn requests(&self) -> Vec<String> {
        self.served.lock().unwrap().requests.clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ended = thread.join();
        }
    }
}

async fn stopped_by(stopped: oneshot::Receiver<()>) {
    let _dropped = stopped.await;
}

fn limits() -> Limits {
    Limits::new(64 << 20, Duration::from_secs(10))
}

fn exports() -> Vec<Export> {
    let of_jobs = FUNCTIONS.map(|function| Export {
        instance: JOBS.into(),
        function: function.into(),
        check: Box::new(|_| Ok(())),
        has_streams: false,
    });
    let mut exports = Vec::from(of_jobs);
    exports.push(Export {
        instance: blaster::INSTANCE.into(),
        function: blaster::FUNCTION.into(),
        check: Box::new(|params| Packet::decode(params).map(drop)),
        has_streams: false,
    });
    exports.push(Export {
        instance: http::INSTANCE.into(),
        function: http::FUNCTION.into(),
        check: Box::new(Message::<RequestHead>::check),
        has_streams: true,
    });
    exports
}

async fn answer<R: Respond>(invocation: Invocation<R>, served: Arc<Mutex<Served>>) {
    let mut responder = invocation.responder;
    let params = invocation.parameters.receive(&mut responder).await;
    let Ok(params) = params else {
        return responder.finish(params).await;
    };
    let function = match invocation.export {
        at if at < FUNCTIONS.len() => FUNCTIONS[at],
        at if at == FUNCTIONS.len() => {
            let packet = Packet::decode(&params).unwrap();
            let payload = String::from_utf8(packet.payload.to_vec()).unwrap();
            let numbers = [packet.mem_burn_mb, packet.cpu_burn_ms, packet.wait_ms];
            served.lock().unwrap().blasts.push((payload, numbers));
            return responder.finish(Ok(Bytes::new())).await;
        }
        _ => return answer_http(responder, params, &served).await,
    };
    let number = Reader::new(&params)
        .unsigned(64, "number")
        .unwrap_or_default();
    let call = (function.to_owned(), number);
    served.lock().unwrap().calls.push(call);
    let result = match function {
        "echo" => Ok(params),
        "settle" if number.is_multiple_of(2) => Ok([&[0], &params[..]].concat().into()),
        "settle" => Ok(Bytes::from_static(b"\x01\x03odd")),
        "wrong" => Ok(Bytes::from_static(&[5, 1, 2])),
        "long" => Ok(Bytes::from_static(b"\xff\xff\xff\xff\x0f")),
        "fail" => Err(Error::new(ErrorCode::GuestTrap, "as asked")),
        "hold" => {
            responder.accept().await;
            return responder.caller_gone().await;
        }
        _ => Ok(Bytes::new()),
    };
    responder.finish(result).await;
}

async fn answer_http<R: Respond>(mut responder: R, params: Bytes, served: &Mutex<Served>) {
    let message = Message::<RequestHead>::decode(&params).unwrap();
    let head = message.head.clone();
    responder.accept().await;
    let mut body = responder.body(message).unwrap();
    let mut text = Vec::new();
    while let Some(chunk) = body.chunk().await.unwrap() {
        text.extend_from_slice(&chunk);
    }
    let own = head.headers.iter().find(|field| field.name == "x-own");
    let own = own.map_or("none".into(), |field| String::from_utf8_lossy(&field.value));
    let request = format!(
        "{} {} {} {own} {}",
        head.method,
        head.path_with_query.unwrap_or_default(),
        head.authority.unwrap_or_default(),
        String::from_utf8_lossy(&text)
    );
    served.lock().unwrap().requests.push(request);
    let response = Message {
        head: ResponseHead {
            status: 201,
            headers: vec![Field {
                name: "content-type".into(),
                value: Bytes::from_static(b"application/json"),
            }],
        },
        body: Part::Ready(Bytes::from_static(b"{\"done\": true}")),
        trailers: Part::Ready(None),
    };
    responder.finish(Ok(response.encode().into())).await;
}
