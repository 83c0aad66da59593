//! The virtual users of one event loop, and what each of them sends next.

use std::sync::Arc;

use encarno_record::{Payload, Record, StringId, Strings};

use super::Next;
use crate::scenario::{Action, Answer, Behaviour, Users};
use crate::script::{Compiler, Plan, Planned};

/// The most labels that users may make; further ones share one.
const LABELS_END: StringId = StringId(1_000_000);
/// A longer label is cut.
const LABEL_CHARS_MAX: usize = 200;

/// The users, one for each worker.
#[derive(Debug)]
pub(crate) struct Crowd {
    users: Box<dyn Users>,
    /// What each of them does next, if it was decided.
    decided: Vec<Option<Planned>>,
    left: u64,
    plan: Arc<Plan>,
    scripts: Arc<Compiler>,
    strings: Strings,
    broken: Option<String>,
}

impl Crowd {
    /// The users of a loop with so many workers.
    pub(crate) fn new(
        behaviour: &dyn Behaviour,
        event_loop: usize,
        workers: usize,
        left: u64,
        strings: &Strings,
        scripts: &Arc<Compiler>,
    ) -> Result<Self, String> {
        let nobody = |_| None;
        Ok(Self {
            users: behaviour.users(event_loop)?,
            decided: (0..workers).map(nobody).collect(),
            left,
            plan: Arc::new(Plan::keeping(behaviour.keep())),
            scripts: Arc::clone(scripts),
            strings: strings.clone(),
            broken: None,
        })
    }

    /// Lets a user decide, and returns how long it rests before that.
    pub(crate) fn act(&mut self, worker: u32, place: u32, answer: Option<&Answer<'_>>) -> u64 {
        if self.broken.is_some() {
            return 0;
        }
        let acted = self.users.act(worker, place, answer);
        match acted.and_then(|action| self.planned(action)) {
            Ok((rest_ns, planned)) => {
                if let Some(decided) = self.decided.get_mut(worker as usize) {
                    *decided = planned;
                }
                rest_ns
            }
            Err(text) => {
                self.broken = Some(text);
                0
            }
        }
    }

    fn planned(&self, action: Action) -> Result<(u64, Option<Planned>), String> {
        let Action::Send {
            rest_ns,
            label,
            payload,
        } = action
        else {
            return Ok((0, None));
        };
        let label: String = label.chars().take(LABEL_CHARS_MAX).collect();
        let label = self.strings.intern_below(&label, LABELS_END);
        let label = label.unwrap_or_else(|| self.strings.intern("(more labels)"));
        let payload = self.scripts.sent(Payload::Memory(payload), None)?;
        let record = Record {
            label,
            ..Record::new(payload)
        };
        let plan = Some(Arc::clone(&self.plan));
        Ok((rest_ns, Some(Planned { record, plan })))
    }

    /// What the user of a worker sends next.
    pub(crate) fn next(&mut self, worker: u32) -> Next {
        let decided = self.decided.get_mut(worker as usize);
        match decided.and_then(Option::take) {
            Some(planned) if self.left > 0 && self.broken.is_none() => {
                self.left -= 1;
                Next::Record(planned)
            }
            _ => Next::End,
        }
    }

    /// The number of workers that may have something to send.
    pub(crate) fn places(&self) -> usize {
        match self.left {
            // Nobody waits for those who still rest.
            0 => 0,
            _ => self.decided.len(),
        }
    }

    /// How the users broke down, if they did.
    pub(crate) fn broken(&self) -> Option<&str> {
        self.broken.as_deref()
    }
}
