//! Net codes for failures without an error number of the operating system.
//!
//! Net codes up to 999 are the operating system's error numbers.

/// The hit took longer than its timeout.
pub const TIMEOUT: u16 = 1001;
/// The answer violated the protocol.
pub const PROTOCOL: u16 = 1002;
/// TLS failed: a handshake or a certificate wasn't accepted.
pub const TLS: u16 = 1003;
/// The name wasn't found.
pub const DNS: u16 = 1004;
/// The peer closed the connection in the middle of an answer, or before it.
pub const CLOSED_EARLY: u16 = 1005;
/// The peer closed a kept connection after the hit was sent and before any byte of an
/// answer. The hit isn't sent again, because the peer may have received it.
pub const STALE: u16 = 1006;
/// The run was stopped before the hit ended.
pub const CANCELLED: u16 = 1007;
/// The head of the answer is too long, or that of the request for the peer.
pub const HEAD_TOO_LONG: u16 = 1008;
/// The record has no address and there is no default one, or the address can't be used.
pub const ADDRESS: u16 = 1009;
/// The record's file couldn't be read.
pub const PAYLOAD: u16 = 1010;
/// The dummy failed according to its script.
pub const DUMMY: u16 = 1011;
/// The peer closed the stream of a hit, but not the connection.
pub const RESET: u16 = 1012;
/// The peer says that it didn't process the hit. The hit isn't sent again.
pub const REFUSED: u16 = 1013;
/// One side sent too much for the other one (HTTP/2: ENHANCE_YOUR_CALM).
pub const CALM: u16 = 1014;
/// The guest that is the protocol failed, or did what it may not do.
pub const PLUGIN: u16 = 1015;
/// wRPC: from here on, the number of the failure in wRPC's own list is added.
pub const WRPC: u16 = 1100;
