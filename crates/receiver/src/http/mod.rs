//! HTTP requests for a component that exports `wasi:http/incoming-handler`.
//!
//! - `request`: the parameters of a call as a request
//! - `exchange`: a guest that handles it, and its response
//! - `handler_error`: the error that a guest gives instead of a response

mod exchange;
mod handler_error;
mod request;

pub(crate) use exchange::{Answer, Exchange, Failure};
pub(crate) use request::{Request, request};
