//! A steered workload has a closed and an open part, of which one is at rest at any time.

use encarno_nib::Nib;

use super::{Closed, Crew, Open, Pace};
use crate::settings::SteeredSettings;
use crate::workers::{Control, Share};

#[derive(Debug)]
pub(crate) struct Steered {
    closed: Closed,
    open: Open,
}

impl Steered {
    pub(crate) fn new(settings: &SteeredSettings, share: Share) -> Self {
        Self {
            closed: Closed::steered(share),
            open: Open::steered(settings, share),
        }
    }
}

impl Pace for Steered {
    fn start_due<N: Nib>(
        &mut self,
        crew: &mut Crew<N>,
        control: &Control,
        grace_ns: u64,
        now_ns: &mut u64,
    ) -> bool {
        let Self { closed, open } = self;
        let more = !closed.has_ended() && closed.start_due(crew, control, grace_ns, now_ns);
        let hits = !open.has_ended() && open.start_due(crew, control, grace_ns, now_ns);
        more | hits
    }

    fn next_instant<N: Nib>(&self, crew: &Crew<N>, now_ns: u64) -> u64 {
        let (closed, open) = (&self.closed, &self.open);
        closed
            .next_instant(crew, now_ns)
            .min(open.next_instant(crew, now_ns))
    }

    fn has_ended(&self) -> bool {
        self.closed.has_ended() && self.open.has_ended()
    }

    fn is_over(&self) -> bool {
        self.closed.is_over() || self.open.is_over()
    }

    fn stop(&mut self, now_ns: u64) {
        self.closed.stop(now_ns);
        self.open.stop(now_ns);
    }

    fn is_stopping(&self) -> bool {
        self.closed.is_stopping() || self.open.is_stopping()
    }

    fn abort<N: Nib>(&mut self, crew: &Crew<N>) {
        self.closed.abort(crew);
        self.open.abort(crew);
    }

    fn is_hungry(&self) -> bool {
        self.closed.is_hungry() || self.open.is_hungry()
    }

    fn users(&self, busy: u64) -> u64 {
        self.closed.users(busy).max(busy)
    }

    fn spins(&self) -> bool {
        self.open.spins()
    }
}
