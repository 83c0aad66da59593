//! Events of a connection, and their effect on its calls.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;

use tokio::sync::watch;

use super::mailbox::{Mailbox, Mailboxes};
use crate::core_nats::{ErrorKind, Event, is_of_credentials};
use crate::{Counters, Error, ErrorCode, lock};

/// The state that events change. It exists before the client does.
pub(super) struct EventState {
    pub(super) peers: String,
    pub(super) mailboxes: Mutex<Mailboxes>,
    pub(super) state: watch::Sender<Liveness>,
    pub(super) inbox: String,
    pub(super) refusals: Mutex<Refusals>,
    pub(super) counters: Arc<Counters>,
    /// Called when the server is about to stop.
    pub(super) on_lame_duck: OnceLock<Box<dyn Fn() + Send + Sync>>,
    is_lame_duck: AtomicBool,
    /// Whether another connection has taken over, so that the end of this one isn't
    /// reported.
    pub(super) is_left: AtomicBool,
}

/// The server's refusals.
#[derive(Default)]
pub(super) struct Refusals {
    /// The last one, in the server's words.
    pub(super) last: Option<String>,
    /// Why the connection can't be used, in states that have a reason.
    pub(super) reason: Option<Error>,
    /// Subjects to which the server doesn't allow subscriptions here.
    pub(super) subscriptions: Vec<String>,
}

/// The most refused subjects that are remembered.
const SUBSCRIPTIONS_MAX: usize = 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Liveness {
    Up,
    /// It is up, but the server refuses the inbox, so no answer can arrive.
    InboxRefused,
    /// It was lost, and is being restored.
    Down,
    /// It was lost and isn't restored, because the server refuses the credentials.
    LockedOut,
    /// It was given up for good.
    Closed,
}

impl EventState {
    pub(super) fn new(peers: String, inbox: String, counters: Arc<Counters>) -> Self {
        Self {
            peers,
            mailboxes: Mutex::default(),
            state: watch::Sender::new(Liveness::Up),
            inbox,
            refusals: Mutex::default(),
            counters,
            on_lame_duck: OnceLock::new(),
            is_lame_duck: AtomicBool::new(false),
            is_left: AtomicBool::new(false),
        }
    }

    /// Whether the connection is up now.
    pub(super) fn is_up(&self) -> bool {
        matches!(*self.state.borrow(), Liveness::Up | Liveness::InboxRefused)
    }

    pub(super) fn handle(&self, event: Event) {
        match event {
            Event::Connected => {
                *lock(&self.refusals) = Refusals::default();
                self.is_lame_duck.store(false, Ordering::Relaxed);
                if self.change(Liveness::Up) {
                    self.counters.reconnected();
                    tracing::info!("the connection to NATS at {} is back", self.peers);
                }
            }
            Event::Disconnected(reason) => {
                let is_locked_out = lock(&self.refusals).reason.is_some()
                    && *self.state.borrow() != Liveness::InboxRefused;
                let to = match is_locked_out {
                    true => Liveness::LockedOut,
                    false => Liveness::Down,
                };
                self.leave(to, &reason);
            }
            Event::Closed => self.leave(Liveness::Closed, "it is given up"),
            Event::NoRoom => {
                self.counters.dropped(1);
                tracing::warn!("a message was dropped: this process reads too slowly");
            }
            Event::Unreadable(reason) => {
                self.counters.dropped(1);
                let peers = &self.peers;
                tracing::warn!("a message from NATS at {peers} was dropped: {reason}");
            }
            // The server may announce it more than once.
            Event::LameDuck if self.is_lame_duck.swap(true, Ordering::Relaxed) => {}
            Event::LameDuck => {
                tracing::warn!("a server of NATS at {} is about to stop", self.peers);
                if let Some(act) = self.on_lame_duck.get() {
                    act();
                }
            }
            Event::Refused(text) => {
                tracing::warn!("NATS at {}: {text}", self.peers);
                self.take_refusal(&text);
                lock(&self.refusals).last = Some(text);
            }
            // Why it couldn't be restored.
            Event::Failed(error) => {
                tracing::debug!("NATS at {error}");
                if error.kind == ErrorKind::Authentication {
                    self.lock_out(&error.message);
                    self.leave(Liveness::LockedOut, &error.message);
                }
            }
        }
    }

    /// Changes the state, unless it has this value or is the final one.
    fn change(&self, to: Liveness) -> bool {
        self.state.send_if_modified(|state| {
            let changes = *state != to && *state != Liveness::Closed;
            if changes {
                *state = to;
            }
            changes
        })
    }

    /// Notes that the connection was lost, for now or for good.
    fn leave(&self, to: Liveness, reason: &str) {
        let was = *self.state.borrow();
        if self.change(to) {
            let peers = &self.peers;
            let was_up = matches!(was, Liveness::Up | Liveness::InboxRefused);
            if self.is_left.load(Ordering::Acquire) {
                tracing::debug!("the connection to NATS at {peers} that was left: {reason}");
            } else if was_up {
                self.counters.lost();
                tracing::warn!("the connection to NATS at {peers} was lost: {reason}");
            }
            let refused = lock(&self.refusals).reason.clone();
            // Answers for calls in flight may have been lost with it.
            let error = match refused {
                Some(error) if to == Liveness::LockedOut => error,
                _ => {
                    let text = format!("the connection to NATS at {peers} was lost: {reason}");
                    Error::new(ErrorCode::ConnectionLost, text)
                }
            };
            self.fail_calls(&error);
        }
    }

    /// Reports a refusal to those whom it concerns at once, instead of letting them time
    /// out.
    fn take_refusal(&self, text: &str) {
        if let Some(subject) = refused_subject(text, "publish to") {
            let error = self.may_not("publish", subject);
            let now = Instant::now();
            for mailbox in lock(&self.mailboxes).iter_mut() {
                if let Mailbox::Call(made) = mailbox
                    && made.publishes_to(subject)
                {
                    made.call.fail(error.clone(), now);
                }
            }
        } else if let Some(subject) = refused_subject(text, "subscription to") {
            let mut refusals = lock(&self.refusals);
            if subject.strip_suffix(".>") == Some(&self.inbox) {
                let error = self.may_not("subscribe", subject);
                refusals.reason = Some(error.clone());
                drop(refusals);
                self.change(Liveness::InboxRefused);
                self.fail_calls(&error);
            } else if refusals.subscriptions.len() < SUBSCRIPTIONS_MAX {
                refusals.subscriptions.push(subject.to_owned());
            }
        } else if is_of_credentials(text) {
            // The server closes the connection next.
            self.lock_out(text);
        }
    }

    fn lock_out(&self, text: &str) {
        let text = format!("NATS at {} refuses the credentials: {text}", self.peers);
        let error = Error::new(ErrorCode::Authentication, text);
        lock(&self.refusals).reason = Some(error);
    }

    pub(super) fn may_not(&self, what: &str, subject: &str) -> Error {
        let text = format!(
            "NATS at {} does not let this user {what} to {subject:?}",
            self.peers
        );
        Error::new(ErrorCode::Authentication, text)
    }

    fn fail_calls(&self, error: &Error) {
        let now = Instant::now();
        for mailbox in lock(&self.mailboxes).iter_mut() {
            match mailbox {
                Mailbox::Call(made) => made.call.fail(error.clone(), now),
                Mailbox::Served(served) => served.streams.fail(error),
                Mailbox::Params(_) => {}
            }
        }
    }
}

/// The quoted subject in a message about permissions, such as `Permissions Violation for
/// Publish to "a.b"`.
fn refused_subject<'a>(text: &'a str, what: &str) -> Option<&'a str> {
    let begin = format!("permissions violation for {what} \"");
    let at = text.to_ascii_lowercase().find(&begin)? + begin.len();
    text[at..].split('"').next()
}
