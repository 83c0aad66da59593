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
//! Between two ends of this software, a request with streams takes two messages if no
//! stream has to follow. Message 1 then has headers, see `streams`, and the answer is
//!
//! ```text
//! 2 receiver → caller    PUB Rc.whole             the results: accepted, and the end
//! ```
//!
//! Rc and Rs are subjects under the one wildcard subscription that each side keeps for
//! the life of its connection. Message 5 is left out if message 1 contained all
//! parameters. [`Traffic`](crate::Traffic) counts payloads and subjects.
//!
//! - `credentials`: credentials for the server
//! - `options`: servers, TLS and timeouts
//! - [`subject`]: names on the wire
//! - `headers`: the headers of a call, and its error, for which upstream's wire has no
//!   place
//! - `mailbox`: the expected messages of an inbox
//! - `events`: the events of a connection, and their effect on its calls
//! - `line`: the client behind a connection, and the one that takes over from it
//! - `connection`: the connection and its inbox
//! - `open_mailbox`: a mailbox and its owner
//! - `streams`: streams over NATS
//! - `call`: makes a call
//! - `http`: makes an HTTP request
//! - `remote`: a connection that is made when it is first needed
//! - `twins`: recognises calls that arrive twice
//! - `respond`: the answers to a served call
//! - [`serve`]: serves calls

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

/// A NATS subject, which is checked when it is made.
pub use crate::core_nats::{Credentials, Subject};
pub use connection::Connection;
pub use credentials::{Given, Invalid};
pub use options::{Options, Tls};
pub use remote::Remote;
pub use serve::Server;
