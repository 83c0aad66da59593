//! The client behind a connection, and the client that takes over when its server is
//! about to stop.
//!
//! Each client has its own inbox. A call stays with the client with which it began, so
//! its answers arrive in order; later calls go to the client that has taken over. So no
//! call is cut, and no message arrives twice.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::events::EventState;
use super::mailbox::{Address, Mailbox, deliver_params};
use super::options::{self, Options};
use crate::core_nats::{Client, Message};
use crate::{Counters, Error, lock};

/// The first pause between attempts to find a server that takes over; it doubles with
/// each attempt.
const PAUSE: Duration = Duration::from_millis(50);

/// A client, with the mailboxes of its inbox.
pub(super) struct Core {
    pub(super) client: Client,
    pub(super) connect_timeout: Duration,
    pub(super) unread_calls_max: usize,
    pub(super) events: Arc<EventState>,
    /// Whether the last receiver that accepted a call with streams was ours.
    pub(super) receivers_are_ours: AtomicBool,
}

/// The state that the clones of a connection share.
pub(super) struct Line {
    current: Mutex<Arc<Core>>,
    moves: watch::Sender<()>,
}

impl Core {
    async fn connect(options: &Options, counters: &Arc<Counters>) -> Result<Arc<Self>, Error> {
        let began = Instant::now();
        let connected = Self::try_connect(options, counters).await;
        match &connected {
            Ok(_) => counters.connected(began.elapsed()),
            Err(_) => counters.not_connected(),
        }
        connected
    }

    async fn try_connect(options: &Options, counters: &Arc<Counters>) -> Result<Arc<Self>, Error> {
        let inbox = new_inbox(&options.inbox_prefix);
        let subject = format!("{inbox}.>");
        let counters = Arc::clone(counters);
        let events = Arc::new(EventState::new(options.peers(), inbox, counters));
        let deliver = Box::new({
            let events = Arc::clone(&events);
            move |subject: &str, message| deliver(&events, subject, &message)
        });
        let handler = Box::new({
            let events = Arc::clone(&events);
            move |event| events.handle(event)
        });
        let client = Client::connect(options.of_client(), &subject, deliver, handler)
            .await
            .map_err(|error| options::connect_error(options, &error))?;
        Ok(Arc::new(Self {
            client,
            connect_timeout: options.connect_timeout,
            unread_calls_max: options.unread_calls_max,
            events,
            receivers_are_ours: AtomicBool::new(false),
        }))
    }

    /// Whether another client has taken over.
    pub(super) fn is_left(&self) -> bool {
        self.events.is_left.load(Ordering::Acquire)
    }
}

impl Line {
    /// Connects with the first client.
    pub(super) async fn connect(
        options: &Options,
        counters: Arc<Counters>,
    ) -> Result<(Arc<Self>, Arc<Core>), Error> {
        let core = Core::connect(options, &counters).await?;
        let line = Arc::new(Self {
            current: Mutex::new(Arc::clone(&core)),
            moves: watch::Sender::new(()),
        });
        line.expect_lame_duck(&core, options, &counters);
        Ok((line, core))
    }

    /// The client to which new calls go.
    pub(super) fn current(&self) -> Arc<Core> {
        Arc::clone(&lock(&self.current))
    }

    /// Waits until another client has taken over from `core`.
    pub(super) async fn left(&self, core: &Core) {
        let mut moves = self.moves.subscribe();
        // The sender lives as long as `self`.
        let _ = moves.wait_for(|()| core.is_left()).await;
    }

    fn expect_lame_duck(
        self: &Arc<Self>,
        core: &Arc<Core>,
        options: &Options,
        counters: &Arc<Counters>,
    ) {
        let events = Arc::clone(&core.events);
        let (line, core) = (Arc::downgrade(self), Arc::downgrade(core));
        let (options, counters) = (options.clone(), Arc::clone(counters));
        let take_over = Box::new(move || {
            let (line, core) = (Weak::clone(&line), Weak::clone(&core));
            tokio::spawn(take_over(
                line,
                core,
                options.clone(),
                Arc::clone(&counters),
            ));
        });
        let _ = events.on_lame_duck.set(take_over); // once for each
    }

    fn move_to(self: &Arc<Self>, core: Arc<Core>, left: &Core) {
        let are_ours = left.receivers_are_ours.load(Ordering::Relaxed);
        core.receivers_are_ours.store(are_ours, Ordering::Relaxed);
        tracing::info!("moved to another server of NATS at {}", left.events.peers);
        *lock(&self.current) = core;
        left.client.retire();
        left.events.is_left.store(true, Ordering::Release);
        self.moves.send_replace(());
    }
}

/// Finds a server that takes over. If the old connection is lost first, it is restored
/// with another server instead.
async fn take_over(line: Weak<Line>, left: Weak<Core>, options: Options, counters: Arc<Counters>) {
    let mut pause = PAUSE;
    loop {
        let known = match left.upgrade() {
            Some(left) if left.events.is_up() => left.client.told(),
            _ => return,
        };
        let with_those = Options {
            told: known,
            ..options.clone()
        };
        match Core::connect(&with_those, &counters).await {
            Ok(core) => {
                if let (Some(line), Some(left)) = (line.upgrade(), left.upgrade()) {
                    line.move_to(Arc::clone(&core), &left);
                    line.expect_lame_duck(&core, &options, &counters);
                }
                return;
            }
            Err(error) => tracing::debug!("no server takes over: {error}"),
        }
        tokio::time::sleep(pause).await;
        pause = (2 * pause).min(options.reconnect_delay.max(PAUSE));
    }
}

/// Hands a message to the mailbox that its subject names.
fn deliver(events: &EventState, subject: &str, message: &Message) {
    let now = Instant::now();
    events.counters.received(message.length);
    // INBOX.NUMBER or INBOX.NUMBER.PART
    let Some(tail) = subject.get(events.inbox.len() + 1..) else {
        return;
    };
    let (number, part) = tail.split_once('.').unwrap_or((tail, ""));
    let Ok(number) = u64::from_str_radix(number, 16) else {
        return;
    };
    let address = Address {
        place: number as u32,
        generation: (number >> 32) as u32,
    };
    match lock(&events.mailboxes).get(address) {
        Some(Mailbox::Call(made)) => made.deliver(part, message, now, &events.peers),
        Some(Mailbox::Params(params)) => deliver_params(params, part, message),
        Some(Mailbox::Served(served)) => served.deliver(part, message),
        None => {} // late: its caller has gone
    }
}

/// An inbox that is unique and can't be guessed.
fn new_inbox(prefix: &str) -> String {
    let state = RandomState::new();
    format!(
        "{prefix}.{:016x}{:016x}",
        state.hash_one(0),
        state.hash_one(1)
    )
}
