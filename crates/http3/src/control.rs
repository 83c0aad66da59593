//! The streams beside those of requests: settings, the end of a connection, and the tables
//! of QPACK, which are empty here (RFC 9114, 6.2, and RFC 9204, 4.2).

use std::collections::HashMap;

use encarno_http2::Role;

use crate::frame::{
    CANCEL_PUSH, DATA, FrameReader, GOAWAY, HEADERS, MAX_PUSH_ID, PUSH_PROMISE, SETTINGS,
    is_of_http2, write_frame,
};
use crate::{ConnectionError, ErrorCode, varint};

/// The types of streams.
const CONTROL: u64 = 0;
const PUSH: u64 = 1;
const ENCODER: u64 = 2;
const DECODER: u64 = 3;

/// The identifiers of settings.
const QPACK_MAX_TABLE_CAPACITY: u64 = 1;
const MAX_FIELD_SECTION_SIZE: u64 = 6;
const QPACK_BLOCKED_STREAMS: u64 = 7;

/// The longest payload of SETTINGS.
const SETTINGS_BYTES_MAX: u64 = 4096;

/// The first bytes of our control stream.
pub(crate) fn opening(head_bytes_max: usize) -> Vec<u8> {
    let mut settings = Vec::new();
    for (identifier, value) in [
        (QPACK_MAX_TABLE_CAPACITY, 0),
        (QPACK_BLOCKED_STREAMS, 0),
        (MAX_FIELD_SECTION_SIZE, head_bytes_max as u64),
    ] {
        varint::write(identifier, &mut settings);
        varint::write(value, &mut settings);
    }
    let mut out = Vec::new();
    varint::write(CONTROL, &mut out);
    write_frame(SETTINGS, &settings, &mut out);
    out
}

/// The largest number of a request.
pub(crate) const LAST_REQUEST: u64 = (1 << 62) - 4;

/// A GOAWAY frame.
pub(crate) fn go_away(id: u64) -> Vec<u8> {
    let (mut payload, mut out) = (Vec::new(), Vec::new());
    varint::write(id, &mut payload);
    write_frame(GOAWAY, &payload, &mut out);
    out
}

/// The peer's streams of this kind.
#[derive(Debug)]
pub(crate) struct Control {
    role: Role,
    streams: HashMap<u64, Kind>,
    /// The types of streams that were seen, which must not be opened again.
    seen: u8,
    /// The first stream that the peer won't process.
    pub(crate) goes_away: Option<u64>,
    /// The longest head that the peer takes, once its settings have come. Each field counts
    /// 32 bytes in addition to its text.
    pub(crate) head_bytes_max: Option<u64>,
    /// The number of frames that don't tell anything.
    pub(crate) futile: u32,
}

#[derive(Debug)]
enum Kind {
    /// The beginning of its type.
    Unknown(Vec<u8>),
    Control(Box<Frames>),
    Encoder,
    /// Whether the next bytes continue a number.
    Decoder(bool),
}

#[derive(Debug, Default)]
struct Frames {
    reader: FrameReader,
    payload: Vec<u8>,
    settled: bool,
}

impl Control {
    pub(crate) fn new(role: Role) -> Self {
        Self {
            role,
            streams: HashMap::new(),
            seen: 0,
            goes_away: None,
            head_bytes_max: None,
            futile: 0,
        }
    }

    /// Takes bytes of a stream; false if the rest of it isn't wanted.
    pub(crate) fn receive(&mut self, stream: u64, bytes: &[u8]) -> Result<bool, ConnectionError> {
        let mut kind = self
            .streams
            .remove(&stream)
            .unwrap_or(Kind::Unknown(Vec::new()));
        let mut rest = bytes;
        if let Kind::Unknown(held) = &mut kind {
            let found = loop {
                if let Some((found, _)) = varint::read(held) {
                    break found;
                }
                let Some((&byte, after)) = rest.split_first() else {
                    self.streams.insert(stream, kind);
                    return Ok(true);
                };
                held.push(byte);
                rest = after;
            };
            kind = match self.begin(found)? {
                Some(kind) => kind,
                None => return Ok(false),
            };
        }
        match &mut kind {
            Kind::Unknown(_) => {}
            Kind::Control(frames) => self.frames(frames, rest)?,
            Kind::Encoder => {
                // With a table of 0 bytes, its size can be set to 0 and to nothing else.
                if rest.iter().any(|&byte| byte != 0x20) {
                    return Err(ConnectionError::new(
                        ErrorCode::QPACK_ENCODER_STREAM_ERROR,
                        "fields for a dynamic table, which our settings don't allow",
                    ));
                }
            }
            Kind::Decoder(in_number) => {
                for &byte in rest {
                    match *in_number {
                        true => *in_number = byte & 0x80 != 0,
                        // Only a stream can be cancelled; there is nothing to acknowledge.
                        false if byte & 0xc0 == 0x40 => *in_number = byte & 0x3f == 0x3f,
                        false => {
                            return Err(ConnectionError::new(
                                ErrorCode::QPACK_DECODER_STREAM_ERROR,
                                "an acknowledgement of fields that were never sent",
                            ));
                        }
                    }
                }
            }
        }
        self.streams.insert(stream, kind);
        Ok(true)
    }

    /// Notes that the peer has ended a stream.
    pub(crate) fn end(&mut self, stream: u64) -> Result<(), ConnectionError> {
        match self.streams.remove(&stream) {
            None | Some(Kind::Unknown(_)) => Ok(()),
            Some(_) => Err(ConnectionError::new(
                ErrorCode::H3_CLOSED_CRITICAL_STREAM,
                "the end of a stream that must stay open",
            )),
        }
    }

    fn begin(&mut self, found: u64) -> Result<Option<Kind>, ConnectionError> {
        let kind = match (found, self.role) {
            (CONTROL, _) => Kind::Control(Box::default()),
            (ENCODER, _) => Kind::Encoder,
            (DECODER, _) => Kind::Decoder(false),
            (PUSH, Role::Client) => {
                return Err(ConnectionError::new(
                    ErrorCode::H3_ID_ERROR,
                    "a push, which wasn't allowed",
                ));
            }
            (PUSH, Role::Server) => {
                return Err(ConnectionError::new(
                    ErrorCode::H3_STREAM_CREATION_ERROR,
                    "a push from a client",
                ));
            }
            _ => return Ok(None),
        };
        let bit = 1 << found;
        if self.seen & bit != 0 {
            return Err(ConnectionError::new(
                ErrorCode::H3_STREAM_CREATION_ERROR,
                "a second stream of a type that may be there once",
            ));
        }
        self.seen |= bit;
        Ok(Some(kind))
    }

    fn frames(&mut self, frames: &mut Frames, mut rest: &[u8]) -> Result<(), ConnectionError> {
        let unexpected = |text| Err(ConnectionError::new(ErrorCode::H3_FRAME_UNEXPECTED, text));
        while let Some(piece) = frames.reader.next(&mut rest) {
            if piece.head_bytes > 0 {
                if !frames.settled && piece.kind != SETTINGS {
                    return Err(ConnectionError::new(
                        ErrorCode::H3_MISSING_SETTINGS,
                        "a control stream that doesn't begin with SETTINGS",
                    ));
                }
                match piece.kind {
                    SETTINGS if frames.settled => return unexpected("a second SETTINGS frame"),
                    SETTINGS if piece.length > SETTINGS_BYTES_MAX => {
                        return Err(ConnectionError::new(
                            ErrorCode::H3_EXCESSIVE_LOAD,
                            "a SETTINGS frame that is too long",
                        ));
                    }
                    SETTINGS => frames.settled = true,
                    DATA | HEADERS | PUSH_PROMISE => {
                        return unexpected("a frame of a request on a control stream");
                    }
                    MAX_PUSH_ID if self.role == Role::Client => {
                        return unexpected("a MAX_PUSH_ID frame from a server");
                    }
                    kind if is_of_http2(kind) => return unexpected("a frame of HTTP/2"),
                    GOAWAY | CANCEL_PUSH | MAX_PUSH_ID
                        if piece.length > varint::BYTES_MAX as u64 =>
                    {
                        return Err(bad_frame());
                    }
                    _ => self.futile += 1,
                }
            }
            if !matches!(piece.kind, SETTINGS | GOAWAY | CANCEL_PUSH | MAX_PUSH_ID) {
                continue;
            }
            frames.payload.extend_from_slice(piece.bytes);
            if piece.ends {
                let payload = std::mem::take(&mut frames.payload);
                self.told(piece.kind, &payload)?;
            }
        }
        Ok(())
    }

    fn told(&mut self, kind: u64, payload: &[u8]) -> Result<(), ConnectionError> {
        let bad_id = |text| Err(ConnectionError::new(ErrorCode::H3_ID_ERROR, text));
        if kind == SETTINGS {
            self.head_bytes_max = Some(settings(payload)?);
            return Ok(());
        }
        let id = match varint::read(payload) {
            Some((id, count)) if count == payload.len() => id,
            _ => return Err(bad_frame()),
        };
        match kind {
            CANCEL_PUSH => bad_id("the end of a push that was never promised"),
            GOAWAY if self.role == Role::Client && id % 4 != 0 => {
                bad_id("a GOAWAY with a number that isn't a request's")
            }
            GOAWAY if self.goes_away.is_some_and(|earlier| earlier < id) => {
                bad_id("a GOAWAY with a larger number than the one before")
            }
            GOAWAY => {
                self.goes_away = Some(id);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

fn bad_frame() -> ConnectionError {
    ConnectionError::new(
        ErrorCode::H3_FRAME_ERROR,
        "a frame whose payload isn't as long as it must be",
    )
}

/// Checks the peer's settings. Only one of them changes what we send: the longest head.
fn settings(payload: &[u8]) -> Result<u64, ConnectionError> {
    let mut head_bytes_max = u64::MAX;
    let bad = |text| Err(ConnectionError::new(ErrorCode::H3_SETTINGS_ERROR, text));
    let (mut seen, mut rest) = (Vec::new(), payload);
    while !rest.is_empty() {
        let Some((identifier, count)) = varint::read(rest) else {
            return Err(bad_frame());
        };
        let Some((value, more)) = varint::read(&rest[count..]) else {
            return Err(bad_frame());
        };
        if identifier == MAX_FIELD_SECTION_SIZE {
            head_bytes_max = value;
        }
        rest = &rest[count + more..];
        if matches!(identifier, 0 | 2..=5) {
            return bad("a setting of HTTP/2");
        }
        seen.push(identifier);
    }
    let count = seen.len();
    seen.sort_unstable();
    seen.dedup();
    match seen.len() == count {
        true => Ok(head_bytes_max),
        false => bad("a setting that is repeated"),
    }
}
