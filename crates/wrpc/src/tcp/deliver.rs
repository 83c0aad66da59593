//! What a message on a shared connection means to the call that it answers.

use std::time::Instant;

use super::frames;
use super::messages::{self, HEAD_BYTES, Kind, Message};
use crate::Error;
use crate::pending_call::PendingCall;

/// Hands a message to its call. An error is a breach of the protocol.
pub(super) fn deliver(call: &mut PendingCall, message: Message, now: Instant) -> Result<(), Error> {
    call.bytes_received += (HEAD_BYTES + message.payload.len()) as u64;
    match message.kind {
        Kind::Body | Kind::Trailers | Kind::Window => {
            messages::deliver(call.streams.as_deref_mut(), message)?;
        }
        Kind::Error => call.fail(frames::decode_error(&message.payload), now),
        Kind::Accepted | Kind::Results | Kind::End if call.is_finished() => {
            // Answered twice: the first one counts.
        }
        Kind::Accepted => call.accept(now),
        Kind::Results => call.push(message.payload, now),
        Kind::End => {
            call.push(message.payload, now);
            call.accept(now);
            call.finish(Ok(()), now);
        }
        kind => return Err(frames::violation(format!("a receiver that says {kind:?}"))),
    }
    Ok(())
}
