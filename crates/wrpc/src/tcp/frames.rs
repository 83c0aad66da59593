//! wRPC's frames as upstream writes them: a header, then frames with the bytes of the
//! parameters or results.

use bytes::{Buf as _, Bytes, BytesMut};

use crate::value::{DecodeError, Reader, Write as _};
use crate::{Error, ErrorCode};

/// The first byte, the version of the protocol.
pub(super) const PROTOCOL: u8 = 0;
/// An empty frame: the call was accepted, or the end. Upstream ignores it.
pub(super) const EMPTY: &[u8] = &[0, 0];
/// The longest frame that is written, which bounds its readers' memory.
pub(super) const FRAME_BYTES_MAX: usize = 1 << 20;

/// The index of a path that no function has, which marks an error. Upstream's callers
/// fail on it, as they should.
const ERROR_PATH: u64 = u32::MAX as u64;
/// The most bytes of an error.
const ERROR_BYTES_MAX: usize = 4 << 10;
const ERROR_MESSAGE_BYTES_MAX: usize = 1 << 10;
/// The most bytes of a frame's path and length.
const HEAD_BYTES_MAX: usize = 5 + 5 + 5;
/// The longest name of an instance or a function.
pub(super) const NAME_BYTES_MAX: usize = 1 << 10;
const HEADER_BYTES_MAX: usize = 1 + 2 * (2 + NAME_BYTES_MAX);

/// The names of a function in their wire form.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FunctionNames(Bytes);

impl FunctionNames {
    /// A function of an instance, or of the component itself if `instance` is empty.
    pub fn new(instance: &str, function: &str) -> Self {
        let mut names = Vec::with_capacity(instance.len() + function.len() + 4);
        names.bytes(instance.as_bytes());
        names.bytes(function.as_bytes());
        Self(names.into())
    }

    /// Both names in their wire form.
    pub(super) fn names(&self) -> &[u8] {
        &self.0
    }
}

/// The length of the two names at the beginning of `bytes`.
pub(super) fn names_length(bytes: &[u8]) -> Result<usize, DecodeError> {
    let mut reader = Reader::new(bytes);
    for _ in 0..2 {
        let at = reader.position();
        if reader.string()?.len() > NAME_BYTES_MAX {
            return Err(Reader::invalid(at, "name"));
        }
    }
    Ok(reader.position())
}

/// The instance and the function, for messages.
pub(super) fn readable_names(names: &[u8]) -> String {
    let mut reader = Reader::new(names);
    let instance = reader.string().unwrap_or_default();
    let function = reader.string().unwrap_or_default();
    match instance {
        "" => function.to_owned(),
        instance => format!("{instance}.{function}"),
    }
}

/// Takes the header of a call and returns its names; `None` while it is incomplete.
pub(super) fn take_header(inbox: &mut BytesMut) -> Result<Option<Bytes>, Error> {
    match inbox.first() {
        None => return Ok(None),
        Some(&PROTOCOL) => {}
        Some(other) => return Err(violation(format!("unknown protocol {other:#04x}"))),
    }
    match names_length(&inbox[1..]) {
        Ok(length) => {
            inbox.advance(1);
            Ok(Some(inbox.split_to(length).freeze()))
        }
        Err(DecodeError::Truncated { missing, .. })
            if inbox.len() as u64 + missing <= HEADER_BYTES_MAX as u64 =>
        {
            Ok(None)
        }
        Err(error) => Err(violation(format!("the header of a call: {error}"))),
    }
}

/// The header of a call.
pub(super) fn put_header(function: &FunctionNames, out: &mut Vec<u8>) {
    out.push(PROTOCOL);
    out.extend_from_slice(function.names());
}

/// Writes the head of a frame with this many bytes of parameters or results.
pub(super) fn put_head(length: usize, out: &mut Vec<u8>) {
    out.push(0);
    out.unsigned(length as u64);
}

/// Writes the frame of an error.
pub(super) fn put_error(error: &Error, out: &mut Vec<u8>) {
    out.push(1);
    out.unsigned(ERROR_PATH);
    let encoded = encode_error(error);
    out.unsigned(encoded.len() as u64);
    out.extend_from_slice(&encoded);
}

/// Encodes an error as two names: its code, and a sentence in one line.
pub(super) fn encode_error(error: &Error) -> Vec<u8> {
    let mut message: String = error
        .message
        .chars()
        .map(|char| if char.is_control() { ' ' } else { char })
        .collect();
    message.truncate(message.floor_char_boundary(ERROR_MESSAGE_BYTES_MAX));
    let mut encoded = Vec::with_capacity(message.len() + 32);
    encoded.bytes(error.code.name().as_bytes());
    encoded.bytes(message.as_bytes());
    encoded
}

/// The reverse of [`encode_error`]. Bytes that it can't decode give an error too.
pub(super) fn decode_error(bytes: &[u8]) -> Error {
    let mut reader = Reader::new(bytes);
    let parts = reader
        .string()
        .and_then(|name| Ok((name, reader.string()?)));
    match parts {
        Ok((name, message)) => match ErrorCode::from_name(name) {
            Some(code) => Error::new(code, message),
            None => violation(format!(
                "unknown error {name:?} from the receiver: {message}"
            )),
        },
        Err(error) => violation(format!(
            "an error of the receiver can't be decoded: {error}"
        )),
    }
}

pub(super) fn violation(text: impl Into<String>) -> Error {
    Error::new(ErrorCode::ProtocolViolation, text)
}

/// The content of frames.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// Bytes of parameters or results. A frame may give several of these events.
    Data(Bytes),
    /// An empty frame.
    Empty,
    Error(Error),
}

/// Decodes frames as their bytes arrive, and never holds more than a head or an error.
#[derive(Debug, Default)]
pub(super) enum Decoder {
    #[default]
    Head,
    Data {
        left: usize,
    },
    Error {
        length: usize,
    },
}

impl Decoder {
    /// The next event in `inbox`; `None` while it is incomplete.
    pub(super) fn next(&mut self, inbox: &mut BytesMut) -> Result<Option<Event>, Error> {
        loop {
            match self {
                Self::Head => match self.head(inbox)? {
                    Some(Event::Empty) => return Ok(Some(Event::Empty)),
                    Some(_) => {}
                    None => return Ok(None),
                },
                Self::Data { .. } if inbox.is_empty() => return Ok(None),
                Self::Data { left } => {
                    let data = inbox.split_to((*left).min(inbox.len())).freeze();
                    *left -= data.len();
                    if *left == 0 {
                        *self = Self::Head;
                    }
                    return Ok(Some(Event::Data(data)));
                }
                Self::Error { length } if inbox.len() < *length => return Ok(None),
                Self::Error { length } => {
                    let error = decode_error(&inbox.split_to(*length));
                    *self = Self::Head;
                    return Ok(Some(Event::Error(error)));
                }
            }
        }
    }

    /// Whether a frame has begun and not ended.
    pub(super) fn is_within_frame(&self, inbox: &BytesMut) -> bool {
        !matches!(self, Self::Head) || !inbox.is_empty()
    }

    fn head(&mut self, inbox: &mut BytesMut) -> Result<Option<Event>, Error> {
        let mut reader = Reader::new(inbox);
        let read = read_head(&mut reader);
        let length = reader.position();
        let (is_error, data) = match read {
            Ok(head) => head,
            Err(DecodeError::Truncated { .. }) if inbox.len() <= HEAD_BYTES_MAX => return Ok(None),
            Err(error) => return Err(violation(format!("the head of a frame: {error}"))),
        };
        inbox.advance(length);
        *self = match (is_error, data) {
            (true, length) if length > ERROR_BYTES_MAX => {
                return Err(violation(format!("an error of {length} bytes")));
            }
            (true, length) => Self::Error { length },
            (false, 0) => return Ok(Some(Event::Empty)),
            (false, left) => Self::Data { left },
        };
        Ok(Some(Event::Data(Bytes::new())))
    }
}

/// Whether it is an error, and the length of its data.
fn read_head(reader: &mut Reader<'_>) -> Result<(bool, usize), DecodeError> {
    let depth = reader.unsigned(32, "length of a path")?;
    let is_error = match depth {
        0 => false,
        1 if reader.unsigned(32, "index of a path")? == ERROR_PATH => true,
        // Asynchronous values, which no function here has.
        _ => return Err(Reader::invalid(0, "path")),
    };
    Ok((is_error, reader.unsigned(32, "length of a frame")? as usize))
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use proptest::prelude::*;

    use super::*;

    /// The events of `bytes` that arrive in pieces of these sizes; adjacent data are
    /// joined. Ends with the first error.
    fn events(bytes: &[u8], sizes: &[usize]) -> (Vec<Event>, Option<Error>) {
        let mut found: Vec<Event> = Vec::new();
        let mut frames = Decoder::default();
        let mut inbox = BytesMut::new();
        let mut rest = bytes;
        let mut sizes = sizes.iter().cycle();
        while !rest.is_empty() {
            let size = sizes
                .next()
                .map_or(rest.len(), |&size| size.clamp(1, rest.len()));
            inbox.extend_from_slice(&rest[..size]);
            rest = &rest[size..];
            loop {
                match (frames.next(&mut inbox), found.last_mut()) {
                    (Ok(None), _) => break,
                    (Ok(Some(Event::Data(data))), Some(Event::Data(before))) => {
                        *before = [&before[..], &data[..]].concat().into();
                    }
                    (Ok(Some(event)), _) => found.push(event),
                    (Err(error), _) => return (found, Some(error)),
                }
            }
            assert!(
                inbox.len() <= ERROR_BYTES_MAX.max(HEAD_BYTES_MAX),
                "{}",
                inbox.len()
            );
        }
        (found, None)
    }

    #[test]
    fn known_frames() {
        let error = Error::new(ErrorCode::GuestTrap, "it\ntrapped");
        let mut bytes = vec![0, 3, 1, 2, 3, 0, 0, 0, 0x81, 0x80, 0, 9];
        put_error(&error, &mut bytes);
        assert_eq!(&bytes[12..18], [1, 0xff, 0xff, 0xff, 0xff, 0x0f]);
        let (found, end) = events(&bytes, &[1]);
        assert_eq!(end, None);
        assert_eq!(
            found,
            [
                Event::Data(Bytes::from_static(&[1, 2, 3])),
                Event::Empty,
                Event::Data(Bytes::from_static(&[9])),
                Event::Error(Error::new(ErrorCode::GuestTrap, "it trapped")),
            ]
        );
    }

    #[test]
    fn frames_that_are_refused() {
        for bytes in [
            &[2, 0, 0, 1][..],
            &[1, 0, 1],
            &[0xff, 0xff, 0xff, 0xff, 0x1f],
            &[0, 0xff, 0xff, 0xff, 0xff, 0x10],
            &[1, 0xff, 0xff, 0xff, 0xff, 0x0f, 0xff, 0xff, 1],
        ] {
            let (found, error) = events(bytes, &[]);
            assert_eq!(found, [], "{bytes:?}");
            assert_eq!(
                error.map(|error| error.code),
                Some(ErrorCode::ProtocolViolation)
            );
        }
    }

    proptest! {
        #[test]
        fn frames_are_the_same_however_they_arrive(
            frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..8),
            error in prop::option::of("[a-z ]{0,40}"),
            sizes in prop::collection::vec(1usize..70, 1..20),
        ) {
            let mut bytes = Vec::new();
            for frame in &frames {
                put_head(frame.len(), &mut bytes);
                bytes.extend_from_slice(frame);
            }
            if let Some(text) = error {
                put_error(&Error::new(ErrorCode::Internal, text), &mut bytes);
            }
            let whole = events(&bytes, &[]);
            prop_assert_eq!(&whole.1, &None);
            prop_assert_eq!(whole, events(&bytes, &sizes));
        }

        #[test]
        fn any_bytes_are_frames_or_an_error(
            bytes in prop::collection::vec(prop_oneof![0u8..3, any::<u8>()], 0..200),
            sizes in prop::collection::vec(1usize..9, 1..20),
        ) {
            prop_assert_eq!(events(&bytes, &[]).0, events(&bytes, &sizes).0);
        }

        #[test]
        fn headers_are_found_when_they_are_whole(
            instance in "[a-z:/@.0-9]{0,200}",
            function in "[a-z-]{0,40}",
        ) {
            let name = FunctionNames::new(&instance, &function);
            let mut bytes = Vec::new();
            put_header(&name, &mut bytes);
            for end in 0..bytes.len() {
                prop_assert_eq!(take_header(&mut bytes[..end].into()), Ok(None));
            }
            bytes.push(7);
            let mut inbox = BytesMut::from(&bytes[..]);
            prop_assert_eq!(take_header(&mut inbox), Ok(Some(name.0)));
            prop_assert_eq!(&inbox[..], [7]);
        }
    }

    #[test]
    fn headers_that_are_refused() {
        for bytes in [
            &[1][..],
            &[0, 0xff, 0xff, 0xff, 0xff, 0x0f],
            &[0, 0x86, 0x10],
            &[0, 1, 0xff],
        ] {
            assert!(take_header(&mut bytes.into()).is_err(), "{bytes:?}");
        }
    }
}
