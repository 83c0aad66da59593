//! The path of a call: admitted, run, answered.
//!
//! Calls arrive on the thread that owns the connection and run as tasks on
//! threads of their own, so that a guest that burns CPU delays no message.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use encarno_wrpc::nats::{Invocation, Parameters};
use encarno_wrpc::{Error, ErrorCode};
use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore};

use crate::codec::Shape;
use crate::host::Host;
use crate::limits::{CpuMeter, Ticker};

/// Calls that may wait for each call that may run.
const WAITING_PER_SLOT: usize = 4;

/// Serves the calls of a component.
pub(crate) struct Calls {
    host: Host,
    shapes: Arc<[Shape]>,
    ticker: Arc<Ticker>,
    timeout: Duration,
    /// One for each call that runs.
    slots: Semaphore,
    /// Calls that run or wait.
    admitted: AtomicUsize,
    admitted_max: usize,
    none_left: Notify,
}

impl Calls {
    pub(crate) fn new(
        host: Host,
        shapes: Arc<[Shape]>,
        ticker: Arc<Ticker>,
        timeout: Duration,
        concurrency: u32,
    ) -> Arc<Self> {
        let slots = concurrency as usize;
        Arc::new(Self {
            host,
            shapes,
            ticker,
            timeout,
            slots: Semaphore::new(slots),
            admitted: AtomicUsize::new(0),
            admitted_max: slots * (1 + WAITING_PER_SLOT),
            none_left: Notify::new(),
        })
    }

    /// Serves a call as a task of `guests`, or refuses it.
    pub(crate) fn serve(self: &Arc<Self>, guests: &Handle, invocation: Invocation) {
        if self.admitted.fetch_add(1, Ordering::SeqCst) >= self.admitted_max {
            self.leave();
            let text = format!("{} calls run or wait already", self.admitted_max);
            let refusal = Err(Error::new(ErrorCode::ReceiverBusy, text));
            tokio::spawn(invocation.responder.finish(refusal));
            return;
        }
        let admitted = Admitted(Arc::clone(self));
        guests.spawn(async move { admitted.0.run(invocation).await });
    }

    /// Waits until no call is left.
    pub(crate) async fn drained(&self) {
        loop {
            let none_left = self.none_left.notified();
            if self.admitted.load(Ordering::SeqCst) == 0 {
                return;
            }
            none_left.await;
        }
    }

    /// How many calls run or wait.
    pub(crate) fn admitted(&self) -> usize {
        self.admitted.load(Ordering::SeqCst)
    }

    fn leave(&self) {
        if self.admitted.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.none_left.notify_waiters();
        }
    }

    async fn run(&self, invocation: Invocation) {
        let Invocation {
            export,
            parameters,
            mut responder,
        } = invocation;
        let deadline = Instant::now() + self.timeout;
        let params = match parameters {
            Parameters::Whole(params) => Ok(params),
            Parameters::Partial(partial) => match partial.complete(&mut responder).await {
                Ok(params) => self.check(export, params),
                Err(error) => Err(error),
            },
        };
        let params = match params {
            Ok(params) => params,
            Err(error) => return responder.finish(Err(error)).await,
        };

        let slot = match self.slots.try_acquire() {
            Ok(slot) => slot,
            Err(_) => {
                responder.accept().await;
                let waiting = self.slots.acquire();
                match tokio::time::timeout_at(deadline.into(), waiting).await {
                    Ok(Ok(slot)) => slot,
                    _ => return responder.finish(Err(self.no_slot())).await,
                }
            }
        };

        let _ticking = self.ticker.call();
        // Accepting costs a message. A call that ends in its first slice says
        // it together with its result, all others as soon as it is known that
        // they go on.
        let mut call = pin!(CpuMeter::new(self.host.call(export, params, deadline)));
        let result = match poll_fn(|context| Poll::Ready(call.as_mut().poll(context))).await {
            Poll::Ready(result) => result,
            Poll::Pending => {
                responder.accept().await;
                match tokio::time::timeout_at(deadline.into(), call).await {
                    Ok(result) => result,
                    Err(_) => Err(self.timed_out()),
                }
            }
        };
        drop(slot);
        responder.finish(result).await;
    }

    fn check(&self, export: usize, params: Bytes) -> Result<Bytes, Error> {
        match self.shapes[export].check(&params) {
            Ok(()) => Ok(params),
            Err(error) => Err(Error::new(
                ErrorCode::ProtocolViolation,
                format!("the parameters can't be decoded: {error}"),
            )),
        }
    }

    fn no_slot(&self) -> Error {
        Error::new(
            ErrorCode::ReceiverBusy,
            format!(
                "the call found no free instance within {:?} (--max-concurrency)",
                self.timeout
            ),
        )
    }

    fn timed_out(&self) -> Error {
        Error::new(
            ErrorCode::GuestLimit,
            format!("the call was stopped after {:?} (--timeout)", self.timeout),
        )
    }
}

/// A call that counts as admitted until this is dropped.
struct Admitted(Arc<Calls>);

impl Drop for Admitted {
    fn drop(&mut self) {
        self.0.leave();
    }
}
