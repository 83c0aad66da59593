//! Records the data received on a link in the hits.

use std::sync::Arc;

use encarno_nib::Hits;
use encarno_websocket::{CloseCode, Handler, Kind};

use super::Place;
use super::pushed::{Pushed, START_BYTES_MAX};
use super::queue::Queue;
use crate::tcp::{Pattern, Search};

/// The rules for requests and answers.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    /// The pattern that a message must contain to be an answer.
    pub(super) matching: Option<Arc<Pattern>>,
    pub(super) kind: Kind,
    /// Whether hits are pings.
    pub(super) pings: bool,
    /// Whether there are answers; without, a hit ends when it is sent.
    pub(super) answers: bool,
}

/// A message that is being received.
#[derive(Debug, Default)]
pub(super) struct Message {
    /// Whether it began after a hit was sent.
    may_answer: bool,
    search: Search,
    /// Its first bytes, if they are searched for a time.
    start: Vec<u8>,
}

/// Receives the events of a link.
pub(super) struct Answers<'a> {
    pub(super) rules: &'a Rules,
    pub(super) queue: &'a mut Queue,
    pub(super) message: &'a mut Message,
    pub(super) hits: &'a mut dyn Hits<Place>,
    /// Measures messages that have their time, if that is wanted.
    pub(super) pushed: Option<&'a mut Pushed>,
    pub(super) now_ns: u64,
    /// The number of answers.
    pub(super) ended: u64,
    /// The reason in a close frame.
    pub(super) closed: Option<String>,
}

impl Answers<'_> {
    fn end_first(&mut self) {
        self.ended += 1;
        let now_ns = self.now_ns;
        let worker = self.queue.pop();
        if let Some(worker) = worker
            && let Some((place, shot)) = self.hits.get(worker)
        {
            place.on = None;
            shot.hit.ended_ns = now_ns;
            self.hits.end(worker);
        }
    }
}

impl Handler for Answers<'_> {
    fn begin(&mut self, _: Kind) {
        let mut start = std::mem::take(&mut self.message.start);
        start.clear();
        *self.message = Message {
            may_answer: self.queue.expects() && !self.rules.pings,
            search: Search::default(),
            start,
        };
        if !self.message.may_answer {
            return;
        }
        let worker = self.queue.first();
        if let Some((place, shot)) = worker.and_then(|worker| self.hits.get(worker)) {
            // Earlier messages didn't match.
            place.kept.expect(shot.keep);
            shot.hit.first_byte_ns = self.now_ns;
        }
    }

    fn data(&mut self, bytes: &[u8], wire_bytes: usize) {
        if self.pushed.is_some() {
            let start = &mut self.message.start;
            let room = START_BYTES_MAX - start.len();
            start.extend_from_slice(&bytes[..bytes.len().min(room)]);
        }
        if !self.message.may_answer {
            return;
        }
        if let Some(pattern) = &self.rules.matching {
            self.message.search.feed(pattern, bytes);
        }
        let worker = self.queue.first();
        if let Some((place, shot)) = worker.and_then(|worker| self.hits.get(worker)) {
            shot.hit.received_bytes += wire_bytes as u64;
            place.kept.wire(bytes);
            place.kept.body(bytes);
        }
    }

    fn end(&mut self) {
        if let Some(pushed) = &mut self.pushed {
            pushed.message(&self.message.start, self.now_ns);
        }
        let matches = match &self.rules.matching {
            Some(pattern) => self.message.search.is_found(pattern),
            None => true,
        };
        if std::mem::take(&mut self.message.may_answer) && matches {
            self.end_first();
        }
    }

    fn pong(&mut self, payload: &[u8], wire_bytes: usize) {
        if !self.rules.pings {
            return;
        }
        // A server may answer only the last of several pings (RFC 6455, 5.5.3).
        for _ in 0..self.queue.answered_by(payload) {
            let worker = self.queue.first();
            if let Some((place, shot)) = worker.and_then(|worker| self.hits.get(worker)) {
                shot.hit.first_byte_ns = self.now_ns;
                shot.hit.received_bytes += wire_bytes as u64;
                place.kept.wire(payload);
                place.kept.body(payload);
            }
            self.end_first();
        }
    }

    fn close(&mut self, code: Option<CloseCode>, reason: &str) {
        let code = match code {
            Some(code) => format!("code {code}"),
            None => "without a code".to_owned(),
        };
        self.closed = Some(match reason {
            "" => code,
            reason => format!("{code} ({reason})"),
        });
    }
}
