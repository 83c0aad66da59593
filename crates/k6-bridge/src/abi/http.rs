//! HTTP requests, by the same queue as all calls.

use std::time::Duration;

use bytes::Bytes;

use super::types::{self, Completion, HttpRequest, HttpResponse, OwnedBytes, Status, View};
use super::{guard, handles};
use crate::client::{TooManyCalls, Work};
use crate::http::{self, Reading};

/// Submits an HTTP request, without blocking. On `OK`, and only then, exactly one
/// completion with its tag will come to the queue of the bridge, no later than its
/// timeout, with a response or with an error. On `TOO_MANY_CALLS` completions must
/// be taken first. On `BAD_OPTIONS`, `error` holds a sentence that names what is
/// wrong with the request, which the caller frees.
///
/// `head` is a list of texts, each a length of 32 bits, little-endian, and so many
/// bytes: the method, the scheme, the host with its port, the path with its query
/// (may be empty), and then names and values of headers in turns.
///
/// # Safety
/// `request`, `head` and `body` must be readable; all are copied. `error` must be
/// writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn encarno_http_submit(
    client: u64,
    request: *const HttpRequest,
    head: View,
    body: View,
    error: *mut OwnedBytes,
) -> Status {
    guard(|| {
        if error.is_null() {
            return Status::BadArgument;
        }
        let Some(client) = handles::client(client) else {
            return Status::BadHandle;
        };
        // SAFETY: readable during this call, as the caller promises.
        match unsafe { read(request, head, body) } {
            Ok((tag, work, timeout)) => match client.submit(tag, work, timeout) {
                Ok(()) => Status::Ok,
                Err(TooManyCalls) => Status::TooManyCalls,
            },
            Err(None) => Status::BadArgument,
            Err(Some(reason)) => {
                // SAFETY: not null, and writable as the caller promises.
                unsafe { error.write(OwnedBytes::from(reason)) };
                Status::BadOptions
            }
        }
    })
}

/// Submits an HTTP request, and where few calls are in flight waits for it, as
/// `encarno_blast_wait` does. On `OK`, `completion` is filled, what it holds is the
/// caller's to free, and nothing comes to the queue. On `PENDING` the completion
/// will come to the queue, as after `encarno_http_submit`.
///
/// # Safety
/// As `encarno_http_submit`; `completion` must be writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn encarno_http_wait(
    client: u64,
    request: *const HttpRequest,
    head: View,
    body: View,
    completion: *mut Completion,
    error: *mut OwnedBytes,
) -> Status {
    guard(|| {
        if completion.is_null() || error.is_null() {
            return Status::BadArgument;
        }
        let Some(client) = handles::client(client) else {
            return Status::BadHandle;
        };
        // SAFETY: readable during this call, as the caller promises.
        match unsafe { read(request, head, body) } {
            Ok((tag, work, timeout)) => match client.submit_and_wait(tag, work, timeout) {
                Ok(Some(done)) => {
                    // SAFETY: not null, and writable as the caller promises.
                    unsafe { completion.write(done.into()) };
                    Status::Ok
                }
                Ok(None) => Status::Pending,
                Err(TooManyCalls) => Status::TooManyCalls,
            },
            Err(None) => Status::BadArgument,
            Err(Some(reason)) => {
                // SAFETY: not null, and writable as the caller promises.
                unsafe { error.write(OwnedBytes::from(reason)) };
                Status::BadOptions
            }
        }
    })
}

/// Frees the response of a completion with all that it holds, and empties
/// `response`, so that freeing it again does nothing.
///
/// # Safety
/// `response` must be null, or writable and as an export left it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn encarno_http_response_free(response: *mut *mut HttpResponse) -> Status {
    guard(|| {
        if response.is_null() {
            return Status::BadArgument;
        }
        // SAFETY: not null, and writable as the caller promises.
        let owned = unsafe { response.replace(std::ptr::null_mut()) };
        if !owned.is_null() {
            // SAFETY: an export made it of a box, and it was replaced above: nobody
            // else has it.
            unsafe { HttpResponse::free(owned) };
        }
        Status::Ok
    })
}

/// The tag, the request and the timeout; what is wrong with the request; or `None`
/// if a pointer is null or a number out of its range.
///
/// # Safety
/// As [`encarno_http_submit`].
unsafe fn read(
    request: *const HttpRequest,
    head: View,
    body: View,
) -> Result<(u64, Work, Duration), Option<String>> {
    // SAFETY: null is checked here; what isn't null is readable, as the caller promises.
    let (request, head, body) = unsafe {
        (
            request.as_ref().ok_or(None)?,
            head.bytes().ok_or(None)?,
            body.bytes().ok_or(None)?,
        )
    };
    let reading = match request.reading {
        types::HTTP_KEEP => {
            Reading::Keep(usize::try_from(request.body_bytes_max).unwrap_or(usize::MAX))
        }
        types::HTTP_DISCARD => Reading::Discard,
        types::HTTP_IGNORE => Reading::Ignore,
        _ => return Err(None),
    };
    let work = Work::Http(Box::new(http::Request {
        head: http::head(head).map_err(Some)?,
        body: Bytes::copy_from_slice(body),
        reading,
    }));
    let timeout = Duration::from_nanos(request.timeout_ns.min(types::TIMEOUT_NS_MAX));
    Ok((request.tag, work, timeout))
}
