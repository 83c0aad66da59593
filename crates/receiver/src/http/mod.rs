//! HTTP requests: handled by a component that exports `wasi:http/incoming-handler`.
//!
//! - `request`: the parameters of a call as a request
//! - `exchange`: a guest that handles it, and its response on the way out
//! - `handler_error`: what a guest says instead of a response

mod exchange;
mod handler_error;
mod request;

pub(crate) use exchange::{Answer, Exchange, Failure};
pub(crate) use request::{Request, request};
