//! Handles received frames that aren't part of a message.

use super::{Connection, Handler};
use crate::frame::{self, Frame};
use crate::settings::WINDOW_MAX;
use crate::{ConnectionError, ErrorCode, Reset, Role};

impl<T> Connection<T> {
    pub(super) fn take_priority(
        &mut self,
        frame: Frame<'_>,
        handler: &mut impl Handler<T>,
    ) -> Result<(), ConnectionError> {
        if frame.stream == 0 {
            return Err(ConnectionError::protocol("PRIORITY for the connection"));
        }
        let why = Reset::Malformed("a wrong PRIORITY");
        match <[u8; 5]>::try_from(frame.payload) {
            Err(_) => self.refuse(frame.stream, ErrorCode::FRAME_SIZE, why, handler),
            Ok(priority) if dependency(priority) == frame.stream => {
                self.refuse(frame.stream, ErrorCode::PROTOCOL, why, handler);
            }
            Ok(_) => {}
        }
        Ok(())
    }

    pub(super) fn take_reset(
        &mut self,
        frame: Frame<'_>,
        handler: &mut impl Handler<T>,
    ) -> Result<(), ConnectionError> {
        let code = word(&frame)?;
        if self.is_idle(frame.stream) {
            return Err(ConnectionError::protocol(
                "RST_STREAM for an unknown stream",
            ));
        }
        if let Some(stream) = self.streams.remove(&frame.stream) {
            if self.role == Role::Client {
                self.futile = 0;
            }
            handler.reset(frame.stream, stream.user, Reset::Peer(ErrorCode(code)));
        }
        Ok(())
    }

    pub(super) fn take_settings(&mut self, frame: Frame<'_>) -> Result<(), ConnectionError> {
        if frame.stream != 0 {
            return Err(ConnectionError::protocol("SETTINGS for a stream"));
        }
        if frame.has(frame::ACK) {
            return match frame.payload {
                [] => Ok(()),
                _ => {
                    let text = "an answer to SETTINGS with a payload";
                    Err(ConnectionError::new(ErrorCode::FRAME_SIZE, text))
                }
            };
        }
        let before = self.peer.window;
        if !self.settled {
            // Without this setting, there is no limit.
            self.peer.streams_max = u32::MAX;
        }
        self.peer.take(frame.payload, self.role)?;
        self.settled = true;
        self.encoder.resize(self.peer.table_bytes_max);
        let more = i64::from(self.peer.window) - i64::from(before);
        if more != 0 {
            for stream in self.streams.values_mut() {
                stream.send_window += more;
                if stream.send_window > WINDOW_MAX {
                    return Err(too_wide());
                }
            }
        }
        self.has_room = true;
        frame::write_head(&mut self.outbox, 0, frame::SETTINGS, frame::ACK, 0);
        Ok(())
    }

    pub(super) fn take_ping(&mut self, frame: Frame<'_>) -> Result<(), ConnectionError> {
        if frame.stream != 0 {
            return Err(ConnectionError::protocol("PING for a stream"));
        }
        if frame.payload.len() != 8 {
            let text = "a PING of a wrong size";
            return Err(ConnectionError::new(ErrorCode::FRAME_SIZE, text));
        }
        if !frame.has(frame::ACK) {
            frame::write_head(&mut self.outbox, 8, frame::PING, frame::ACK, 0);
            self.outbox.extend_from_slice(frame.payload);
        }
        Ok(())
    }

    pub(super) fn take_go_away(
        &mut self,
        frame: Frame<'_>,
        handler: &mut impl Handler<T>,
    ) -> Result<(), ConnectionError> {
        if frame.stream != 0 {
            return Err(ConnectionError::protocol("GOAWAY for a stream"));
        }
        let Some(([a, b, c, d, code @ ..], text)) = frame.payload.split_first_chunk::<8>() else {
            let text = "a GOAWAY of a wrong size";
            return Err(ConnectionError::new(ErrorCode::FRAME_SIZE, text));
        };
        let last = u32::from_be_bytes([*a, *b, *c, *d]) & 0x7fff_ffff;
        let code = ErrorCode(u32::from_be_bytes(*code));
        self.goes_away = true;
        handler.go_away(code, text);
        if self.role == Role::Client {
            let unseen = self.streams.extract_if(|&number, _| number > last);
            for (number, stream) in unseen {
                handler.reset(number, stream.user, Reset::NotProcessed(code));
            }
        }
        Ok(())
    }

    pub(super) fn take_window_update(
        &mut self,
        frame: Frame<'_>,
        handler: &mut impl Handler<T>,
    ) -> Result<(), ConnectionError> {
        let more = i64::from(word(&frame)? & 0x7fff_ffff);
        if frame.stream == 0 {
            self.send_window += more;
            if more == 0 {
                return Err(ConnectionError::protocol("a WINDOW_UPDATE of nothing"));
            }
            if self.send_window > WINDOW_MAX {
                return Err(too_wide());
            }
        } else if self.is_idle(frame.stream) {
            let text = "WINDOW_UPDATE for an unknown stream";
            return Err(ConnectionError::protocol(text));
        } else if let Some(stream) = self.streams.get_mut(&frame.stream) {
            stream.send_window += more;
            let is_wide = stream.send_window > WINDOW_MAX;
            if more == 0 {
                let why = Reset::Malformed("a WINDOW_UPDATE of nothing");
                self.refuse(frame.stream, ErrorCode::PROTOCOL, why, handler);
            } else if is_wide {
                let why = Reset::Malformed("a window larger than there may be");
                self.refuse(frame.stream, ErrorCode::FLOW_CONTROL, why, handler);
            }
        }
        self.has_room = true;
        Ok(())
    }
}

fn too_wide() -> ConnectionError {
    ConnectionError::new(ErrorCode::FLOW_CONTROL, "a window larger than there may be")
}

pub(super) fn dependency([a, b, c, d, _]: [u8; 5]) -> u32 {
    u32::from_be_bytes([a, b, c, d]) & 0x7fff_ffff
}

fn word(frame: &Frame<'_>) -> Result<u32, ConnectionError> {
    let text = "a frame of a wrong size";
    let bytes = <[u8; 4]>::try_from(frame.payload);
    let value = bytes.map_err(|_| ConnectionError::new(ErrorCode::FRAME_SIZE, text))?;
    Ok(u32::from_be_bytes(value))
}
