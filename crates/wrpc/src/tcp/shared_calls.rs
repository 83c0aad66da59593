//! The calls of a connection that many share, from the receiver's end: what its
//! task and the answers to its calls both have.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};
use std::task::Waker;

use bytes::Bytes;
use slotmap::{DefaultKey, SlotMap};

use super::frames;
use super::messages::{self, Kind};
use super::outbox::Outbox;
use crate::pending_params::PendingParams;
use crate::serve::Limits;
use crate::streams::Streams;
use crate::{Error, lock};

/// With more than this in the outbox, nothing more is read, and results wait.
pub(super) const OUTBOX_BYTES_MAX: usize = 1 << 20;

/// The connections of a server.
#[derive(Default)]
pub(super) struct Connections(Mutex<SlotMap<DefaultKey, Weak<Shared>>>);

impl Connections {
    /// Asks their callers to make no more calls.
    pub(super) fn go_away(&self) {
        self.each(|state| messages::put(&mut state.out, Kind::GoAway, 0, &[], Bytes::new()));
    }

    pub(super) fn add(&self, connection: &Arc<Shared>) -> DefaultKey {
        lock(&self.0).insert(Arc::downgrade(connection))
    }

    pub(super) fn remove(&self, key: DefaultKey) {
        lock(&self.0).remove(key);
    }

    /// Lets each of them end when its outbox is empty.
    pub(super) fn close(&self) {
        self.each(|state| state.is_closing = true);
    }

    fn each(&self, change: impl Fn(&mut State)) {
        for connection in lock(&self.0).values().filter_map(Weak::upgrade) {
            let mut state = lock(&connection.state);
            change(&mut state);
            state.wake_task();
        }
    }
}

/// A connection, as its task and its calls see it.
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

    /// The connection is gone, and with it whoever wanted answers.
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
    /// Of the task, while it waits.
    pub(super) task: Option<Waker>,
    pub(super) calls: HashMap<u64, Served>,
    /// Of answers that wait for room in the outbox.
    pub(super) waiting: Vec<Waker>,
    pub(super) is_closing: bool,
    /// The connection is gone.
    pub(super) is_lost: bool,
}

/// A call that isn't answered yet.
#[derive(Default)]
pub(super) struct Served {
    /// The rest of its parameters.
    pub(super) params: Option<PendingParams>,
    /// If its parameters or results may have any.
    pub(super) streams: Option<Box<Streams>>,
    /// Waits for its caller to go.
    pub(super) waker: Option<Waker>,
}

impl State {
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

    /// Takes a call out. Whether it was there.
    pub(super) fn remove(&mut self, call: u64) -> bool {
        let removed = self.calls.remove(&call);
        removed.map(|mut served| served.wake()).is_some()
    }
}

impl Served {
    /// Whoever waits finds that the call isn't there any more.
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
