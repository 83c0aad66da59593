//! The path of a call: admitted, run, answered.
//!
//! Calls arrive on the thread that owns the connections and run as tasks on
//! threads of their own, so that guests that burn CPU don't hold up messages.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use encarno_wrpc::serve::{Invocation, Parameters, Respond};
use encarno_wrpc::{Error, ErrorCode};
use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore, SemaphorePermit, oneshot};
use tokio::time::timeout_at;

use crate::budget::{Budget, Reserved};
use crate::exports::Kind;
use crate::host::Host;
use crate::http::{self, Exchange};
use crate::limits::{CpuMeter, Ticker};

/// Parameters of a call larger than this are refused.
pub(crate) const PARAMS_BYTES_MAX: usize = 64 << 20;

/// The memory for large parameters of all calls together.
const BUDGET_BYTES: usize = 4 << 30;

/// Calls that may wait for each call that may run.
const WAITING_PER_SLOT: usize = 4;

/// Calls further apart than this come one by one. Calls that came together
/// are no more than microseconds apart.
const LONE_CALL_GAP: Duration = Duration::from_micros(50);

/// Serves the calls of a component.
pub(crate) struct Calls {
    host: Host,
    kinds: Arc<[Kind]>,
    budget: Budget,
    ticker: Arc<Ticker>,
    timeout: Duration,
    /// One for each call that runs.
    slots: Semaphore,
    /// Calls that run or wait.
    admitted: AtomicUsize,
    admitted_max: usize,
    none_left: Notify,
    guests: Handle,
    started: Instant,
    /// When the last call was served, in nanoseconds from the start.
    served_at_ns: AtomicU64,
}

impl Calls {
    pub(crate) fn new(
        host: Host,
        kinds: Arc<[Kind]>,
        ticker: Arc<Ticker>,
        timeout: Duration,
        concurrency: u32,
        guests: Handle,
    ) -> Arc<Self> {
        let slots = concurrency as usize;
        Arc::new(Self {
            host,
            kinds,
            budget: Budget::new(BUDGET_BYTES),
            ticker,
            timeout,
            slots: Semaphore::new(slots),
            admitted: AtomicUsize::new(0),
            admitted_max: slots * (1 + WAITING_PER_SLOT),
            none_left: Notify::new(),
            guests,
            started: Instant::now(),
            served_at_ns: AtomicU64::new(0),
        })
    }

    /// Serves a call on the threads of the guests, or refuses it.
    ///
    /// The first slice of a call that comes alone runs on this thread, since
    /// waking another one costs more than a short call does. Then nobody else
    /// waits here, and a slice ends with the next tick.
    pub(crate) fn serve(self: &Arc<Self>, invocation: Invocation<impl Respond>) {
        let others = self.admitted.fetch_add(1, Ordering::SeqCst);
        if others >= self.admitted_max {
            self.leave();
            let text = format!("{} calls run or wait already", self.admitted_max);
            let refusal = Err(Error::new(ErrorCode::ReceiverBusy, text));
            tokio::spawn(invocation.responder.finish(refusal));
            return;
        }
        let admitted = Admitted(Arc::clone(self));
        let call = async move { admitted.0.run(invocation).await };
        let is_alone = others == 0 && self.since_last_call() > LONE_CALL_GAP;
        if !is_alone {
            self.guests.spawn(call);
            return;
        }
        let mut call = Box::pin(call);
        let _timers_of_guests = self.guests.enter();
        // Whatever it waits for, its task asks again.
        let mut nobody = Context::from_waker(Waker::noop());
        if call.as_mut().poll(&mut nobody).is_pending() {
            self.guests.spawn(call);
        }
        self.since_last_call();
    }

    fn since_last_call(&self) -> Duration {
        let now = self.started.elapsed().as_nanos() as u64;
        let last = self.served_at_ns.swap(now, Ordering::Relaxed);
        Duration::from_nanos(now.saturating_sub(last))
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

    async fn run(&self, invocation: Invocation<impl Respond>) {
        let Invocation {
            export,
            parameters,
            mut responder,
        } = invocation;
        let deadline = Instant::now() + self.timeout;
        let result = match self
            .receive(export, parameters, &mut responder, deadline)
            .await
        {
            Ok((params, _reserved)) if matches!(self.kinds[export], Kind::Http(_)) => {
                return self.handle(export, params, responder, deadline).await;
            }
            Ok((params, _reserved)) => {
                let mut call = pin!(self.call(export, params, deadline));
                // A short call is accepted by its answer. One that goes on, or waits
                // for a slot, is accepted now.
                match poll_fn(|context| Poll::Ready(call.as_mut().poll(context))).await {
                    Poll::Ready(result) => result,
                    Poll::Pending => {
                        responder.accept().await;
                        tokio::select! {
                            biased;
                            result = call => result,
                            () = responder.caller_gone() => return,
                        }
                    }
                }
            }
            Err(error) => Err(error),
        };
        responder.finish(result).await;
    }

    /// Gets all parameters of a call, with the memory that is reserved for them.
    async fn receive(
        &self,
        export: usize,
        parameters: Parameters,
        responder: &mut impl Respond,
        deadline: Instant,
    ) -> Result<(Bytes, Reserved), Error> {
        if let Parameters::Whole(params) = parameters {
            let reserved = self.budget.try_reserve(params.len());
            return Ok((params, reserved.ok_or_else(no_memory)?));
        }
        let reserved = timeout_at(deadline.into(), self.budget.reserve(PARAMS_BYTES_MAX)).await;
        let mut reserved = reserved.ok().flatten().ok_or_else(no_memory)?;
        let params = responder.complete().await?;
        reserved.shrink(params.len());
        self.check(export, &params)?;
        Ok((params, reserved))
    }

    /// Waits for a slot and runs the guest in it.
    async fn call(&self, export: usize, params: Bytes, deadline: Instant) -> Result<Bytes, Error> {
        let _slot = self.slot(deadline).await?;
        let _ticking = self.ticker.call();
        let call = CpuMeter::new(self.host.call(export, params, deadline));
        match timeout_at(deadline.into(), call).await {
            Ok(result) => result,
            Err(_) => Err(self.timed_out()),
        }
    }

    /// Waits for a slot and lets the guest answer the request in it.
    async fn handle(
        &self,
        export: usize,
        params: Bytes,
        mut responder: impl Respond,
        deadline: Instant,
    ) {
        let request = match http::request(&params, &mut responder) {
            Ok(request) => request,
            Err(error) => return responder.finish(Err(error)).await,
        };
        let slot = match self.slots.try_acquire() {
            Ok(slot) => Ok(slot),
            Err(_) => {
                responder.accept().await;
                tokio::select! {
                    biased;
                    slot = self.slot(deadline) => slot,
                    () = responder.caller_gone() => return,
                }
            }
        };
        let _slot = match slot {
            Ok(slot) => slot,
            Err(error) => return responder.finish(Err(error)).await,
        };
        let _ticking = self.ticker.call();
        let (answer, answered) = oneshot::channel();
        let guest = CpuMeter::new(self.host.handle(export, request, answer, deadline));
        let exchange = Exchange::new(guest, answered);
        let timed_out = || self.timed_out();
        exchange.run(responder, deadline, timed_out).await;
    }

    async fn slot(&self, deadline: Instant) -> Result<SemaphorePermit<'_>, Error> {
        if let Ok(slot) = self.slots.try_acquire() {
            return Ok(slot);
        }
        match timeout_at(deadline.into(), self.slots.acquire()).await {
            Ok(Ok(slot)) => Ok(slot),
            _ => Err(self.no_slot()),
        }
    }

    fn check(&self, export: usize, params: &[u8]) -> Result<(), Error> {
        self.kinds[export].check(params).map_err(|error| {
            Error::new(
                ErrorCode::ProtocolViolation,
                format!("the parameters can't be decoded: {error}"),
            )
        })
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

fn no_memory() -> Error {
    let text = "the parameters of other calls take all the memory there is for them";
    Error::new(ErrorCode::ReceiverBusy, text)
}

/// A call that counts as admitted until this is dropped.
struct Admitted(Arc<Calls>);

impl Drop for Admitted {
    fn drop(&mut self) {
        self.0.leave();
    }
}
