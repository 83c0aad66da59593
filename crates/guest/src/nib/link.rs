//! One connection: its socket, and the conversation over it.

use encarno_nib::Io;
use encarno_nib::stream::{Stream, StreamError};
use encarno_nibs::links::{self, Dialed, Phase};

use super::conversation::{Broken as Ill, Conversation, Ended, Rules};
use super::instance::Instance;

/// Reads of one turn: what a peer sends without end must not keep the event
/// loop from its other work.
const READS_MAX: usize = 16;
/// Writes of one turn.
const SENDS_MAX: usize = 32;
/// Answers that nobody waits for any more, beyond which the link is given up.
const OVERDUE_MIN: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Link {
    dialed: Dialed,
    pub(super) talk: Conversation,
    broken: Option<Broken>,
}

/// Why a link is of no use any more.
#[derive(Debug)]
pub(super) enum Broken {
    /// The operating system, the peer or TLS says so.
    Stream(StreamError),
    /// Guest and peer don't get on.
    Ill(Ill),
    /// A hit was given up, or too many answers didn't come.
    GivenUp,
}

impl From<StreamError> for Broken {
    fn from(error: StreamError) -> Self {
        Self::Stream(error)
    }
}

impl From<Ill> for Broken {
    fn from(ill: Ill) -> Self {
        Self::Ill(ill)
    }
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
        !self.is_broken()
    }

    fn is_idle(&self) -> bool {
        self.talk.is_idle()
    }

    fn let_down(&mut self) {
        self.broken.get_or_insert(Broken::GivenUp);
    }
}

impl Link {
    pub(super) fn is_broken(&self) -> bool {
        self.broken.is_some()
    }

    /// Why it is to be closed, if it is.
    pub(super) fn take_change(&mut self) -> Option<Broken> {
        self.dialed.take_change();
        self.broken.take()
    }

    /// Its socket is closed. Events of that are still known as such.
    pub(super) fn hang_up(&mut self) {
        self.dialed = self.dialed.closed();
        self.broken = None;
    }

    /// Nobody waits for that hit.
    pub(super) fn give_up(&mut self, hit: u32, streams: u32) {
        let is_silent = self.talk.give_up(hit);
        let overdue_max = OVERDUE_MIN.max(4 * streams as usize);
        let alone = streams == 1 || is_silent && self.dialed.phase != Phase::Open;
        if alone || self.talk.len() > overdue_max {
            self.broken.get_or_insert(Broken::GivenUp);
        }
    }

    /// Takes what came; true if there may be more to read.
    pub(super) fn read(
        &mut self,
        guest: &mut Instance,
        rules: &Rules,
        io: &mut Io<'_>,
        ended: &mut dyn FnMut(Ended<'_>, u64),
    ) -> Result<bool, Broken> {
        for _ in 0..READS_MAX {
            let (Some(stream), Phase::Open) = (&mut self.dialed.stream, self.dialed.phase) else {
                return Ok(false);
            };
            let received = match stream.receive(io.scratch) {
                Ok(Some(0)) => Err(StreamError::Closed),
                other => other,
            };
            let now_ns = io.clock.now_ns();
            let mut ended = |hit: Ended<'_>| ended(hit, now_ns);
            match received {
                Ok(None) => return Ok(false),
                Ok(Some(count)) => {
                    let bytes = &io.scratch[..count];
                    self.talk.feed(guest, rules, bytes, now_ns, &mut ended)?;
                }
                Err(error) => {
                    if matches!(error, StreamError::Closed) {
                        self.talk.peer_closed(guest, rules, now_ns, &mut ended)?;
                    }
                    return Err(error.into());
                }
            }
        }
        Ok(true)
    }

    /// Sends what there is room for, and names those whose hits have left; true if there is
    /// more to send and room for it.
    pub(super) fn write(&mut self, mut left: impl FnMut(u32, u64)) -> Result<bool, Broken> {
        let (Some(stream), Phase::Open) = (&mut self.dialed.stream, self.dialed.phase) else {
            return Ok(false);
        };
        for _ in 0..SENDS_MAX {
            if self.talk.outbox.is_empty() {
                // What TLS holds back leaves when there is room.
                let _all = stream.flushed()?;
                return Ok(false);
            }
            match stream.send(&self.talk.outbox)? {
                None => return Ok(false),
                Some(count) => self.talk.sent(count, &mut left),
            }
        }
        Ok(true)
    }
}
