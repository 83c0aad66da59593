//! The SETTINGS of the peer, and ours (RFC 9113, 6.5).

use crate::frame::{PAYLOAD_BYTES_MAX, SETTINGS, write_head};
use crate::{ConnectionError, ErrorCode, Role};

const HEADER_TABLE_SIZE: u16 = 1;
const ENABLE_PUSH: u16 = 2;
const MAX_CONCURRENT_STREAMS: u16 = 3;
const INITIAL_WINDOW_SIZE: u16 = 4;
const MAX_FRAME_SIZE: u16 = 5;
const MAX_HEADER_LIST_SIZE: u16 = 6;

/// The default window of a stream and of the connection.
pub(crate) const WINDOW: u32 = 65_535;
/// The largest possible window.
pub(crate) const WINDOW_MAX: i64 = (1 << 31) - 1;
/// Nothing is sent before the peer has announced how many streams it takes, because it
/// would refuse further ones.
const STREAMS_BEFORE_SETTINGS: u32 = 0;

/// The settings of the peer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PeerSettings {
    pub(crate) table_bytes_max: usize,
    pub(crate) streams_max: u32,
    pub(crate) window: u32,
}

impl Default for PeerSettings {
    fn default() -> Self {
        Self {
            table_bytes_max: crate::hpack::TABLE_BYTES,
            streams_max: STREAMS_BEFORE_SETTINGS,
            window: WINDOW,
        }
    }
}

impl PeerSettings {
    /// Takes the payload of a frame; `role` is ours.
    pub(crate) fn take(&mut self, payload: &[u8], role: Role) -> Result<(), ConnectionError> {
        let (settings, []) = payload.as_chunks::<6>() else {
            let text = "a SETTINGS frame of a wrong size";
            return Err(ConnectionError::new(ErrorCode::FRAME_SIZE, text));
        };
        for [a, b, value @ ..] in settings {
            let value = u32::from_be_bytes(*value);
            match u16::from_be_bytes([*a, *b]) {
                HEADER_TABLE_SIZE => self.table_bytes_max = value as usize,
                ENABLE_PUSH if value > 1 || value == 1 && role == Role::Client => {
                    return Err(ConnectionError::protocol("a wrong value of ENABLE_PUSH"));
                }
                MAX_CONCURRENT_STREAMS => self.streams_max = value,
                INITIAL_WINDOW_SIZE if i64::from(value) > WINDOW_MAX => {
                    let text = "a window larger than there may be";
                    return Err(ConnectionError::new(ErrorCode::FLOW_CONTROL, text));
                }
                INITIAL_WINDOW_SIZE => self.window = value,
                MAX_FRAME_SIZE if !(PAYLOAD_BYTES_MAX as u32..1 << 24).contains(&value) => {
                    return Err(ConnectionError::protocol("a wrong value of MAX_FRAME_SIZE"));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Appends our settings.
pub(crate) fn write(
    out: &mut Vec<u8>,
    role: Role,
    window: u32,
    head_bytes_max: u32,
    streams_max: u32,
) {
    let own = match role {
        Role::Client => (ENABLE_PUSH, 0),
        Role::Server => (MAX_CONCURRENT_STREAMS, streams_max),
    };
    let all = [
        own,
        (INITIAL_WINDOW_SIZE, window),
        (MAX_HEADER_LIST_SIZE, head_bytes_max),
    ];
    write_head(out, 6 * all.len(), SETTINGS, 0, 0);
    for (name, value) in all {
        out.extend_from_slice(&name.to_be_bytes());
        out.extend_from_slice(&value.to_be_bytes());
    }
}
