//! The functions that WIT declares, for who encodes their values.

use encarno_wrpc_value::{Interfaces, Source};

use super::types::{EncarnoOwnedBytes, EncarnoStatus, EncarnoView};
use super::{guard, texts};

/// Reads files of WIT, and says in JSON which functions they declare, and of which types:
/// `{"types": […], "functions": {NAME: {"Ok": {"instance", "name", "params": [{"name",
/// "of"}], "result"}} or {"Err": REASON}}}`, where types are named by their places in the
/// list. `encarno-wrpc-value` documents them (`Shape`).
///
/// `sources` are paths and texts in turns, each a length of 32 bits, little-endian, and so
/// many bytes. A path is relative to the folder of the package: those of dependencies begin
/// with `deps/`. On `OK`, `declared` holds the JSON, on `BAD_OPTIONS`, `error` holds a
/// sentence that names file and line; the caller frees the one that was filled.
///
/// # Safety
/// `sources` must be readable; `declared` and `error` must be writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn encarno_wit_read(
    sources: EncarnoView,
    declared: *mut EncarnoOwnedBytes,
    error: *mut EncarnoOwnedBytes,
) -> EncarnoStatus {
    guard(|| {
        if declared.is_null() || error.is_null() {
            return EncarnoStatus::BadArgument;
        }
        // SAFETY: readable during this call, as the caller promises.
        let Some(sources) = (unsafe { sources.bytes() }) else {
            return EncarnoStatus::BadArgument;
        };
        match read(sources) {
            Ok(text) => {
                // SAFETY: not null, and writable as the caller promises.
                unsafe { declared.write(EncarnoOwnedBytes::from(text)) };
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

fn read(sources: &[u8]) -> Result<String, String> {
    let pairs = texts::pairs(sources)?;
    let sources = pairs
        .into_iter()
        .map(|(path, text)| Source::new(path, text));
    let interfaces = Interfaces::parse(&Vec::from_iter(sources))?;
    serde_json::to_string(&interfaces).map_err(|error| error.to_string())
}
