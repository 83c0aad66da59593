//! Hosts guests: wasm components that are protocols or scenarios of encarno.
//!
//! A guest does no IO. It gets bytes and gives bytes; sockets, clocks and records stay
//! here. It has a store of its own in each event loop, with bounds on memory, on the time
//! of a call, and on what it hands over.
//!
//! - bindings: the WIT packages as types
//! - [`component`]: a file of wasm, read, checked and compiled
//! - store: what every guest has of the host, and its bounds
//! - linked: a component with what it may import, and of a scenario its settings
//! - [`nib`]: a protocol
//! - [`shape`]: a load over time
//! - [`choose`]: which record comes next
//! - [`behave`]: virtual users
//! - [`scenario`]: any of the three
//! - [`check`]: what a guest is, and whether it keeps the rules

pub mod behave;
pub mod check;
pub mod choose;
pub mod component;
pub mod nib;
pub mod scenario;
pub mod shape;

mod bindings;
mod linked;
mod store;
