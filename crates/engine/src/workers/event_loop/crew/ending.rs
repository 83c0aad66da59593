//! How hits end: with an answer, by a timeout, or because the run is over.

use std::fmt::Write as _;

use encarno_nib::Nib;
use encarno_record::{Payload, StringId, code};

use super::scripted::Afterwards;
use super::{Crew, Wake};

impl<N: Nib> Crew<N> {
    /// Ends a hit; false if it goes on because it follows a redirect.
    #[inline]
    pub(super) fn finish(&mut self, index: u32) -> bool {
        let mut afterwards = Afterwards::default();
        if self.workers[index as usize].plan.is_some() {
            match self.conclude(index) {
                Some(scripted) => afterwards = scripted,
                None => return false,
            }
        }
        let worker = &mut self.workers[index as usize];
        worker.running = false;
        let hit = &worker.shot.hit;
        let counters = &self.account.counters;
        counters.running.set(counters.running.get() - 1);
        if hit.failed(&self.account.expected) {
            counters.failed.add(1);
            match hit.net_code {
                0 if !self.account.expected.has(hit.protocol_code) => counters.refused.add(1),
                code::STALE => counters.stale.add(1),
                _ => {}
            }
        } else {
            counters.done.add(1);
        }
        counters.sent_bytes.add(hit.sent_bytes);
        counters.received_bytes.add(hit.received_bytes);
        let recorder = &mut self.account.recorder;
        if let Some(trace) = worker.trace.take() {
            recorder.exemplar(hit, *trace);
        }
        recorder.record(hit);
        if recorder.has_trace() && recorder.traces(hit) {
            let request: &[u8] = match &worker.shot.payload {
                Payload::Memory(bytes) => bytes,
                Payload::File { .. } => b"(sent from the file)",
            };
            let shown = self.nib.shown(request);
            let request = shown.as_deref().unwrap_or(request);
            recorder.trace(hit, request, self.nib.received(&worker.connection));
        }
        if !afterwards.had_own_timeout {
            self.timers.end(index);
        }
        if afterwards.rest_ns > 0 {
            self.rest(index, afterwards.rest_ns);
        } else {
            self.free.push(index);
        }
        true
    }

    /// Continues hits whose instant has come, and ends pauses.
    pub(in super::super) fn wake_due(&mut self, now_ns: u64) {
        while let Some((index, generation, wake)) = self.timers.pop_wake(now_ns) {
            if self.workers[index as usize].generation != generation {
                continue;
            }
            match wake {
                Wake::Nib => self.wake(index),
                Wake::Rested => self.rested(index),
            }
        }
        if N::SHARED && self.nib.next_instant() <= now_ns {
            self.with_hits(|nib, hits, io| nib.due(now_ns, hits, io));
        }
    }

    pub(in super::super) fn time_out(&mut self, now_ns: u64) {
        let workers = |crew: &Self| {
            crew.timers
                .timed_out(now_ns, |index| crew.started_ns(index))
        };
        while let Some(index) = workers(self) {
            self.give_up(index, code::TIMEOUT, self.timeout_text(index), now_ns);
        }
    }

    pub(in super::super) fn cancel_all(&mut self, now_ns: u64) {
        while let Some(index) = self.timers.any() {
            self.give_up(index, code::CANCELLED, self.account.cancelled, now_ns);
        }
    }

    /// The next instant at which a hit needs attention without an event.
    pub(in super::super) fn next_instant(&self) -> u64 {
        let instant_ns = self.timers.next_instant(|index| self.started_ns(index));
        if N::SHARED {
            instant_ns.min(self.nib.next_instant())
        } else {
            instant_ns
        }
    }

    /// The error text of a timeout: its phase, the address and the length. The text has
    /// no length if the hit has its own timeout, because there could be as many texts as
    /// records.
    fn timeout_text(&self, index: u32) -> StringId {
        let worker = &self.workers[index as usize];
        let hit = &worker.shot.hit;
        let reached = [hit.connected_ns, hit.sent_ns, hit.first_byte_ns];
        let phase = reached.iter().take_while(|&&instant_ns| instant_ns > 0);
        let (what, before_peer) = [
            ("while connecting", "to"),
            ("while sending", "to"),
            ("while waiting for the response", "of"),
            ("within the response", "of"),
        ][phase.count()];
        let has_own = worker
            .plan
            .as_ref()
            .is_some_and(|plan| plan.timeout_ns.is_some());
        let mut text = match has_own {
            true => format!("timeout {what}"),
            false => format!("timeout after {:?} {what}", self.timers.timeout()),
        };
        if let Some(peer) = self.nib.peer(&worker.connection) {
            let _fits = write!(text, " {before_peer} {peer}");
        }
        self.account.strings.intern(&text)
    }

    fn started_ns(&self, index: u32) -> u64 {
        self.workers[index as usize].shot.hit.started_ns
    }

    fn give_up(&mut self, index: u32, code: u16, text: StringId, now_ns: u64) {
        let worker = &mut self.workers[index as usize];
        self.nib.abandon(&mut worker.connection);
        let hit = &mut worker.shot.hit;
        hit.net_code = code;
        hit.error = text;
        hit.ended_ns = now_ns.max(hit.started_ns);
        self.finish(index);
    }
}
