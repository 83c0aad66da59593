//! What a record asks for beyond being sent: values in, values out, checks,
//! cookies, redirects, pauses.
//!
//! A record's [`Script`](encarno_record::script::Script) is compiled when it is
//! read: a mistake in it is told with file and offset. What comes out is a
//! [`Plan`], which all workers share. A worker that meets a record with a plan
//! has a [`Session`]: the event loop asks it before the hit starts, and after
//! it has ended. A record without a plan costs nothing but the question whether
//! it has one.
//!
//! In the order in which a hit meets them:
//!
//! - pattern: Go's regular expressions for the `regex` crate
//! - jsonpath, condition: JSONPaths, and the conditions of steps
//! - names, values: variables, and texts that have them
//! - plan, compile: scripts and rules, compiled
//! - lists, steps: all matches of an extract, and branches and loops
//! - data: rows of files, for each pass of a worker
//! - cookies, request: what is added to the request
//! - inspection: what extracts and asserts look at
//! - redirect: the request that follows a 3xx
//! - extract, check, live: values out of the response, and whether it is right
//! - context: what all sessions of an event loop share
//! - session: one worker's part of all that
//! - fuzz: what the fuzz targets call

mod check;
mod compile;
mod condition;
mod context;
mod cookies;
mod data;
mod extract;
#[doc(hidden)]
pub mod fuzz;
mod inspection;
mod jsonpath;
mod lists;
mod live;
mod names;
mod pattern;
mod plan;
mod redirect;
mod request;
mod session;
mod steps;
mod values;

pub use compile::{Compiler, ScriptError};
pub use context::ScriptContext;
pub use data::{DataError, DataSource};
pub use plan::{Plan, Planned};
pub use session::{Admission, Ended, Session};

/// So much of a body is looked at; what follows isn't kept.
const BODY_BYTES_MAX: usize = 1 << 20;
/// A value is at most that long: what a peer sends must not grow without end.
const VALUE_BYTES_MAX: usize = 64 << 10;
