//! The structs of the ABI. Their sizes and offsets don't depend on the compiler.

use std::io::Write as _;
use std::ptr;
use std::time::Instant;

use bytes::Bytes;
use encarno_record::exemplar::TraceContext;
use encarno_wrpc_caller::{Completion, HttpReply, Reply};

use super::texts;

/// The version of everything in this header. It changes whenever a caller that was
/// compiled with an older header could misread the library, because a struct, an export
/// or a meaning has changed or gone. A caller compares it with `encarno_abi_version`.
pub const ENCARNO_ABI_VERSION: u32 = 4;

/// The status that an export returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum EncarnoStatus {
    /// Success.
    Ok = 0,
    /// The call was submitted; its completion will come to the queue.
    Pending = 1,
    /// The handle is closed, or was never one of this kind.
    BadHandle = 2,
    /// A pointer is null but must not be, or a number is out of its range.
    BadArgument = 3,
    /// The options are not valid; a text names the error.
    BadOptions = 4,
    /// Too many calls are in flight: the limit is 1,048,576 for a bridge.
    TooManyCalls = 5,
    /// The operating system returned an error; a text names it.
    System = 6,
    /// A bug in the bridge. The operation may or may not have had an effect.
    Panic = 7,
}

/// Bytes that belong to the maker of the view.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct EncarnoView {
    /// The first byte; may be null when `length` is 0.
    pub data: *const u8,
    /// The number of bytes.
    pub length: usize,
}

/// Bytes that belong to the caller of the export that returned them: free them with
/// `encarno_bytes_free`. Texts are UTF-8.
#[derive(Debug)]
#[repr(C)]
pub struct EncarnoOwnedBytes {
    /// The first byte; null when there are none.
    pub data: *mut u8,
    /// The number of bytes.
    pub length: usize,
}

/// An open bridge.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct EncarnoBridge {
    /// Its handle; never 0.
    pub handle: u64,
    /// An eventfd, non-blocking, readable when there are completions to take. It belongs
    /// to the caller.
    pub event_fd: i32,
    /// The number of its IO threads.
    pub io_threads: u32,
}

/// The trace to which a call or a request belongs, in the parts of W3C Trace Context; all
/// 0 if there is none.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct EncarnoTrace {
    /// The higher half of its identifier.
    pub high: u64,
    /// The lower half.
    pub low: u64,
    /// The span of the caller in it; 0 if that isn't known.
    pub span: u64,
}

impl EncarnoTrace {
    pub(super) fn context(self) -> Option<TraceContext> {
        let trace = TraceContext {
            trace_id: u128::from(self.high) << 64 | u128::from(self.low),
            span_id: self.span,
        };
        (trace.trace_id != 0).then_some(trace)
    }
}

/// A call of `xk6:wrpc/blaster`, without its payload. The id of the packet is
/// `VU-ITERATION-NUMBER`.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct EncarnoBlast {
    /// Returned with the completion.
    pub tag: u64,
    /// The virtual user.
    pub vu: u64,
    /// Its iteration.
    pub iteration: u64,
    /// The number of the call within the iteration.
    pub number: u64,
    /// MiB for the component to allocate and touch.
    pub mem_burn_mb: u64,
    /// Milliseconds of CPU for it to burn.
    pub cpu_burn_ms: u64,
    /// Milliseconds for it to sleep.
    pub wait_ms: u64,
    /// The time from the submission after which the call fails with `timeout`; at most a
    /// day.
    pub timeout_ns: u64,
    /// Sent as the header `traceparent`. NATS carries it; over TCP, a call with a trace
    /// fails.
    pub trace: EncarnoTrace,
}

/// A call of a function, without its parameters and headers.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct EncarnoCall {
    /// Returned with the completion.
    pub tag: u64,
    /// The number of the function, from `encarno_function_open` for the same client.
    pub function: u64,
    /// The time from the submission after which the call fails with `timeout`; at most a
    /// day.
    pub timeout_ns: u64,
}

/// A sample of k6.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct EncarnoSample {
    /// The number of the series, from `encarno_record_series`.
    pub series: u32,
    /// Reserved; 0.
    pub reserved: u32,
    /// When it was taken, Unix time in ns.
    pub at_unix_ns: u64,
    /// Its value.
    pub value: f64,
}

/// A request of a script that has ended.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct EncarnoRequest {
    /// The number of its label, from `encarno_record_text`.
    pub label: u32,
    /// The number of its error text; 0 means that it succeeded.
    pub error: u32,
    /// The protocol's status; 0 means none.
    pub status: u32,
    /// Reserved; 0.
    pub reserved: u32,
    /// When it ended, Unix time in ns.
    pub ended_unix_ns: u64,
    /// Its duration.
    pub duration_ns: u64,
    /// Its trace. A request with a trace is kept as an exemplar.
    pub trace: EncarnoTrace,
}

/// The longest timeout: a day.
pub const ENCARNO_TIMEOUT_NS_MAX: u64 = 86_400_000_000_000;

/// The value for an instant that wasn't reached.
pub const ENCARNO_NEVER: u64 = u64::MAX;

/// The completion of a call. Times are from its submission, by a monotonic clock.
#[derive(Debug)]
#[repr(C)]
pub struct EncarnoCompletion {
    /// The tag of the call.
    pub tag: u64,
    /// The time until it was handed to the connection, or `ENCARNO_NEVER`.
    pub sent_ns: u64,
    /// The time until the last of its body was handed over, or `ENCARNO_NEVER` if no body
    /// followed.
    pub uploaded_ns: u64,
    /// The time until the receiver accepted it, or `ENCARNO_NEVER`.
    pub accepted_ns: u64,
    /// The time until its result or its failure.
    pub finished_ns: u64,
    /// Bytes of payloads and subjects that were sent.
    pub bytes_sent: u64,
    /// Bytes of payloads and subjects that arrived.
    pub bytes_received: u64,
    /// The error, in a sentence; empty on success. The caller frees it.
    pub error: EncarnoOwnedBytes,
    /// 0 for success, otherwise see `encarno_error_name`.
    pub error_code: u32,
    /// Reserved; 0.
    pub reserved: u32,
    /// The response to an HTTP request; null for any other call, and for a failed one.
    /// The caller frees it with `encarno_http_response_free`.
    pub response: *mut EncarnoHttpResponse,
    /// The encoded results of a function; empty for a function without results, and for a
    /// failed call. The caller frees them.
    pub results: EncarnoOwnedBytes,
}

/// The body of the response is kept.
pub const ENCARNO_HTTP_KEEP: u32 = 0;
/// The body of the response is read to its end and not kept.
pub const ENCARNO_HTTP_DISCARD: u32 = 1;
/// The body of the response isn't read: the call completes with its head, and the
/// receiver is told to send no more.
pub const ENCARNO_HTTP_IGNORE: u32 = 2;

/// An HTTP request, without its head and its body.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct EncarnoHttpRequest {
    /// Returned with the completion.
    pub tag: u64,
    /// The time from the submission after which the call fails with `timeout`; at most a
    /// day.
    pub timeout_ns: u64,
    /// A response with a larger body fails; for `ENCARNO_HTTP_KEEP`.
    pub body_bytes_max: u64,
    /// How the body is read: `ENCARNO_HTTP_KEEP`, `ENCARNO_HTTP_DISCARD` or
    /// `ENCARNO_HTTP_IGNORE`.
    pub reading: u32,
    /// Reserved; 0.
    pub reserved: u32,
}

/// A response. Its parts are freed with it.
#[derive(Debug)]
#[repr(C)]
pub struct EncarnoHttpResponse {
    /// Names and values of the headers in turn, each a length of 32 bits, little-endian,
    /// and that many bytes.
    pub headers: EncarnoOwnedBytes,
    /// Names and values of the trailers, in the same form.
    pub trailers: EncarnoOwnedBytes,
    /// The body, if it was to be kept.
    pub body: EncarnoOwnedBytes,
    /// The number of the body's bytes, kept or not.
    pub body_bytes: u64,
    /// The time from the submission until the head arrived. The completion's
    /// `finished_ns` is the end of what was read.
    pub head_ns: u64,
    /// 200 to 599.
    pub status: u32,
    /// Reserved; 0.
    pub reserved: u32,
}

/// The counts of a transport since the bridge was opened, over all its connections.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct EncarnoTransportCounts {
    /// Connections made.
    pub connects: u64,
    /// Connections that were lost and came back.
    pub reconnects: u64,
    /// Attempts to connect that failed, without attempts to reconnect.
    pub connect_failures: u64,
    /// Connections that were lost.
    pub losses: u64,
    /// Bytes of payloads and subjects that were sent.
    pub bytes_sent: u64,
    /// Bytes of payloads and subjects that arrived.
    pub bytes_received: u64,
    /// Messages sent.
    pub messages_sent: u64,
    /// Messages that arrived.
    pub messages_received: u64,
    /// Messages that arrived and were dropped, because they were read too slowly.
    pub messages_dropped: u64,
    /// Calls in flight now.
    pub calls_in_flight: u64,
    /// Calls that failed, by the number of their error code: `errors[9]` is the number of
    /// those with code 9.
    pub errors: [u64; ENCARNO_ERRORS],
}

/// The length of `errors` in `EncarnoTransportCounts`.
pub const ENCARNO_ERRORS: usize = 32;
const _: () = assert!(ENCARNO_ERRORS == encarno_wrpc::ERRORS);

impl From<encarno_wrpc::Counted> for EncarnoTransportCounts {
    fn from(counted: encarno_wrpc::Counted) -> Self {
        Self {
            connects: counted.connects,
            reconnects: counted.reconnects,
            connect_failures: counted.connect_failures,
            losses: counted.losses,
            bytes_sent: counted.bytes_sent,
            bytes_received: counted.bytes_received,
            messages_sent: counted.messages_sent,
            messages_received: counted.messages_received,
            messages_dropped: counted.messages_dropped,
            calls_in_flight: counted.calls_in_flight,
            errors: counted.errors,
        }
    }
}

impl EncarnoView {
    pub(super) const fn of(bytes: &'static [u8]) -> Self {
        Self {
            data: bytes.as_ptr(),
            length: bytes.len(),
        }
    }

    /// The bytes; `None` for a null pointer or an impossible length.
    ///
    /// # Safety
    /// A pointer that isn't null must be readable for `length` bytes as long as
    /// the result is used.
    pub(super) unsafe fn bytes<'a>(self) -> Option<&'a [u8]> {
        if self.length == 0 {
            return Some(&[]);
        }
        if self.data.is_null() || isize::try_from(self.length).is_err() {
            return None;
        }
        // SAFETY: not null, not too long, readable as the caller promises.
        Some(unsafe { std::slice::from_raw_parts(self.data, self.length) })
    }
}

impl EncarnoOwnedBytes {
    /// No bytes.
    pub const EMPTY: Self = Self {
        data: ptr::null_mut(),
        length: 0,
    };

    /// # Safety
    /// It must come from one of the `From` below and must not be used again.
    pub(super) unsafe fn free(self) {
        if self.data.is_null() {
            return;
        }
        let slice = ptr::slice_from_raw_parts_mut(self.data, self.length);
        // SAFETY: it was made from a box of this length.
        drop(unsafe { Box::from_raw(slice) });
    }
}

impl From<String> for EncarnoOwnedBytes {
    fn from(text: String) -> Self {
        text.into_bytes().into()
    }
}

impl From<Vec<u8>> for EncarnoOwnedBytes {
    fn from(bytes: Vec<u8>) -> Self {
        if bytes.is_empty() {
            return Self::EMPTY;
        }
        let bytes = Box::leak(bytes.into_boxed_slice());
        Self {
            data: bytes.as_mut_ptr(),
            length: bytes.len(),
        }
    }
}

impl From<Completion> for EncarnoCompletion {
    fn from(completion: Completion) -> Self {
        let Completion {
            tag,
            submitted,
            outcome,
            ..
        } = completion;
        let since = |moment: Option<Instant>| {
            moment.map_or(ENCARNO_NEVER, |moment| {
                moment.saturating_duration_since(submitted).as_nanos() as u64
            })
        };
        let timing = outcome.timing;
        let mut converted = Self {
            tag,
            sent_ns: since(timing.sent),
            uploaded_ns: since(timing.uploaded),
            accepted_ns: since(timing.accepted),
            finished_ns: since(timing.finished.or_else(|| Some(Instant::now()))),
            bytes_sent: outcome.traffic.bytes_sent,
            bytes_received: outcome.traffic.bytes_received,
            error: EncarnoOwnedBytes::EMPTY,
            error_code: 0,
            reserved: 0,
            response: ptr::null_mut(),
            results: EncarnoOwnedBytes::EMPTY,
        };
        match outcome.result {
            Ok(Reply::Results(results)) => converted.results = Vec::from(results).into(),
            Ok(Reply::Http(reply)) => {
                let head_ns = since(Some(reply.head_at));
                let response = EncarnoHttpResponse::new(*reply, head_ns);
                converted.response = Box::into_raw(Box::new(response));
            }
            Err(error) => {
                converted.error_code = error.code as u32;
                converted.error = error.message.into();
            }
        }
        converted
    }
}

impl EncarnoHttpResponse {
    fn new(reply: HttpReply, head_ns: u64) -> Self {
        Self {
            headers: texts::of_fields(&reply.headers).into(),
            trailers: texts::of_fields(&reply.trailers).into(),
            body: whole(reply.body).into(),
            body_bytes: reply.body_bytes,
            head_ns,
            status: u32::from(reply.status),
            reserved: 0,
        }
    }

    /// # Safety
    /// It must come from a completion and must not be used again.
    pub(super) unsafe fn free(response: *mut Self) {
        // SAFETY: a completion made it from a box, and nobody else has it.
        let response = unsafe { Box::from_raw(response) };
        for bytes in [response.headers, response.trailers, response.body] {
            // SAFETY: they came with it.
            unsafe { bytes.free() };
        }
    }
}

/// Joins the pieces.
fn whole(mut pieces: Vec<Bytes>) -> Vec<u8> {
    match pieces.len() {
        1 => Vec::from(pieces.remove(0)),
        _ => pieces.concat(),
    }
}

/// The id of a packet, formatted without an allocation.
pub(super) struct PacketId {
    text: [u8; 62],
    length: usize,
}

impl PacketId {
    pub(super) fn new(blast: &EncarnoBlast) -> Self {
        let mut text = [0; 62]; // three numbers of at most 20 digits, two dashes
        let mut rest = &mut text[..];
        // It fits: see above.
        let _ = write!(rest, "{}-{}-{}", blast.vu, blast.iteration, blast.number);
        let length = 62 - rest.len();
        Self { text, length }
    }

    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text[..self.length]).unwrap_or_default()
    }
}
