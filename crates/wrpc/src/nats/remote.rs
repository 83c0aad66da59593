//! The receivers behind NATS servers, with a connection that is made on demand.

use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use futures_util::FutureExt as _;

use super::connection::Connection;
use super::options::Options;
use crate::core_nats::Subject;
use crate::http::{RequestHead, Response};
use crate::on_demand::OnDemand;
use crate::pending_call::timed_out_connecting;
use crate::{Counters, Error, Headers, Outcome};

/// The receivers behind some NATS servers. The first call connects, and so does the next
/// call after the connection was given up.
pub struct Remote {
    options: Options,
    counters: Arc<Counters>,
    connection: OnDemand<Connection>,
}

impl Remote {
    /// The receivers behind these servers. `counters` counts how connections are made.
    pub fn counted(options: Options, counters: Arc<Counters>) -> Self {
        Self {
            options,
            counters,
            connection: OnDemand::default(),
        }
    }

    /// Calls a function. The result is the outcome, or an error no later than `deadline`.
    /// See [`Connection::call_with_headers`].
    pub async fn call(
        &self,
        function: &Subject,
        params: Bytes,
        headers: &Headers,
        deadline: Instant,
    ) -> Outcome {
        match self.connect(deadline).await {
            Ok(connection) => {
                let function = function.clone();
                connection
                    .call_with_headers(function, params, headers, deadline)
                    .await
            }
            Err(error) => Outcome::unsent(error),
        }
    }

    /// Makes an HTTP request. See [`Connection::http`].
    pub async fn http(
        &self,
        function: &Subject,
        head: RequestHead,
        body: Bytes,
        deadline: Instant,
    ) -> Outcome<Response> {
        match self.connect(deadline).await {
            Ok(connection) => {
                let function = function.clone();
                connection.http(function, head, body, deadline).await
            }
            Err(error) => Outcome::unsent(error),
        }
    }

    async fn connect(&self, deadline: Instant) -> Result<Connection, Error> {
        // A lost connection is restored by itself, unless it was given up.
        let mut connection = pin!(self.connection.get(
            |connection| !connection.is_closed(),
            || {
                let (options, counters) = (self.options.clone(), Arc::clone(&self.counters));
                async move { Connection::connect_counted(&options, counters).await }
            }
        ));
        match connection.as_mut().now_or_never() {
            Some(connected) => connected,
            None => tokio::time::timeout_at(deadline.into(), connection)
                .await
                .unwrap_or_else(|_| {
                    let peer = format!("NATS at {}", self.options.peers());
                    Err(timed_out_connecting(&peer))
                }),
        }
    }
}
