//! HTTP requests, answered by the example component.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use bytes::Bytes;
use encarno_test_peers::NatsServer;
use encarno_wrpc::http::{self, Field, RequestHead, Response, ResponseHead};
use encarno_wrpc::nats::{Connection, Options, subject};
use encarno_wrpc::{Error, ErrorCode};

use crate::program::{PREFIX, Receiver};

const PATIENCE: Duration = Duration::from_secs(60);

fn component() -> PathBuf {
    let path = encarno_test_peers::root().join("http-component/http-component.wasm");
    assert!(
        path.exists(),
        "{} does not exist: run `make component` first",
        path.display()
    );
    path
}

/// Makes requests of a receiver.
struct Client(Connection);

impl Client {
    async fn connect(url: &str) -> Self {
        Self(
            Connection::connect(&Options::new(url).unwrap())
                .await
                .unwrap(),
        )
    }

    async fn response(&self, method: &str, path: &str, body: Bytes) -> Result<Response, Error> {
        let head = RequestHead {
            method: method.into(),
            scheme: Some("http".into()),
            authority: Some("host:8000".into()),
            path_with_query: Some(path.into()),
            headers: vec![
                field("X-One", "1"),
                field("x-two", "a"),
                field("X-Two", "b"),
            ],
        };
        self.request(head, body).await
    }

    async fn request(&self, head: RequestHead, body: Bytes) -> Result<Response, Error> {
        let function = subject::function(PREFIX, http::INSTANCE, http::FUNCTION).unwrap();
        let deadline = Instant::now() + PATIENCE;
        self.0.http(function, head, body, deadline).await.result
    }

    /// The head and the whole body.
    async fn get(&self, path: &str) -> Result<(ResponseHead, Bytes), Error> {
        let mut response = self.response("GET", path, Bytes::new()).await?;
        let body = response.body.collect(1 << 30).await?;
        Ok((response.head, body))
    }

    async fn text(&self, path: &str) -> String {
        let (_, body) = self.get(path).await.expect(path);
        String::from_utf8(body.to_vec()).unwrap()
    }

    async fn fails(&self, path: &str, code: ErrorCode, about: &str) {
        let error = self.get(path).await.expect_err(path);
        assert_eq!(error.code, code, "{path}: {error}");
        assert!(error.message.contains(about), "{path}: {error}");
    }
}

fn field(name: &str, value: &str) -> Field {
    Field {
        name: name.into(),
        value: Bytes::copy_from_slice(value.as_bytes()),
    }
}

fn values<'a>(head: &'a ResponseHead, name: &str) -> Vec<&'a str> {
    let same = head.headers.iter().filter(|field| field.name == name);
    same.map(|field| std::str::from_utf8(&field.value).unwrap())
        .collect()
}

fn pattern(length: usize) -> Bytes {
    (0..length).map(|index| (index % 251) as u8).collect()
}

#[tokio::test]
async fn requests_and_responses_arrive_as_they_were_sent() {
    let nats = NatsServer::start();
    let receiver = Receiver::start(&nats.url(), &component(), &[]);
    let served = "wrpc:http/incoming-handler@0.1.0.handle";
    assert!(receiver.ready.contains(served), "{}", receiver.ready);
    let client = Client::connect(&nats.url()).await;

    for method in ["GET", "POST", "PATCH", "BREW"] {
        let mut response = client
            .response(method, "/echo/a?b=c", Bytes::from_static(b"body"))
            .await
            .expect(method);
        assert_eq!(response.head.status, 200);
        assert_eq!(values(&response.head, "x-method"), [method]);
        assert_eq!(values(&response.head, "x-path"), ["/echo/a?b=c"]);
        assert_eq!(values(&response.head, "x-scheme"), ["http"]);
        assert_eq!(values(&response.head, "x-authority"), ["host:8000"]);
        assert_eq!(values(&response.head, "x-echo-x-one"), ["1"]);
        assert_eq!(values(&response.head, "x-echo-x-two"), ["a", "b"]);
        assert_eq!(&response.body.collect(100).await.unwrap()[..], b"body");
    }
    for status in [200, 204, 304, 404, 503, 599] {
        let (head, body) = client.get(&format!("/status/{status}")).await.unwrap();
        assert_eq!(head.status, status);
        assert_eq!(&body[..], status.to_string().as_bytes());
    }
    let (head, _) = client.get("/set-cookie?a=b%3B%20Path=/&c=d").await.unwrap();
    assert_eq!(values(&head, "set-cookie"), ["a=b; Path=/", "c=d"]);
    let (head, _) = client.get("/redirect/2?307").await.unwrap();
    assert_eq!(head.status, 307);
    assert_eq!(values(&head, "location"), ["/redirect/1?307"]);

    let mut response = client
        .response("GET", "/trailers", Bytes::new())
        .await
        .unwrap();
    assert_eq!(&response.body.collect(100).await.unwrap()[..], b"body");
    let trailers = response.body.trailers().expect("trailers");
    assert_eq!(trailers, [field("x-trailer", "last")]);

    let started = Instant::now();
    assert_eq!(client.text("/delay/50").await, "50");
    assert!(started.elapsed() >= Duration::from_millis(50));
}

#[tokio::test]
async fn bodies_of_every_size_go_both_ways() {
    let nats = NatsServer::start();
    let _receiver = Receiver::start(&nats.url(), &component(), &["--timeout", "60s"]);
    let client = Client::connect(&nats.url()).await;
    // Around what travels with the head, what a message holds, and the windows.
    for length in [0, 1, 4096, 256 << 10, (256 << 10) + 1, 1 << 20, 16 << 20] {
        let sent = pattern(length);
        let mut response = client
            .response("POST", "/echo", sent.clone())
            .await
            .expect("echo");
        let echoed = response.body.collect(length).await.expect("its body");
        assert!(echoed == sent, "{length}: {} bytes", echoed.len());

        let (_, body) = client.get(&format!("/bytes/{length}")).await.unwrap();
        assert!(body == sent, "{length}: {} bytes", body.len());

        let mut response = client.response("PUT", "/count", sent).await.expect("count");
        let count = response.body.collect(100).await.unwrap();
        assert_eq!(&count[..], length.to_string().as_bytes());
    }
}

#[tokio::test]
async fn a_body_that_is_not_wanted_is_not_sent() {
    let nats = NatsServer::start();
    let arguments = ["--max-concurrency", "1", "--timeout", "10m"];
    let _receiver = Receiver::start(&nats.url(), &component(), &arguments);
    let client = Client::connect(&nats.url()).await;
    for _ in 0..3 {
        // A terabyte would hold the only slot until the receiver's timeout, and the
        // next request would not be answered within the client's.
        let path = "/bytes/1000000000000";
        let mut response = client.response("GET", path, Bytes::new()).await.unwrap();
        assert!(response.body.chunk().await.unwrap().is_some());
    }
    assert_eq!(client.text("/status/200").await, "200");
}

#[tokio::test]
async fn what_goes_wrong_in_a_handler_has_a_code() {
    let nats = NatsServer::start();
    let arguments = [
        "--timeout",
        "2s",
        "--max-memory-mb",
        "16",
        "--max-cpu-ms",
        "100",
    ];
    let receiver = Receiver::start(&nats.url(), &component(), &arguments);
    let client = Client::connect(&nats.url()).await;
    use ErrorCode::{GuestLimit, GuestTrap, HandlerError, InvalidResponse, ProtocolViolation};
    client.fails("/trap", GuestTrap, "trapped").await;
    client.fails("/cut/5", GuestTrap, "trapped").await;
    client.fails("/cut/1000000", GuestTrap, "trapped").await;
    client
        .fails("/silence", InvalidResponse, "without a response")
        .await;
    let about = "internal-error: as asked";
    client.fails("/error", HandlerError, about).await;
    client.fails("/status/100", InvalidResponse, "status").await;
    client.fails("/delay/60000", GuestLimit, "--timeout").await;
    client
        .fails("/burn/60000", GuestLimit, "--max-cpu-ms")
        .await;
    client
        .fails("/memory/64", GuestLimit, "--max-memory-mb")
        .await;
    client.fails("/a b", ProtocolViolation, "address").await;

    let denied = client.text("/fetch?127.0.0.1:9").await;
    assert!(denied.contains("HttpRequestDenied"), "{denied}");
    assert!(!receiver.stderr().contains("panicked"));
    assert_eq!(client.text("/status/200").await, "200");
}

#[tokio::test]
async fn guests_send_requests_where_that_is_allowed() {
    let nats = NatsServer::start();
    let _receiver = Receiver::start(&nats.url(), &component(), &["--allow-outgoing"]);
    let client = Client::connect(&nats.url()).await;
    let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = server.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let (mut stream, _) = server.accept().await.unwrap();
        let mut request = [0; 4096];
        assert!(stream.read(&mut request).await.unwrap() > 0);
        let response = b"HTTP/1.1 418 teapot\r\ncontent-length: 0\r\n\r\n";
        stream.write_all(response).await.unwrap();
    });
    assert_eq!(client.text(&format!("/fetch?{address}")).await, "418");
    serving.await.unwrap();
}

#[tokio::test]
async fn requests_that_are_none_are_refused() {
    let nats = NatsServer::start();
    let _receiver = Receiver::start(&nats.url(), &component(), &[]);
    let client = Client::connect(&nats.url()).await;
    let function = subject::function(PREFIX, http::INSTANCE, http::FUNCTION).unwrap();
    let whole = http::Message {
        head: RequestHead {
            method: "GET".into(),
            ..RequestHead::default()
        },
        body: http::Part::Ready(Bytes::new()),
        trailers: http::Part::Ready(None),
    }
    .encode();
    let mut with_more = whole.clone();
    with_more.push(0);
    let bomb = vec![1, 0xff, 0xff, 0xff, 0xff, 0x0f];
    for (params, code) in [
        (with_more, ErrorCode::ProtocolViolation),
        (vec![7], ErrorCode::ProtocolViolation),
        (bomb, ErrorCode::PayloadTooLarge),
    ] {
        let deadline = Instant::now() + PATIENCE;
        let outcome = client
            .0
            .call(function.clone(), params.into(), deadline)
            .await;
        assert_eq!(outcome.result.expect_err("no request").code, code);
    }
    assert_eq!(client.text("/status/200").await, "200");
}
