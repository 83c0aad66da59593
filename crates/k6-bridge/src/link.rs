//! A link: the way to a receiver, over one of the transports. It connects at the
//! first call. Links that clients share have a place in a table of the bridge.

use std::pin::pin;
use std::sync::{Arc, Weak};
use std::time::Instant;

use bytes::Bytes;
use encarno_wrpc::http::{self, RequestHead};
use encarno_wrpc::nats::{self, Connection, Subject};
use encarno_wrpc::on_demand::OnDemand;
use encarno_wrpc::{Counters, Error, ErrorCode, Outcome, blaster, tcp};
use futures_util::FutureExt as _;

use crate::options::Transport;

/// A way to a receiver. All calls over it are made on one IO thread.
pub(crate) enum Link {
    Nats(Box<NatsLink>),
    Tcp(TcpLink),
}

impl Link {
    /// `counters` are those of the transport on the link's IO thread.
    pub(crate) fn new(transport: Transport, counters: Arc<Counters>) -> Self {
        match transport {
            Transport::Nats {
                options,
                function,
                http,
            } => Self::Nats(Box::new(NatsLink {
                options,
                function,
                http,
                connection: OnDemand::default(),
                counters,
            })),
            Transport::Tcp(options) => Self::Tcp(TcpLink {
                client: tcp::Client::counted(options, Arc::clone(&counters)),
                function: tcp::Function::new(blaster::INSTANCE, blaster::FUNCTION),
                counters,
                http: tcp::Function::new(http::INSTANCE, http::FUNCTION),
            }),
        }
    }

    /// Makes a call, with a result or an error no later than `deadline`.
    pub(crate) async fn call(&self, params: Bytes, deadline: Instant) -> Outcome {
        let counters = match self {
            Self::Nats(link) => &link.counters,
            Self::Tcp(link) => &link.counters,
        };
        let _in_flight = counters.call();
        let outcome = match self {
            Self::Nats(link) => link.call(params, deadline).await,
            Self::Tcp(link) => {
                let call = link.client.call(&link.function, params, deadline);
                call.await
            }
        };
        if let Err(error) = &outcome.result {
            counters.failed(error.code);
        }
        outcome
    }

    /// Makes an HTTP request, with a response or an error no later than `deadline`.
    pub(crate) async fn http(
        &self,
        head: RequestHead,
        body: Bytes,
        deadline: Instant,
    ) -> http::Outcome {
        let counters = match self {
            Self::Nats(link) => &link.counters,
            Self::Tcp(link) => &link.counters,
        };
        let _in_flight = counters.call();
        let outcome = match self {
            Self::Nats(link) => match link.connect(deadline).await {
                Ok(connection) => {
                    let function = link.http.clone();
                    connection.http(function, head, body, deadline).await
                }
                Err(error) => http::Outcome::unsent(error),
            },
            Self::Tcp(link) => {
                let request = link.client.http(&link.http, head, body, deadline);
                request.await
            }
        };
        if let Err(error) = &outcome.result {
            counters.failed(error.code);
        }
        outcome
    }
}

/// A receiver at an address, and the functions that are called there.
pub(crate) struct TcpLink {
    client: tcp::Client,
    function: tcp::Function,
    counters: Arc<Counters>,
    http: tcp::Function,
}

/// A connection to NATS, and the functions that are called over it.
pub(crate) struct NatsLink {
    options: nats::Options,
    function: Subject,
    http: Subject,
    connection: OnDemand<Connection>,
    counters: Arc<Counters>,
}

impl NatsLink {
    async fn call(&self, params: Bytes, deadline: Instant) -> Outcome {
        match self.connect(deadline).await {
            Ok(connection) => {
                let function = self.function.clone();
                connection.call(function, params, deadline).await
            }
            Err(error) => Outcome::unsent(error),
        }
    }

    async fn connect(&self, deadline: Instant) -> Result<Connection, Error> {
        // A connection that is lost comes back by itself, but for one that is given up.
        let mut connection = pin!(self.connection.get(
            |connection| !connection.is_closed(),
            || {
                let (options, counters) = (self.options.clone(), Arc::clone(&self.counters));
                async move { Connection::connect_counted(&options, counters).await }
            }
        ));
        match connection.as_mut().now_or_never() {
            Some(connected) => connected,
            None => match tokio::time::timeout_at(deadline.into(), connection).await {
                Ok(connected) => connected,
                Err(_) => Err(Error::new(
                    ErrorCode::Timeout,
                    format!(
                        "the call timed out: there was no connection to NATS at {} yet",
                        self.options.peers()
                    ),
                )),
            },
        }
    }
}

/// The links that clients with equal options share, as long as one of them is
/// open.
#[derive(Default)]
pub(crate) struct SharedLinks {
    groups: Vec<Group>,
}

struct Group {
    transport: Transport,
    links: Vec<Weak<Link>>,
    next: usize,
}

impl SharedLinks {
    /// One of `count` links with these options, in turns, and its number. A link
    /// of the same number is always used on the same IO thread.
    pub(crate) fn take(
        &mut self,
        transport: &Transport,
        count: usize,
        counters: impl FnOnce(usize) -> Arc<Counters>,
    ) -> (Arc<Link>, usize) {
        self.groups
            .retain(|group| group.links.iter().any(|link| link.strong_count() > 0));
        let found = self
            .groups
            .iter()
            .position(|group| group.transport == *transport && group.links.len() == count);
        let at = found.unwrap_or_else(|| {
            self.groups.push(Group {
                transport: transport.clone(),
                links: (0..count).map(|_| Weak::new()).collect(),
                next: 0,
            });
            self.groups.len() - 1
        });
        let group = &mut self.groups[at];
        let number = group.next;
        group.next = (number + 1) % count;
        let link = group.links[number].upgrade().unwrap_or_else(|| {
            let link = Arc::new(Link::new(transport.clone(), counters(number)));
            group.links[number] = Arc::downgrade(&link);
            link
        });
        (link, number)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::SharedLinks;
    use crate::options::{Options, Transport};

    #[test]
    fn equal_options_share_links() {
        let transport = |url: &str| {
            let json = format!(r#"{{"nats": {{"url": "{url}"}}}}"#);
            Options::parse(json.as_bytes()).expect("options").transport
        };
        let (here, there) = (transport("nats://here"), transport("nats://there"));
        let mut links = SharedLinks::default();
        let take = |links: &mut SharedLinks, transport: &Transport, count| {
            links.take(transport, count, |_| Arc::default())
        };
        let (first, number) = take(&mut links, &here, 2);
        let (second, other) = take(&mut links, &here, 2);
        assert!(!Arc::ptr_eq(&first, &second) && number != other);
        let (again, same) = take(&mut links, &here, 2);
        assert!(Arc::ptr_eq(&first, &again) && number == same);
        assert!(!Arc::ptr_eq(&first, &take(&mut links, &there, 2).0));
        assert!(!Arc::ptr_eq(&second, &take(&mut links, &here, 1).0));
        drop((first, second, again));
        take(&mut links, &there, 1);
        assert!(links.groups.len() <= 2, "closed links leave nothing behind");
    }
}
