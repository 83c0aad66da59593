//! The calls of a shared connection at the receiver's end: the state that its task shares
//! with the answers to its calls.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};
use std::task::Waker;
use std::time::{Duration, Instant};

use bytes::Bytes;
use slotmap::{DefaultKey, SlotMap};

use super::frames;
use super::messages::{self, Kind};
use crate::outbox::Outbox;
use crate::pending_params::PendingParams;
use crate::serve::Limits;
use crate::streams::Streams;
use crate::{Error, lock};

/// With more bytes than this in the outbox, nothing more is read, and results wait.
pub(super) const OUTBOX_BYTES_MAX: usize = 1 << 20;

/// How long a caller may take to learn that it should make no more calls.
const GRACE: Duration = Duration::from_secs(1);

/// The connections of a server.
#[derive(Default)]
pub(super) struct Connections(Mutex<SlotMap<DefaultKey, Weak<Shared>>>);

impl Connections {
    /// Asks all callers to make no more calls.
    pub(super) fn go_away(&self) {
        self.each(State::go_away);
    }

    pub(super) fn add(&self, connection: &Arc<Shared>) -> DefaultKey {
        lock(&self.0).insert(Arc::downgrade(connection))
    }

    pub(super) fn remove(&self, key: DefaultKey) {
        lock(&self.0).remove(key);
    }

    /// Lets each connection end when its outbox is empty.
    pub(super) fn close(&self) {
        self.each(|state| state.is_closing = true);
    }

    /// Ends idle connections: those without any call after `header_timeout`, and those
    /// with earlier calls after `idle_max`. Their callers are told, and have [`GRACE`]
    /// for calls that are on their way.
    pub(super) fn end_idle(&self, header_timeout: Duration, idle_max: Duration) {
        let now = Instant::now();
        for connection in lock(&self.0).values().filter_map(Weak::upgrade) {
            let mut state = lock(&connection.state);
            if !state.calls.is_empty() {
                state.idle_since = None;
                continue;
            }
            let idle = now - *state.idle_since.get_or_insert(now);
            match state.has_called {
                false if idle >= header_timeout => state.is_closing = true,
                true if idle >= idle_max + GRACE => state.is_closing = true,
                true if idle >= idle_max && !state.is_going_away => state.go_away(),
                _ => continue,
            }
            state.wake_task();
        }
    }

    /// Ends the connection that has been idle for longest, if that is at least
    /// `idle_min`. Returns whether there was one.
    pub(super) fn end_longest_idle(&self, idle_min: Duration) -> bool {
        let now = Instant::now();
        let connections = lock(&self.0);
        let idle = connections.values().filter_map(Weak::upgrade);
        let idle = idle.filter_map(|connection| {
            let state = lock(&connection.state);
            let since = state.idle_since.filter(|_| !state.is_closing)?;
            drop(state);
            (now - since >= idle_min).then_some((since, connection))
        });
        let Some((_, connection)) = idle.min_by_key(|(since, _)| *since) else {
            return false;
        };
        let mut state = lock(&connection.state);
        state.go_away();
        state.is_closing = true;
        state.wake_task();
        true
    }

    fn each(&self, change: impl Fn(&mut State)) {
        for connection in lock(&self.0).values().filter_map(Weak::upgrade) {
            let mut state = lock(&connection.state);
            change(&mut state);
            state.wake_task();
        }
    }
}

/// The state of a connection that its task and its calls share.
pub(super) struct Shared {
    pub(super) limits: Limits,
    pub(super) state: Mutex<State>,
}

impl Shared {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            state: Mutex::default(),
        }
    }

    /// Notes that the connection is lost, and its callers with it.
    pub(super) fn lose(&self) {
        let mut state = lock(&self.state);
        state.is_lost = true;
        for (_, mut served) in state.calls.drain() {
            served.wake();
        }
        state.waiting.drain(..).for_each(Waker::wake);
        state.out = Outbox::default();
    }
}

#[derive(Default)]
pub(super) struct State {
    pub(super) out: Outbox,
    /// The waker of the task, while it waits.
    pub(super) task: Option<Waker>,
    pub(super) calls: HashMap<u64, Served>,
    /// The wakers of answers that wait for room in the outbox.
    pub(super) waiting: Vec<Waker>,
    pub(super) is_closing: bool,
    /// Whether a call was made.
    pub(super) has_called: bool,
    /// The instant since which it is known to be without calls.
    pub(super) idle_since: Option<Instant>,
    /// Whether its caller was asked to make no more calls.
    is_going_away: bool,
    /// Whether the connection is lost.
    pub(super) is_lost: bool,
}

/// A call that isn't answered yet.
#[derive(Default)]
pub(super) struct Served {
    /// The rest of its parameters.
    pub(super) params: Option<PendingParams>,
    /// Its streams, if its parameters or results may have any.
    pub(super) streams: Option<Box<Streams>>,
    /// Woken when its caller goes.
    pub(super) waker: Option<Waker>,
}

impl State {
    fn go_away(&mut self) {
        self.is_going_away = true;
        messages::put(&mut self.out, Kind::GoAway, 0, &[], Bytes::new());
    }

    fn wake_task(&mut self) {
        if let Some(task) = self.task.take() {
            task.wake();
        }
    }

    pub(super) fn put(&mut self, kind: Kind, call: u64, head: &[u8], payload: Bytes) {
        messages::put(&mut self.out, kind, call, head, payload);
        self.wake_task();
    }

    pub(super) fn put_error(&mut self, call: u64, error: &Error) {
        self.put(
            Kind::Error,
            call,
            &frames::encode_error(error),
            Bytes::new(),
        );
    }

    /// Removes a call. Returns whether it existed.
    pub(super) fn remove(&mut self, call: u64) -> bool {
        let removed = self.calls.remove(&call);
        removed.map(|mut served| served.wake()).is_some()
    }
}

impl Served {
    /// Wakes those who wait; they find that the call doesn't exist any more.
    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
        if let Some(params) = &mut self.params {
            params.wake();
        }
        if let Some(streams) = &mut self.streams {
            streams.wake();
        }
    }
}
