//! What belongs to a call and isn't in its parameters or results: the body of a
//! request or response and its trailers, in bounded memory, whichever transport
//! carries them.
//!
//! Many calls share a connection, so that no reader may hold it up. Both ends of
//! this software therefore grant windows: an end sends [`WINDOW_BYTES`] of a body, and
//! later as many as the other has read meanwhile. A caller that doesn't read any more
//! says so, too. Upstream's ends know neither: they are sent everything at once, and
//! what they send is kept up to [`BUFFER_BYTES_MAX`].
//!
//! - `state`: what has arrived, and what may be sent
//! - `carrier`: the way of a call's streams through its transport, which implements it
//! - `incoming`: a stream that arrives
//! - `outgoing`: a body that is sent
//! - `open`: a call made whose response goes on arriving

mod carrier;
mod incoming;
mod open;
mod outgoing;
mod state;

pub(crate) use carrier::{Carrier, PIECE_BYTES_MAX, cancelled};
pub(crate) use incoming::Incoming;
pub(crate) use open::Open;
pub(crate) use outgoing::{END, send};
pub(crate) use state::Streams;

/// What an end takes of a body before it has read any of it, as it travels.
pub(crate) const WINDOW_BYTES: u64 = 512 << 10;

/// What is kept of a body whose sender knows no windows.
pub(crate) const BUFFER_BYTES_MAX: usize = 64 << 20;

/// Trailers beyond this are refused.
const TRAILERS_BYTES_MAX: usize = 128 << 10;

/// One of the streams of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    Body,
    Trailers,
}
