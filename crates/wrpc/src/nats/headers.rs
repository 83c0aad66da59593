//! The headers of a call: those of its caller and of its streams, and in its last message
//! its error, for which upstream's wire has no place.

use bytes::Bytes;

use crate::core_nats::{self, Message};
use crate::http::INLINE_BYTES_MAX;
use crate::streams::WINDOW_BYTES;
use crate::{Error, ErrorCode, Headers};

/// The header of message 4 with the [`ErrorCode`] of a failed call. Callers that don't
/// know it see what upstream would have sent: the end of the results.
const ERROR_HEADER: &str = "Encarno-Error";
/// The header of message 4 with the error's sentence.
const ERROR_MESSAGE_HEADER: &str = "Encarno-Error-Message";
const ERROR_MESSAGE_BYTES_MAX: usize = 1024;

/// The header with the size of a body's window.
const WINDOW_HEADER: &str = "Encarno-Window";

/// The header with the number of bytes at the end of message 1 that are the body.
const BODY_HEADER: &str = "Encarno-Body";

/// The headers that a caller gave to its call; `None` if there are none.
pub(super) fn of_call(headers: &Headers) -> Option<core_nats::Headers> {
    if headers.is_empty() {
        return None;
    }
    let mut map = core_nats::Headers::new();
    for (name, value) in headers.iter() {
        map.append(name, value);
    }
    Some(map)
}

/// The bytes of an error's headers besides its name and message: `NATS/1.0`, two header
/// names with a colon and a blank, and four line ends.
const ERROR_BYTES: usize = 8 + ERROR_HEADER.len() + ERROR_MESSAGE_HEADER.len() + 2 * 2 + 4 * 2;

/// The headers of an error, each in one line. They take at most `bytes_max`; a longer
/// message is cut.
pub(super) fn from_error(error: &Error, bytes_max: usize) -> core_nats::Headers {
    let mut message: String = error
        .message
        .chars()
        .map(|char| if char.is_control() { ' ' } else { char })
        .collect();
    let room = bytes_max.saturating_sub(ERROR_BYTES + error.code.name().len());
    message.truncate(message.floor_char_boundary(room.min(ERROR_MESSAGE_BYTES_MAX)));
    let mut headers = core_nats::Headers::new();
    headers.append(ERROR_HEADER, error.code.name());
    headers.append(ERROR_MESSAGE_HEADER, &message);
    headers
}

/// The result in the headers of message 4. Headers that aren't ours mean success.
pub(super) fn to_result(headers: &core_nats::Headers) -> Result<(), Error> {
    let Some(name) = headers.get(ERROR_HEADER) else {
        return Ok(());
    };
    let message = headers.get(ERROR_MESSAGE_HEADER);
    let message = message.unwrap_or("the receiver gave no reason".into());
    Err(match ErrorCode::from_name(&name) {
        Some(code) => Error::new(code, message),
        None => Error::new(
            ErrorCode::ProtocolViolation,
            format!("unknown error {name:?} from the receiver: {message}"),
        ),
    })
}

/// The headers with this end's window, and with the length of the request's body if it
/// follows the parameters.
pub(super) fn of_streams(body: Option<usize>) -> core_nats::Headers {
    let mut headers = core_nats::Headers::new();
    headers.append(WINDOW_HEADER, &WINDOW_BYTES.to_string());
    if let Some(length) = body {
        headers.append(BODY_HEADER, &length.to_string());
    }
    headers
}

/// The bytes of a message with [`of_streams`] besides its payload.
pub(super) const STREAMS_BYTES_MAX: usize = 96;

/// Splits the body of a request off the payload, if it is there.
pub(super) fn split_body(
    headers: Option<&core_nats::Headers>,
    payload: &mut Bytes,
) -> Result<Option<Bytes>, Error> {
    let Some(length) = headers.and_then(|headers| headers.get(BODY_HEADER)) else {
        return Ok(None);
    };
    let length = length.parse().ok();
    let length = length.filter(|&length: &usize| length <= INLINE_BYTES_MAX);
    let head = length.and_then(|length| payload.len().checked_sub(length));
    match head {
        Some(head) => Ok(Some(payload.split_off(head))),
        None => Err(Error::new(
            ErrorCode::ProtocolViolation,
            format!(
                "the header {BODY_HEADER} isn't a length within the message, up to {INLINE_BYTES_MAX}"
            ),
        )),
    }
}

/// The header `traceparent` of a call. Longer ones than any version of Trace Context has,
/// and those with other than visible ASCII, are left out.
pub(super) fn traceparent(headers: Option<&core_nats::Headers>) -> Option<Box<str>> {
    let value = headers?.get("traceparent")?;
    let is_sound = value.len() <= TRACEPARENT_BYTES_MAX
        && !value.is_empty()
        && value.bytes().all(|byte| byte.is_ascii_graphic());
    is_sound.then(|| value.into())
}

const TRACEPARENT_BYTES_MAX: usize = 128;

/// The window of the other end, if it announces one.
pub(super) fn window_of(message: &Message) -> Option<u64> {
    let headers = message.headers.as_ref()?;
    headers.get(WINDOW_HEADER)?.parse().ok()
}
