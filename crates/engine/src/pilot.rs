//! The observer of a run, which may steer it.
//!
//! A run with [`Workload::Steered`](crate::settings::Workload::Steered) has the loads
//! that its pilot sets, one after the other: a number of workers, or a rate in hits per
//! second. The pilot decides from the work of the loops so far (see [`Gauge`]), and may
//! write marks beside the hits.

mod gauge;

use std::time::Duration;

pub use gauge::{Gauge, Reading};

use crate::meter::Window;
use crate::output::WriterThread;
use crate::schedule::Piece;
use crate::workers::Control;
use crate::workers::control::{GrowError, Load};

/// How often a pilot is called.
pub const LOOK: Duration = Duration::from_millis(20);

/// Follows a run.
pub trait Pilot {
    /// Takes the window of a second that is over.
    fn window(&mut self, window: &Window);

    /// Checks the work of the loops, several times a second.
    fn look(&mut self, _helm: &mut Helm<'_>) {}
}

/// A closure that takes windows is a pilot that steers nothing.
impl<F: FnMut(&Window)> Pilot for F {
    fn window(&mut self, window: &Window) {
        self(window);
    }
}

/// What a pilot can read and do.
#[derive(Debug)]
pub struct Helm<'a> {
    pub(crate) control: &'a Control,
    pub(crate) gauge: &'a mut Gauge,
    pub(crate) writer: &'a WriterThread,
}

impl Helm<'_> {
    /// The work of the loops.
    pub fn gauge(&self) -> &Gauge {
        self.gauge
    }

    /// The earliest instant from which a new load can apply, ns from the run's start.
    pub fn earliest_ns(&self) -> u64 {
        self.control.earliest_ns()
    }

    /// Sets the load from an instant on.
    pub fn steer(&self, from_ns: u64, load: Load) -> Result<(), GrowError> {
        self.control.steer(from_ns, load)
    }

    /// Replaces what the run's own schedule has from this instant on by these pieces, or adds
    /// them after its end.
    pub fn grow(&self, from_ns: u64, pieces: &[Piece]) -> Result<(), GrowError> {
        self.control.grow(from_ns, pieces)
    }

    /// Ends the run: no more hits start.
    pub fn end(&self) {
        self.control.drain();
    }

    /// Whether the run was told to stop, by anyone.
    pub fn is_stopping(&self) -> bool {
        self.control.stop() != crate::workers::control::Stop::No
    }

    /// Writes a mark about an instant into the result file. The text is a JSON object,
    /// whose keys name its subject.
    pub fn mark(&self, at_ns: u64, text: String) {
        self.writer.mark(at_ns, text);
    }

    /// Drops the data before an instant, which won't be read again.
    pub fn forget_before(&mut self, instant_ns: u64) {
        self.gauge.forget_before(instant_ns);
    }
}
