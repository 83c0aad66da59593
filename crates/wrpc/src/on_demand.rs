//! A connection that is made when it is first needed, and made again when it is lost.

use std::future::Future;
use std::sync::{Arc, Mutex};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};

use crate::{Error, ErrorCode, lock};

/// A connection, or the attempt to make it. All callers wait for the same attempt, which
/// goes on when they give up.
pub(crate) struct OnDemand<C> {
    state: Arc<Mutex<Progress<C>>>,
}

type Attempt<C> = Shared<BoxFuture<'static, Result<C, Error>>>;

enum Progress<C> {
    /// There is no connection yet, or the last attempt failed. The next caller tries.
    None,
    Connecting(Attempt<C>),
    Up(C),
}

impl<C> Default for OnDemand<C> {
    fn default() -> Self {
        Self {
            state: Arc::new(Mutex::new(Progress::None)),
        }
    }
}

impl<C: Clone + Send + Sync + 'static> OnDemand<C> {
    /// The present connection, if it `is_usable`, or else the one that `connect` makes.
    /// `connect` runs as a task of the first caller's runtime.
    pub(crate) async fn get<F>(
        &self,
        is_usable: impl FnOnce(&C) -> bool,
        connect: impl FnOnce() -> F,
    ) -> Result<C, Error>
    where
        F: Future<Output = Result<C, Error>> + Send + 'static,
    {
        let attempt = {
            let mut state = lock(&self.state);
            match &*state {
                Progress::Up(connection) if is_usable(connection) => return Ok(connection.clone()),
                Progress::Connecting(attempt) => attempt.clone(),
                Progress::None | Progress::Up(_) => {
                    let attempt = self.attempt(connect());
                    *state = Progress::Connecting(attempt.clone());
                    attempt
                }
            }
        };
        attempt.await
    }

    fn attempt(
        &self,
        connect: impl Future<Output = Result<C, Error>> + Send + 'static,
    ) -> Attempt<C> {
        let state = Arc::clone(&self.state);
        let attempt = tokio::spawn(async move {
            let connected = connect.await;
            *lock(&state) = match &connected {
                Ok(connection) => Progress::Up(connection.clone()),
                Err(_) => Progress::None,
            };
            connected
        });
        let ended = |_| Error::new(ErrorCode::Internal, "the attempt to connect was cancelled");
        attempt
            .map(move |joined| joined.map_err(ended).flatten())
            .boxed()
            .shared()
    }
}
