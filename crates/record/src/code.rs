//! Net codes that the operating system doesn't have.
//!
//! Those up to 999 are its error numbers.

/// The hit took longer than its timeout.
pub const TIMEOUT: u16 = 1001;
/// The answer wasn't what the protocol demands.
pub const PROTOCOL: u16 = 1002;
/// TLS: a handshake or a certificate that isn't accepted.
pub const TLS: u16 = 1003;
/// The name wasn't found.
pub const DNS: u16 = 1004;
/// The peer closed the connection in the middle of an answer, or before it.
pub const CLOSED_EARLY: u16 = 1005;
/// The peer closed a kept connection while the hit was on its way, before
/// any byte of an answer. It isn't sent again: the peer may have got it.
pub const STALE: u16 = 1006;
/// The run was stopped before the hit ended.
pub const CANCELLED: u16 = 1007;
/// The head of the answer is longer than accepted.
pub const HEAD_TOO_LONG: u16 = 1008;
/// The record has no address and there is no default one, or it can't be used.
pub const ADDRESS: u16 = 1009;
/// The record's file couldn't be read.
pub const PAYLOAD: u16 = 1010;
/// The dummy failed as its script says.
pub const DUMMY: u16 = 1011;
/// The peer closed the stream of a hit, and the connection goes on.
pub const RESET: u16 = 1012;
/// The peer says that it didn't look at the hit. It isn't sent again.
pub const REFUSED: u16 = 1013;
/// One side had too much of what the other one sends (HTTP/2: ENHANCE_YOUR_CALM).
pub const CALM: u16 = 1014;
/// wRPC: from here on, the number of the failure in wRPC's own list is added.
pub const WRPC: u16 = 1100;
