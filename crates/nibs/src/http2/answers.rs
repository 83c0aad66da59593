//! Records the data received on a link in the hits.

use encarno_http2::{ErrorCode, Handler, Head, Reset};
use encarno_nib::clock::Clock;
use encarno_nib::{Hits, Shot};
use encarno_record::{StringId, Strings, code};

use super::{Dialect, On, Place, Seen};

/// Error texts, each interned once.
#[derive(Debug)]
pub(super) struct Texts {
    pub(super) closed_in_handshake: StringId,
    pub(super) stale: StringId,
    pub(super) given_up: StringId,
    pub(super) goes_away: StringId,
    pub(super) payload: StringId,
    pub(super) no_http2: StringId,
    head_too_long: StringId,
}

impl Texts {
    pub(super) fn new(strings: &Strings, head_bytes_max: usize, no_http2: &str) -> Self {
        let too_long = format!(
            "the response's head is longer than {head_bytes_max} bytes: --max-head-bytes allows more"
        );
        Self {
            closed_in_handshake: strings.intern("connection closed during the TLS handshake"),
            stale: strings.intern("kept connection closed by the peer before a response"),
            given_up: strings.intern("the connection was given up"),
            goes_away: strings
                .intern("HTTP/2: the server closes connections before it takes a request"),
            payload: strings.intern("HTTP/2: the record isn't a request"),
            no_http2: strings.intern(no_http2),
            head_too_long: strings.intern(&too_long),
        }
    }
}

/// The net code for an error code from the peer or to it.
pub(super) fn code_of(why: ErrorCode, usual: u16) -> u16 {
    match why {
        ErrorCode::REFUSED_STREAM => code::REFUSED,
        ErrorCode::ENHANCE_YOUR_CALM => code::CALM,
        _ => usual,
    }
}

/// Receives the events of a link; the user of a stream is its worker.
pub(super) struct Answers<'a, D: Dialect> {
    pub(super) link: u32,
    pub(super) dialect: &'a mut D,
    pub(super) hits: &'a mut dyn Hits<Place<D::Answer>>,
    pub(super) clock: &'a Clock,
    pub(super) now_ns: u64,
    pub(super) texts: &'a Texts,
    pub(super) strings: &'a Strings,
    /// The number of complete answers.
    pub(super) ended: u64,
    /// Streams whose answers aren't read any further.
    pub(super) refused: Vec<u32>,
}

impl<D: Dialect> Answers<'_, D> {
    fn hit(
        &mut self,
        worker: u32,
        stream: u32,
    ) -> Option<(&mut D, &mut Place<D::Answer>, &mut Shot)> {
        let on = On::Stream(self.link, stream);
        let dialect = &mut *self.dialect;
        let (place, shot) = self.hits.get(worker).filter(|(place, _)| place.on == on)?;
        Some((dialect, place, shot))
    }

    /// A piece of an answer, as its dialect understands it.
    fn take(
        &mut self,
        worker: u32,
        stream: u32,
        ends: bool,
        see: impl FnOnce(&mut D, &mut D::Answer, Seen<'_>) -> Result<(), (u16, StringId)>,
    ) {
        let now_ns = self.now_ns;
        let Some((dialect, place, shot)) = self.hit(worker, stream) else {
            return;
        };
        let seen = Seen {
            shot,
            kept: &mut place.kept,
            now_ns,
        };
        match see(dialect, &mut place.answer, seen) {
            Ok(()) if ends => self.end(worker, stream),
            Ok(()) => {}
            Err((code, text)) => {
                shot.hit.net_code = code;
                shot.hit.error = text;
                self.end(worker, stream);
                if !ends {
                    self.refused.push(stream);
                }
            }
        }
    }

    fn end(&mut self, worker: u32, stream: u32) {
        let now_ns = self.now_ns;
        if let Some((_, place, shot)) = self.hit(worker, stream) {
            place.on = On::Nowhere;
            shot.hit.ended_ns = now_ns;
            // The answer came before the request had left completely.
            if shot.hit.sent_ns == 0 {
                shot.hit.sent_ns = shot.hit.first_byte_ns;
            }
            self.ended += 1;
            self.hits.end(worker);
        }
    }
}

impl<D: Dialect> Handler<u32> for Answers<'_, D> {
    fn wants_text(&mut self, &worker: &u32) -> bool {
        let keep = self.hits.get(worker).map(|(_, shot)| shot.keep);
        keep.is_some_and(|keep| self.dialect.wants_text(keep))
    }

    fn head(&mut self, stream: u32, &mut worker: &mut u32, head: &Head<'_>, ends: bool) {
        self.take(worker, stream, ends, |dialect, answer, mut seen| {
            seen.shot.hit.received_bytes += head.wire_bytes as u64;
            dialect.head(answer, &mut seen, head, ends)
        });
    }

    fn data(
        &mut self,
        stream: u32,
        &mut worker: &mut u32,
        bytes: &[u8],
        wire_bytes: usize,
        ends: bool,
    ) {
        self.take(worker, stream, ends, |dialect, answer, mut seen| {
            seen.shot.hit.received_bytes += wire_bytes as u64;
            dialect.data(answer, &mut seen, bytes, ends)
        });
    }

    fn reset(&mut self, stream: u32, worker: u32, why: Reset) {
        let (code, text) = match why {
            Reset::Peer(why) => (
                code_of(why, code::RESET),
                format!("HTTP/2: the server closed the stream ({why})"),
            ),
            Reset::Malformed(text) => (code::PROTOCOL, format!("HTTP/2: {text}")),
            Reset::HeadTooLong => (code::HEAD_TOO_LONG, String::new()),
            Reset::NotProcessed(why) => (
                code_of(why, code::REFUSED),
                format!(
                    "HTTP/2: the server closes the connection ({why}) and didn't look at the request"
                ),
            ),
        };
        let text = match code {
            code::HEAD_TOO_LONG => self.texts.head_too_long,
            _ => self.strings.intern(&text),
        };
        let now_ns = self.clock.now_ns();
        if let Some((_, place, shot)) = self.hit(worker, stream) {
            place.on = On::Nowhere;
            shot.hit.net_code = code;
            shot.hit.error = text;
            shot.hit.ended_ns = now_ns;
            self.hits.end(worker);
        }
    }
}
