//! When the next hit of an event loop starts: a type for each kind of workload.
//!
//! - [`open`]: at instants, independent of the answers
//! - [`closed`]: when a worker is free
//! - [`steered`]: either of these, as a pilot sets it

mod closed;
mod open;
mod steered;

use encarno_nib::Nib;

use super::crew::Crew;
use crate::workers::Control;
pub(crate) use closed::Closed;
pub(crate) use open::Open;
pub(crate) use steered::Steered;

/// The most hits that start before sockets are checked again.
const STARTS_MAX: usize = 64;
/// The time after which the reader is asked again for a record.
const HUNGER_NS: u64 = 200_000;

/// Starts the hits of one event loop.
pub(crate) trait Pace {
    /// Starts what is due; true if there may be more at once. It isn't called after the
    /// end.
    fn start_due<N: Nib>(
        &mut self,
        crew: &mut Crew<N>,
        control: &Control,
        grace_ns: u64,
        now_ns: &mut u64,
    ) -> bool;

    /// The next instant at which something starts or ends.
    fn next_instant<N: Nib>(&self, crew: &Crew<N>, now_ns: u64) -> u64;

    /// Whether no more hits will start.
    fn has_ended(&self) -> bool;

    /// Whether it has ended by time or stop, and not because the input ended.
    fn is_over(&self) -> bool;

    /// Ends the schedule now; hits that were due and haven't started are dropped.
    fn stop(&mut self, now_ns: u64);

    /// Whether it is stopping already.
    fn is_stopping(&self) -> bool;

    /// Stops counting, except for hits that were counted already.
    fn abort<N: Nib>(&mut self, crew: &Crew<N>);

    /// Whether a worker was free and there was no record for it yet.
    fn is_hungry(&self) -> bool;

    /// The number of workers of a closed workload, or of busy workers of an open
    /// workload.
    fn users(&self, busy: u64) -> u64;

    /// Whether the last stretch before a start is spent spinning.
    fn spins(&self) -> bool;
}

/// Why no more hits start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    No,
    /// The input has ended.
    Input,
    /// The schedule has ended, or the run was stopped.
    Time,
}
