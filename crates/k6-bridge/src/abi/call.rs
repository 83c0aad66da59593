//! Calls of functions. A blast is a call of one function whose parameters are encoded
//! here.

use std::time::Duration;

use bytes::Bytes;
use encarno_wrpc::{Headers, blaster};
use encarno_wrpc_caller::{Call, TooManyCalls, Work};

use super::types::{
    ENCARNO_TIMEOUT_NS_MAX, EncarnoBlast, EncarnoCall, EncarnoCompletion, EncarnoOwnedBytes,
    EncarnoStatus, EncarnoView, PacketId,
};
use super::{guard, texts};
use crate::handles::{self, OpenClient};

/// Opens a function of an interface, such as `run` of `a:b/c@1.0.0`, for the calls of a
/// client. The interface is empty for a function of the component itself. On `OK`,
/// `function` is its number, which is the same each time, and valid as long as the
/// client. On `BAD_OPTIONS`, `error` is a sentence, which the caller frees.
///
/// # Safety
/// `interface` and `name` must be readable; `function` and `error` must be writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn encarno_function_open(
    client: u64,
    interface: EncarnoView,
    name: EncarnoView,
    function: *mut u64,
    error: *mut EncarnoOwnedBytes,
) -> EncarnoStatus {
    guard(|| {
        if function.is_null() || error.is_null() {
            return EncarnoStatus::BadArgument;
        }
        let Some(client) = handles::client(client) else {
            return EncarnoStatus::BadHandle;
        };
        // SAFETY: readable during this call, as the caller promises.
        let (interface, name) = unsafe { (interface.bytes(), name.bytes()) };
        let (Some(interface), Some(name)) = (interface, name) else {
            return EncarnoStatus::BadArgument;
        };
        let opened = match (str::from_utf8(interface), str::from_utf8(name)) {
            (Ok(interface), Ok(name)) => client
                .open_function(interface, name)
                .map_err(|error| error.message),
            _ => Err("the name of the function is not UTF-8".to_owned()),
        };
        match opened {
            Ok(number) => {
                // SAFETY: not null, and writable as the caller promises.
                unsafe { function.write(number) };
                EncarnoStatus::Ok
            }
            Err(reason) => {
                // SAFETY: as above.
                unsafe { error.write(EncarnoOwnedBytes::from(reason)) };
                EncarnoStatus::BadOptions
            }
        }
    })
}

/// Submits a call of a function, without blocking. On `OK`, and only then, exactly one
/// completion with its tag will come to the queue of the bridge, no later than its
/// timeout, with results or with an error. On `TOO_MANY_CALLS`, take completions first.
/// On `BAD_OPTIONS`, `error` is a sentence that names the invalid header, which the
/// caller frees.
///
/// `params` are the encoded parameters. `headers` are names and values in turn, such as
/// `traceparent`, each a length of 32 bits, little-endian, and that many bytes. NATS
/// carries them; over TCP, a call with headers fails.
///
/// # Safety
/// `call`, `params` and `headers` must be readable; all are copied. `error` must be
/// writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn encarno_call_submit(
    client: u64,
    call: *const EncarnoCall,
    params: EncarnoView,
    headers: EncarnoView,
    error: *mut EncarnoOwnedBytes,
) -> EncarnoStatus {
    guard(|| {
        // SAFETY: readable during this call, as the caller promises.
        let read = |client: &OpenClient| unsafe { read_call(client, call, params, headers) };
        // SAFETY: null, or writable as the caller promises.
        unsafe { submit(client, error, read) }
    })
}

/// Submits a call of a function. If few calls are in flight, it waits for the call, as
/// `encarno_blast_wait` does. On `OK`, `completion` is filled, the caller frees its
/// parts, and nothing comes to the queue. On `PENDING`, the completion will come to the
/// queue, as after `encarno_call_submit`.
///
/// # Safety
/// As `encarno_call_submit`; `completion` must be writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn encarno_call_wait(
    client: u64,
    call: *const EncarnoCall,
    params: EncarnoView,
    headers: EncarnoView,
    completion: *mut EncarnoCompletion,
    error: *mut EncarnoOwnedBytes,
) -> EncarnoStatus {
    guard(|| {
        // SAFETY: readable during this call, as the caller promises.
        let read = |client: &OpenClient| unsafe { read_call(client, call, params, headers) };
        // SAFETY: null, or writable as the caller promises.
        unsafe { submit_and_wait(client, completion, error, read) }
    })
}

/// Submits a blast, without blocking. On `OK`, and only then, exactly one completion with
/// its tag will come to the queue of the bridge, no later than its timeout. On
/// `TOO_MANY_CALLS`, take completions first.
///
/// # Safety
/// `blast` and `payload` must be readable; both are copied.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn encarno_blast_submit(
    client: u64,
    blast: *const EncarnoBlast,
    payload: EncarnoView,
) -> EncarnoStatus {
    guard(|| {
        let Some(client) = handles::client(client) else {
            return EncarnoStatus::BadHandle;
        };
        // SAFETY: readable during this call, as the caller promises.
        match unsafe { read_blast(&client, blast, payload) } {
            Some(submission) => submission.submit(&client),
            None => EncarnoStatus::BadArgument,
        }
    })
}

/// Submits a blast. If few calls are in flight, it waits for the blast, which is cheaper
/// than a wake-up by the queue. On `OK`, `completion` is filled, the caller frees its
/// error text, and nothing comes to the queue. On `PENDING`, the completion will come to
/// the queue, as after `encarno_blast_submit`. At most two threads wait here at a time,
/// each for at most some milliseconds.
///
/// # Safety
/// `blast` and `payload` must be readable; both are copied. `completion` must
/// be writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn encarno_blast_wait(
    client: u64,
    blast: *const EncarnoBlast,
    payload: EncarnoView,
    completion: *mut EncarnoCompletion,
) -> EncarnoStatus {
    guard(|| {
        if completion.is_null() {
            return EncarnoStatus::BadArgument;
        }
        let Some(client) = handles::client(client) else {
            return EncarnoStatus::BadHandle;
        };
        // SAFETY: readable during this call, as the caller promises.
        match unsafe { read_blast(&client, blast, payload) } {
            // SAFETY: not null, and writable as the caller promises.
            Some(submission) => unsafe { submission.wait(&client, completion) },
            None => EncarnoStatus::BadArgument,
        }
    })
}

/// Work that was read from arguments, and the rest of its submission.
pub(super) struct Submission<W> {
    pub(super) tag: u64,
    pub(super) work: W,
    pub(super) timeout: Duration,
}

impl<W: Work> Submission<W> {
    pub(super) fn new(tag: u64, work: W, timeout_ns: u64) -> Self {
        Self {
            tag,
            work,
            timeout: Duration::from_nanos(timeout_ns.min(ENCARNO_TIMEOUT_NS_MAX)),
        }
    }

    pub(super) fn submit(self, client: &OpenClient) -> EncarnoStatus {
        match client.client.submit(self.tag, self.work, self.timeout) {
            Ok(()) => EncarnoStatus::Ok,
            Err(TooManyCalls) => EncarnoStatus::TooManyCalls,
        }
    }

    /// # Safety
    /// `completion` must be writable.
    pub(super) unsafe fn wait(
        self,
        client: &OpenClient,
        completion: *mut EncarnoCompletion,
    ) -> EncarnoStatus {
        let client = &client.client;
        match client.submit_and_wait(self.tag, self.work, self.timeout) {
            Ok(Some(done)) => {
                // SAFETY: writable as the caller promises.
                unsafe { completion.write(done.into()) };
                EncarnoStatus::Ok
            }
            Ok(None) => EncarnoStatus::Pending,
            Err(TooManyCalls) => EncarnoStatus::TooManyCalls,
        }
    }
}

/// Submits the work that `read` makes of an export's arguments.
///
/// # Safety
/// `error` must be null or writable.
pub(super) unsafe fn submit<W: Work>(
    client: u64,
    error: *mut EncarnoOwnedBytes,
    read: impl FnOnce(&OpenClient) -> Result<Submission<W>, Refused>,
) -> EncarnoStatus {
    if error.is_null() {
        return EncarnoStatus::BadArgument;
    }
    let Some(client) = handles::client(client) else {
        return EncarnoStatus::BadHandle;
    };
    match read(&client) {
        Ok(submission) => submission.submit(&client),
        // SAFETY: not null, and writable as the caller promises.
        Err(refused) => unsafe { refused.status(error) },
    }
}

/// The same as [`submit`]. If few calls are in flight, it waits for the completion.
///
/// # Safety
/// `completion` and `error` must be null or writable.
pub(super) unsafe fn submit_and_wait<W: Work>(
    client: u64,
    completion: *mut EncarnoCompletion,
    error: *mut EncarnoOwnedBytes,
    read: impl FnOnce(&OpenClient) -> Result<Submission<W>, Refused>,
) -> EncarnoStatus {
    if completion.is_null() || error.is_null() {
        return EncarnoStatus::BadArgument;
    }
    let Some(client) = handles::client(client) else {
        return EncarnoStatus::BadHandle;
    };
    match read(&client) {
        // SAFETY: not null, and writable as the caller promises.
        Ok(submission) => unsafe { submission.wait(&client, completion) },
        // SAFETY: as above.
        Err(refused) => unsafe { refused.status(error) },
    }
}

/// Why a call can't be submitted.
pub(super) enum Refused {
    /// A pointer is null, or a number is out of its range.
    Argument,
    /// A sentence that names the error.
    Because(String),
}

impl Refused {
    /// # Safety
    /// `error` must be writable.
    pub(super) unsafe fn status(self, error: *mut EncarnoOwnedBytes) -> EncarnoStatus {
        match self {
            Self::Argument => EncarnoStatus::BadArgument,
            Self::Because(reason) => {
                // SAFETY: writable as the caller promises.
                unsafe { error.write(EncarnoOwnedBytes::from(reason)) };
                EncarnoStatus::BadOptions
            }
        }
    }
}

/// # Safety
/// As [`encarno_call_submit`].
unsafe fn read_call(
    client: &OpenClient,
    call: *const EncarnoCall,
    params: EncarnoView,
    headers: EncarnoView,
) -> Result<Submission<Call>, Refused> {
    // SAFETY: null is checked here; what isn't null is readable, as the caller promises.
    let (call, params, headers) = unsafe { (call.as_ref(), params.bytes(), headers.bytes()) };
    let (Some(call), Some(params), Some(headers)) = (call, params, headers) else {
        return Err(Refused::Argument);
    };
    let work = Call {
        function: client.function(call.function).ok_or(Refused::Argument)?,
        params: Bytes::copy_from_slice(params),
        headers: texts::headers(headers).map_err(Refused::Because)?,
    };
    Ok(Submission::new(call.tag, work, call.timeout_ns))
}

/// `None` if a pointer is null or the payload is too long for the wire.
///
/// # Safety
/// As [`encarno_blast_submit`].
unsafe fn read_blast(
    client: &OpenClient,
    blast: *const EncarnoBlast,
    payload: EncarnoView,
) -> Option<Submission<Call>> {
    // SAFETY: null is checked here; what isn't null is readable, as the caller promises.
    let (blast, payload) = unsafe { (blast.as_ref()?, payload.bytes()?) };
    u32::try_from(payload.len()).ok()?; // the wire's lengths are of 32 bits
    let id = PacketId::new(blast);
    let packet = blaster::Packet {
        id: id.as_str(),
        payload,
        mem_burn_mb: blast.mem_burn_mb,
        cpu_burn_ms: blast.cpu_burn_ms,
        wait_ms: blast.wait_ms,
    };
    let mut headers = Headers::default();
    if let Some(trace) = blast.trace.context() {
        headers.add("traceparent", &trace.traceparent()).ok()?;
    }
    let work = Call {
        function: client.blast.clone(),
        params: Bytes::from(packet.encode()),
        headers,
    };
    Some(Submission::new(blast.tag, work, blast.timeout_ns))
}
