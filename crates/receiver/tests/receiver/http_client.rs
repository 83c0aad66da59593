//! A client for the example component that answers HTTP requests, over each transport.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use bytes::Bytes;
use encarno_test_peers::NatsServer;
use encarno_wrpc::http::{self, Field, RequestHead, Response, ResponseHead};
use encarno_wrpc::nats::{self, Connection, subject};
use encarno_wrpc::{Error, ErrorCode, tcp};

use crate::program::{PREFIX, Receiver};

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn component() -> PathBuf {
    let path = encarno_test_peers::root().join("http-component/http-component.wasm");
    assert!(
        path.exists(),
        "{} does not exist: run `make component` first",
        path.display()
    );
    path
}

/// The component, served over both transports, and a client for each way to it.
pub(crate) struct Site {
    _nats: NatsServer,
    pub(crate) receivers: [Receiver; 2],
    pub(crate) nats: Client,
    /// Over a TCP connection that calls share.
    pub(crate) shared: Client,
    /// Over a TCP connection for each call.
    pub(crate) single: Client,
}

impl Site {
    pub(crate) async fn start(arguments: &[&str]) -> Self {
        let nats = NatsServer::start();
        let receivers = [
            Receiver::start(&nats.url(), &component(), arguments),
            Receiver::start_tcp(&component(), arguments),
        ];
        let [shared, single] = [true, false].map(|reuse| {
            let mut options = tcp::Options::new(receivers[1].addr()).unwrap();
            options.reuse = reuse;
            Client::Tcp(tcp::Remote::new(options))
        });
        Self {
            nats: Client::connect(&nats.url()).await,
            _nats: nats,
            receivers,
            shared,
            single,
        }
    }

    pub(crate) fn clients(&self) -> [&Client; 3] {
        [&self.nats, &self.shared, &self.single]
    }
}

/// Makes requests of a receiver.
pub(crate) enum Client {
    Nats(Connection),
    Tcp(tcp::Remote),
}

impl Client {
    pub(crate) async fn connect(url: &str) -> Self {
        let options = nats::Options::new(url).unwrap();
        Self::Nats(Connection::connect(&options).await.unwrap())
    }

    pub(crate) async fn response(
        &self,
        method: &str,
        path: &str,
        body: Bytes,
    ) -> Result<Response, Error> {
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
        self.request(head, body, PATIENCE).await
    }

    pub(crate) async fn request(
        &self,
        head: RequestHead,
        body: Bytes,
        timeout: Duration,
    ) -> Result<Response, Error> {
        let deadline = Instant::now() + timeout;
        let outcome = match self {
            Self::Nats(connection) => {
                let function = subject::function(PREFIX, http::INSTANCE, http::FUNCTION).unwrap();
                connection.http(function, head, body, deadline).await
            }
            Self::Tcp(client) => {
                let function = tcp::FunctionNames::new(http::INSTANCE, http::FUNCTION);
                client.http(&function, head, body, deadline).await
            }
        };
        outcome.result
    }

    /// The results of a call with these parameters.
    pub(crate) async fn call(&self, params: Vec<u8>) -> Result<Bytes, Error> {
        let deadline = Instant::now() + PATIENCE;
        let outcome = match self {
            Self::Nats(connection) => {
                let function = subject::function(PREFIX, http::INSTANCE, http::FUNCTION).unwrap();
                connection.call(function, params.into(), deadline).await
            }
            Self::Tcp(client) => {
                let function = tcp::FunctionNames::new(http::INSTANCE, http::FUNCTION);
                client.call(&function, params.into(), deadline).await
            }
        };
        outcome.result
    }

    /// The head and the whole body.
    pub(crate) async fn get(&self, path: &str) -> Result<(ResponseHead, Bytes), Error> {
        let mut response = self.response("GET", path, Bytes::new()).await?;
        let body = response.body.collect(1 << 30).await?;
        Ok((response.head, body))
    }

    pub(crate) async fn text(&self, path: &str) -> String {
        let (_, body) = self.get(path).await.expect(path);
        String::from_utf8(body.to_vec()).unwrap()
    }

    pub(crate) async fn fails(&self, path: &str, code: ErrorCode, about: &str) {
        let error = self.get(path).await.expect_err(path);
        assert_eq!(error.code, code, "{path}: {error}");
        assert!(error.message.contains(about), "{path}: {error}");
    }
}

pub(crate) fn field(name: &str, value: &str) -> Field {
    Field {
        name: name.into(),
        value: Bytes::copy_from_slice(value.as_bytes()),
    }
}

pub(crate) fn values<'a>(head: &'a ResponseHead, name: &str) -> Vec<&'a str> {
    let same = head.headers.iter().filter(|field| field.name == name);
    same.map(|field| std::str::from_utf8(&field.value).unwrap())
        .collect()
}

pub(crate) fn pattern(length: usize) -> Bytes {
    (0..length).map(|index| (index % 251) as u8).collect()
}
