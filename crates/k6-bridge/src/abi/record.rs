//! Result files for k6's samples.

use std::path::Path;

use encarno_record::notes::{self, Notes};
use encarno_record::samples::{Request, Sample};
use encarno_record::series::Series;

use super::{EncarnoOwnedBytes, EncarnoRequest, EncarnoSample, EncarnoStatus, EncarnoView, guard};
use crate::record::{self, Record};

/// Creates a result file, or empties it. `notes` is JSON in the form of
/// `encarno_record::notes`; the description of this machine is added. On `OK`, `record`
/// is filled: the caller ends it with `encarno_record_end`. On `SYSTEM` and
/// `BAD_OPTIONS`, `error` is a sentence, which the caller frees.
///
/// # Safety
/// `path` and `notes` must be readable; `record` and `error` must be writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn encarno_record_begin(
    path: EncarnoView,
    notes: EncarnoView,
    started_unix_ns: u64,
    record: *mut u64,
    error: *mut EncarnoOwnedBytes,
) -> EncarnoStatus {
    guard(|| {
        if record.is_null() || error.is_null() {
            return EncarnoStatus::BadArgument;
        }
        // SAFETY: readable during this call, as the caller promises.
        let (path, notes) = unsafe { (path.bytes(), notes.bytes()) };
        let (Some(path), Some(notes)) = (path.and_then(text), notes) else {
            return EncarnoStatus::BadArgument;
        };
        let Some(mut notes) = Notes::parse(notes) else {
            return EncarnoStatus::BadArgument;
        };
        notes.environment = notes::environment();
        let begun = Record::begin(Path::new(path), started_unix_ns, &notes);
        match begun {
            Ok(begun) => {
                let begun = record::insert(begun);
                // SAFETY: not null, and writable as the caller promises.
                unsafe { record.write(begun) };
                EncarnoStatus::Ok
            }
            // SAFETY: as above.
            Err(reason) => unsafe { failed(error, reason) },
        }
    })
}

/// The number of a text, for labels and errors of requests; 0 is the empty text. There
/// may be 20,000; further texts count as the text `other`.
///
/// # Safety
/// `text` must be readable; `number` must be writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn encarno_record_text(
    record: u64,
    text: EncarnoView,
    number: *mut u32,
) -> EncarnoStatus {
    guard(|| {
        if number.is_null() {
            return EncarnoStatus::BadArgument;
        }
        let Some(record) = record::find(record) else {
            return EncarnoStatus::BadHandle;
        };
        // SAFETY: readable during this call, as the caller promises.
        let Some(text) = (unsafe { text.bytes() }) else {
            return EncarnoStatus::BadArgument;
        };
        let found = record.text(&String::from_utf8_lossy(text));
        // SAFETY: not null, and writable as the caller promises.
        unsafe { number.write(found) };
        EncarnoStatus::Ok
    })
}

/// The number of a series. `series` is JSON: `{metric, type, contains, tags}`. There may
/// be 20,000; further series count as one series of the metric, with the tag `other`. On
/// `SYSTEM`, `error` is a sentence, which the caller frees.
///
/// # Safety
/// `series` must be readable; `number` and `error` must be writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn encarno_record_series(
    record: u64,
    series: EncarnoView,
    number: *mut u32,
    error: *mut EncarnoOwnedBytes,
) -> EncarnoStatus {
    guard(|| {
        if number.is_null() || error.is_null() {
            return EncarnoStatus::BadArgument;
        }
        let Some(record) = record::find(record) else {
            return EncarnoStatus::BadHandle;
        };
        // SAFETY: readable during this call, as the caller promises.
        let series = unsafe { series.bytes() };
        let Some(series) = series.and_then(Series::parse) else {
            return EncarnoStatus::BadArgument;
        };
        match record.series(series) {
            Ok(found) => {
                // SAFETY: not null, and writable as the caller promises.
                unsafe { number.write(found) };
                EncarnoStatus::Ok
            }
            // SAFETY: as above.
            Err(reason) => unsafe { failed(error, reason) },
        }
    })
}

/// Adds samples and requests, and writes the seconds that ended before `until_unix_ns`.
/// `users` is the present number of users. On `SYSTEM`, `error` is a sentence, which the
/// caller frees.
///
/// # Safety
/// `samples` and `requests` must be readable for that many elements, or null if there are
/// none; `error` must be writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn encarno_record_add(
    record: u64,
    samples: *const EncarnoSample,
    samples_length: usize,
    requests: *const EncarnoRequest,
    requests_length: usize,
    users: u64,
    until_unix_ns: u64,
    error: *mut EncarnoOwnedBytes,
) -> EncarnoStatus {
    guard(|| {
        if error.is_null()
            || samples.is_null() && samples_length > 0
            || requests.is_null() && requests_length > 0
        {
            return EncarnoStatus::BadArgument;
        }
        let Some(record) = record::find(record) else {
            return EncarnoStatus::BadHandle;
        };
        let (mut known_samples, mut known_requests): (&[EncarnoSample], &[EncarnoRequest]) =
            (&[], &[]);
        if samples_length > 0 {
            // SAFETY: not null, and readable for that many as the caller promises.
            known_samples = unsafe { std::slice::from_raw_parts(samples, samples_length) };
        }
        if requests_length > 0 {
            // SAFETY: as above.
            known_requests = unsafe { std::slice::from_raw_parts(requests, requests_length) };
        }
        let samples = known_samples.iter().map(|sample| Sample {
            series: sample.series,
            at_unix_ns: sample.at_unix_ns,
            value: sample.value,
        });
        let requests = known_requests.iter().map(|request| Request {
            label: request.label,
            error: request.error,
            status: u16::try_from(request.status).unwrap_or(u16::MAX),
            ended_unix_ns: request.ended_unix_ns,
            duration_ns: request.duration_ns,
            trace: request.trace.context(),
        });
        match record.add(samples, requests, users, until_unix_ns) {
            Ok(()) => EncarnoStatus::Ok,
            // SAFETY: not null, and writable as the caller promises.
            Err(reason) => unsafe { failed(error, reason) },
        }
    })
}

/// Writes the rest and the last notes, and closes the file. `notes` has the form of
/// `encarno_record_begin`; `span_ns` is the duration of the run. The record ends in any
/// case. On `SYSTEM`, `error` is a sentence, which the caller frees.
///
/// # Safety
/// `notes` must be readable; `error` must be writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn encarno_record_end(
    record: u64,
    notes: EncarnoView,
    span_ns: u64,
    error: *mut EncarnoOwnedBytes,
) -> EncarnoStatus {
    guard(|| {
        if error.is_null() {
            return EncarnoStatus::BadArgument;
        }
        // SAFETY: readable during this call, as the caller promises.
        let notes = unsafe { notes.bytes() };
        let Some(notes) = notes.and_then(Notes::parse) else {
            return EncarnoStatus::BadArgument;
        };
        let Some(record) = record::remove(record) else {
            return EncarnoStatus::BadHandle;
        };
        match record.end(&notes, span_ns) {
            Ok(()) => EncarnoStatus::Ok,
            // SAFETY: not null, and writable as the caller promises.
            Err(reason) => unsafe { failed(error, reason) },
        }
    })
}

/// Writes the report of a complete result file: one page of HTML. On `SYSTEM`, `error` is
/// a sentence, which the caller frees.
///
/// # Safety
/// `path` and `page` must be readable; `error` must be writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn encarno_report_write(
    path: EncarnoView,
    page: EncarnoView,
    error: *mut EncarnoOwnedBytes,
) -> EncarnoStatus {
    guard(|| {
        if error.is_null() {
            return EncarnoStatus::BadArgument;
        }
        // SAFETY: readable during this call, as the caller promises.
        let (path, page) = unsafe { (path.bytes(), page.bytes()) };
        let (Some(path), Some(page)) = (path.and_then(text), page.and_then(text)) else {
            return EncarnoStatus::BadArgument;
        };
        match record::write_report(Path::new(path), Path::new(page)) {
            Ok(()) => EncarnoStatus::Ok,
            // SAFETY: not null, and writable as the caller promises.
            Err(reason) => unsafe { failed(error, reason) },
        }
    })
}

/// Serves the report of a result file while it is written: a page at `address`. An
/// address such as `:7070` is for this machine alone. On `OK`, `live` is filled, which
/// the caller ends with `encarno_live_close`, and `said` is the page's URL. On `SYSTEM`,
/// `said` is a sentence. The caller frees `said` in both cases.
///
/// # Safety
/// `path` and `address` must be readable; `live` and `said` must be writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn encarno_live_open(
    path: EncarnoView,
    address: EncarnoView,
    live: *mut u64,
    said: *mut EncarnoOwnedBytes,
) -> EncarnoStatus {
    guard(|| {
        if live.is_null() || said.is_null() {
            return EncarnoStatus::BadArgument;
        }
        // SAFETY: readable during this call, as the caller promises.
        let (path, address) = unsafe { (path.bytes(), address.bytes()) };
        let (Some(path), Some(address)) = (path.and_then(text), address.and_then(text)) else {
            return EncarnoStatus::BadArgument;
        };
        match record::show(Path::new(path), address) {
            Ok((number, url)) => {
                // SAFETY: not null, and writable as the caller promises.
                unsafe {
                    live.write(number);
                    said.write(EncarnoOwnedBytes::from(url));
                }
                EncarnoStatus::Ok
            }
            // SAFETY: as above.
            Err(reason) => unsafe { failed(said, reason) },
        }
    })
}

/// Stops serving the page of a result file. Browsers that show it get a moment to fetch
/// the end.
#[unsafe(no_mangle)]
pub extern "C" fn encarno_live_close(live: u64) -> EncarnoStatus {
    guard(|| match record::end_showing(live) {
        true => EncarnoStatus::Ok,
        false => EncarnoStatus::BadHandle,
    })
}

fn text(bytes: &[u8]) -> Option<&str> {
    str::from_utf8(bytes).ok()
}

/// # Safety
/// `error` must be writable.
unsafe fn failed(error: *mut EncarnoOwnedBytes, reason: String) -> EncarnoStatus {
    // SAFETY: writable, as the caller promises.
    unsafe { error.write(EncarnoOwnedBytes::from(reason)) };
    EncarnoStatus::System
}
