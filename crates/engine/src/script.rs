//! Scripts of records: values in, values out, checks, cookies, redirects, pauses.
//!
//! A record's [`Script`](encarno_record::script::Script) is compiled when it is read: an
//! error names file and offset. The result is a [`Plan`], which all workers share. A
//! worker that meets a record with a plan has a [`Session`]: the event loop calls it
//! before the hit starts and after it has ended. A record without a plan costs only the
//! test whether it has one.
//!
//! In the order in which a hit meets them:
//!
//! - pattern: Go's regular expressions for the `regex` crate
//! - jsonpath, condition: JSONPaths, and the conditions of steps
//! - names, values: variables, and texts that contain them
//! - plan, compile: scripts and rules, compiled
//! - lists, steps: all matches of an extract, and branches and loops
//! - data: rows of files, for each pass of a worker
//! - cookies, request: what is added to the request
//! - inspection: the parts of a response that extracts and asserts read
//! - redirect: the request that follows a 3xx
//! - extract, check, live: values out of the response, and its checks
//! - context: the state that all sessions of an event loop share
//! - session: the state of one worker
//! - fuzz: the entry points of the fuzz targets

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

/// The most bytes of a body that extracts and asserts see. The rest isn't kept.
const BODY_BYTES_MAX: usize = 1 << 20;
/// The most bytes of a value, because a peer's data must not grow without bound.
const VALUE_BYTES_MAX: usize = 64 << 10;
