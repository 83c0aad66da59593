//! A client of Core NATS: publish, subscribe, and a connection that comes back.
//!
//! What peers publish never ends a connection. A message that makes no sense is dropped,
//! and whoever listens is told; only a server that breaks the rules itself is left.
//!
//! One task has the socket. Others put operations into an outbox and wake it; what was put
//! meanwhile leaves in one write. It hands messages to their subscriptions.
//!
//! - [`Subject`], [`Message`], [`Headers`]: what is sent and received
//! - [`parse`]: what a server says, operation by operation
//! - `options`: where to connect, as whom and how
//! - `error`, `event`: what can go wrong, and what happens
//! - `hello`: what server and client say of themselves
//! - `servers`: which server is tried next
//! - `subscription`: where messages go
//! - `shared`: what the client and its task share
//! - `session`: one connection to one server
//! - `connector`: makes a session
//! - `client`: keeps one

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
