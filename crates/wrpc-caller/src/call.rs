//! Work for a client, and the call of a function.

use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use encarno_wrpc::{Headers, Outcome};

use crate::completion::Reply;
use crate::link::{Function, Link};

/// Work that a client can do over its link.
pub trait Work: Send + 'static {
    /// Does the work. The result is the outcome, or an error no later than `deadline`.
    /// Dropping the future cancels it.
    fn run(
        self,
        link: Arc<Link>,
        deadline: Instant,
    ) -> impl Future<Output = Outcome<Reply>> + Send + 'static;
}

/// A call of a function: its completion has the results as [`Reply::Results`].
#[derive(Clone, Debug)]
pub struct Call {
    /// The function, from the client that makes the call.
    pub function: Function,
    /// Its encoded parameters.
    pub params: Bytes,
    /// The headers that are sent with them.
    pub headers: Headers,
}

impl Work for Call {
    async fn run(self, link: Arc<Link>, deadline: Instant) -> Outcome<Reply> {
        let Self {
            function,
            params,
            headers,
        } = self;
        let outcome = link.call(&function, params, &headers, deadline).await;
        outcome.and_then(|results| Ok(Reply::Results(results)))
    }
}
