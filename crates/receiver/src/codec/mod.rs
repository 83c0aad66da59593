//! Values between the wire and a guest's memory.
//!
//! - [`check`]: checks whether bytes are complete parameters
//! - [`typed`]: parameters and results as wasmtime's typed calls see them
//! - [`lower`]: wire → guest memory
//! - [`lift`]: guest memory → wire
//! - [`val`]: wire ↔ wasmtime's dynamic values, for imports and as the tests' reference
//! - [`fuzz`]: the entry points of the fuzz targets

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

/// The most bytes of results; more count as a limit that was reached.
pub(crate) const RESULT_BYTES_MAX: usize = 64 << 20;

/// The bit in the length of a `latin1+utf16` string that means UTF-16.
const UTF16_TAG: u32 = 1 << 31;

/// The result is larger than [`RESULT_BYTES_MAX`].
#[derive(Debug, thiserror::Error)]
#[error("the result is larger than {} MiB", RESULT_BYTES_MAX >> 20)]
pub(crate) struct ResultTooLarge;
