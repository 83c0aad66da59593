//! The headers of a call: those of its caller, and in its last message what upstream's
//! wire can't say, which is its error.

use async_nats::HeaderMap;

use crate::{Error, ErrorCode, Headers};

/// On message 4, names the [`ErrorCode`] of a call that failed. Callers that
/// don't know it see what upstream would have sent: the end of the results.
const ERROR_HEADER: &str = "Encarno-Error";
/// On message 4, says in a sentence what failed.
const ERROR_MESSAGE_HEADER: &str = "Encarno-Error-Message";
const ERROR_MESSAGE_BYTES_MAX: usize = 1024;

/// The headers that a caller gave to its call, if it gave any.
pub(super) fn of_call(headers: &Headers) -> Option<HeaderMap> {
    if headers.is_empty() {
        return None;
    }
    let mut map = HeaderMap::new();
    for (name, value) in headers.iter() {
        map.append(name, value);
    }
    Some(map)
}

/// Headers that say what went wrong, in one line each.
pub(super) fn from_error(error: &Error) -> HeaderMap {
    let mut message: String = error
        .message
        .chars()
        .map(|char| if char.is_control() { ' ' } else { char })
        .collect();
    message.truncate(message.floor_char_boundary(ERROR_MESSAGE_BYTES_MAX));
    let mut headers = HeaderMap::new();
    headers.insert(ERROR_HEADER, error.code.name());
    headers.insert(ERROR_MESSAGE_HEADER, message);
    headers
}

/// What the headers of message 4 say. Headers that aren't ours say nothing.
pub(super) fn to_result(headers: &HeaderMap) -> Result<(), Error> {
    let Some(name) = headers.get(ERROR_HEADER) else {
        return Ok(());
    };
    let message = headers
        .get(ERROR_MESSAGE_HEADER)
        .map_or("the receiver gave no reason", |message| message.as_str());
    Err(match ErrorCode::from_name(name.as_str()) {
        Some(code) => Error::new(code, message),
        None => Error::new(
            ErrorCode::ProtocolViolation,
            format!(
                "unknown error {:?} from the receiver: {message}",
                name.as_str()
            ),
        ),
    })
}
