//! encarno, a hit generator: input → schedule → workers → nib → output.
//!
//! The modules in the order in which a hit meets them:
//!
//! - [`strings`]: labels, addresses and error texts, each known by a number
//! - [`hit`]: what is sent, and what became of it

pub mod hit;
pub mod strings;
