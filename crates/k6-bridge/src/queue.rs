//! Completions on their way to the reader of an eventfd.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write as _;
use std::sync::Mutex;

use encarno_wrpc_caller::{Completion, Sink};

use crate::lock;

/// One reader fetches many completions at once from it. The number of calls in flight
/// bounds it: calls count until their completions are taken.
pub(crate) struct CompletionQueue {
    waiting: Mutex<VecDeque<Completion>>,
    /// An eventfd, written when the queue stops being empty.
    event: File,
}

impl CompletionQueue {
    pub(crate) fn new(event: File) -> Self {
        Self {
            waiting: Mutex::default(),
            event,
        }
    }

    /// Hands completions to `give`, the oldest first, at most `max` of them. Returns
    /// their number.
    pub(crate) fn fetch(&self, max: usize, mut give: impl FnMut(usize, Completion)) -> usize {
        let taken: Vec<Completion> = {
            let mut waiting = lock(&self.waiting);
            let count = waiting.len().min(max);
            waiting.drain(..count).collect()
        };
        // `give` copies completions, which may be large. IO threads must not wait for
        // that.
        let count = taken.len();
        for (index, completion) in taken.into_iter().enumerate() {
            give(index, completion);
        }
        count
    }

    /// Wakes the reader of the eventfd, even if there is nothing to fetch.
    pub(crate) fn wake(&self) {
        // This fails only if the counter is full, and then the reader is awake already.
        let _ = (&self.event).write(&1u64.to_ne_bytes());
    }
}

impl Sink for CompletionQueue {
    fn take(&self, completed: &mut Vec<Completion>) {
        let mut waiting = lock(&self.waiting);
        let was_empty = waiting.is_empty();
        waiting.extend(completed.drain(..));
        drop(waiting);
        if was_empty {
            self.wake();
        }
    }
}
