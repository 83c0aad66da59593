//! Records the data received on a link in the hits.

use encarno_http2::Head;
use encarno_http3::{ErrorCode, Handler, Reset};
use encarno_record::code;

use crate::multiplexed::{Answers, Piece, Plain};

/// The net code for an error code from the peer or to it.
pub(super) fn code_of(why: ErrorCode, usual: u16) -> u16 {
    match why {
        ErrorCode::H3_REQUEST_REJECTED => code::REFUSED,
        ErrorCode::H3_EXCESSIVE_LOAD => code::CALM,
        _ => usual,
    }
}

/// The user of a stream is its worker.
impl Handler<u32> for Answers<'_, Plain> {
    fn wants_text(&mut self, &worker: &u32) -> bool {
        self.wants_text_of(worker)
    }

    fn head(&mut self, stream: u32, &mut worker: &mut u32, head: &Head<'_>) {
        self.piece(worker, stream, Piece::Head(head), head.wire_bytes, false);
    }

    fn data(&mut self, stream: u32, &mut worker: &mut u32, bytes: &[u8], wire_bytes: usize) {
        self.piece(worker, stream, Piece::Data(bytes), wire_bytes, false);
    }

    fn end(&mut self, stream: u32, worker: u32) {
        Answers::end(self, worker, stream);
    }

    fn reset(&mut self, stream: u32, worker: u32, why: Reset) {
        let (code, text) = match why {
            Reset::Peer(why) => (
                code_of(why, code::RESET),
                format!("HTTP/3: the server closed the stream ({why})"),
            ),
            Reset::Malformed(text) => (code::PROTOCOL, format!("HTTP/3: {text}")),
            Reset::HeadTooLong => (code::HEAD_TOO_LONG, String::new()),
            Reset::NotProcessed => (
                code::REFUSED,
                "HTTP/3: the server closes the connection and didn't look at the request"
                    .to_owned(),
            ),
        };
        let text = match code {
            code::HEAD_TOO_LONG => self.texts.head_too_long,
            _ => self.strings.intern(&text),
        };
        self.fail(worker, stream, code, text);
    }
}
