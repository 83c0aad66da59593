//! A link to a receiver over one of the transports, connected at the first call. No other
//! module knows which transports there are.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use encarno_wrpc::http::{RequestHead, Response};
use encarno_wrpc::nats::{self, Subject, subject};
use encarno_wrpc::{Counters, Error, ErrorCode, Headers, Outcome, tcp};

/// The transport of calls, and their receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Over NATS servers.
    Nats {
        /// Servers, TLS and timeouts.
        options: nats::Options,
        /// The prefix under which functions are served.
        prefix: String,
    },
    /// Over TCP to an address.
    Tcp(tcp::Options),
}

impl Transport {
    /// The names of the transports in metrics, by their numbers.
    pub const NAMES: &[&str] = &["nats", "tcp"];

    /// Its number.
    pub fn number(&self) -> usize {
        match self {
            Self::Nats { .. } => 0,
            Self::Tcp(_) => 1,
        }
    }
}

/// A function of the receivers behind a link. It is cheap to clone.
#[derive(Clone, Debug)]
pub struct Function(Name);

/// The name of the function in its transport's form.
#[derive(Clone, Debug)]
enum Name {
    Nats(Subject),
    Tcp(tcp::FunctionNames),
}

/// A link to a receiver. All calls over it are made on one thread, within its runtime.
pub struct Link {
    route: Route,
    /// The counters of its transport on the link's IO thread.
    counters: Arc<Counters>,
}

enum Route {
    Nats {
        remote: Box<nats::Remote>,
        prefix: String,
    },
    Tcp(tcp::Remote),
}

impl Link {
    /// The way of that transport. What it does is counted there.
    pub fn new(transport: Transport, counters: Arc<Counters>) -> Self {
        let route = match transport {
            Transport::Nats { options, prefix } => Route::Nats {
                remote: Box::new(nats::Remote::counted(options, Arc::clone(&counters))),
                prefix,
            },
            Transport::Tcp(options) => {
                Route::Tcp(tcp::Remote::counted(options, Arc::clone(&counters)))
            }
        };
        Self { route, counters }
    }

    /// A function of an interface, or of the component itself if `instance` is empty.
    pub fn function(&self, instance: &str, name: &str) -> Result<Function, Error> {
        // Names that NATS can't express are refused for every transport.
        let checked = subject::function("", instance, name)?;
        Ok(Function(match &self.route {
            Route::Nats { prefix, .. } if prefix.is_empty() => Name::Nats(checked),
            Route::Nats { prefix, .. } => Name::Nats(subject::function(prefix, instance, name)?),
            Route::Tcp(_) => Name::Tcp(tcp::FunctionNames::new(instance, name)),
        }))
    }

    /// Calls a function. The result is the outcome, or an error no later than `deadline`.
    pub async fn call(
        &self,
        function: &Function,
        params: Bytes,
        headers: &Headers,
        deadline: Instant,
    ) -> Outcome {
        let _in_flight = self.counters.call();
        let outcome = match (&self.route, &function.0) {
            (Route::Nats { remote, .. }, Name::Nats(subject)) => {
                remote.call(subject, params, headers, deadline).await
            }
            (Route::Tcp(_), Name::Tcp(_)) if !headers.is_empty() => Outcome::unsent(no_headers()),
            (Route::Tcp(remote), Name::Tcp(function)) => {
                remote.call(function, params, deadline).await
            }
            _ => Outcome::unsent(of_another_link()),
        };
        self.count(outcome)
    }

    /// Makes an HTTP request. The result is a response, or an error no later than
    /// `deadline`.
    pub async fn http(
        &self,
        function: &Function,
        head: RequestHead,
        body: Bytes,
        deadline: Instant,
    ) -> Outcome<Response> {
        let _in_flight = self.counters.call();
        let outcome = match (&self.route, &function.0) {
            (Route::Nats { remote, .. }, Name::Nats(subject)) => {
                remote.http(subject, head, body, deadline).await
            }
            (Route::Tcp(remote), Name::Tcp(function)) => {
                remote.http(function, head, body, deadline).await
            }
            _ => Outcome::unsent(of_another_link()),
        };
        self.count(outcome)
    }

    fn count<R>(&self, outcome: Outcome<R>) -> Outcome<R> {
        if let Err(error) = &outcome.result {
            self.counters.failed(error.code);
        }
        outcome
    }
}

fn no_headers() -> Error {
    let text = "wRPC over TCP can't carry the headers of a call: use NATS, or no headers";
    Error::new(ErrorCode::ProtocolViolation, text)
}

fn of_another_link() -> Error {
    let text = "the function belongs to a client of another transport";
    Error::new(ErrorCode::Internal, text)
}
