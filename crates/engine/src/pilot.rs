//! Whoever follows a run, and may steer it.
//!
//! A run with [`Workload::Steered`](crate::settings::Workload::Steered) does what
//! its pilot says: so many workers, or so many hits per second, one load after the
//! other. The pilot decides by what the loops did up to now (see [`Gauge`]), and
//! may write down what it found beside the hits.

mod gauge;

use std::time::Duration;

pub use gauge::{Gauge, Reading};

use crate::meter::Window;
use crate::output::WriterThread;
use crate::schedule::Piece;
use crate::workers::Control;
use crate::workers::control::{GrowError, Load};

/// How often a pilot looks.
pub const LOOK: Duration = Duration::from_millis(20);

/// Follows a run.
pub trait Pilot {
    /// A second of the run is over.
    fn window(&mut self, window: &Window);

    /// Looks at what the loops did, some times a second.
    fn look(&mut self, _helm: &mut Helm<'_>) {}
}

/// A closure that wants windows follows a run, and steers nothing.
impl<F: FnMut(&Window)> Pilot for F {
    fn window(&mut self, window: &Window) {
        self(window);
    }
}

/// What a pilot can see and do.
#[derive(Debug)]
pub struct Helm<'a> {
    pub(crate) control: &'a Control,
    pub(crate) gauge: &'a mut Gauge,
    pub(crate) writer: &'a WriterThread,
}

impl Helm<'_> {
    /// What the loops did.
    pub fn gauge(&self) -> &Gauge {
        self.gauge
    }

    /// A load holds from that instant on at the earliest, ns from the run's start.
    pub fn earliest_ns(&self) -> u64 {
        self.control.earliest_ns()
    }

    /// From that instant on the run does that.
    pub fn steer(&self, from_ns: u64, load: Load) -> Result<(), GrowError> {
        self.control.steer(from_ns, load)
    }

    /// From that instant on, these pieces take the place of what the run's own schedule has
    /// there, or follow it.
    pub fn grow(&self, from_ns: u64, pieces: &[Piece]) -> Result<(), GrowError> {
        self.control.grow(from_ns, pieces)
    }

    /// Nothing starts any more, and the run ends.
    pub fn end(&self) {
        self.control.drain();
    }

    /// Whether the run was told to stop, by whomever.
    pub fn is_stopping(&self) -> bool {
        self.control.stop() != crate::workers::control::Stop::No
    }

    /// Writes that down in the result file, about that instant. The text is JSON,
    /// an object whose keys say what it is about.
    pub fn mark(&self, at_ns: u64, text: String) {
        self.writer.mark(at_ns, text);
    }

    /// What happened before is not asked for any more.
    pub fn forget_before(&mut self, instant_ns: u64) {
        self.gauge.forget_before(instant_ns);
    }
}
