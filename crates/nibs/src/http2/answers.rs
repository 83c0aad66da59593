//! What comes on a link, put down in the hits.

use encarno_http2::{ErrorCode, Handler, Head, HeadKind, Reset};
use encarno_nib::clock::Clock;
use encarno_nib::{Hits, Shot};
use encarno_record::{StringId, Strings, code};

use super::{On, Place};

/// What can go wrong, each interned once.
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
    pub(super) fn new(strings: &Strings, head_bytes_max: usize) -> Self {
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
            no_http2: strings.intern(
                "the server doesn't speak HTTP/2 over TLS (ALPN): leave --http2 out (driver: http2 in a \
                 configuration), which is HTTP/1.1",
            ),
            head_too_long: strings.intern(&too_long),
        }
    }
}

/// The net code for a code of the peer's, or of ours to the peer.
pub(super) fn code_of(why: ErrorCode, usual: u16) -> u16 {
    match why {
        ErrorCode::REFUSED_STREAM => code::REFUSED,
        ErrorCode::ENHANCE_YOUR_CALM => code::CALM,
        _ => usual,
    }
}

/// Whoever is told what comes on a link: a stream's user is its worker.
pub(super) struct Answers<'a> {
    pub(super) link: u32,
    pub(super) hits: &'a mut dyn Hits<Place>,
    pub(super) clock: &'a Clock,
    pub(super) now_ns: u64,
    pub(super) texts: &'a Texts,
    pub(super) strings: &'a Strings,
    /// Answers that came whole.
    pub(super) ended: u64,
}

impl Answers<'_> {
    fn hit(&mut self, worker: u32, stream: u32) -> Option<(&mut Place, &mut Shot)> {
        let on = On::Stream(self.link, stream);
        self.hits.get(worker).filter(|(place, _)| place.on == on)
    }

    fn end(&mut self, worker: u32, stream: u32) {
        let now_ns = self.now_ns;
        if let Some((place, shot)) = self.hit(worker, stream) {
            place.on = On::Nowhere;
            shot.hit.ended_ns = now_ns;
            // The answer was there before the request had left whole.
            if shot.hit.sent_ns == 0 {
                shot.hit.sent_ns = shot.hit.first_byte_ns;
            }
            self.ended += 1;
            self.hits.end(worker);
        }
    }
}

impl Handler<u32> for Answers<'_> {
    fn wants_text(&mut self, &worker: &u32) -> bool {
        let keep = self.hits.get(worker).map(|(_, shot)| shot.keep);
        keep.is_some_and(|keep| keep.head || keep.wire_bytes_max > 0)
    }

    fn head(&mut self, stream: u32, &mut worker: &mut u32, head: &Head<'_>, ends: bool) {
        let now_ns = self.now_ns;
        let Some((place, shot)) = self.hit(worker, stream) else {
            return;
        };
        let hit = &mut shot.hit;
        if hit.first_byte_ns == 0 {
            hit.first_byte_ns = now_ns;
        }
        hit.received_bytes += head.wire_bytes as u64;
        place.kept.wire(head.text);
        if head.kind == HeadKind::Final {
            hit.protocol_code = head.status;
            place.kept.head(head.status, head.text);
        }
        if ends {
            self.end(worker, stream);
        }
    }

    fn data(
        &mut self,
        stream: u32,
        &mut worker: &mut u32,
        bytes: &[u8],
        wire_bytes: usize,
        ends: bool,
    ) {
        if let Some((place, shot)) = self.hit(worker, stream) {
            shot.hit.received_bytes += wire_bytes as u64;
            place.kept.wire(bytes);
            place.kept.body(bytes);
        }
        if ends {
            self.end(worker, stream);
        }
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
        if let Some((place, shot)) = self.hit(worker, stream) {
            place.on = On::Nowhere;
            shot.hit.net_code = code;
            shot.hit.error = text;
            shot.hit.ended_ns = now_ns;
            self.hits.end(worker);
        }
    }
}
