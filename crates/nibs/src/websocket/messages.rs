//! Makes messages from payloads.

use encarno_nib::{Encoding, Prepare};
use encarno_record::Payload;
use encarno_websocket::CONTROL_BYTES_MAX;

/// Makes messages from payloads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Messages {
    pub(super) encoding: Encoding,
    pub(super) is_text: bool,
    pub(super) pings: bool,
}

impl Prepare for Messages {
    fn prepare(&self, payload: Payload) -> Result<Payload, String> {
        let Payload::Memory(text) = payload else {
            let reason = "a WebSocket message is held in memory, and this one is too long";
            return Err(reason.to_owned());
        };
        let payload = match self.encoding {
            Encoding::Text => text,
            encoding => encoding.decode(&text)?.into(),
        };
        if self.is_text && std::str::from_utf8(&payload).is_err() {
            let reason = "a message of text has to be UTF-8: -O message=binary sends any bytes";
            return Err(reason.to_owned());
        }
        if self.pings && payload.len() > CONTROL_BYTES_MAX {
            let reason = format!("a ping has {CONTROL_BYTES_MAX} bytes at most");
            return Err(reason);
        }
        Ok(Payload::Memory(payload))
    }
}
