//! The target's event loop.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use encarno_nib::poll::{Poller, WAKER_TOKEN, readiness};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::SeedableRng;
use rustls::ServerConfig;

use super::answer::{
    Answer, Fate, What, in_message, in_text, is_below, on_stream, to_call, unavailable,
};
use super::client::{Client, Request};
use super::clock::monotonic_ns;
use super::connection::{last_number, number_at_end};
use super::ears::{Ears, Heard, LocalEars};
use super::ending::Ending;
use super::http3::{Door, Whole};
use super::log::{Log, LogEntry};
use super::schedule::Schedule;
use super::wire::Wire;
use super::{TargetError, TargetSettings, TargetSummary};

const EARS_TOKEN: u64 = u64::MAX - 1;
const DOOR_TOKEN: u64 = u64::MAX - 2;
const LOCAL_TOKEN: u64 = u64::MAX - 3;
/// The most reads from one client in a turn, so that one that sends without end doesn't
/// hold up the others.
const READS_MAX: usize = 16;
/// The most connections, or datagrams, that are taken in a turn.
const HEARD_MAX: usize = 1024;
const TURN_NS_MAX: u64 = 100_000_000;
/// The last stretch of a wait is spent spinning, because timers are late.
const EARLY_NS: u64 = 60_000;

pub(super) struct Server {
    settings: TargetSettings,
    ears: Ears,
    local: Option<LocalEars>,
    /// The clients of HTTP/3.
    door: Option<Door>,
    tls: Option<Arc<ServerConfig>>,
    poller: Poller,
    stop: Arc<AtomicBool>,
    log: Log,
    random: Xoshiro256PlusPlus,
    clients: HashMap<u64, Client>,
    schedule: Schedule,
    summary: TargetSummary,
    /// Clients that may have more to read.
    unread: Vec<u64>,
    /// Clients with collected answers to send.
    unsent: BTreeSet<u64>,
    body: Vec<u8>,
}

impl Server {
    pub(super) fn new(
        settings: TargetSettings,
        (ears, local): (Ears, Option<LocalEars>),
        door: Option<Door>,
        tls: Option<Arc<ServerConfig>>,
        poller: Poller,
        stop: Arc<AtomicBool>,
        log: Log,
    ) -> Result<Self, TargetError> {
        ears.register(&poller, EARS_TOKEN)
            .map_err(TargetError::new("poll the target's socket"))?;
        if let Some(local) = &local {
            local
                .register(&poller, LOCAL_TOKEN)
                .map_err(TargetError::new("poll the target's unix socket"))?;
        }
        if let Some(door) = &door {
            door.register(&poller, DOOR_TOKEN)
                .map_err(TargetError::new("poll the target's socket for HTTP/3"))?;
        }
        let random = Xoshiro256PlusPlus::seed_from_u64(settings.seed);
        let body = vec![b'x'; settings.body_bytes];
        let schedule = Schedule::new(&settings);
        Ok(Self {
            settings,
            ears,
            local,
            door,
            tls,
            poller,
            stop,
            log,
            random,
            clients: HashMap::new(),
            schedule,
            summary: TargetSummary::default(),
            unread: Vec::new(),
            unsent: BTreeSet::new(),
            body,
        })
    }

    pub(super) fn run(&mut self) -> Result<TargetSummary, TargetError> {
        let failed = TargetError::new("serve as target");
        match self.serve() {
            Ok(()) => Ok(self.summary),
            Err(error) => Err(failed(error)),
        }
    }

    fn serve(&mut self) -> io::Result<()> {
        // Without this, answers are up to 50 µs later than asked.
        let _slack = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
        let mut events = Vec::with_capacity(256);
        while !self.stop.load(Ordering::Relaxed) {
            let now_ns = monotonic_ns();
            let due_ns = self.schedule.next_ns();
            let turns = self.settings.spin || !self.unread.is_empty();
            let sleep_ns = due_ns
                .saturating_sub(now_ns)
                .saturating_sub(EARLY_NS)
                .min(if turns { 0 } else { TURN_NS_MAX });
            let sleep_ns = match &mut self.door {
                Some(door) if door.has_changed() => 0,
                Some(door) => sleep_ns.min(door.next_in_ns().unwrap_or(u64::MAX)),
                None => sleep_ns,
            };
            self.poller.wait(&mut events, sleep_ns)?;
            for event in events.drain(..) {
                match readiness(&event) {
                    (WAKER_TOKEN, _) => {}
                    (token @ (EARS_TOKEN | LOCAL_TOKEN), _) => self.listen(token)?,
                    (DOOR_TOKEN, _) => self.hear()?,
                    (client, ready) => {
                        if ready.writable {
                            self.send(client)?;
                        }
                        if ready.readable {
                            self.read(client)?;
                        }
                    }
                }
            }
            for token in std::mem::take(&mut self.unread) {
                match token {
                    EARS_TOKEN | LOCAL_TOKEN => self.listen(token)?,
                    DOOR_TOKEN => self.hear()?,
                    client => self.read(client)?,
                }
            }
            if let Some(door) = &mut self.door {
                let mut whole = Vec::new();
                door.due(&mut whole);
                self.take_whole(whole)?;
            }
            self.answer_due()?;
            if let Some(door) = &mut self.door {
                let mut ended = Vec::new();
                door.send(&mut ended)?;
                self.log_ended(ended)?;
            }
            for client in std::mem::take(&mut self.unsent) {
                self.send(client)?;
            }
        }
        let clients: Vec<_> = self.clients.keys().copied().collect();
        for client in clients {
            self.forget(client)?;
        }
        if let Some(door) = &mut self.door {
            let mut ended = Vec::new();
            door.close(&mut ended)?;
            self.log_ended(ended)?;
        }
        // Log answers that were never sent.
        for answer in self.schedule.take_rest() {
            self.log.write(&answer.entry)?;
        }
        self.log.flush()
    }

    fn listen(&mut self, token: u64) -> io::Result<()> {
        let mut buffer = [0; 65_536];
        for _ in 0..HEARD_MAX {
            let heard = match &self.local {
                Some(local) if token == LOCAL_TOKEN => local.hear()?,
                _ => self.ears.hear(&mut buffer)?,
            };
            match heard {
                Heard::Client(stream) => {
                    let number = self.summary.connections;
                    self.summary.connections += 1;
                    self.poller.register(&stream, number)?;
                    let wire = Wire::new(stream, self.tls.as_ref())?;
                    self.clients.insert(number, Client::new(wire));
                }
                Heard::Datagram(bytes, from) => {
                    let client = self.summary.requests;
                    let what = What::Bytes(bytes.to_vec(), Ending::Keep);
                    self.take_request(client, number_at_end(bytes), Some(from), what)?;
                }
                Heard::Gone => {}
                Heard::Nothing => return Ok(()),
            }
        }
        self.unread.push(token);
        Ok(())
    }

    /// Takes what clients of HTTP/3 say.
    fn hear(&mut self) -> io::Result<()> {
        let Some(door) = &mut self.door else {
            return Ok(());
        };
        let (mut buffer, mut whole) = ([0; 65_536], Vec::new());
        if door.hear(&mut buffer, &mut self.summary.connections, &mut whole)? {
            self.unread.push(DOOR_TOKEN);
        }
        self.take_whole(whole)
    }

    fn take_whole(&mut self, whole: Vec<Whole>) -> io::Result<()> {
        for (client, stream, asked) in whole {
            let fate = Fate::draw(&self.settings, &mut self.random);
            let what = on_stream(stream, asked, fate, &self.settings);
            self.take_request(client, asked.sequence, None, what)?;
        }
        Ok(())
    }

    fn read(&mut self, number: u64) -> io::Result<()> {
        let mut buffer = [0; 65_536];
        for _ in 0..READS_MAX {
            let Some(client) = self.clients.get_mut(&number) else {
                return Ok(());
            };
            if !client.takes_more() {
                return self.send(number);
            }
            match client.read(&mut buffer) {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(_) => return self.forget(number),
            }
            self.take_requests(number)?;
        }
        self.unread.push(number);
        Ok(())
    }

    /// Takes the complete requests.
    fn take_requests(&mut self, number: u64) -> io::Result<()> {
        while let Some(client) = self.clients.get_mut(&number) {
            let (sequence, what) = match client.next_request(self.settings.streams_max) {
                Ok(Some(Request::Text(asked))) => {
                    let fate = Fate::draw(&self.settings, &mut self.random);
                    let what = in_text(asked, fate, self.settings.chunked, &self.body);
                    (asked.sequence, what)
                }
                Ok(Some(Request::OnStream(stream, asked))) => {
                    let fate = Fate::draw(&self.settings, &mut self.random);
                    let what = on_stream(stream, asked, fate, &self.settings);
                    (asked.sequence, what)
                }
                Ok(Some(Request::Call(stream, asked, call))) => {
                    let fate = Fate::draw(&self.settings, &mut self.random);
                    (asked.sequence, to_call(stream, &call, fate))
                }
                Ok(Some(Request::Message(message))) => {
                    let fate = Fate::draw(&self.settings, &mut self.random);
                    (last_number(&message.1), in_message(message, fate))
                }
                Ok(None) => {
                    if client.gathers() {
                        self.unsent.insert(number);
                    }
                    return Ok(());
                }
                Err(_) => return self.forget(number),
            };
            self.take_request(number, sequence, None, what)?;
        }
        Ok(())
    }

    fn take_request(
        &mut self,
        client: u64,
        sequence: Option<u64>,
        datagram_from: Option<SocketAddr>,
        what: What,
    ) -> io::Result<()> {
        let now_ns = monotonic_ns();
        let sequence = sequence.unwrap_or(self.summary.requests);
        self.summary.requests += 1;
        let entry = LogEntry {
            sequence,
            connection: client,
            received_ns: now_ns,
            sent_ns: 0,
        };
        if is_below(&mut self.random, self.settings.silent_rate) {
            return self.log.write(&entry);
        }
        let full = self.settings.in_service_max;
        if full.is_some_and(|full| self.schedule.len() >= full) && datagram_from.is_none() {
            let answer = Answer {
                client,
                datagram_from,
                entry,
                what: unavailable(&what),
            };
            return self.answer(answer);
        }
        let answer = Answer {
            client,
            datagram_from,
            entry,
            what,
        };
        self.schedule.add(answer, now_ns, &mut self.random);
        match self.schedule.next_ns() <= now_ns {
            true => self.answer_due(),
            false => Ok(()),
        }
    }

    fn answer_due(&mut self) -> io::Result<()> {
        while let Some(answer) = self.schedule.next(monotonic_ns(), &mut self.random) {
            self.answer(answer)?;
        }
        Ok(())
    }

    fn answer(&mut self, answer: Answer) -> io::Result<()> {
        let entry = answer.entry;
        // The message that follows has a time of its own.
        let follows = match &answer.what {
            What::Call(stream, reply) => reply.next().map(|next| (*stream, next)),
            _ => None,
        };
        if let (What::Bytes(bytes, _), Some(from)) = (&answer.what, answer.datagram_from) {
            let sent = self.ears.send_to(bytes, from);
            let sent_ns = if sent { monotonic_ns() } else { 0 };
            return self.log_ended([LogEntry { sent_ns, ..entry }]);
        }
        if let (What::OnStream(reply), Some(door)) = (&answer.what, &mut self.door)
            && door.has(answer.client)
        {
            return match door.answer(answer.client, reply, entry) {
                true => Ok(()),
                false => self.log.write(&entry),
            };
        }
        let client = self.clients.get_mut(&answer.client);
        let waits = client.map(|client| (client.answer(answer.what, entry), client.gathers()));
        if let (Some((true, _)), Some((stream, (pause_ns, next)))) = (waits, follows) {
            let next = Answer {
                what: What::Call(stream, next),
                ..answer
            };
            self.schedule.add_at(next, monotonic_ns() + pause_ns);
        }
        match waits {
            Some((true, false)) => self.send(answer.client),
            Some((true, true)) => {
                self.unsent.insert(answer.client);
                Ok(())
            }
            // The client didn't wait.
            Some((false, _)) | None => self.log.write(&entry),
        }
    }

    /// Sends as much to a client as there is room for.
    fn send(&mut self, number: u64) -> io::Result<()> {
        let piece_max = if self.settings.drip { 1 } else { usize::MAX };
        let Some(client) = self.clients.get_mut(&number) else {
            return Ok(());
        };
        let was_full = !client.takes_more();
        let mut ended = Vec::new();
        let sent = client.send(&self.body, piece_max, &mut ended);
        if was_full && client.takes_more() {
            self.unread.push(number);
        }
        self.log_ended(ended)?;
        match sent {
            Ok(()) => Ok(()),
            Err(_) => self.forget(number),
        }
    }

    fn log_ended(&mut self, ended: impl IntoIterator<Item = LogEntry>) -> io::Result<()> {
        for entry in ended {
            self.summary.answers += u64::from(entry.sent_ns > 0);
            self.log.write(&entry)?;
        }
        Ok(())
    }

    fn forget(&mut self, number: u64) -> io::Result<()> {
        let Some(client) = self.clients.remove(&number) else {
            return Ok(());
        };
        for entry in client.unanswered() {
            self.log.write(&entry)?;
        }
        Ok(())
    }
}
