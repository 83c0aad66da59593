//! A table of mailboxes. The number in the subject of a message leads to its mailbox.

use std::time::Instant;

use super::headers;
use super::subject::{CANCEL, PROBE, WHOLE, WINDOW};
use crate::core_nats::{Message, NO_RESPONDERS, Subject};
use crate::http::{BODY_PATH, TRAILERS_PATH};
use crate::pending_call::PendingCall;
use crate::pending_params::PendingParams;
use crate::streams::{Streams, Which};
use crate::value::Reader;
use crate::{Error, ErrorCode};

/// The messages that a mailbox expects.
pub(super) enum Mailbox {
    /// The answers to a call that was made.
    Call(MadeCall),
    /// The rest of the parameters of a call to be served.
    Params(PendingParams),
    /// Everything for a served call that may have streams.
    Served(Box<ServedMailbox>),
}

/// The mailbox of a served call that may have streams.
#[derive(Default)]
pub(super) struct ServedMailbox {
    pub(super) params: Option<PendingParams>,
    pub(super) streams: Streams,
}

impl Mailbox {
    /// The streams of the call, if it may have any.
    pub(super) fn streams(&mut self) -> Option<&mut Streams> {
        match self {
            Self::Call(made) => made.call.streams.as_deref_mut(),
            Self::Served(served) => Some(&mut served.streams),
            Self::Params(_) => None,
        }
    }

    /// The awaited parameters.
    pub(super) fn params(&mut self) -> Option<&mut PendingParams> {
        match self {
            Self::Params(params) => Some(params),
            Self::Served(served) => served.params.as_mut(),
            Self::Call(_) => None,
        }
    }
}

impl ServedMailbox {
    pub(super) fn deliver(&mut self, part: &str, message: &Message) {
        match (part, &mut self.params) {
            ("params", Some(params)) => deliver_params(params, part, message),
            _ => deliver_to_streams(&mut self.streams, "params", part, message),
        }
    }
}

/// The name of a mailbox: its place and its generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) place: u32,
    pub(super) generation: u32,
}

/// The mailboxes of an inbox. A place is reused, but an address isn't: a late message
/// can't reach the next user of the place.
#[derive(Default)]
pub(super) struct Mailboxes {
    places: Vec<Slot>,
    free: Vec<u32>,
}

struct Slot {
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
        self.places.push(Slot {
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

    /// All open mailboxes.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Mailbox> {
        self.places
            .iter_mut()
            .filter_map(|place| place.mailbox.as_mut())
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

/// The mailbox of a call that was made.
pub(super) struct MadeCall {
    /// The subject of the function.
    function: Subject,
    pub(super) call: PendingCall,
    /// Rs, the subject of the receiver's end.
    pub(super) receiver: Option<Subject>,
}

impl MadeCall {
    pub(super) fn new(function: Subject) -> Self {
        Self {
            function,
            call: PendingCall::default(),
            receiver: None,
        }
    }

    /// A call of a function whose results may have streams.
    pub(super) fn with_streams(function: Subject) -> Self {
        Self {
            call: PendingCall::with_streams(Streams::default()),
            ..Self::new(function)
        }
    }

    /// Whether the call publishes to this subject.
    pub(super) fn publishes_to(&self, subject: &str) -> bool {
        let receiver = self.receiver.as_ref();
        let rest = receiver.and_then(|receiver| subject.strip_prefix(receiver.as_str()));
        self.function.as_str() == subject || rest.is_some_and(|rest| rest.starts_with('.'))
    }

    pub(super) fn deliver(&mut self, part: &str, message: &Message, now: Instant, peers: &str) {
        let call = &mut self.call;
        call.bytes_received += message.length as u64;
        let no_responders = message.status() == Some(NO_RESPONDERS);
        match part {
            "" if no_responders => call.fail(
                Error::new(
                    ErrorCode::NoResponders,
                    format!("nobody serves {} on NATS at {peers}", self.function),
                ),
                now,
            ),
            "" if call.accepted.is_none() => {
                self.receiver = message.reply.clone();
                if let Some(streams) = &mut call.streams {
                    streams.open_window(headers::window_of(message));
                }
                call.accept(now);
            }
            "results" if message.payload.is_empty() => {
                let result = message.headers.as_ref().map_or(Ok(()), headers::to_result);
                call.finish(result, now);
            }
            "results" => call.push(message.payload.clone(), now),
            WHOLE => {
                if let Some(streams) = &mut call.streams {
                    streams.has_window = true;
                }
                call.accept(now);
                call.push(message.payload.clone(), now);
                call.finish(Ok(()), now);
            }
            PROBE if no_responders => call.fail(
                Error::new(
                    ErrorCode::ReceiverGone,
                    "the receiver accepted the call and is gone",
                ),
                now,
            ),
            _ => {
                // The call was accepted twice, or the path isn't one of the function.
                if let Some(streams) = &mut call.streams {
                    deliver_to_streams(streams, "results", part, message);
                }
            }
        }
    }
}

/// Handles a message at `SIDE.PATH` of a call with streams, or at another part.
fn deliver_to_streams(streams: &mut Streams, side: &str, part: &str, message: &Message) {
    let path = part
        .strip_prefix(side)
        .and_then(|path| path.strip_prefix('.'));
    let which = match (part, path) {
        (WINDOW, _) => {
            if let Ok(more) = Reader::new(&message.payload).unsigned(64, WINDOW) {
                streams.grow_window(more);
            }
            return;
        }
        (CANCEL, _) => return streams.cancel(),
        (_, Some(BODY_PATH)) => Which::Body,
        (_, Some(TRAILERS_PATH)) => Which::Trailers,
        _ => return,
    };
    if message.payload.is_empty() {
        let end = message.headers.as_ref().map_or(Ok(()), headers::to_result);
        streams.end(which, end);
    } else {
        streams.push(which, message.payload.clone());
    }
}

/// Handles a message with parameters that didn't fit into message 1.
pub(super) fn deliver_params(params: &mut PendingParams, part: &str, message: &Message) {
    match part {
        "params" if message.payload.is_empty() => params.end(),
        "params" => params.push(&message.payload),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Address, Mailbox, Mailboxes};

    fn mailbox() -> Mailbox {
        Mailbox::Call(super::MadeCall::new("function".into()))
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

    /// Whether a message to this address reaches the call with this number, and no other.
    fn reaches(mailboxes: &mut Mailboxes, address: Address, number: usize) -> bool {
        match mailboxes.get(address) {
            None => false,
            Some(Mailbox::Call(made)) => {
                assert_eq!(made.function.as_str(), number.to_string());
                true
            }
            Some(_) => panic!("not the mailbox of a call"),
        }
    }

    proptest! {
        /// Each step takes the lock of all mailboxes once, so whatever threads do is one
        /// of these orders.
        #[test]
        fn a_message_reaches_its_own_call_in_every_order(
            steps in prop::collection::vec((0..4u8, any::<prop::sample::Index>()), 1..200),
        ) {
            let mut mailboxes = Mailboxes::default();
            let mut calls: Vec<(Address, bool)> = Vec::new();
            for (step, which) in steps {
                if step == 0 || calls.is_empty() {
                    let made = super::MadeCall::new(calls.len().to_string().into());
                    calls.push((mailboxes.open(Mailbox::Call(made)), true));
                    continue;
                }
                let number = which.index(calls.len());
                let (address, is_open) = calls[number];
                if step == 1 {
                    prop_assert_eq!(mailboxes.close(address).is_some(), is_open);
                    calls[number].1 = false;
                } else {
                    prop_assert_eq!(reaches(&mut mailboxes, address, number), is_open);
                }
            }
            let open = calls.iter().filter(|(_, is_open)| *is_open).count();
            prop_assert_eq!(mailboxes.iter_mut().count(), open);
        }
    }
}
