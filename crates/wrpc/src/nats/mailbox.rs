//! What is expected at an inbox: a table of mailboxes, each reached by the
//! number that stands in the subject of a message.

use std::task::Waker;
use std::time::Instant;

use async_nats::{Message, StatusCode, Subject};

use super::headers;
use crate::chunks::Chunks;
use crate::pending_params::PendingParams;
use crate::{Error, ErrorCode};

/// Results beyond this are refused.
const RESULT_BYTES_MAX: usize = 256 << 20;

/// The part of a reply subject on which the answer to a probe arrives.
pub(super) const PROBE: &str = "probe";

/// What is expected at a mailbox.
pub(super) enum Mailbox {
    /// The answers to a call that was made.
    Call(PendingCall),
    /// The rest of the parameters of a call that is to be served.
    Params(PendingParams),
}

/// The name of a mailbox: its place and its generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) place: u32,
    pub(super) generation: u32,
}

/// The mailboxes of an inbox. A place is used again, an address never: a late
/// message doesn't reach the next tenant.
#[derive(Default)]
pub(super) struct Mailboxes {
    places: Vec<Place>,
    free: Vec<u32>,
}

struct Place {
    generation: u32,
    mailbox: Option<Mailbox>,
}

impl Mailboxes {
    pub(super) fn open(&mut self, mailbox: Mailbox) -> Address {
        if let Some(place) = self.free.pop() {
            let entry = &mut self.places[place as usize];
            entry.mailbox = Some(mailbox);
            return Address {
                place,
                generation: entry.generation,
            };
        }
        let place = self.places.len() as u32;
        self.places.push(Place {
            generation: 1, // 0 is the address that nobody has, see `nowhere`
            mailbox: Some(mailbox),
        });
        Address {
            place,
            generation: 1,
        }
    }

    pub(super) fn get(&mut self, address: Address) -> Option<&mut Mailbox> {
        let entry = self.places.get_mut(address.place as usize)?;
        if entry.generation != address.generation {
            return None;
        }
        entry.mailbox.as_mut()
    }

    /// The calls whose answers are awaited.
    pub(super) fn calls(&mut self) -> impl Iterator<Item = &mut PendingCall> {
        self.places
            .iter_mut()
            .filter_map(|place| match &mut place.mailbox {
                Some(Mailbox::Call(call)) => Some(call),
                Some(Mailbox::Params(_)) | None => None,
            })
    }

    pub(super) fn close(&mut self, address: Address) -> Option<Mailbox> {
        let entry = self.places.get_mut(address.place as usize)?;
        if entry.generation != address.generation {
            return None;
        }
        entry.generation = entry.generation.wrapping_add(1).max(1);
        self.free.push(address.place);
        entry.mailbox.take()
    }
}

/// The mailbox of a call.
#[derive(Default)]
pub(super) struct PendingCall {
    waker: Option<Waker>,
    pub(super) accepted: Option<Instant>,
    /// Rs, the subject of the receiver's side.
    pub(super) receiver: Option<Subject>,
    pub(super) results: Chunks,
    pub(super) bytes_received: u64,
    pub(super) finished: Option<(Instant, Result<(), Error>)>,
}

impl PendingCall {
    pub(super) fn deliver(&mut self, part: &str, message: &Message, now: Instant, peers: &str) {
        self.bytes_received += message.length as u64;
        let no_responders = message.status == Some(StatusCode::NO_RESPONDERS);
        match part {
            "" if no_responders => self.fail(
                Error::new(
                    ErrorCode::NoResponders,
                    format!("nobody serves the function on NATS at {peers}"),
                ),
                now,
            ),
            "" if self.accepted.is_none() => {
                self.accepted = Some(now);
                self.receiver = message.reply.clone();
                self.wake(); // parameters may wait to be sent on
            }
            "results" if message.payload.is_empty() => {
                let result = message.headers.as_ref().map_or(Ok(()), headers::to_result);
                self.finish(result, now);
            }
            "results" => {
                if self.results.len() + message.payload.len() > RESULT_BYTES_MAX {
                    let text = format!("the result is larger than {RESULT_BYTES_MAX} bytes");
                    self.fail(Error::new(ErrorCode::PayloadTooLarge, text), now);
                } else if self.finished.is_none() {
                    self.results.push(message.payload.clone());
                }
            }
            PROBE if no_responders => self.fail(
                Error::new(
                    ErrorCode::ReceiverGone,
                    "the receiver accepted the call and is gone",
                ),
                now,
            ),
            // Accepted twice, or results of another path: no function of ours has any.
            _ => {}
        }
    }

    pub(super) fn fail(&mut self, error: Error, now: Instant) {
        self.finish(Err(error), now);
    }

    fn finish(&mut self, result: Result<(), Error>, now: Instant) {
        if self.finished.is_none() {
            self.finished = Some((now, result));
            self.wake();
        }
    }

    pub(super) fn wake_by(&mut self, waker: &Waker) {
        match &mut self.waker {
            Some(own) => own.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// A message for the mailbox of parameters that didn't fit message 1.
pub(super) fn deliver_params(params: &mut PendingParams, part: &str, message: &Message) {
    match part {
        "params" if message.payload.is_empty() => params.end(),
        "params" => params.push(&message.payload),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::{Mailbox, Mailboxes};

    fn mailbox() -> Mailbox {
        Mailbox::Call(super::PendingCall::default())
    }

    #[test]
    fn places_are_used_again_and_addresses_are_not() {
        let mut mailboxes = Mailboxes::default();
        let first = mailboxes.open(mailbox());
        let mut seen = std::collections::HashSet::from([(first.place, first.generation)]);
        for _ in 0..10_000 {
            let address = mailboxes.open(mailbox());
            assert!(seen.insert((address.place, address.generation)));
            assert!(mailboxes.close(address).is_some());
            assert!(mailboxes.get(address).is_none());
            assert!(mailboxes.close(address).is_none());
        }
        assert_eq!(
            mailboxes.places.len(),
            2,
            "one for each mailbox open at once"
        );
        assert!(mailboxes.get(first).is_some());
    }
}
