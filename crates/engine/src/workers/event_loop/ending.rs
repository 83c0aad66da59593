//! How hits end: well, by a timeout, or because the run is over.

use std::cmp::Reverse;

use encarno_nib::Nib;
use encarno_record::{Payload, StringId, code};

use super::scripted::Afterwards;
use super::{Running, Wake};

impl<N: Nib> Running<N> {
    /// False if the hit goes on: it follows a redirect.
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
        let counters = &self.engine.counters;
        counters.running.set(counters.running.get() - 1);
        if hit.net_code == 0 {
            counters.done.add(1);
            if hit.protocol_code >= 400 {
                counters.refused.add(1);
            }
        } else {
            counters.failed.add(1);
            counters.count_failure(hit.net_code, hit.error);
            if hit.net_code == code::STALE {
                counters.stale.add(1);
            }
        }
        counters.sent_bytes.add(hit.sent_bytes);
        counters.received_bytes.add(hit.received_bytes);
        counters.service.record(hit.service_ns());
        counters.response.record(hit.response_ns());
        self.engine.recorder.record(hit);
        if self.engine.recorder.has_trace() && self.engine.recorder.traces(hit) {
            let request: &[u8] = match &worker.shot.payload {
                Payload::Memory(bytes) => bytes,
                Payload::File { .. } => b"(sent from the file)",
            };
            self.engine
                .recorder
                .trace(hit, request, self.engine.nib.answer(&worker.connection));
        }
        if !afterwards.had_own_timeout {
            self.deadlines.remove(index);
        }
        if afterwards.rest_ns > 0 {
            self.rest(index, afterwards.rest_ns);
        } else {
            self.free.push(index);
        }
        true
    }

    pub(super) fn wake_due(&mut self, now_ns: u64) {
        while let Some(&Reverse((instant_ns, index, generation, wake))) = self.wakes.peek() {
            if instant_ns > now_ns {
                return;
            }
            self.wakes.pop();
            if self.workers[index as usize].generation != generation {
                continue;
            }
            match wake {
                Wake::Nib => self.wake(index),
                Wake::Rested => self.rested(index),
            }
        }
    }

    pub(super) fn time_out(&mut self, now_ns: u64) {
        while let Some(&(due_ns, index)) = self.own_deadlines.first() {
            if due_ns > now_ns {
                break;
            }
            self.give_up(index, code::TIMEOUT, self.texts.timeout, now_ns);
        }
        while let Some(index) = self.deadlines.oldest() {
            let started_ns = self.workers[index as usize].shot.hit.started_ns;
            if now_ns.saturating_sub(started_ns) < self.engine.timeout_ns {
                return;
            }
            self.give_up(index, code::TIMEOUT, self.texts.timeout, now_ns);
        }
    }

    pub(super) fn cancel_all(&mut self, now_ns: u64) {
        let own = |running: &Self| running.own_deadlines.first().map(|&(_, index)| index);
        while let Some(index) = self.deadlines.oldest().or_else(|| own(self)) {
            self.give_up(index, code::CANCELLED, self.texts.cancelled, now_ns);
        }
    }

    fn give_up(&mut self, index: u32, code: u16, text: StringId, now_ns: u64) {
        let worker = &mut self.workers[index as usize];
        self.engine.nib.abandon(&mut worker.connection);
        let hit = &mut worker.shot.hit;
        hit.net_code = code;
        hit.error = text;
        hit.ended_ns = now_ns.max(hit.started_ns);
        self.finish(index);
    }
}
