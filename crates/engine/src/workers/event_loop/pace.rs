//! When the next hit of an event loop starts: a type for each kind of workload.
//!
//! - [`open`]: at instants, whatever the answers do
//! - [`closed`]: when a worker is free
//! - [`steered`]: one or the other, as a pilot says

mod closed;
mod open;
mod steered;

use encarno_nib::Nib;

use super::crew::Crew;
use crate::workers::Control;
pub(crate) use closed::Closed;
pub(crate) use open::Open;
pub(crate) use steered::Steered;

/// Hits started in one go before sockets are looked at again.
const STARTS_MAX: usize = 64;
/// Without a record: the reader is asked again after that.
const HUNGER_NS: u64 = 200_000;

/// What starts the hits of one event loop.
pub(crate) trait Pace {
    /// Starts what is due; true if there may be more at once. Not called when it has ended.
    fn start_due<N: Nib>(
        &mut self,
        crew: &mut Crew<N>,
        control: &Control,
        grace_ns: u64,
        now_ns: &mut u64,
    ) -> bool;

    /// The next instant at which something starts or ends.
    fn next_instant<N: Nib>(&self, crew: &Crew<N>, now_ns: u64) -> u64;

    /// No hit will start any more.
    fn has_ended(&self) -> bool;

    /// It has ended, and not because there was nothing more to send.
    fn is_over(&self) -> bool;

    /// The schedule ends now; what was due and has not started is dropped.
    fn stop(&mut self, now_ns: u64);

    /// It is stopping already.
    fn is_stopping(&self) -> bool;

    /// Nothing is counted any more but what was counted already.
    fn abort<N: Nib>(&mut self, crew: &Crew<N>);

    /// A worker was free, and there was no record for it yet.
    fn is_hungry(&self) -> bool;

    /// Workers of a closed workload; busy ones of an open workload.
    fn users(&self, busy: u64) -> u64;

    /// Whether the last stretch before a start is waited for by turning.
    fn spins(&self) -> bool;
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
