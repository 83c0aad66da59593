//! One client: its requests in its protocol, and the answers to it.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::time::Duration;

use encarno_websocket::Kind;
use rustix::net::sockopt;

use super::answer::What;
use super::calls::Call;
use super::clock::monotonic_ns;
use super::connection::{Asked, Requests};
use super::ending::Ending;
use super::http2::{Exchanges, Sent};
use super::log::LogEntry;
use super::websocket::Messages;
use super::wire::Wire;

/// A client.
#[derive(Debug)]
pub(super) struct Client {
    wire: Wire,
    speaks: Speaks,
}

#[derive(Debug)]
enum Speaks {
    /// HTTP/1.1, or not known yet.
    Http1(Box<Texts>),
    Http2(Box<Exchanges>),
    WebSocket(Box<Messages>),
}

/// HTTP/1.1 requests, and the answers on their way.
#[derive(Debug, Default)]
struct Texts {
    requests: Requests,
    unsent: Vec<u8>,
    /// The number of `unsent`'s bytes that were sent.
    sent: usize,
    /// The ends of answers in `unsent`.
    leaving: VecDeque<(usize, LogEntry, Ending)>,
}

/// A complete request.
pub(super) enum Request {
    Text(Asked),
    OnStream(u32, Asked),
    Call(u32, Asked, Box<Call>),
    Message((Kind, Vec<u8>)),
}

/// The client can't be used any more.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Gone;

impl From<io::Error> for Gone {
    fn from(_: io::Error) -> Self {
        Self
    }
}

impl Client {
    pub(super) fn new(wire: Wire) -> Self {
        Self {
            wire,
            speaks: Speaks::Http1(Box::default()),
        }
    }

    /// Whether more may be read from it: only if it reads its answers.
    pub(super) fn takes_more(&self) -> bool {
        match &self.speaks {
            Speaks::Http1(_) => true,
            Speaks::Http2(exchanges) => exchanges.takes_more(),
            Speaks::WebSocket(messages) => messages.takes_more(),
        }
    }

    /// Whether answers are collected before they are sent.
    pub(super) fn gathers(&self) -> bool {
        !matches!(self.speaks, Speaks::Http1(_))
    }

    /// Reads once; false if there is nothing.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<bool, Gone> {
        match self.wire.read(buffer) {
            Ok(0) => Err(Gone),
            Ok(count) => {
                match &mut self.speaks {
                    Speaks::Http1(texts) => texts.requests.feed(&buffer[..count]),
                    Speaks::Http2(exchanges) => exchanges.receive(&buffer[..count]),
                    Speaks::WebSocket(messages) => messages.receive(&mut buffer[..count]),
                }
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(true),
            Err(_) => Err(Gone),
        }
    }

    /// The next complete request.
    pub(super) fn next_request(
        &mut self,
        streams_max: Option<u32>,
    ) -> Result<Option<Request>, Gone> {
        if let Speaks::Http1(texts) = &mut self.speaks {
            match texts.requests.is_http2() {
                None => return Ok(None),
                Some(false) => {
                    let Some(asked) = texts.requests.next().map_err(|_| Gone)? else {
                        return Ok(None);
                    };
                    let upgrade = asked.upgrade.filter(|_| texts.leaving.is_empty());
                    let Some(upgrade) = upgrade else {
                        return Ok(Some(Request::Text(asked)));
                    };
                    let mut bytes = std::mem::take(&mut texts.requests).into_bytes();
                    let mut messages = Messages::new(&upgrade);
                    messages.receive(&mut bytes);
                    self.speaks = Speaks::WebSocket(Box::new(messages));
                }
                Some(true) => {
                    let bytes = std::mem::take(&mut texts.requests).into_bytes();
                    let mut exchanges = Box::new(Exchanges::new(streams_max));
                    exchanges.receive(&bytes);
                    self.speaks = Speaks::Http2(exchanges);
                }
            }
        }
        Ok(match &mut self.speaks {
            Speaks::Http1(_) => None,
            Speaks::Http2(exchanges) => {
                let request = exchanges.next_request();
                request.map(|(stream, asked, call)| match call {
                    Some(call) => Request::Call(stream, asked, call),
                    None => Request::OnStream(stream, asked),
                })
            }
            Speaks::WebSocket(messages) => messages.next().map(Request::Message),
        })
    }

    /// Appends an answer; false if it isn't needed any more.
    pub(super) fn answer(&mut self, what: What, entry: LogEntry) -> bool {
        match (&mut self.speaks, what) {
            (Speaks::Http1(texts), What::Bytes(bytes, ending)) => {
                if texts.unsent.is_empty() {
                    texts.unsent = bytes;
                } else {
                    texts.unsent.extend_from_slice(&bytes);
                }
                let end = texts.unsent.len();
                texts.leaving.push_back((end, entry, ending));
                true
            }
            (Speaks::Http2(exchanges), What::OnStream(reply)) => exchanges.answer(&reply, entry),
            (Speaks::Http2(exchanges), What::Call(stream, reply)) => {
                exchanges.answer_call(stream, reply, Some(entry))
            }
            (Speaks::WebSocket(messages), What::Message(message)) => {
                messages.answer(&message, entry)
            }
            _ => false,
        }
    }

    /// Sends as much as there is room for, in pieces of at most `piece_max` bytes.
    /// Requests whose answers have left or were broken off go to `ended`.
    pub(super) fn send(
        &mut self,
        body: &[u8],
        piece_max: usize,
        ended: &mut Vec<LogEntry>,
    ) -> Result<(), Gone> {
        let texts = match &mut self.speaks {
            Speaks::Http1(texts) => texts,
            Speaks::Http2(exchanges) => {
                return match exchanges.send(&mut self.wire, body, piece_max, ended)? {
                    Sent::Open => Ok(()),
                    Sent::Closed => Err(Gone),
                };
            }
            Speaks::WebSocket(messages) => {
                return match messages.send(&mut self.wire, piece_max, ended)? {
                    None => Ok(()),
                    Some(ending) => self.close(ending),
                };
            }
        };
        loop {
            // Bytes after an answer that ends the connection aren't sent.
            let end = texts.leaving.front().map_or(0, |&(end, ..)| end);
            let piece = &texts.unsent[texts.sent..end];
            let result = match piece.is_empty() {
                true => self.wire.flush().map(|()| 0),
                false => self.wire.write(&piece[..piece.len().min(piece_max)]),
            };
            match result {
                Ok(0) if !piece.is_empty() => return Err(Gone),
                Ok(0) => {}
                Ok(count) => {
                    texts.sent += count;
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => return Err(Gone),
            }
            let Some((_, entry, ending)) = texts.leaving.pop_front() else {
                return Ok(());
            };
            if texts.leaving.is_empty() {
                (texts.unsent, texts.sent) = (Vec::new(), 0);
            }
            let sent_ns = match ending {
                Ending::Reset => 0,
                Ending::Keep | Ending::Close => monotonic_ns(),
            };
            ended.push(LogEntry { sent_ns, ..entry });
            if ending != Ending::Keep {
                return self.close(ending);
            }
        }
    }

    /// Prepares the end of the connection, which follows when it is dropped.
    fn close(&self, ending: Ending) -> Result<(), Gone> {
        if ending == Ending::Reset {
            // Without time to linger, closing sends a reset.
            sockopt::set_socket_linger(self.wire.socket(), Some(Duration::ZERO))
                .map_err(io::Error::from)?;
        }
        Err(Gone)
    }

    /// The requests whose answers won't be sent.
    pub(super) fn unanswered(self) -> Vec<LogEntry> {
        match self.speaks {
            Speaks::Http1(texts) => texts.leaving.iter().map(|&(_, entry, _)| entry).collect(),
            Speaks::Http2(exchanges) => exchanges.unanswered().collect(),
            Speaks::WebSocket(messages) => messages.unanswered().collect(),
        }
    }
}
