//! What is sent over a connection, and how answers are read.

use std::fmt::Debug;

use encarno_http2::{Head, HeadKind, Prepared};
use encarno_nib::{Keep, Kept, Shot};
use encarno_record::StringId;
use encarno_record::series::Measured;

/// Plain HTTP/2, or a protocol on top of it.
pub trait Dialect: Debug + Send + 'static {
    /// The state of an answer that arrives.
    type Answer: Debug + Default;

    /// The error if a server doesn't choose HTTP/2 in TLS.
    const NO_HTTP2: &'static str;

    /// The request in a payload.
    fn prepared<'a>(&self, payload: &'a [u8]) -> Option<Prepared<'a>>;

    /// A readable form of a payload.
    fn shown(&self, payload: &[u8]) -> Option<Vec<u8>> {
        self.prepared(payload).map(|prepared| prepared.text())
    }

    /// Starts a hit.
    fn begin(&mut self, answer: &mut Self::Answer, shot: &Shot);

    /// Whether heads are wanted as text.
    fn wants_text(&mut self, keep: Keep) -> bool;

    /// Takes a head that arrived. An error ends the hit.
    fn head(
        &mut self,
        answer: &mut Self::Answer,
        seen: &mut Seen<'_>,
        head: &Head<'_>,
        ends: bool,
    ) -> Result<(), (u16, StringId)>;

    /// Takes a piece of the body. An error ends the hit.
    fn data(
        &mut self,
        answer: &mut Self::Answer,
        seen: &mut Seen<'_>,
        bytes: &[u8],
        ends: bool,
    ) -> Result<(), (u16, StringId)>;

    /// Takes the times that were measured beside hits.
    fn take_measured(&mut self) -> Measured {
        Measured::default()
    }
}

/// The hit whose answer arrives.
#[derive(Debug)]
pub struct Seen<'a> {
    /// The hit.
    pub shot: &'a mut Shot,
    /// The kept parts of the answer.
    pub kept: &'a mut Kept,
    /// The instant of arrival.
    pub now_ns: u64,
}

/// Plain HTTP/2.
#[derive(Debug)]
pub struct Plain;

impl Dialect for Plain {
    type Answer = ();

    const NO_HTTP2: &'static str = "the server doesn't speak HTTP/2 over TLS (ALPN): leave --http2 out \
         (driver: http2 in a configuration), which is HTTP/1.1";

    fn prepared<'a>(&self, payload: &'a [u8]) -> Option<Prepared<'a>> {
        Prepared::read(payload)
    }

    fn begin(&mut self, (): &mut (), _: &Shot) {}

    fn wants_text(&mut self, keep: Keep) -> bool {
        keep.head || keep.wire_bytes_max > 0
    }

    fn head(
        &mut self,
        (): &mut (),
        seen: &mut Seen<'_>,
        head: &Head<'_>,
        _: bool,
    ) -> Result<(), (u16, StringId)> {
        let hit = &mut seen.shot.hit;
        if hit.first_byte_ns == 0 {
            hit.first_byte_ns = seen.now_ns;
        }
        seen.kept.wire(head.text);
        if head.kind == HeadKind::Final {
            hit.protocol_code = head.status;
            seen.kept.head(head.status, head.text);
        }
        Ok(())
    }

    fn data(
        &mut self,
        (): &mut (),
        seen: &mut Seen<'_>,
        bytes: &[u8],
        _: bool,
    ) -> Result<(), (u16, StringId)> {
        seen.kept.wire(bytes);
        seen.kept.body(bytes);
        Ok(())
    }
}
