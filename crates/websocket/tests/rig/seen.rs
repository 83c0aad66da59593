//! What comes of frames that a connection receives.

#![allow(clippy::unwrap_used)] // a test that fails here says enough

use encarno_websocket::{CloseCode, Handler, Kind};

/// What a receiver makes of frames.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) messages: Vec<(Kind, Vec<u8>)>,
    /// The pings that were answered, and the pongs that came.
    pub(super) pings: Vec<Vec<u8>>,
    pub(super) pongs: Vec<Vec<u8>>,
    /// The close frame that came, and the code of the one that was sent.
    pub(super) closed: Option<(Option<u16>, String)>,
    pub(super) said_close: Option<Option<u16>>,
    pub(super) begun: Option<(Kind, Vec<u8>)>,
}

impl Handler for Seen {
    fn begin(&mut self, kind: Kind) {
        self.begun = Some((kind, Vec::new()));
    }

    fn data(&mut self, bytes: &[u8], _: usize) {
        self.begun.as_mut().unwrap().1.extend_from_slice(bytes);
    }

    fn end(&mut self) {
        self.messages.extend(self.begun.take());
    }

    fn pong(&mut self, payload: &[u8], _: usize) {
        self.pongs.push(payload.to_vec());
    }

    fn close(&mut self, code: Option<CloseCode>, reason: &str) {
        self.closed = Some((code.map(|code| code.0), reason.to_owned()));
    }
}
