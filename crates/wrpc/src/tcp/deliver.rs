//! Handles messages on a shared connection for the calls that they answer.

use std::time::Instant;

use super::frames;
use super::messages::{self, HEAD_BYTES, Kind, Message};
use crate::Error;
use crate::pending_call::PendingCall;

/// Hands a message to its call. The error is a violation of the protocol.
pub(super) fn deliver(call: &mut PendingCall, message: Message, now: Instant) -> Result<(), Error> {
    call.bytes_received += (HEAD_BYTES + message.payload.len()) as u64;
    match message.kind {
        Kind::Body | Kind::Trailers | Kind::Window => {
            messages::deliver(call.streams.as_deref_mut(), message)?;
        }
        Kind::Error => call.fail(frames::decode_error(&message.payload), now),
        Kind::Accepted | Kind::Results | Kind::End if call.is_finished() => {
            // If a call is answered twice, the first answer counts.
        }
        Kind::Accepted => call.accept(now),
        Kind::Results => call.push(message.payload, now),
        Kind::End => {
            call.push(message.payload, now);
            call.accept(now);
            call.finish(Ok(()), now);
        }
        kind => return Err(frames::violation(format!("a receiver that sends {kind:?}"))),
    }
    Ok(())
}
