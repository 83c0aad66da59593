//! One connection, with its waiting and running hits.

use std::collections::VecDeque;

use encarno_http2::{Connection, ErrorCode, Limits, Role};
use encarno_nib::stream::{Stream, StreamError};
use encarno_nib::{Hits, Io};
use encarno_record::{Payload, Strings, code};
use rustix::io::Errno;

use super::answers::code_of;
use super::bodies::{Bodies, Body};
use crate::links::{self, Dialed, Phase};
use crate::multiplexed::{
    Answers, Broken, Dialect, Failed, Lane, On, Place, Queue, Texts, keep_own, note_stream,
};

/// The most reads of one turn, so that a peer that sends without end doesn't hold up the
/// event loop.
const READS_MAX: usize = 16;
/// The most writes of one turn.
const SENDS_MAX: usize = 32;
/// The most bytes that are built before they are sent.
const OUTBOX_BYTES: usize = 256 << 10;

/// A connection, and its users.
#[derive(Debug, Default)]
pub struct Link {
    dialed: Dialed,
    http: Option<Box<Connection<u32>>>,
    /// The hits that wait for a stream.
    waiting: Queue,
    /// Bodies that aren't sent completely.
    bodies: Bodies,
    /// Requests that are completely in the outbox, but haven't left.
    leaving: VecDeque<Leaving>,
    sent_bytes: u64,
    /// The number of the outbox's bytes that were sent.
    sent: usize,
    /// The start and end of the handshake.
    opened: Option<(u64, u64)>,
    /// When a hit last found no free stream.
    full_ns: u64,
    answers: u64,
    heard_ns: u64,
    /// Whether it takes no more hits.
    retired: bool,
    broken: Option<Broken>,
}

#[derive(Debug)]
struct Leaving {
    ends_at: u64,
    stream: u32,
    worker: u32,
}

impl links::Link for Link {
    type Transport = Stream;

    fn dialed(&self) -> &Dialed {
        &self.dialed
    }

    fn dialed_mut(&mut self) -> &mut Dialed {
        &mut self.dialed
    }

    fn takes_hits(&self) -> bool {
        let goes_away = self.http.as_deref().is_some_and(Connection::goes_away);
        self.broken.is_none() && !self.retired && !goes_away
    }

    fn is_idle(&self) -> bool {
        let streams = self.http.as_deref().map_or(0, Connection::streams);
        self.waiting.is_empty() && streams == 0
    }

    fn let_down(&mut self) {
        self.set_broken(Broken::GivenUp);
    }
}

impl<D: Dialect> Lane<D> for Link {
    type Settings = Limits;

    const NAME: &'static str = "HTTP/2";

    fn begin(&mut self, limits: &Limits) {
        self.http = Some(Box::new(Connection::new(Role::Client, *limits)));
    }

    fn queue(&mut self) -> &mut Queue {
        &mut self.waiting
    }

    fn heard_ns(&self) -> u64 {
        self.heard_ns
    }

    fn is_reused(&self) -> bool {
        self.answers > 0
    }

    fn give_up(&mut self, stream: u32, opened_ns: u64) {
        if let Some(http) = &mut self.http {
            http.reset(stream, ErrorCode::CANCEL);
        }
        // A peer that was silent all the time may never answer again.
        if self.heard_ns < opened_ns {
            self.retired = true;
        }
    }

    fn take_change(&mut self) -> Option<Broken> {
        self.dialed.take_change();
        self.broken.take()
    }

    fn go_on(&mut self, closed: bool, now_ns: u64) -> Result<(), Broken> {
        let Some(since_ns) = self.dialed.go_on(closed, now_ns)? else {
            return Ok(());
        };
        let stream = self.dialed.stream.as_ref();
        if stream.is_some_and(|stream| stream.is_tls() && stream.alpn() != Some(b"h2")) {
            return Err(Broken::Alpn);
        }
        self.opened = Some((since_ns, now_ns));
        Ok(())
    }

    fn can_turn(&self) -> bool {
        self.dialed.phase == Phase::Open
    }

    fn read(
        &mut self,
        link: u32,
        dialect: &mut D,
        texts: &Texts,
        strings: &Strings,
        hits: &mut dyn Hits<Place<D::Answer>>,
        io: &mut Io<'_>,
    ) -> Result<bool, Broken> {
        for _ in 0..READS_MAX {
            let (Some(stream), Some(http)) = (&mut self.dialed.stream, &mut self.http) else {
                return Ok(false);
            };
            let count = match stream.receive(io.scratch)? {
                None => return Ok(false),
                Some(0) => return Err(StreamError::Closed.into()),
                Some(count) => count,
            };
            self.heard_ns = io.clock.now_ns();
            let mut answers = Answers {
                link,
                dialect,
                hits,
                clock: io.clock,
                now_ns: self.heard_ns,
                texts,
                strings,
                ended: 0,
                refused: Vec::new(),
            };
            let result = http.receive(&io.scratch[..count], &mut answers);
            self.answers += answers.ended;
            for stream in answers.refused {
                http.reset(stream, ErrorCode::CANCEL);
            }
            result.map_err(|error| {
                Broken::Failed(Failed {
                    code: code_of(error.code, code::PROTOCOL),
                    text: format!("HTTP/2: {error}"),
                    is_gone: false,
                })
            })?;
            if count < io.scratch.len() && !stream.is_tls() {
                // A short read emptied the socket, except for the peer's end.
                continue;
            }
        }
        Ok(true)
    }

    fn write(
        &mut self,
        link: u32,
        dialect: &mut D,
        texts: &Texts,
        _: &Strings,
        hits: &mut dyn Hits<Place<D::Answer>>,
        io: &Io<'_>,
    ) -> Result<bool, Broken> {
        if self.dialed.phase != Phase::Open {
            return Ok(false);
        }
        for _ in 0..SENDS_MAX {
            self.fill(link, dialect, texts, hits, io);
            let (Some(stream), Some(http)) = (&mut self.dialed.stream, &mut self.http) else {
                return Ok(false);
            };
            let rest = &http.outbox()[self.sent..];
            if rest.is_empty() {
                return self.note_left(link, hits, io).map(|()| false);
            }
            match stream.send(rest) {
                Ok(None) => return self.note_left(link, hits, io).map(|()| false),
                Ok(Some(count)) => {
                    self.sent += count;
                    self.sent_bytes += count as u64;
                    if self.sent == http.outbox().len() {
                        http.sent(self.sent);
                        self.sent = 0;
                    }
                }
                // The peer may have sent a reason before it closed, so read first.
                Err(StreamError::System(Errno::PIPE | Errno::CONNRESET)) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
        self.note_left(link, hits, io).map(|()| true)
    }

    fn say_last(&mut self) {
        if let (Some(stream), Some(http), Phase::Open) =
            (&mut self.dialed.stream, &mut self.http, self.dialed.phase)
        {
            // It doesn't matter whether they arrive.
            let _sent = stream.send(&http.outbox()[self.sent..]);
        }
    }

    fn close(&mut self, link: u32, hits: &mut dyn Hits<Place<D::Answer>>) -> Vec<u32> {
        let mut workers = match &mut self.http {
            Some(http) => http.take_streams(),
            None => Vec::new(),
        };
        keep_own(&mut workers, link, hits);
        workers.extend(self.waiting.take_all(link, hits));
        *self = Self {
            dialed: self.dialed.closed(),
            waiting: self.waiting.renewed(),
            ..Self::default()
        };
        workers
    }

    fn shown(dialect: &D, payload: &[u8]) -> Option<Vec<u8>> {
        dialect.shown(payload)
    }
}

impl Link {
    fn set_broken(&mut self, broken: Broken) {
        self.broken.get_or_insert(broken);
    }

    /// Records the instant at which requests have left completely.
    fn note_left<A>(
        &mut self,
        link: u32,
        hits: &mut dyn Hits<Place<A>>,
        io: &Io<'_>,
    ) -> Result<(), Broken> {
        let Some(stream) = &mut self.dialed.stream else {
            return Ok(());
        };
        if self.leaving.is_empty() || !stream.flushed()? {
            return Ok(());
        }
        let now_ns = io.clock.now_ns();
        while let Some(leaving) = self.leaving.front()
            && leaving.ends_at <= self.sent_bytes
        {
            let on = On::Stream(link, leaving.stream);
            if let Some((place, shot)) = hits.get(leaving.worker)
                && place.on == on
            {
                shot.hit.sent_ns = now_ns;
            }
            self.leaving.pop_front();
        }
        Ok(())
    }

    /// Puts requests into the outbox, as far as there is room for them.
    fn fill<D: Dialect>(
        &mut self,
        link: u32,
        dialect: &D,
        texts: &Texts,
        hits: &mut dyn Hits<Place<D::Answer>>,
        io: &Io<'_>,
    ) {
        self.send_bodies(link, hits);
        let https = self.dialed.is_tls();
        while self.takes_streams() {
            let Some(http) = &mut self.http else {
                return;
            };
            let Some(worker) = self.waiting.next(link, hits) else {
                break;
            };
            let Some((place, shot)) = hits.get(worker) else {
                continue;
            };
            let Payload::Memory(bytes) = &shot.payload else {
                continue;
            };
            let Some(prepared) = dialect.prepared(bytes) else {
                place.on = On::Nowhere;
                shot.fail(code::PAYLOAD, texts.payload, io);
                hits.end(worker);
                continue;
            };
            let now_ns = io.clock.now_ns();
            let before = http.outbox().len();
            let stream = http.open(&prepared, https, worker);
            let hit = &mut shot.hit;
            (place.on, place.opened_ns) = (On::Stream(link, stream), now_ns);
            note_stream(hit, self.opened, self.full_ns, https, now_ns);
            hit.sent_bytes += (http.outbox().len() - before) as u64;
            let payload = bytes.slice_ref(prepared.body);
            if payload.is_empty() {
                let ends_at = self.sent_bytes + (http.outbox().len() - self.sent) as u64;
                self.leaving.push_back(Leaving {
                    ends_at,
                    stream,
                    worker,
                });
            } else {
                self.bodies.push(Body {
                    stream,
                    worker,
                    payload,
                    taken: 0,
                });
                self.send_bodies(link, hits);
            }
        }
        if !self.waiting.is_empty() {
            self.full_ns = io.clock.now_ns();
        }
        self.waiting.tidy(link, hits);
    }

    /// Puts parts of bodies into the outbox, as far as windows and outbox have room.
    fn send_bodies<A>(&mut self, link: u32, hits: &mut dyn Hits<Place<A>>) {
        let Some(http) = &mut self.http else {
            return;
        };
        while http.outbox().len() < OUTBOX_BYTES
            && let Some(piece) = self.bodies.send_next(http)
        {
            if let Some((place, shot)) = hits.get(piece.worker)
                && place.on == On::Stream(link, piece.stream)
            {
                shot.hit.sent_bytes += piece.bytes as u64;
            }
            if piece.is_last {
                self.leaving.push_back(Leaving {
                    ends_at: self.sent_bytes + (http.outbox().len() - self.sent) as u64,
                    stream: piece.stream,
                    worker: piece.worker,
                });
            }
        }
    }

    fn takes_streams(&self) -> bool {
        !self.retired
            && self
                .http
                .as_deref()
                .is_some_and(|http| http.can_open() && http.outbox().len() < OUTBOX_BYTES)
    }
}
