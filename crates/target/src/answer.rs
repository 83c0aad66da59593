//! Makes answers from the settings.

use std::net::SocketAddr;

use encarno_grpc::Status;
use encarno_nib::delay::uniform;
use encarno_websocket::{CloseCode, Kind};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::TargetSettings;
use super::calls::{Call, CallReply};
use super::connection::Asked;
use super::ending::Ending;
use super::http2::Reply;
use super::log::LogEntry;
use super::websocket::{Deed, Message};

/// An answer that isn't due yet.
pub(super) struct Answer {
    pub(super) client: u64,
    pub(super) datagram_from: Option<SocketAddr>,
    pub(super) entry: LogEntry,
    pub(super) what: What,
}

/// The content of an answer.
pub(super) enum What {
    /// Bytes, and the end of the connection after them.
    Bytes(Vec<u8>, Ending),
    OnStream(Reply),
    /// Of a gRPC call.
    Call(u32, CallReply),
    /// A message that is echoed.
    Message(Message),
}

/// The random outcomes for an answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fate {
    is_error: bool,
    reset: bool,
    close: bool,
    rude: bool,
}

impl Fate {
    pub(super) fn draw(settings: &TargetSettings, random: &mut Xoshiro256PlusPlus) -> Self {
        let mut is_below = |rate: f64| is_below(random, rate);
        Self {
            is_error: is_below(settings.error_rate),
            reset: is_below(settings.reset_rate),
            close: is_below(settings.close_rate),
            rude: is_below(settings.rude_close_rate),
        }
    }

    fn status(self) -> u16 {
        if self.is_error { 500 } else { 200 }
    }
}

/// True with this probability.
pub(super) fn is_below(random: &mut Xoshiro256PlusPlus, rate: f64) -> bool {
    rate > 0.0 && uniform(random) < rate
}

/// An answer over HTTP/2.
pub(super) fn on_stream(stream: u32, asked: Asked, fate: Fate, settings: &TargetSettings) -> What {
    What::OnStream(Reply {
        stream,
        status: fate.status(),
        length: settings.body_bytes,
        says_length: !settings.chunked,
        head_only: asked.head_only,
        cut: fate.reset,
        leave: fate.close,
        close: fate.rude,
    })
}

/// An answer to a gRPC call.
pub(super) fn to_call(stream: u32, call: &Call, fate: Fate) -> What {
    let reply = call.reply();
    What::Call(
        stream,
        match fate.is_error {
            true => CallReply {
                has_begun: reply.has_begun,
                ..CallReply::refused(Status::INTERNAL, "an error, as --error-rate asks for")
            },
            false => reply,
        },
    )
}

/// An answer over HTTP/1.1.
pub(super) fn in_text(asked: Asked, fate: Fate, chunked: bool, body: &[u8]) -> What {
    let status = match fate.is_error {
        false => "200 OK",
        true => "500 Internal Server Error",
    };
    let close = asked.close || fate.close;
    let mut bytes = Vec::with_capacity(128 + body.len());
    bytes.extend_from_slice(format!("HTTP/1.1 {status}\r\n").as_bytes());
    if close {
        bytes.extend_from_slice(b"Connection: close\r\n");
    }
    let body_start;
    if chunked {
        bytes.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
        body_start = bytes.len();
        if !asked.head_only {
            for chunk in body.chunks(1000) {
                bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                bytes.extend_from_slice(chunk);
                bytes.extend_from_slice(b"\r\n");
            }
            bytes.extend_from_slice(b"0\r\n\r\n");
        }
    } else {
        bytes.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
        body_start = bytes.len();
        if !asked.head_only {
            bytes.extend_from_slice(body);
        }
    }
    if fate.reset {
        bytes.truncate(body_start + (bytes.len() - body_start) / 2);
    }
    let ending = match (fate.reset, close || fate.rude) {
        (true, _) => Ending::Reset,
        (_, true) => Ending::Close,
        _ => Ending::Keep,
    };
    What::Bytes(bytes, ending)
}

/// An answer over WebSocket.
pub(super) fn in_message((kind, bytes): (Kind, Vec<u8>), fate: Fate) -> What {
    let deed = match fate {
        Fate { is_error: true, .. } => Deed::Refuse(CloseCode::INTERNAL),
        Fate { reset: true, .. } => Deed::Cut,
        Fate { close: true, .. } => Deed::Leave,
        Fate { rude: true, .. } => Deed::Close,
        _ => Deed::Echo,
    };
    What::Message(Message { kind, bytes, deed })
}

/// The answer of an overloaded server, instead of the given one.
pub(super) fn unavailable(what: &What) -> What {
    match what {
        What::Bytes(..) => {
            let text = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
            What::Bytes(text.to_vec(), Ending::Keep)
        }
        What::Message(message) => What::Message(Message {
            kind: message.kind,
            bytes: Vec::new(),
            deed: Deed::Refuse(CloseCode::TRY_AGAIN),
        }),
        What::Call(stream, reply) => What::Call(
            *stream,
            CallReply {
                has_begun: reply.has_begun,
                ..CallReply::refused(Status::UNAVAILABLE, "too many calls at a time")
            },
        ),
        What::OnStream(reply) => What::OnStream(Reply {
            status: 503,
            length: 0,
            says_length: true,
            cut: false,
            leave: false,
            close: false,
            ..*reply
        }),
    }
}
