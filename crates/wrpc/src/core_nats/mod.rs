//! A client of Core NATS: publish, subscribe, and reconnect.
//!
//! Messages of other peers never end a connection. An invalid message is dropped and
//! reported as an event. Only a server that violates the protocol itself is disconnected.
//!
//! One task owns the socket. Others put operations into an outbox and wake the task,
//! which sends all of them in one write. The task hands messages to their subscriptions.
//!
//! - [`Subject`], [`Message`], [`Headers`]: messages that are sent and received
//! - [`parse`]: parses the operations of a server
//! - `options`: servers, credentials and timeouts
//! - `error`, `event`: errors and events
//! - `hello`: the introductions of server and client
//! - `servers`: the order in which servers are tried
//! - `subscription`: the subscriptions and their messages
//! - `shared`: the state that the client and its task share
//! - `session`: one connection to one server
//! - `connector`: makes a session
//! - `client`: keeps a session, and restores it

mod client;
mod connector;
mod error;
mod event;
#[doc(hidden)]
pub mod fuzz;
mod hello;
mod message;
mod options;
pub mod parse;
mod servers;
mod session;
mod shared;
mod subject;
mod subscription;

pub use client::Client;
pub use error::{Error, ErrorKind, is_of_credentials};
pub use event::{Event, Handler};
pub use message::{Headers, Message, NO_RESPONDERS};
pub use options::{Credentials, Options, ServerAddr, TlsConfig};
pub use subject::Subject;
pub use subscription::{Deliver, Room, Subscription};
