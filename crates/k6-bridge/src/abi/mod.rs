//! What C sees. The only module with `unsafe`.
//!
//! Rules that hold for every export:
//!
//! - It returns a [`Status`]; a panic inside becomes [`Status::Panic`].
//! - A handle that is wrong or was closed is [`Status::BadHandle`], nothing worse.
//! - A null pointer is [`Status::BadArgument`]. A pointer that isn't null must be
//!   good for what its type and its doc say; this can't be checked here.
//! - Views are read during the export and never kept. Owned bytes are freed by
//!   [`encarno_bytes_free`].
//! - Exports may be called by any thread at any time.
//!
//! The parts: [`types`], [`http`] for the exports of HTTP, and [`system`], what is
//! wanted of the operating system.

#![allow(unsafe_code)]

pub mod http;
pub(crate) mod system;
pub mod types;

use std::os::fd::IntoRawFd as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use encarno_wrpc::ErrorCode;
use encarno_wrpc::blaster;

pub use types::{
    Blast, Bridge, Completion, HttpRequest, HttpResponse, OwnedBytes, Status, TransportCounts, View,
};

use crate::client::{TooManyCalls, Work};
use crate::handles::{self, Entry};
use crate::options::{Options, Transport};

/// Opens a bridge: its IO threads and its queue of completions.
///
/// On `OK`, `opened` is filled: the caller closes the bridge by
/// `encarno_bridge_close` and the descriptor by `close`. On `SYSTEM`, `error`
/// holds a sentence, which the caller frees.
///
/// # Safety
/// `opened` and `error` must be writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn encarno_bridge_open(
    opened: *mut Bridge,
    error: *mut OwnedBytes,
) -> Status {
    guard(|| {
        if opened.is_null() || error.is_null() {
            return Status::BadArgument;
        }
        let (bridge, event) = match crate::bridge::Bridge::open() {
            Ok(bridge) => bridge,
            Err(reason) => {
                let text = format!("cannot start the IO threads: {reason}");
                // SAFETY: not null, and writable as the caller promises.
                unsafe { error.write(OwnedBytes::from(text)) };
                return Status::System;
            }
        };
        let io_threads = bridge.io_threads() as u32;
        let bridge = Bridge {
            handle: handles::insert(Entry::Bridge(Arc::new(bridge))),
            event_fd: event.into_raw_fd(),
            io_threads,
        };
        // SAFETY: as above.
        unsafe { opened.write(bridge) };
        Status::Ok
    })
}

/// Closes a bridge and its clients, ends its calls and its threads, and makes
/// its descriptor readable a last time. Completions that were not taken are
/// dropped.
#[unsafe(no_mangle)]
pub extern "C" fn encarno_bridge_close(bridge: u64) -> Status {
    guard(|| match handles::remove_bridge(bridge) {
        Some(bridge) => {
            drop(bridge);
            Status::Ok
        }
        None => Status::BadHandle,
    })
}

/// Opens a client: a connection of its own, or one that it shares with others of
/// equal options, which is made at the first call.
///
/// `options` is JSON: `{"nats": {"url", "prefix", "name", "connect_timeout"}}` or
/// `{"tcp": {"addr", "connect_timeout", "nodelay", "keepalive", "source_addr",
/// "pool", "tls"}}`; a key `tags` beside them is ignored. On `OK`, `client` is filled: the caller
/// closes it by `encarno_client_close`. On `BAD_OPTIONS`, `error` holds a
/// sentence that names the key at fault, which the caller frees.
///
/// # Safety
/// `options` must be readable; `client` and `error` must be writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn encarno_client_open(
    bridge: u64,
    options: View,
    client: *mut u64,
    error: *mut OwnedBytes,
) -> Status {
    guard(|| {
        if client.is_null() || error.is_null() {
            return Status::BadArgument;
        }
        let Some(bridge) = handles::bridge(bridge) else {
            return Status::BadHandle;
        };
        // SAFETY: readable during this call, as the caller promises.
        let Some(options) = (unsafe { options.bytes() }) else {
            return Status::BadArgument;
        };
        match Options::parse(options) {
            Ok(options) => {
                let opened = handles::insert(Entry::Client(Arc::new(bridge.client(options))));
                // SAFETY: not null, and writable as the caller promises.
                unsafe { client.write(opened) };
                Status::Ok
            }
            Err(reason) => {
                // SAFETY: as above.
                unsafe { error.write(OwnedBytes::from(reason)) };
                Status::BadOptions
            }
        }
    })
}

/// Ends the calls of a client that are in flight: each completes at once, as
/// cancelled, unless it is done already. Later calls are not affected.
#[unsafe(no_mangle)]
pub extern "C" fn encarno_client_cancel(client: u64) -> Status {
    guard(|| match handles::client(client) {
        Some(client) => {
            client.cancel();
            Status::Ok
        }
        None => Status::BadHandle,
    })
}

/// Closes a client, its calls as `encarno_client_cancel` does, and its connection.
#[unsafe(no_mangle)]
pub extern "C" fn encarno_client_close(client: u64) -> Status {
    guard(|| match handles::remove_client(client) {
        Some(client) => {
            client.close();
            Status::Ok
        }
        None => Status::BadHandle,
    })
}

/// Submits a blast, without blocking. On `OK`, and only then, exactly one
/// completion with its tag will come to the queue of the bridge, no later than
/// its timeout. On `TOO_MANY_CALLS` completions must be taken first.
///
/// # Safety
/// `blast` and `payload` must be readable; both are copied.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn encarno_blast_submit(
    client: u64,
    blast: *const Blast,
    payload: View,
) -> Status {
    guard(|| {
        let Some(client) = handles::client(client) else {
            return Status::BadHandle;
        };
        // SAFETY: readable during this call, as the caller promises.
        let Some((tag, params, timeout)) = (unsafe { read(blast, payload) }) else {
            return Status::BadArgument;
        };
        match client.submit(tag, Work::Blast(params), timeout) {
            Ok(()) => Status::Ok,
            Err(TooManyCalls) => Status::TooManyCalls,
        }
    })
}

/// Submits a blast, and where few calls are in flight waits for it: that is
/// cheaper than a wake-up by the queue. On `OK`, `completion` is filled, its
/// error text is the caller's to free, and nothing comes to the queue. On
/// `PENDING` the completion will come to the queue, as after
/// `encarno_blast_submit`. At most two threads are ever held here, for at most
/// some milliseconds.
///
/// # Safety
/// `blast` and `payload` must be readable; both are copied. `completion` must
/// be writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn encarno_blast_wait(
    client: u64,
    blast: *const Blast,
    payload: View,
    completion: *mut Completion,
) -> Status {
    guard(|| {
        if completion.is_null() {
            return Status::BadArgument;
        }
        let Some(client) = handles::client(client) else {
            return Status::BadHandle;
        };
        // SAFETY: readable during this call, as the caller promises.
        let Some((tag, params, timeout)) = (unsafe { read(blast, payload) }) else {
            return Status::BadArgument;
        };
        match client.submit_and_wait(tag, Work::Blast(params), timeout) {
            Ok(Some(done)) => {
                // SAFETY: not null, and writable as the caller promises.
                unsafe { completion.write(done.into()) };
                Status::Ok
            }
            Ok(None) => Status::Pending,
            Err(TooManyCalls) => Status::TooManyCalls,
        }
    })
}

/// Takes completions from the queue of a bridge, the oldest first, and sets
/// `taken` to their number, which may be 0. The caller frees the error text and
/// the response of each. To wait for completions, read 8 bytes from the descriptor; it becomes
/// readable when the queue stops being empty, so that after a read all of it
/// must be taken.
///
/// # Safety
/// `completions` must be writable for `capacity` elements; `taken` must be
/// writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn encarno_completions_take(
    bridge: u64,
    completions: *mut Completion,
    capacity: usize,
    taken: *mut usize,
) -> Status {
    guard(|| {
        if completions.is_null() || taken.is_null() {
            return Status::BadArgument;
        }
        let Some(bridge) = handles::bridge(bridge) else {
            return Status::BadHandle;
        };
        let count = bridge.completions().take(capacity, |index, completion| {
            // SAFETY: `index` is below `capacity`, and so many are writable as the
            // caller promises.
            unsafe { completions.add(index).write(completion.into()) };
        });
        // SAFETY: not null, and writable as the caller promises.
        unsafe { taken.write(count) };
        Status::Ok
    })
}

/// The name of an error code, such as `timeout`. The view is good for ever.
/// `BAD_ARGUMENT` for a number that is no code; the codes count from 1 without
/// gaps.
///
/// # Safety
/// `name` must be writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn encarno_error_name(code: u32, name: *mut View) -> Status {
    guard(|| {
        let found = ErrorCode::ALL.iter().find(|&&known| known as u32 == code);
        let (Some(found), false) = (found, name.is_null()) else {
            return Status::BadArgument;
        };
        // SAFETY: not null, and writable as the caller promises.
        unsafe { name.write(View::of(found.name().as_bytes())) };
        Status::Ok
    })
}

/// The name of a transport, such as `nats`. The view is good for ever.
/// `BAD_ARGUMENT` for a number that is no transport; they count from 0 without gaps.
///
/// # Safety
/// `name` must be writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn encarno_transport_name(transport: u32, name: *mut View) -> Status {
    guard(|| {
        let found = Transport::NAMES.get(transport as usize);
        let (Some(found), false) = (found, name.is_null()) else {
            return Status::BadArgument;
        };
        // SAFETY: not null, and writable as the caller promises.
        unsafe { name.write(View::of(found.as_bytes())) };
        Status::Ok
    })
}

/// What a transport did since the bridge was opened.
///
/// # Safety
/// `counts` must be writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn encarno_transport_counts(
    bridge: u64,
    transport: u32,
    counts: *mut TransportCounts,
) -> Status {
    guard(|| {
        let transport = transport as usize;
        if counts.is_null() || transport >= Transport::NAMES.len() {
            return Status::BadArgument;
        }
        let Some(bridge) = handles::bridge(bridge) else {
            return Status::BadHandle;
        };
        // SAFETY: not null, and writable as the caller promises.
        unsafe { counts.write(bridge.counted(transport).into()) };
        Status::Ok
    })
}

/// Takes how long connections of a transport took to make, in nanoseconds, each
/// once, and sets `taken` to their number, which may be 0.
///
/// # Safety
/// `times_ns` must be writable for `capacity` elements; `taken` must be writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn encarno_connect_times_take(
    bridge: u64,
    transport: u32,
    times_ns: *mut u64,
    capacity: usize,
    taken: *mut usize,
) -> Status {
    guard(|| {
        let transport = transport as usize;
        if times_ns.is_null() || taken.is_null() || transport >= Transport::NAMES.len() {
            return Status::BadArgument;
        }
        let Some(bridge) = handles::bridge(bridge) else {
            return Status::BadHandle;
        };
        let times = bridge.take_connect_times(transport, capacity);
        for (index, time) in times.iter().enumerate() {
            // SAFETY: `index` is below `capacity`, and so many are writable as the
            // caller promises.
            unsafe { times_ns.add(index).write(time.as_nanos() as u64) };
        }
        // SAFETY: not null, and writable as the caller promises.
        unsafe { taken.write(times.len()) };
        Status::Ok
    })
}

/// Frees bytes that an export handed out, and empties `bytes`, so that freeing
/// it again does nothing.
///
/// # Safety
/// `bytes` must be null, or writable and as an export left it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn encarno_bytes_free(bytes: *mut OwnedBytes) -> Status {
    guard(|| {
        if bytes.is_null() {
            return Status::BadArgument;
        }
        // SAFETY: not null, and writable as the caller promises.
        let owned = unsafe { bytes.replace(OwnedBytes::EMPTY) };
        // SAFETY: an export made it, and it was replaced above: nobody else has it.
        unsafe { owned.free() };
        Status::Ok
    })
}

/// The panic boundary: no unwinding crosses into C.
fn guard(export: impl FnOnce() -> Status) -> Status {
    // What a panic leaves behind is guarded by locks, whose data is whole.
    catch_unwind(AssertUnwindSafe(export)).unwrap_or(Status::Panic)
}

/// The tag, the parameters and the timeout of a blast; `None` if a pointer is
/// null or the payload longer than the wire can say.
///
/// # Safety
/// As [`encarno_blast_submit`].
unsafe fn read(blast: *const Blast, payload: View) -> Option<(u64, Bytes, Duration)> {
    // SAFETY: null is checked here; what isn't null is readable, as the caller promises.
    let (blast, payload) = unsafe { (blast.as_ref()?, payload.bytes()?) };
    u32::try_from(payload.len()).ok()?; // the wire's lengths are of 32 bits
    let id = types::Id::new(blast);
    let packet = blaster::Packet {
        id: id.as_str(),
        payload,
        mem_burn_mb: blast.mem_burn_mb,
        cpu_burn_ms: blast.cpu_burn_ms,
        wait_ms: blast.wait_ms,
    };
    let params = Bytes::from(packet.encode());
    let timeout = Duration::from_nanos(blast.timeout_ns.min(types::TIMEOUT_NS_MAX));
    Some((blast.tag, params, timeout))
}

#[cfg(test)]
mod tests {
    use super::{Status, guard};

    #[test]
    fn a_panic_becomes_a_status() {
        assert_eq!(
            guard(|| panic!("this panic is part of a test")),
            Status::Panic
        );
        assert_eq!(guard(|| Status::Ok), Status::Ok);
    }

    #[test]
    fn every_export_has_the_panic_boundary() {
        let source = include_str!("mod.rs");
        let source = source.split("#[cfg(test)]").next().expect("source");
        let exports = source.split("#[unsafe(no_mangle)]").skip(1);
        let http = include_str!("http.rs")
            .split("#[unsafe(no_mangle)]")
            .skip(1);
        let exports: Vec<&str> = exports.chain(http).collect();
        assert!(exports.len() >= 13);
        for export in exports {
            let body = export.split_once("-> Status {").expect("a status").1;
            assert!(body.trim_start().starts_with("guard(|| "), "{body}");
        }
    }
}
