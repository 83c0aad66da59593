//! The functions that WIT declares, and their values between JSON and wRPC's wire.
//!
//! ```
//! use encarno_wrpc_value::{Interfaces, Source};
//!
//! let text = "package a:b; interface c { add: func(x: u8, y: u8) -> u16; }";
//! let interfaces = Interfaces::parse(&[Source::new("c.wit", text)])?;
//! let add = interfaces.function("a:b/c.add")?;
//! let params = add.encode(&[1.into(), 2.into()]).map_err(|error| error.to_string())?;
//! assert_eq!(params, [1, 2]);
//! # Ok::<(), String>(())
//! ```
//!
//! The modules in the order in which a call meets them:
//!
//! - `source`: files of WIT, read from a folder or given as texts
//! - `interfaces`: what they declare, by name
//! - `shape`: types, reduced to what their encoding looks like
//! - `function`: one function, and the values of its calls
//! - `encode`: JSON to the wire
//! - `decode`: the wire to JSON
//! - `error`: which value can't be encoded, and why

mod decode;
mod encode;
mod error;
mod function;
mod interfaces;
mod shape;
mod source;

pub use error::ValueError;
pub use function::Function;
pub use interfaces::Interfaces;
pub use shape::{Case, Field, Shape, TypeIndex, Types};
pub use source::Source;
