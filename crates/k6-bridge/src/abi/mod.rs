//! The C ABI: exports, their structs, and the panic boundary. Of this crate's modules,
//! only this one and `system` contain `unsafe`.
//!
//! Rules that hold for every export:
//!
//! - It returns a [`EncarnoStatus`]; a panic inside becomes [`EncarnoStatus::Panic`].
//! - A wrong or closed handle gives [`EncarnoStatus::BadHandle`].
//! - A null pointer gives [`EncarnoStatus::BadArgument`]. A pointer that isn't null must
//!   be valid as its type and documentation say; this can't be checked here.
//! - Views are read during the export and never kept. Free owned bytes with
//!   [`encarno_bytes_free`].
//! - Exports may be called by any thread at any time.
//!
//! The parts:
//!
//! - here: bridges, clients, completions and counts
//! - [`call`]: calls of functions, and blasts
//! - [`http`]: HTTP requests
//! - [`record`]: result files of k6's samples
//! - `texts`: lists of texts
//! - [`wit`]: the functions that WIT declares
//! - [`types`]: structs and constants

#![allow(unsafe_code)]

pub mod call;
pub mod http;
pub mod record;
mod texts;
pub mod types;
pub mod wit;

use std::os::fd::IntoRawFd as _;
use std::panic::{AssertUnwindSafe, catch_unwind};

use encarno_wrpc::ErrorCode;
use encarno_wrpc_caller::{Options, Transport};

pub use call::*;
pub use http::*;
pub use record::*;
pub use types::*;
pub use wit::*;

use crate::bridge::Bridge;
use crate::handles::{self, OpenClient};

/// The version of this library's C ABI: `ENCARNO_ABI_VERSION` of its own header. This
/// export never changes.
///
/// # Safety
/// `version` must be writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn encarno_abi_version(version: *mut u32) -> EncarnoStatus {
    guard(|| {
        if version.is_null() {
            return EncarnoStatus::BadArgument;
        }
        // SAFETY: not null, and writable as the caller promises.
        unsafe { version.write(ENCARNO_ABI_VERSION) };
        EncarnoStatus::Ok
    })
}

/// Opens a bridge: its IO threads and its queue of completions.
///
/// On `OK`, `opened` is filled: the caller closes the bridge with `encarno_bridge_close`
/// and the descriptor with `close`. On `SYSTEM`, `error` is a sentence, which the caller
/// frees.
///
/// # Safety
/// `opened` and `error` must be writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn encarno_bridge_open(
    opened: *mut EncarnoBridge,
    error: *mut EncarnoOwnedBytes,
) -> EncarnoStatus {
    guard(|| {
        if opened.is_null() || error.is_null() {
            return EncarnoStatus::BadArgument;
        }
        let (bridge, event) = match Bridge::open() {
            Ok(bridge) => bridge,
            Err(reason) => {
                let text = format!("cannot start the IO threads: {reason}");
                // SAFETY: not null, and writable as the caller promises.
                unsafe { error.write(EncarnoOwnedBytes::from(text)) };
                return EncarnoStatus::System;
            }
        };
        let io_threads = bridge.caller().io_threads() as u32;
        let bridge = EncarnoBridge {
            handle: handles::insert_bridge(bridge),
            event_fd: event.into_raw_fd(),
            io_threads,
        };
        // SAFETY: as above.
        unsafe { opened.write(bridge) };
        EncarnoStatus::Ok
    })
}

/// Closes a bridge and its clients, ends its calls and its threads, and makes its
/// descriptor readable one last time. Completions that weren't taken are dropped.
#[unsafe(no_mangle)]
pub extern "C" fn encarno_bridge_close(bridge: u64) -> EncarnoStatus {
    guard(|| match handles::remove_bridge(bridge) {
        Some(bridge) => {
            drop(bridge);
            EncarnoStatus::Ok
        }
        None => EncarnoStatus::BadHandle,
    })
}

/// Opens a client, with its own connection, or with one that clients with equal options
/// share. The connection is made at the first call.
///
/// `options` is JSON with the key `nats` or `tcp`, whose keys are those of a scenario's
/// options; a key `tags` beside them is ignored. On `OK`, `client` is filled: the caller
/// closes it with `encarno_client_close`. On `BAD_OPTIONS`, `error` is a sentence that
/// names the invalid key, which the caller frees.
///
/// # Safety
/// `options` must be readable; `client` and `error` must be writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn encarno_client_open(
    bridge: u64,
    options: EncarnoView,
    client: *mut u64,
    error: *mut EncarnoOwnedBytes,
) -> EncarnoStatus {
    guard(|| {
        if client.is_null() || error.is_null() {
            return EncarnoStatus::BadArgument;
        }
        let Some(of) = handles::bridge(bridge) else {
            return EncarnoStatus::BadHandle;
        };
        // SAFETY: readable during this call, as the caller promises.
        let Some(options) = (unsafe { options.bytes() }) else {
            return EncarnoStatus::BadArgument;
        };
        let opened = Options::parse(options).and_then(|options| {
            OpenClient::new(bridge, &of, options).map_err(|error| error.message)
        });
        match opened {
            Ok(opened) => {
                let opened = handles::insert_client(opened);
                // SAFETY: not null, and writable as the caller promises.
                unsafe { client.write(opened) };
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

/// Cancels the calls of a client that are in flight: each completes at once, unless it is
/// done already. Later calls are not affected.
#[unsafe(no_mangle)]
pub extern "C" fn encarno_client_cancel(client: u64) -> EncarnoStatus {
    guard(|| match handles::client(client) {
        Some(client) => {
            client.client.cancel();
            EncarnoStatus::Ok
        }
        None => EncarnoStatus::BadHandle,
    })
}

/// Closes a client and its connection, and cancels its calls as `encarno_client_cancel`
/// does.
#[unsafe(no_mangle)]
pub extern "C" fn encarno_client_close(client: u64) -> EncarnoStatus {
    guard(|| match handles::remove_client(client) {
        Some(client) => {
            client.client.close();
            EncarnoStatus::Ok
        }
        None => EncarnoStatus::BadHandle,
    })
}

/// Takes completions from the queue of a bridge, the oldest first, and sets `taken` to
/// their number, which may be 0. The caller frees the error text, the response and the
/// results of each. To wait for completions, read 8 bytes from the descriptor. It becomes
/// readable when the queue stops being empty, so take all completions after each read.
///
/// # Safety
/// `completions` must be writable for `capacity` elements; `taken` must be
/// writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn encarno_completions_take(
    bridge: u64,
    completions: *mut EncarnoCompletion,
    capacity: usize,
    taken: *mut usize,
) -> EncarnoStatus {
    guard(|| {
        if completions.is_null() || taken.is_null() {
            return EncarnoStatus::BadArgument;
        }
        let Some(bridge) = handles::bridge(bridge) else {
            return EncarnoStatus::BadHandle;
        };
        let count = bridge.queue().fetch(capacity, |index, completion| {
            // SAFETY: `index` is below `capacity`, and so many are writable as the
            // caller promises.
            unsafe { completions.add(index).write(completion.into()) };
        });
        // SAFETY: `index` is below `capacity`, and that many are writable as the caller
        // promises.
        unsafe { taken.write(count) };
        EncarnoStatus::Ok
    })
}

/// The name of an error code, such as `timeout`. The view is always valid. `BAD_ARGUMENT`
/// if the number isn't a code; codes count from 1 without gaps.
///
/// # Safety
/// `name` must be writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn encarno_error_name(code: u32, name: *mut EncarnoView) -> EncarnoStatus {
    guard(|| {
        let found = ErrorCode::ALL.iter().find(|&&known| known as u32 == code);
        let (Some(found), false) = (found, name.is_null()) else {
            return EncarnoStatus::BadArgument;
        };
        // SAFETY: `index` is below `capacity`, and that many are writable as the caller
        // promises.
        unsafe { name.write(EncarnoView::of(found.name().as_bytes())) };
        EncarnoStatus::Ok
    })
}

/// The name of a transport, such as `nats`. The view is always valid. `BAD_ARGUMENT` if
/// the number isn't a transport; transports count from 0 without gaps.
///
/// # Safety
/// `name` must be writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn encarno_transport_name(
    transport: u32,
    name: *mut EncarnoView,
) -> EncarnoStatus {
    guard(|| {
        let found = Transport::NAMES.get(transport as usize);
        let (Some(found), false) = (found, name.is_null()) else {
            return EncarnoStatus::BadArgument;
        };
        // SAFETY: `index` is below `capacity`, and that many are writable as the caller
        // promises.
        unsafe { name.write(EncarnoView::of(found.as_bytes())) };
        EncarnoStatus::Ok
    })
}

/// The counts of a transport since the bridge was opened.
///
/// # Safety
/// `counts` must be writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn encarno_transport_counts(
    bridge: u64,
    transport: u32,
    counts: *mut EncarnoTransportCounts,
) -> EncarnoStatus {
    guard(|| {
        let transport = transport as usize;
        if counts.is_null() || transport >= Transport::NAMES.len() {
            return EncarnoStatus::BadArgument;
        }
        let Some(bridge) = handles::bridge(bridge) else {
            return EncarnoStatus::BadHandle;
        };
        // SAFETY: `index` is below `capacity`, and that many are writable as the caller
        // promises.
        unsafe { counts.write(bridge.caller().counted(transport).into()) };
        EncarnoStatus::Ok
    })
}

/// Takes the connect times of a transport's connections, in nanoseconds, each once, and
/// sets `taken` to their number, which may be 0.
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
) -> EncarnoStatus {
    guard(|| {
        let transport = transport as usize;
        if times_ns.is_null() || taken.is_null() || transport >= Transport::NAMES.len() {
            return EncarnoStatus::BadArgument;
        }
        let Some(bridge) = handles::bridge(bridge) else {
            return EncarnoStatus::BadHandle;
        };
        let times = bridge.caller().take_connect_times(transport, capacity);
        for (index, time) in times.iter().enumerate() {
            // SAFETY: `index` is below `capacity`, and so many are writable as the
            // caller promises.
            unsafe { times_ns.add(index).write(time.as_nanos() as u64) };
        }
        // SAFETY: not null, and writable as the caller promises.
        unsafe { taken.write(times.len()) };
        EncarnoStatus::Ok
    })
}

/// Frees bytes that an export returned, and empties `bytes`, so that freeing them again
/// does nothing.
///
/// # Safety
/// `bytes` must be null, or writable and as an export left it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn encarno_bytes_free(bytes: *mut EncarnoOwnedBytes) -> EncarnoStatus {
    guard(|| {
        if bytes.is_null() {
            return EncarnoStatus::BadArgument;
        }
        // SAFETY: not null, and writable as the caller promises.
        let owned = unsafe { bytes.replace(EncarnoOwnedBytes::EMPTY) };
        // SAFETY: an export made it, and it was replaced above, so nobody else has it.
        unsafe { owned.free() };
        EncarnoStatus::Ok
    })
}

/// The panic boundary: no unwinding crosses into C.
fn guard(export: impl FnOnce() -> EncarnoStatus) -> EncarnoStatus {
    // A panic leaves data behind locks consistent.
    catch_unwind(AssertUnwindSafe(export)).unwrap_or(EncarnoStatus::Panic)
}

#[cfg(test)]
mod tests {
    use super::{EncarnoStatus, guard};

    #[test]
    fn a_panic_becomes_a_status() {
        assert_eq!(
            guard(|| panic!("this panic is part of a test")),
            EncarnoStatus::Panic
        );
        assert_eq!(guard(|| EncarnoStatus::Ok), EncarnoStatus::Ok);
    }

    #[test]
    fn every_export_has_the_panic_boundary() {
        let source = include_str!("mod.rs");
        let source = source.split("#[cfg(test)]").next().expect("source");
        let exports = source.split("#[unsafe(no_mangle)]").skip(1);
        let others = [
            include_str!("call.rs"),
            include_str!("http.rs"),
            include_str!("record.rs"),
            include_str!("wit.rs"),
        ];
        let others = others
            .iter()
            .flat_map(|source| source.split("#[unsafe(no_mangle)]").skip(1));
        let exports: Vec<&str> = exports.chain(others).collect();
        let header = include_str!("../../include/encarno.h");
        let declared = header
            .lines()
            .filter(|line| line.starts_with("EncarnoStatus encarno_"));
        assert_eq!(exports.len(), declared.count());
        for export in exports {
            let body = export.split_once("-> EncarnoStatus {").expect("a status").1;
            assert!(body.trim_start().starts_with("guard(|| "), "{body}");
        }
    }
}
