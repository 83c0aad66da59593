//! Streams of a call: the body of a request or response and its trailers, in bounded
//! memory, for both transports.
//!
//! Many calls share a connection, so a slow reader must not hold it up. Both ends of this
//! software therefore grant windows: an end sends [`WINDOW_BYTES`] of a body, and later
//! as many bytes as the other end has read. A caller that stops reading tells the other
//! end. Upstream supports neither: it gets everything at once, and its data are kept up
//! to [`BUFFER_BYTES_MAX`].
//!
//! - `state`: the data that have arrived, and how much may be sent
//! - `carrier`: the trait that carries a call's streams over a transport
//! - `incoming`: a stream that is received
//! - `outgoing`: a body that is sent
//! - `open`: a call whose response is still arriving

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

/// The number of a body's bytes that an end takes before it has read any.
pub(crate) const WINDOW_BYTES: u64 = 512 << 10;

/// The most bytes that are kept of a body whose sender doesn't support windows.
pub(crate) const BUFFER_BYTES_MAX: usize = 64 << 20;

/// The most bytes of trailers.
const TRAILERS_BYTES_MAX: usize = 128 << 10;

/// One of the streams of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    Body,
    Trailers,
}
