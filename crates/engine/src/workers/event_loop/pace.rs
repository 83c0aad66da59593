//! When the next hit of an event loop starts: open and closed workloads.

mod closed;
mod open;

use encarno_nib::Nib;

use super::crew::Crew;
use crate::settings::Workload;
use crate::workers::{Control, Share};
use closed::Closed;
use open::Open;

/// Hits started in one go before sockets are looked at again.
const STARTS_MAX: usize = 64;
/// Without a record: the reader is asked again after that.
const HUNGER_NS: u64 = 200_000;

/// What starts hits.
#[derive(Debug)]
pub enum Pace {
    /// Instants, whatever the answers do.
    Open(Box<Open>),
    /// A free worker.
    Closed(Closed),
    /// One or the other: of the two, one is at rest.
    Steered(Box<(Closed, Open)>),
}

impl Pace {
    /// The part of one event loop.
    pub fn new(workload: &Workload, share: Share) -> Self {
        match workload {
            Workload::Open(settings) => Self::Open(Box::new(Open::new(settings, share))),
            Workload::Closed(settings) => Self::Closed(Closed::new(settings, share)),
            Workload::Steered(settings) => {
                let parts = (Closed::steered(share), Open::steered(settings, share));
                Self::Steered(Box::new(parts))
            }
        }
    }

    /// Starts what is due; true if there may be more at once.
    #[inline]
    pub(super) fn start_due<N: Nib>(
        &mut self,
        crew: &mut Crew<N>,
        control: &Control,
        grace_ns: u64,
        now_ns: &mut u64,
    ) -> bool {
        match self {
            Self::Open(open) => open.start_due(crew, control, grace_ns, now_ns),
            Self::Closed(closed) => closed.start_due(crew, control, now_ns),
            Self::Steered(parts) => {
                let (closed, open) = &mut **parts;
                let more = closed.ended == Ended::No && closed.start_due(crew, control, now_ns);
                let hits =
                    open.ended == Ended::No && open.start_due(crew, control, grace_ns, now_ns);
                more | hits
            }
        }
    }

    /// The next instant at which something starts or ends.
    pub(super) fn next_instant<N: Nib>(&self, crew: &Crew<N>, now_ns: u64) -> u64 {
        match self {
            Self::Open(open) => open.next_instant(crew, now_ns),
            Self::Closed(closed) => closed.next_instant(now_ns),
            Self::Steered(parts) => {
                let (closed, open) = &**parts;
                closed
                    .next_instant(now_ns)
                    .min(open.next_instant(crew, now_ns))
            }
        }
    }

    /// No hit will start any more.
    #[inline]
    pub(super) fn has_ended(&self) -> bool {
        match self {
            Self::Open(open) => open.ended != Ended::No,
            Self::Closed(closed) => closed.ended != Ended::No,
            Self::Steered(parts) => parts.0.ended != Ended::No && parts.1.ended != Ended::No,
        }
    }

    /// It has ended, and not because there was nothing more to send.
    #[inline]
    pub(super) fn is_over(&self) -> bool {
        match self {
            Self::Open(open) => open.ended == Ended::Time,
            Self::Closed(closed) => closed.ended == Ended::Time,
            Self::Steered(parts) => parts.0.ended == Ended::Time || parts.1.ended == Ended::Time,
        }
    }

    /// The schedule ends now; what was due and has not started is dropped.
    pub(super) fn stop(&mut self, now_ns: u64) {
        match self {
            Self::Open(open) => open.stop(now_ns),
            Self::Closed(closed) => closed.ended = Ended::Time,
            Self::Steered(parts) => {
                parts.0.ended = Ended::Time;
                parts.1.stop(now_ns);
            }
        }
    }

    /// It is stopping already.
    pub(super) fn is_stopping(&self) -> bool {
        match self {
            Self::Open(open) => open.stopped || open.ended == Ended::Time,
            Self::Closed(closed) => closed.ended == Ended::Time,
            Self::Steered(parts) => parts.1.stopped || self.is_over(),
        }
    }

    /// Nothing is counted any more but what was counted already.
    pub(super) fn abort<N: Nib>(&mut self, crew: &Crew<N>) {
        match self {
            Self::Open(open) => open.end(crew, Ended::Time),
            Self::Closed(closed) => closed.ended = Ended::Time,
            Self::Steered(parts) => {
                parts.0.ended = Ended::Time;
                parts.1.end(crew, Ended::Time);
            }
        }
    }

    /// A worker was free, and there was no record for it yet.
    #[inline]
    pub(super) fn is_hungry(&self) -> bool {
        match self {
            Self::Open(open) => open.hungry && !self.has_ended(),
            Self::Closed(closed) => closed.hungry && !self.has_ended(),
            Self::Steered(parts) => (parts.0.hungry || parts.1.hungry) && !self.has_ended(),
        }
    }

    /// Workers of a closed workload; busy ones of an open workload.
    pub(super) fn users(&self, busy: u64) -> u64 {
        match self {
            Self::Open(_) => busy,
            Self::Closed(closed) => closed.users(),
            Self::Steered(parts) => parts.0.users().max(busy),
        }
    }

    /// Whether the last stretch before a start is waited for by turning.
    pub(super) fn spins(&self) -> bool {
        match self {
            Self::Open(open) => open.spin,
            Self::Closed(_) => false,
            Self::Steered(parts) => parts.1.spin,
        }
    }
}

/// Whether hits still start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    No,
    /// The input is at its end.
    Input,
    /// The schedule is, or the run was stopped.
    Time,
}
