//! Records the data received on a link in the hits.

use encarno_http2::{ErrorCode, Handler, Head, Reset};
use encarno_record::code;

use crate::multiplexed::{Answers, Dialect, Piece};

/// The net code for an error code from the peer or to it.
pub(super) fn code_of(why: ErrorCode, usual: u16) -> u16 {
    match why {
        ErrorCode::REFUSED_STREAM => code::REFUSED,
        ErrorCode::ENHANCE_YOUR_CALM => code::CALM,
        _ => usual,
    }
}

/// The user of a stream is its worker.
impl<D: Dialect> Handler<u32> for Answers<'_, D> {
    fn wants_text(&mut self, &worker: &u32) -> bool {
        self.wants_text_of(worker)
    }

    fn head(&mut self, stream: u32, &mut worker: &mut u32, head: &Head<'_>, ends: bool) {
        self.piece(worker, stream, Piece::Head(head), head.wire_bytes, ends);
    }

    fn data(
        &mut self,
        stream: u32,
        &mut worker: &mut u32,
        bytes: &[u8],
        wire_bytes: usize,
        ends: bool,
    ) {
        self.piece(worker, stream, Piece::Data(bytes), wire_bytes, ends);
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
        self.fail(worker, stream, code, text);
    }
}
