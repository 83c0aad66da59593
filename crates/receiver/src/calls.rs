//! The path of a call: admitted, run, answered.
//!
//! Calls arrive on the thread that owns the connections, and run as tasks on other
//! threads, so that guests that burn CPU don't hold up messages.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use encarno_wrpc::memory::{Memory, Reservation};
use encarno_wrpc::serve::{Invocation, Parameters, Respond};
use encarno_wrpc::{Error, ErrorCode};
use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore, SemaphorePermit, oneshot};
use tokio::time::timeout_at;

use crate::exports::Kind;
use crate::host::Host;
use crate::http::{self, Exchange};
use crate::limits::{CpuMeter, Ticker};

/// The most bytes of a call's parameters.
pub(crate) const PARAMS_BYTES_MAX: usize = 64 << 20;

/// The memory of a waiting call, besides its parameters.
const CALL_BYTES: usize = 8 << 10;

/// Parameters of a waiting call that came with the call are copied up to this size,
/// because they are part of a larger buffer.
const COPY_MAX: usize = 1 << 20;

/// The most refusals at once; further ones are dropped.
const REFUSALS_MAX: usize = 1024;

/// The number of calls that may wait for each call that may run.
const WAITING_PER_SLOT: usize = 4;

/// A call that comes later than this after the previous one counts as alone. Calls that
/// come together are only microseconds apart.
const LONE_CALL_GAP: Duration = Duration::from_micros(50);

/// Serves the calls of a component.
pub(crate) struct Calls {
    host: Host,
    kinds: Arc<[Kind]>,
    memory: Memory,
    /// The memory of a guest at its start.
    guest_bytes: usize,
    ticker: Arc<Ticker>,
    timeout: Duration,
    /// One permit for each call that may run.
    slots: Semaphore,
    /// The number of calls that run or wait.
    admitted: AtomicUsize,
    refusing: AtomicUsize,
    admitted_max: usize,
    none_left: Notify,
    guests: Handle,
    started: Instant,
    /// The time of the last call, in nanoseconds from the start.
    served_at_ns: AtomicU64,
}

impl Calls {
    pub(crate) fn new(
        host: Host,
        kinds: Arc<[Kind]>,
        ticker: Arc<Ticker>,
        memory: Memory,
        timeout: Duration,
        guests: Handle,
    ) -> Arc<Self> {
        let slots = host.limits().concurrency as usize;
        Arc::new(Self {
            guest_bytes: host.guest_bytes(),
            host,
            kinds,
            memory,
            ticker,
            timeout,
            slots: Semaphore::new(slots),
            admitted: AtomicUsize::new(0),
            refusing: AtomicUsize::new(0),
            admitted_max: slots * (1 + WAITING_PER_SLOT),
            none_left: Notify::new(),
            guests,
            started: Instant::now(),
            served_at_ns: AtomicU64::new(0),
        })
    }

    /// Serves a call on the threads of the guests, or refuses it.
    ///
    /// The first slice of a call that comes alone runs on this thread, because waking
    /// another one costs more than a short call does. No other call waits here then, and
    /// a slice ends with the next tick.
    pub(crate) fn serve(self: &Arc<Self>, invocation: Invocation<impl Respond>) {
        let others = self.admitted.fetch_add(1, Ordering::SeqCst);
        if others >= self.admitted_max {
            self.leave();
            let text = format!("{} calls run or wait already", self.admitted_max);
            return self.refuse(invocation, Error::new(ErrorCode::ReceiverBusy, text));
        }
        let Some(held) = self.memory.reserve(CALL_BYTES + arrived(&invocation)) else {
            self.leave();
            return self.refuse(invocation, self.memory.used_up());
        };
        let admitted = Admitted {
            calls: Arc::clone(self),
            _held: held,
        };
        let call = async move { admitted.calls.run(invocation).await };
        let is_alone = others == 0 && self.since_last_call() > LONE_CALL_GAP;
        if !is_alone {
            self.guests.spawn(call);
            return;
        }
        let mut call = Box::pin(call);
        let _timers_of_guests = self.guests.enter();
        // Whatever the call waits for, its task polls again.
        let mut nobody = Context::from_waker(Waker::noop());
        if call.as_mut().poll(&mut nobody).is_pending() {
            self.guests.spawn(call);
        }
        self.since_last_call();
    }

    fn refuse(self: &Arc<Self>, invocation: Invocation<impl Respond>, error: Error) {
        if self.refusing.fetch_add(1, Ordering::Relaxed) >= REFUSALS_MAX {
            self.refusing.fetch_sub(1, Ordering::Relaxed);
            tracing::warn!("refusals are sent too slowly: a call got none");
            return;
        }
        let calls = Arc::clone(self);
        tokio::spawn(async move {
            invocation.responder.finish(Err(error)).await;
            calls.refusing.fetch_sub(1, Ordering::Relaxed);
        });
    }

    fn since_last_call(&self) -> Duration {
        let now = self.started.elapsed().as_nanos() as u64;
        let last = self.served_at_ns.swap(now, Ordering::Relaxed);
        Duration::from_nanos(now.saturating_sub(last))
    }

    /// Waits until there are no more calls.
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
            traceparent,
            mut responder,
        } = invocation;
        let deadline = Instant::now() + self.timeout;
        let is_part = matches!(parameters, Parameters::Whole(_));
        let result = match self.receive(export, parameters, &mut responder).await {
            Ok(params) if matches!(self.kinds[export], Kind::Http(_)) => {
                return self.handle(export, params, responder, deadline).await;
            }
            Ok(params) => {
                let mut call = pin!(self.call(export, params, is_part, traceparent, deadline));
                // The answer to a short call also accepts it. A call that goes on, or
                // waits for a slot, is accepted now.
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

    /// Receives all parameters of a call.
    async fn receive(
        &self,
        export: usize,
        parameters: Parameters,
        responder: &mut impl Respond,
    ) -> Result<Bytes, Error> {
        if let Parameters::Whole(params) = parameters {
            return Ok(params);
        }
        let params = responder.complete().await?;
        self.check(export, &params)?;
        Ok(params)
    }

    /// Waits for room and runs the guest. `is_part` means that the parameters are part of
    /// a larger buffer.
    async fn call(
        &self,
        export: usize,
        mut params: Bytes,
        is_part: bool,
        traceparent: Option<Box<str>>,
        deadline: Instant,
    ) -> Result<Bytes, Error> {
        let room = match self.try_room() {
            Some(room) => room,
            None => {
                if is_part && params.len() <= COPY_MAX {
                    params = Bytes::copy_from_slice(&params);
                }
                self.room(deadline).await?
            }
        };
        let _ticking = self.ticker.call();
        let call = self
            .host
            .call(export, params, traceparent, deadline, room.memory);
        match timeout_at(deadline.into(), CpuMeter::new(call)).await {
            Ok(result) => result,
            Err(_) => Err(self.timed_out()),
        }
    }

    /// Waits for room and lets the guest answer the request.
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
        let room = match self.try_room() {
            Some(room) => Ok(room),
            None => {
                responder.accept().await;
                tokio::select! {
                    biased;
                    room = self.room(deadline) => room,
                    () = responder.caller_gone() => return,
                }
            }
        };
        let room = match room {
            Ok(room) => room,
            Err(error) => return responder.finish(Err(error)).await,
        };
        let _ticking = self.ticker.call();
        let (answer, answered) = oneshot::channel();
        let guest = self
            .host
            .handle(export, request, answer, deadline, room.memory);
        let exchange = Exchange::new(CpuMeter::new(guest), answered, self.memory.nothing());
        let timed_out = || self.timed_out();
        exchange.run(responder, deadline, timed_out).await;
    }

    /// Room for a guest, if there is any now.
    fn try_room(&self) -> Option<Room<'_>> {
        Some(Room {
            _slot: self.slots.try_acquire().ok()?,
            memory: self.memory.reserve(self.guest_bytes)?,
        })
    }

    /// Room for a guest, as soon as there is any.
    async fn room(&self, deadline: Instant) -> Result<Room<'_>, Error> {
        let slot = timeout_at(deadline.into(), self.slots.acquire()).await;
        let Ok(Ok(slot)) = slot else {
            return Err(self.no_slot());
        };
        let memory = self.memory.reserve_when_free(self.guest_bytes);
        let memory = timeout_at(deadline.into(), memory).await;
        Ok(Room {
            _slot: slot,
            memory: memory.map_err(|_| self.memory.used_up())?,
        })
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

/// The number of bytes of a call that have arrived.
fn arrived(invocation: &Invocation<impl Respond>) -> usize {
    let params = match &invocation.parameters {
        Parameters::Whole(params) => params.len(),
        Parameters::Partial => 0, // these are counted as they arrive
    };
    params + invocation.responder.body_bytes()
}

/// The resources that a guest needs to run.
struct Room<'a> {
    _slot: SemaphorePermit<'a>,
    memory: Reservation,
}

/// A call that counts as admitted until this is dropped.
struct Admitted {
    calls: Arc<Calls>,
    _held: Reservation,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.calls.leave();
    }
}
