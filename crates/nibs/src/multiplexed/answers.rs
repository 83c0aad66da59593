//! Records the data received on a link in the hits.

use encarno_http2::Head;
use encarno_nib::clock::Clock;
use encarno_nib::{Hits, Shot};
use encarno_record::{StringId, Strings};

use super::{Dialect, On, Place, Seen, Texts};

/// Receives the events of a link; the user of a stream is its worker.
pub(crate) struct Answers<'a, D: Dialect> {
    pub(crate) link: u32,
    pub(crate) dialect: &'a mut D,
    pub(crate) hits: &'a mut dyn Hits<Place<D::Answer>>,
    pub(crate) clock: &'a Clock,
    pub(crate) now_ns: u64,
    pub(crate) texts: &'a Texts,
    pub(crate) strings: &'a Strings,
    /// The number of complete answers.
    pub(crate) ended: u64,
    /// Streams whose answers aren't read any further.
    pub(crate) refused: Vec<u32>,
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

    pub(crate) fn end(&mut self, worker: u32, stream: u32) {
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

    /// Whether the head of an answer is wanted as text.
    pub(crate) fn wants_text_of(&mut self, worker: u32) -> bool {
        let keep = self.hits.get(worker).map(|(_, shot)| shot.keep);
        keep.is_some_and(|keep| self.dialect.wants_text(keep))
    }

    /// A piece of an answer that came over so many bytes.
    pub(crate) fn piece(
        &mut self,
        worker: u32,
        stream: u32,
        piece: Piece<'_>,
        wire_bytes: usize,
        ends: bool,
    ) {
        self.take(worker, stream, ends, |dialect, answer, mut seen| {
            seen.shot.hit.received_bytes += wire_bytes as u64;
            match piece {
                Piece::Head(head) => dialect.head(answer, &mut seen, head, ends),
                Piece::Data(bytes) => dialect.data(answer, &mut seen, bytes, ends),
            }
        });
    }

    /// Ends a hit whose stream was reset.
    pub(crate) fn fail(&mut self, worker: u32, stream: u32, code: u16, text: StringId) {
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

/// A piece of an answer.
pub(crate) enum Piece<'a> {
    Head(&'a Head<'a>),
    Data(&'a [u8]),
}
