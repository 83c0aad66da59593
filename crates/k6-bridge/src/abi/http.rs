//! HTTP requests, which use the same queue as all calls.

use bytes::Bytes;

use encarno_wrpc_caller::{HttpCall, Reading};

use super::call::{Refused, Submission, submit, submit_and_wait};
use super::types::{
    ENCARNO_HTTP_DISCARD, ENCARNO_HTTP_IGNORE, ENCARNO_HTTP_KEEP, EncarnoCompletion,
    EncarnoHttpRequest, EncarnoHttpResponse, EncarnoOwnedBytes, EncarnoStatus, EncarnoView,
};
use super::{guard, texts};
use crate::handles::OpenClient;

/// Submits an HTTP request, without blocking. On `OK`, and only then, exactly one
/// completion with its tag will come to the queue of the bridge, no later than its
/// timeout, with a response or with an error. On `TOO_MANY_CALLS`, take completions
/// first. On `BAD_OPTIONS`, `error` is a sentence that says what is wrong with the
/// request, which the caller frees.
///
/// `head` is a list of texts, each a length of 32 bits, little-endian, and that many
/// bytes: the method, the scheme, the host with its port, the path with its query (may be
/// empty), and then names and values of headers in turn.
///
/// # Safety
/// `request`, `head` and `body` must be readable; all are copied. `error` must be
/// writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn encarno_http_submit(
    client: u64,
    request: *const EncarnoHttpRequest,
    head: EncarnoView,
    body: EncarnoView,
    error: *mut EncarnoOwnedBytes,
) -> EncarnoStatus {
    guard(|| {
        // SAFETY: readable during this call, as the caller promises.
        let read = |client: &OpenClient| unsafe { read(client, request, head, body) };
        // SAFETY: null, or writable as the caller promises.
        unsafe { submit(client, error, read) }
    })
}

/// Submits an HTTP request. If few calls are in flight, it waits for the request, as
/// `encarno_blast_wait` does. On `OK`, `completion` is filled, the caller frees its
/// parts, and nothing comes to the queue. On `PENDING`, the completion will come to the
/// queue, as after `encarno_http_submit`.
///
/// # Safety
/// As `encarno_http_submit`; `completion` must be writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn encarno_http_wait(
    client: u64,
    request: *const EncarnoHttpRequest,
    head: EncarnoView,
    body: EncarnoView,
    completion: *mut EncarnoCompletion,
    error: *mut EncarnoOwnedBytes,
) -> EncarnoStatus {
    guard(|| {
        // SAFETY: readable during this call, as the caller promises.
        let read = |client: &OpenClient| unsafe { read(client, request, head, body) };
        // SAFETY: null, or writable as the caller promises.
        unsafe { submit_and_wait(client, completion, error, read) }
    })
}

/// Frees the response of a completion with all its parts, and empties `response`, so that
/// freeing it again does nothing.
///
/// # Safety
/// `response` must be null, or writable and as an export left it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn encarno_http_response_free(
    response: *mut *mut EncarnoHttpResponse,
) -> EncarnoStatus {
    guard(|| {
        if response.is_null() {
            return EncarnoStatus::BadArgument;
        }
        // SAFETY: not null, and writable as the caller promises.
        let owned = unsafe { response.replace(std::ptr::null_mut()) };
        if !owned.is_null() {
            // SAFETY: an export made it from a box, and it was replaced above, so nobody
            // else has it.
            unsafe { EncarnoHttpResponse::free(owned) };
        }
        EncarnoStatus::Ok
    })
}

/// # Safety
/// As [`encarno_http_submit`].
unsafe fn read(
    client: &OpenClient,
    request: *const EncarnoHttpRequest,
    head: EncarnoView,
    body: EncarnoView,
) -> Result<Submission<HttpCall>, Refused> {
    // SAFETY: null is checked here; what isn't null is readable, as the caller promises.
    let (request, head, body) = unsafe { (request.as_ref(), head.bytes(), body.bytes()) };
    let (Some(request), Some(head), Some(body)) = (request, head, body) else {
        return Err(Refused::Argument);
    };
    let reading = match request.reading {
        ENCARNO_HTTP_KEEP => {
            Reading::Keep(usize::try_from(request.body_bytes_max).unwrap_or(usize::MAX))
        }
        ENCARNO_HTTP_DISCARD => Reading::Discard,
        ENCARNO_HTTP_IGNORE => Reading::Ignore,
        _ => return Err(Refused::Argument),
    };
    let work = HttpCall {
        function: client.http.clone(),
        head: texts::head(head).map_err(Refused::Because)?,
        body: Bytes::copy_from_slice(body),
        reading,
    };
    Ok(Submission::new(request.tag, work, request.timeout_ns))
}
