//! wRPC over NATS.
//!
//! ```text
//! 1 caller   → receiver  PUB <function> Rc        parameters, as far as they fit
//! 2 receiver → caller    PUB Rc Rs                accepted
//! 3 receiver → caller    PUB Rc.results           result bytes, if there are any
//! 4 receiver → caller    PUB Rc.results           empty: the end; headers name an error
//! 5 caller   → receiver  PUB Rs.params            the rest of the parameters, then empty
//! ```
//!
//! Between two ends of this software a request with streams of which nothing needs to
//! follow is two messages. Message 1 then has headers, see `streams`, and the answer
//! is
//!
//! ```text
//! 2 receiver → caller    PUB Rc.whole             the results: accepted, and the end
//! ```
//!
//! Rc and Rs are subjects under the one wildcard subscription that each side
//! keeps for the life of its connection. Message 5 is left out where message 1
//! held everything. [`Traffic`](crate::Traffic) counts payloads and subjects.
//!
//! - `credentials`: who we are to the server
//! - `options`: where to connect and how
//! - [`subject`]: names on the wire
//! - `headers`: the headers of a call, and its error, which upstream's wire has no place for
//! - `mailbox`: what is expected at an inbox
//! - `events`: what happens to a connection, and what becomes of its calls then
//! - `line`: the client behind a connection, and the one that takes over from it
//! - `connection`: the connection and its inbox
//! - `open_mailbox`: a mailbox and its owner
//! - `streams`: how streams travel
//! - `call`: a call made
//! - `http`: an HTTP request made
//! - `remote`: a connection that is made when it is needed
//! - `twins`: calls that come twice
//! - `respond`: the answers to a call that is served
//! - [`serve`]: calls served

mod call;
mod connection;
mod credentials;
mod events;
mod headers;
mod http;
mod line;
mod mailbox;
mod open_mailbox;
mod options;
mod remote;
mod respond;
pub mod serve;
mod streams;
pub mod subject;
mod twins;

/// A subject of NATS, which is checked where it is made.
pub use crate::core_nats::{Credentials, Subject};
pub use connection::Connection;
pub use credentials::{Given, Invalid};
pub use options::{Options, Tls};
pub use remote::Remote;
pub use serve::Server;
