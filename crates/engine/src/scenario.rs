//! What is sent may be decided while the run goes on: which record comes next, or what a
//! virtual user does after an answer. The engine doesn't know who decides.

use std::fmt::Debug;

use bytes::Bytes;
use encarno_nib::{Keep, Response};
use encarno_record::Hit;

/// Decides which record comes next, on the thread that reads the input.
pub trait Choice: Debug + Send + Sync {
    /// A chooser among records with these labels. The same labels give the same choices.
    fn begin(&self, labels: &[String]) -> Result<Box<dyn Chooser>, String>;
}

/// A chooser that has begun.
pub trait Chooser: Debug + Send {
    /// The numbers of the records that come next, at most `count`; none at the end. The error
    /// says how the chooser broke down.
    fn next(&mut self, count: u32) -> Result<Vec<u32>, String>;
}

/// Virtual users, one for each worker.
pub trait Behaviour: Debug + Send + Sync {
    /// The parts of answers that users look at.
    fn keep(&self) -> Keep;
    /// The users of an event loop.
    fn users(&self, event_loop: usize) -> Result<Box<dyn Users>, String>;
}

/// The users of one event loop.
pub trait Users: Debug + Send {
    /// What the user at this place does first, or after an answer. `worker` counts the workers
    /// of this loop, and `place` all workers. The error says how the users broke down.
    fn act(
        &mut self,
        worker: u32,
        place: u32,
        answer: Option<&Answer<'_>>,
    ) -> Result<Action, String>;
}

/// A hit that has ended, as its user sees it.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// The hit.
    pub hit: &'a Hit,
    /// Whether it has failed.
    pub failed: bool,
    /// Why there was no answer; empty if there was one.
    pub error: &'a str,
    /// The answer, as far as it was kept.
    pub response: Response<'a>,
}

/// What a user does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// It sends this.
    Send {
        /// The user thinks so long before that.
        rest_ns: u64,
        /// The label of the hit.
        label: String,
        /// The bytes, as a record has them.
        payload: Bytes,
    },
    /// Nobody comes any more in this place.
    End,
}
