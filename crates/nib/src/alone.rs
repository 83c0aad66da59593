//! Single hits without an event loop, for what a protocol must ask before a run.

use std::sync::Arc;
use std::time::Duration;

use encarno_record::{Expected, Hit, Payload, StringId, Strings, code};
use rustix::io::Errno;

use crate::clock::Clock;
use crate::poll::{Poller, WAKER_TOKEN, Waker, readiness};
use crate::{Hits, Io, Keep, LINK_BIT, Nib, Seat, Shot, Step};

/// Replaces an event loop. Hits are made one after the other.
#[derive(Debug)]
pub struct Alone {
    strings: Strings,
    waker: Arc<Waker>,
    poller: Poller,
    clock: Clock,
    expected: Expected,
    scratch: Vec<u8>,
}

impl Alone {
    /// Makes the replacement of an event loop.
    pub fn new() -> Result<Self, Errno> {
        let (poller, waker) = (Poller::new()?, Arc::new(Waker::new()?));
        poller.register_waker(&waker)?;
        Ok(Self {
            strings: Strings::default(),
            waker,
            poller,
            clock: Clock::start(),
            expected: Expected::default(),
            scratch: vec![0; 64 << 10],
        })
    }

    /// The parts that a nib is made from.
    pub fn seat(&self) -> Seat<'_> {
        Seat {
            number: 0,
            strings: &self.strings,
            waker: &self.waker,
            clock: self.clock,
            expected: &self.expected,
        }
    }

    /// The text with an id in a hit.
    pub fn text(&self, id: StringId) -> Arc<str> {
        self.strings.get(id).unwrap_or_else(|| Arc::from(""))
    }

    /// Makes a hit to the default address, which ends within the given time.
    pub fn hit<N: Nib>(
        &mut self,
        nib: &mut N,
        connection: &mut N::Connection,
        payload: Payload,
        keep: Keep,
        timeout: Duration,
    ) -> Result<Hit, Errno> {
        let started_ns = self.clock.now_ns().max(1);
        let timeout_ns = timeout.as_nanos().min(u128::from(u64::MAX / 2)) as u64;
        let due_ns = started_ns + timeout_ns;
        let mut io = Io {
            poller: &self.poller,
            worker: 0,
            clock: &self.clock,
            scratch: &mut self.scratch,
        };
        let mut one = One {
            connection,
            shot: Shot {
                hit: Hit {
                    scheduled_ns: started_ns,
                    started_ns,
                    ..Hit::default()
                },
                payload,
                address: StringId(0),
                keep,
            },
            has_ended: false,
        };
        let mut wake_ns = one.step(|connection, shot| nib.start(connection, shot, &mut io));
        let (mut events, mut woken) = (Vec::with_capacity(16), Vec::new());
        while !one.has_ended {
            nib.flush(&mut one, &mut io);
            let now_ns = io.clock.now_ns();
            if one.has_ended {
                break;
            }
            if now_ns >= due_ns {
                nib.abandon(one.connection);
                one.shot.hit.net_code = code::TIMEOUT;
                one.shot.hit.ended_ns = now_ns;
                one.has_ended = true;
                nib.flush(&mut one, &mut io);
                break;
            }
            let next_ns = due_ns.min(nib.next_instant()).min(wake_ns);
            self.poller
                .wait(&mut events, next_ns.saturating_sub(now_ns))?;
            let mut wakes = io.clock.now_ns() >= wake_ns;
            for event in &events {
                let (token, ready) = readiness(event);
                let low = token as u32;
                if token == WAKER_TOKEN {
                    nib.woken(&mut woken);
                    wakes |= !woken.is_empty();
                    woken.clear();
                } else if low & LINK_BIT != 0 {
                    nib.ready_shared(low & !LINK_BIT, ready, &mut one, &mut io);
                } else if !one.has_ended {
                    wake_ns = one
                        .step(|connection, shot| nib.ready(connection, Some(shot), ready, &mut io));
                }
            }
            if wakes && !one.has_ended {
                wake_ns = one.step(|connection, shot| nib.wake(connection, shot, &mut io));
            }
            let now_ns = io.clock.now_ns();
            if nib.next_instant() <= now_ns {
                nib.due(now_ns, &mut one, &mut io);
            }
        }
        Ok(one.shot.hit)
    }
}

/// The hit, with its worker's place.
struct One<'a, C> {
    connection: &'a mut C,
    shot: Shot,
    has_ended: bool,
}

impl<C> One<'_, C> {
    /// Moves the hit on, and returns the instant at which it must be woken.
    fn step(&mut self, step: impl FnOnce(&mut C, &mut Shot) -> Step) -> u64 {
        match step(self.connection, &mut self.shot) {
            Step::Running => u64::MAX,
            Step::WakeAt(at_ns) => at_ns,
            Step::Done => {
                self.has_ended = true;
                u64::MAX
            }
        }
    }
}

impl<C> Hits<C> for One<'_, C> {
    fn get(&mut self, worker: u32) -> Option<(&mut C, &mut Shot)> {
        (worker == 0 && !self.has_ended).then_some((&mut *self.connection, &mut self.shot))
    }

    fn end(&mut self, _: u32) {
        self.has_ended = true;
    }
}
