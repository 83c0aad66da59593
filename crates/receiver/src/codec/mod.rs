//! Values between the wire and a guest's memory.
//!
//! - [`check`]: do bytes hold whole parameters?
//! - [`typed`]: parameters and results as wasmtime's typed calls see them
//! - [`lower`]: wire → guest memory
//! - [`lift`]: guest memory → wire
//! - [`val`]: wire ↔ wasmtime's dynamic values, for imports and as the tests' reference
//! - [`fuzz`]: what the fuzz targets call

pub(crate) mod check;
pub mod fuzz;
mod lift;
mod lower;
#[cfg(test)]
mod tests;
mod typed;
pub(crate) mod val;

pub(crate) use check::Shape;
pub(crate) use lift::{Results, within};
pub(crate) use typed::Params;

/// Results beyond this are a limit reached, not an allocation.
pub(crate) const RESULT_BYTES_MAX: usize = 64 << 20;

/// In the length of a `latin1+utf16` string, says that it is UTF-16.
const UTF16_TAG: u32 = 1 << 31;

/// The result is larger than [`RESULT_BYTES_MAX`].
#[derive(Debug, thiserror::Error)]
#[error("the result is larger than {} MiB", RESULT_BYTES_MAX >> 20)]
pub(crate) struct ResultTooLarge;
