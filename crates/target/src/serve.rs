//! The target's event loop.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use encarno_nib::delay::{exponential, uniform};
use encarno_nib::poll::{Poller, WAKER_TOKEN, readiness};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::SeedableRng;
use rustix::net::sockopt;
use rustix::time::{ClockId, clock_gettime};
use rustls::ServerConfig;

use super::connection::{Asked, Requests, number_at_end};
use super::http2::{Exchanges, Reply, Sent};
use super::log::{Log, LogEntry};
use super::station::{Servers, Sharing};
use super::wire::Wire;
use super::{TargetError, TargetSettings, TargetSummary};

const EARS_TOKEN: u64 = u64::MAX - 1;
/// Reads of one client in a turn: what one sends without end must not keep the
/// others waiting.
const READS_MAX: usize = 16;
/// Connections, or datagrams, that are taken in a turn.
const HEARD_MAX: usize = 1024;
const TURN_NS_MAX: u64 = 100_000_000;
/// The last stretch is waited for by turning, since timers are late.
const EARLY_NS: u64 = 60_000;

/// What it listens with.
#[derive(Debug)]
pub(super) enum Ears {
    Streams(TcpListener),
    Datagrams(UdpSocket),
}

impl Ears {
    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Streams(listener) => listener.local_addr(),
            Self::Datagrams(socket) => socket.local_addr(),
        }
    }
}

pub(super) struct Server {
    settings: TargetSettings,
    ears: Ears,
    tls: Option<Arc<ServerConfig>>,
    poller: Poller,
    stop: Arc<AtomicBool>,
    log: Log,
    random: Xoshiro256PlusPlus,
    clients: HashMap<u64, Client>,
    /// Answers by the instant at which they are due.
    due: BinaryHeap<Reverse<(u64, u64)>>,
    answers: HashMap<u64, Answer>,
    answers_made: u64,
    sharing: Option<Sharing>,
    servers: Option<Servers>,
    stall_ns: Option<(u64, u64)>,
    summary: TargetSummary,
    /// Whoever may have more to be read.
    unread: Vec<u64>,
    /// Those who speak HTTP/2, and for whom there is something to send.
    unsent: Vec<u64>,
    body: Vec<u8>,
}

struct Client {
    wire: Wire,
    requests: Requests,
    http2: Option<Box<Exchanges>>,
    /// It is among those for whom there is something to send.
    is_noted: bool,
    /// What the socket had no room for, and the entry that is logged at its end.
    unsent: Vec<u8>,
    sending: Option<(LogEntry, Ending)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Keep,
    Close,
    Reset,
}

struct Answer {
    client: u64,
    datagram_from: Option<SocketAddr>,
    entry: LogEntry,
    ending: Ending,
    what: What,
}

/// What an answer says.
enum What {
    Bytes(Vec<u8>),
    OnStream(Reply),
}

/// What befalls an answer.
struct Fate {
    status: u16,
    reset: bool,
    close: bool,
    rude: bool,
}

impl Server {
    pub(super) fn new(
        settings: TargetSettings,
        ears: Ears,
        tls: Option<Arc<ServerConfig>>,
        poller: Poller,
        stop: Arc<AtomicBool>,
        log: Log,
    ) -> Result<Self, TargetError> {
        let registered = match &ears {
            Ears::Streams(listener) => listener
                .set_nonblocking(true)
                .and_then(|()| Ok(poller.register(listener, EARS_TOKEN)?)),
            Ears::Datagrams(socket) => socket
                .set_nonblocking(true)
                .and_then(|()| Ok(poller.register(socket, EARS_TOKEN)?)),
        };
        registered.map_err(TargetError::new("poll the target's socket"))?;
        let random = Xoshiro256PlusPlus::seed_from_u64(settings.seed);
        let body = vec![b'x'; settings.body_bytes];
        let sharing = settings.usl.map(Sharing::new);
        let servers = settings.servers.map(Servers::new);
        Ok(Self {
            settings,
            ears,
            tls,
            poller,
            stop,
            log,
            random,
            clients: HashMap::new(),
            due: BinaryHeap::new(),
            answers: HashMap::new(),
            answers_made: 0,
            sharing,
            servers,
            stall_ns: None,
            summary: TargetSummary::default(),
            unread: Vec::new(),
            unsent: Vec::new(),
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
        // Without it answers are up to 50 µs later than asked.
        let _slack = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
        let mut events = Vec::with_capacity(256);
        while !self.stop.load(Ordering::Relaxed) {
            let now_ns = monotonic_ns();
            let due_ns = self
                .due
                .peek()
                .map_or(u64::MAX, |Reverse((due_ns, _))| *due_ns);
            let ends_ns = self.sharing.as_ref().and_then(Sharing::next_ns);
            let due_ns = due_ns.min(ends_ns.unwrap_or(u64::MAX));
            let turns = self.settings.spin || !self.unread.is_empty();
            let sleep_ns = due_ns
                .saturating_sub(now_ns)
                .saturating_sub(EARLY_NS)
                .min(if turns { 0 } else { TURN_NS_MAX });
            self.poller.wait(&mut events, sleep_ns)?;
            for event in events.drain(..) {
                match readiness(&event) {
                    (WAKER_TOKEN, _) => {}
                    (EARS_TOKEN, _) => self.listen()?,
                    (client, ready) => {
                        if ready.writable {
                            self.send_on(client)?;
                        }
                        if ready.readable {
                            self.read(client)?;
                        }
                    }
                }
            }
            for token in std::mem::take(&mut self.unread) {
                match token {
                    EARS_TOKEN => self.listen()?,
                    client => self.read(client)?,
                }
            }
            self.answer_due()?;
            for client in std::mem::take(&mut self.unsent) {
                self.send_on(client)?;
            }
        }
        let clients: Vec<_> = self.clients.keys().copied().collect();
        for client in clients {
            self.forget(client)?;
        }
        // What was never answered is logged as such.
        let unanswered: Vec<_> = self
            .answers
            .drain()
            .map(|(_, answer)| answer.entry)
            .collect();
        for entry in unanswered {
            self.log.write(&entry)?;
        }
        self.log.flush()
    }

    fn listen(&mut self) -> io::Result<()> {
        let mut buffer = [0; 65_536];
        for _ in 0..HEARD_MAX {
            let heard = match &self.ears {
                Ears::Streams(listener) => listener.accept().map(|(stream, _)| Some(stream)),
                Ears::Datagrams(socket) => match socket.recv_from(&mut buffer) {
                    Ok((count, from)) => {
                        let client = self.summary.requests;
                        let sequence = number_at_end(&buffer[..count]);
                        let bytes = buffer[..count].to_vec();
                        let what = What::Bytes(bytes);
                        self.take_request(client, sequence, Some(from), what, Ending::Keep)?;
                        Ok(None)
                    }
                    Err(error) => Err(error),
                },
            };
            match heard {
                Ok(None) => {}
                Ok(Some(stream)) => {
                    stream.set_nonblocking(true)?;
                    stream.set_nodelay(true)?;
                    let number = self.summary.connections;
                    self.summary.connections += 1;
                    self.poller.register(&stream, number)?;
                    let client = Client {
                        wire: Wire::new(stream, self.tls.as_ref())?,
                        requests: Requests::default(),
                        http2: None,
                        is_noted: false,
                        unsent: Vec::new(),
                        sending: None,
                    };
                    self.clients.insert(number, client);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                // A client that is gone before it was taken, or an earlier datagram's error.
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::ConnectionAborted
                            | ErrorKind::ConnectionRefused
                            | ErrorKind::Interrupted
                    ) => {}
                Err(error) => return Err(error),
            }
        }
        self.unread.push(EARS_TOKEN);
        Ok(())
    }

    fn read(&mut self, number: u64) -> io::Result<()> {
        let mut buffer = [0; 65_536];
        for _ in 0..READS_MAX {
            let Some(client) = self.clients.get_mut(&number) else {
                return Ok(());
            };
            if client
                .http2
                .as_ref()
                .is_some_and(|http2| !http2.takes_more())
            {
                return self.send_on(number);
            }
            let read = client.wire.read(&mut buffer);
            match (read, &mut client.http2) {
                (Ok(0), _) => return self.forget(number),
                (Ok(count), Some(http2)) => http2.receive(&buffer[..count]),
                (Ok(count), None) => client.requests.feed(&buffer[..count]),
                (Err(error), _) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                (Err(error), _) if error.kind() == ErrorKind::Interrupted => continue,
                (Err(_), _) => return self.forget(number),
            }
            match self.take_requests(number)? {
                true => {}
                false => return self.forget(number),
            }
        }
        self.unread.push(number);
        Ok(())
    }

    /// Takes the requests that are whole; false if the client is of no use any more.
    fn take_requests(&mut self, number: u64) -> io::Result<bool> {
        loop {
            let Some(client) = self.clients.get_mut(&number) else {
                return Ok(true);
            };
            if client.http2.is_none() && client.requests.is_http2() == Some(true) {
                let mut http2 = Box::new(Exchanges::new(self.settings.streams_max));
                http2.receive(&std::mem::take(&mut client.requests).into_bytes());
                client.http2 = Some(http2);
            }
            if let Some(http2) = &mut client.http2 {
                for (stream, asked) in http2.take_requests() {
                    let (reply, ending) = self.compose_reply(stream, asked);
                    let what = What::OnStream(reply);
                    self.take_request(number, asked.sequence, None, what, ending)?;
                }
                self.note_unsent(number);
                return Ok(true);
            }
            if client.requests.is_http2().is_none() {
                return Ok(true);
            }
            match client.requests.next() {
                Ok(Some(asked)) => {
                    let (bytes, ending) = self.compose(asked);
                    let what = What::Bytes(bytes);
                    self.take_request(number, asked.sequence, None, what, ending)?;
                }
                Ok(None) => return Ok(true),
                Err(_) => return Ok(false),
            }
        }
    }

    fn fate(&mut self, close: bool) -> Fate {
        let settings = &self.settings;
        let (error_rate, reset_rate, close_rate, rude_rate) = (
            settings.error_rate,
            settings.reset_rate,
            settings.close_rate,
            settings.rude_close_rate,
        );
        Fate {
            status: match self.random_is_below(error_rate) {
                true => 500,
                false => 200,
            },
            reset: self.random_is_below(reset_rate),
            close: close || self.random_is_below(close_rate),
            rude: self.random_is_below(rude_rate),
        }
    }

    /// An answer over HTTP/2, and whether the connection ends with it.
    fn compose_reply(&mut self, stream: u32, asked: Asked) -> (Reply, Ending) {
        let fate = self.fate(false);
        let reply = Reply {
            stream,
            status: fate.status,
            length: self.body.len(),
            says_length: !self.settings.chunked,
            head_only: asked.head_only,
            cut: fate.reset,
            leave: fate.close,
            close: fate.rude,
        };
        (reply, Ending::Keep)
    }

    /// The bytes of an answer, and what follows them.
    fn compose(
        &mut self,
        Asked {
            head_only, close, ..
        }: Asked,
    ) -> (Vec<u8>, Ending) {
        let Fate {
            status,
            reset,
            close,
            rude,
        } = self.fate(close);
        let status = match status {
            200 => "200 OK",
            _ => "500 Internal Server Error",
        };
        let mut bytes = Vec::with_capacity(128 + self.body.len());
        let length = self.body.len();
        bytes.extend_from_slice(format!("HTTP/1.1 {status}\r\n").as_bytes());
        if close {
            bytes.extend_from_slice(b"Connection: close\r\n");
        }
        let body_start;
        if self.settings.chunked {
            bytes.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
            body_start = bytes.len();
            if !head_only {
                for chunk in self.body.chunks(1000) {
                    bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                    bytes.extend_from_slice(chunk);
                    bytes.extend_from_slice(b"\r\n");
                }
                bytes.extend_from_slice(b"0\r\n\r\n");
            }
        } else {
            bytes.extend_from_slice(format!("Content-Length: {length}\r\n\r\n").as_bytes());
            body_start = bytes.len();
            if !head_only {
                bytes.extend_from_slice(&self.body);
            }
        }
        if reset {
            bytes.truncate(body_start + (bytes.len() - body_start) / 2);
        }
        let ending = match (reset, close || rude) {
            (true, _) => Ending::Reset,
            (_, true) => Ending::Close,
            _ => Ending::Keep,
        };
        (bytes, ending)
    }

    fn take_request(
        &mut self,
        client: u64,
        sequence: Option<u64>,
        datagram_from: Option<SocketAddr>,
        what: What,
        ending: Ending,
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
        if self.random_is_below(self.settings.silent_rate) {
            return self.log.write(&entry);
        }
        let full = self.settings.in_service_max;
        if full.is_some_and(|full| self.answers.len() >= full) && datagram_from.is_none() {
            let answer = Answer {
                client,
                datagram_from,
                entry,
                ending: Ending::Keep,
                what: unavailable(&what),
            };
            return self.send(answer);
        }
        let delay_ns = self.settings.delay.sample_ns(&mut self.random);
        let mut due_ns = match &mut self.servers {
            Some(servers) => servers.arrive(now_ns, delay_ns),
            None => now_ns + delay_ns,
        };
        if let Some((after, length)) = self.settings.stall {
            let nanoseconds = |time: Duration| time.as_nanos() as u64;
            let start_ns = now_ns + nanoseconds(after);
            let (from_ns, to_ns) = *self
                .stall_ns
                .get_or_insert((start_ns, start_ns + nanoseconds(length)));
            if (from_ns..to_ns).contains(&due_ns) {
                due_ns = to_ns;
            }
        }
        let number = self.answers_made;
        self.answers_made += 1;
        self.answers.insert(
            number,
            Answer {
                client,
                datagram_from,
                entry,
                ending,
                what,
            },
        );
        if self.sharing.is_some() {
            // Those that ended before leave first: the speed was another one then.
            self.end_services(now_ns);
            let work = exponential(&mut self.random, 1.0);
            if let Some(sharing) = &mut self.sharing {
                sharing.arrive(number, work, now_ns);
            }
            return Ok(());
        }
        self.due.push(Reverse((due_ns, number)));
        if due_ns <= now_ns {
            self.answer_due()
        } else {
            Ok(())
        }
    }

    /// What has been served is answered, after the delay if there is one.
    fn end_services(&mut self, now_ns: u64) {
        let Some(sharing) = &mut self.sharing else {
            return;
        };
        while let Some(number) = sharing.next_ended(now_ns) {
            let delay_ns = self.settings.delay.sample_ns(&mut self.random);
            self.due.push(Reverse((now_ns + delay_ns, number)));
        }
    }

    fn answer_due(&mut self) -> io::Result<()> {
        self.end_services(monotonic_ns());
        while let Some(&Reverse((due_ns, number))) = self.due.peek() {
            if due_ns > monotonic_ns() {
                return Ok(());
            }
            self.due.pop();
            let Some(answer) = self.answers.remove(&number) else {
                continue;
            };
            self.send(answer)?;
        }
        Ok(())
    }

    fn send(&mut self, answer: Answer) -> io::Result<()> {
        let client = self.clients.get_mut(&answer.client);
        match (answer.what, answer.datagram_from, &self.ears, client) {
            (What::Bytes(bytes), Some(from), Ears::Datagrams(socket), _) => {
                let sent = socket.send_to(&bytes, from).is_ok();
                let sent_ns = if sent { monotonic_ns() } else { 0 };
                self.summary.answers += u64::from(sent);
                self.log.write(&LogEntry {
                    sent_ns,
                    ..answer.entry
                })
            }
            (What::Bytes(bytes), _, _, Some(client)) => {
                client.unsent = bytes;
                client.sending = Some((answer.entry, answer.ending));
                self.send_on(answer.client)
            }
            (What::OnStream(reply), _, _, Some(client)) => {
                let http2 = client.http2.as_mut();
                if http2.is_some_and(|http2| http2.answer(&reply, answer.entry)) {
                    self.note_unsent(answer.client);
                    return Ok(());
                }
                self.log.write(&answer.entry)
            }
            // The client didn't wait.
            _ => self.log.write(&answer.entry),
        }
    }

    fn note_unsent(&mut self, number: u64) {
        if let Some(client) = self.clients.get_mut(&number)
            && !std::mem::replace(&mut client.is_noted, true)
        {
            self.unsent.push(number);
        }
    }

    /// Sends of the answers over HTTP/2 what there is room for.
    fn send_frames(&mut self, number: u64) -> io::Result<()> {
        let piece_max = if self.settings.drip { 1 } else { usize::MAX };
        let Some(client) = self.clients.get_mut(&number) else {
            return Ok(());
        };
        let Some(http2) = &mut client.http2 else {
            return Ok(());
        };
        client.is_noted = false;
        let was_full = !http2.takes_more();
        let mut ended = Vec::new();
        let sent = http2.send(
            &mut client.wire,
            &self.body,
            piece_max,
            monotonic_ns,
            &mut ended,
        );
        if was_full && http2.takes_more() {
            self.unread.push(number);
        }
        for entry in ended {
            self.summary.answers += u64::from(entry.sent_ns > 0);
            self.log.write(&entry)?;
        }
        match sent {
            Ok(Sent::Open) => Ok(()),
            Ok(Sent::Closed) | Err(_) => self.forget(number),
        }
    }

    fn send_on(&mut self, number: u64) -> io::Result<()> {
        let Some(client) = self.clients.get_mut(&number) else {
            return Ok(());
        };
        if client.http2.is_some() {
            return self.send_frames(number);
        }
        let Some((mut entry, ending)) = client.sending else {
            // TLS may have something of its own to say.
            return match client.wire.flush() {
                Err(error) if error.kind() != ErrorKind::WouldBlock => self.forget(number),
                _ => Ok(()),
            };
        };
        let piece_max = if self.settings.drip { 1 } else { usize::MAX };
        let mut sent = 0;
        loop {
            let piece = &client.unsent[sent..];
            let result = match piece.is_empty() {
                true => client.wire.flush().map(|()| 0),
                false => client.wire.write(&piece[..piece.len().min(piece_max)]),
            };
            match result {
                Ok(0) => break,
                Ok(count) => sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    client.unsent.drain(..sent);
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return self.forget(number),
            }
        }
        client.unsent.clear();
        client.sending = None;
        if ending == Ending::Reset {
            // With no time to linger, closing resets.
            sockopt::set_socket_linger(client.wire.socket(), Some(Duration::ZERO))?;
        } else {
            entry.sent_ns = monotonic_ns();
            self.summary.answers += 1;
        }
        if ending != Ending::Keep {
            self.clients.remove(&number);
        }
        self.log.write(&entry)
    }

    fn forget(&mut self, number: u64) -> io::Result<()> {
        let Some(client) = self.clients.remove(&number) else {
            return Ok(());
        };
        if let Some((entry, _)) = client.sending {
            self.log.write(&entry)?;
        }
        for entry in client
            .http2
            .into_iter()
            .flat_map(|http2| http2.unanswered())
        {
            self.log.write(&entry)?;
        }
        Ok(())
    }

    fn random_is_below(&mut self, rate: f64) -> bool {
        rate > 0.0 && uniform(&mut self.random) < rate
    }
}

/// The answer of a server that is full, in place of that one.
fn unavailable(what: &What) -> What {
    match what {
        What::Bytes(_) => {
            let text = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
            What::Bytes(text.to_vec())
        }
        What::OnStream(reply) => What::OnStream(Reply {
            status: 503,
            length: 0,
            says_length: true,
            cut: false,
            leave: false,
            close: false,
            ..*reply
        }),
    }
}

fn monotonic_ns() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
