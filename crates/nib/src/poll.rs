//! epoll, edge-triggered: one registration for the life of a connection.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, eventfd};
use rustix::io::Errno;

use super::Readiness;

/// The token of the waker.
pub const WAKER_TOKEN: u64 = u64::MAX;

/// An epoll instance.
#[derive(Debug)]
pub struct Poller {
    epoll: OwnedFd,
}

/// Wakes a [`Poller`] from other threads.
#[derive(Debug)]
pub struct Waker {
    eventfd: OwnedFd,
}

impl Poller {
    /// A new one.
    pub fn new() -> Result<Self, Errno> {
        Ok(Self {
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
        })
    }

    /// Registers a socket for all events, once for its whole life.
    pub fn register(&self, socket: impl AsFd, token: u64) -> Result<(), Errno> {
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        epoll::add(&self.epoll, socket, EventData::new_u64(token), flags)
    }

    /// Registers a waker, with [`WAKER_TOKEN`].
    pub fn register_waker(&self, waker: &Waker) -> Result<(), Errno> {
        let flags = EventFlags::IN | EventFlags::ET;
        epoll::add(
            &self.epoll,
            &waker.eventfd,
            EventData::new_u64(WAKER_TOKEN),
            flags,
        )
    }

    /// Waits until an event comes, or for this time. Events go into the spare capacity of
    /// `events`.
    #[inline]
    pub fn wait(&self, events: &mut Vec<Event>, timeout_ns: u64) -> Result<(), Errno> {
        events.clear();
        let timeout = timespec(timeout_ns);
        match epoll::wait(&self.epoll, spare_capacity(events), Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            // Before Linux 5.11, the timeout has only ms: round it down, and then poll
            // with 0.
            Err(Errno::NOSYS) => {
                let timeout = timespec(timeout_ns / 1_000_000 * 1_000_000);
                epoll::wait(&self.epoll, spare_capacity(events), Some(&timeout)).map(|_| ())
            }
            Err(error) => Err(error),
        }
    }
}

/// It is readable when something is ready.
impl AsFd for Poller {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}

impl Waker {
    /// A new waker; register it with each poller that it must wake.
    pub fn new() -> Result<Self, Errno> {
        Ok(Self {
            eventfd: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
        })
    }

    /// Wakes the poller.
    pub fn wake(&self) {
        // This fails only when the counter is full, and then the poller wakes all the
        // same.
        let _full = rustix::io::write(&self.eventfd, &1_u64.to_ne_bytes());
    }
}

/// The token and readiness of an event.
#[inline]
pub fn readiness(event: &Event) -> (u64, Readiness) {
    let flags = event.flags;
    let closed = flags.intersects(EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR);
    let readiness = Readiness {
        number: (event.data.u64() >> 32) as u32,
        readable: flags.contains(EventFlags::IN) || closed,
        writable: flags.contains(EventFlags::OUT) || closed,
        closed,
    };
    (event.data.u64(), readiness)
}

fn timespec(timeout_ns: u64) -> Timespec {
    Timespec {
        tv_sec: (timeout_ns / 1_000_000_000) as i64,
        tv_nsec: (timeout_ns % 1_000_000_000) as _,
    }
}
