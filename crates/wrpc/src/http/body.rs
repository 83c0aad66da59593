//! A body that is received.

use std::task::{Context, Poll};

use bytes::{Buf as _, Bytes, BytesMut};

use super::fields::{Field, read_trailers};
use super::message::Part;
use crate::streams::{Incoming, Open};
use crate::{Error, ErrorCode, Traffic};

/// A body that is received, with its trailers.
#[derive(Default)]
pub struct Body {
    ready: Bytes,
    source: Option<Box<Source>>,
    trailers: Option<Vec<Field>>,
    traffic: Option<Traffic>,
}

struct Source {
    body: Option<(Incoming, Unchunker)>,
    /// The rest of a message.
    message: Bytes,
    trailers: Option<(Incoming, BytesMut)>,
    call: Option<Open>,
    error: Option<Error>,
}

impl Body {
    /// The body of a request. The rest of it arrives by `incoming`.
    pub(crate) fn of_request(
        body: Part<Bytes>,
        trailers: Part<Option<Vec<Field>>>,
        incoming: impl FnOnce() -> Option<(Incoming, Incoming)>,
    ) -> Result<Self, Error> {
        let (whole, pending) = Self::split(body, trailers);
        match pending {
            (false, false) => Ok(whole),
            pending => whole.with_source(pending, incoming(), None),
        }
    }

    /// The body of a response to an `open` call.
    pub(crate) fn of_response(
        body: Part<Bytes>,
        trailers: Part<Option<Vec<Field>>>,
        open: Option<Open>,
    ) -> Result<Self, Error> {
        let (whole, pending) = Self::split(body, trailers);
        match (pending, open) {
            ((false, false), Some(mut open)) => {
                open.complete();
                Ok(whole)
            }
            ((false, false), None) => Ok(whole),
            (pending, open) => {
                let incoming = open.as_ref().map(Open::incoming);
                whole.with_source(pending, incoming, open)
            }
        }
    }

    /// The available part, and whether the rest of the body and the trailers follow.
    fn split(body: Part<Bytes>, trailers: Part<Option<Vec<Field>>>) -> (Self, (bool, bool)) {
        let pending = (body == Part::Pending, trailers == Part::Pending);
        let whole = Self {
            ready: match body {
                Part::Ready(body) => body,
                Part::Pending => Bytes::new(),
            },
            trailers: match trailers {
                Part::Ready(trailers) => trailers,
                Part::Pending => None,
            },
            ..Self::default()
        };
        (whole, pending)
    }

    fn with_source(
        mut self,
        (body_pending, trailers_pending): (bool, bool),
        incoming: Option<(Incoming, Incoming)>,
        call: Option<Open>,
    ) -> Result<Self, Error> {
        let Some((body, trailers)) = incoming else {
            let text = "a body that is sent as a stream can't be read over this transport";
            return Err(Error::new(ErrorCode::ProtocolViolation, text));
        };
        self.source = Some(Box::new(Source {
            body: body_pending.then(|| (body, Unchunker::default())),
            message: Bytes::new(),
            trailers: trailers_pending.then(|| (trailers, BytesMut::new())),
            call,
            error: None,
        }));
        Ok(self)
    }

    /// The next piece, never empty; `None` after the last one, when the trailers have
    /// arrived too. After an error, the same error again.
    pub fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Error>> {
        if !self.ready.is_empty() {
            return Poll::Ready(Ok(Some(std::mem::take(&mut self.ready))));
        }
        let Some(source) = &mut self.source else {
            return Poll::Ready(Ok(None));
        };
        if let Some(error) = &source.error {
            return Poll::Ready(Err(error.clone()));
        }
        let polled = source.poll(context, &mut self.trailers);
        match &polled {
            Poll::Ready(Ok(None)) => {
                if let Some(call) = &mut source.call {
                    call.complete();
                    self.traffic = Some(call.traffic());
                }
                self.source = None;
            }
            Poll::Ready(Err(error)) => source.error = Some(error.clone()),
            Poll::Ready(Ok(Some(_))) | Poll::Pending => {}
        }
        polled
    }

    /// Like [`Body::poll_chunk`], until the deadline of the call at the latest.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        let watched = self.source.as_ref().and_then(|source| {
            let call = source.call.as_ref()?;
            Some(call.watch())
        });
        let chunk = std::future::poll_fn(|context| self.poll_chunk(context));
        match watched {
            None => chunk.await,
            Some(watch) => tokio::select! {
                biased;
                chunk = chunk => chunk,
                error = watch => Err(error),
            },
        }
    }

    /// The whole body; an error if it is larger than `bytes_max`.
    pub async fn collect(&mut self, bytes_max: usize) -> Result<Bytes, Error> {
        let mut whole = crate::chunks::Chunks::default();
        while let Some(chunk) = self.chunk().await? {
            if whole.len() + chunk.len() > bytes_max {
                let text = format!("the body is larger than {bytes_max} bytes");
                return Err(Error::new(ErrorCode::PayloadTooLarge, text));
            }
            whole.push(chunk);
        }
        Ok(whole.into_bytes())
    }

    /// The trailers, once the last piece was read.
    pub fn trailers(&self) -> Option<&[Field]> {
        self.trailers.as_deref()
    }

    /// The bytes of the call of this response, so far; `None` if nothing followed the
    /// head.
    pub fn traffic(&self) -> Option<Traffic> {
        let open = self.source.as_ref().and_then(|source| source.call.as_ref());
        open.map(Open::traffic).or(self.traffic)
    }

    /// Whether the whole body has been read.
    pub fn is_ended(&self) -> bool {
        self.ready.is_empty() && self.source.is_none()
    }
}

impl Source {
    fn poll(
        &mut self,
        context: &Context<'_>,
        trailers: &mut Option<Vec<Field>>,
    ) -> Poll<Result<Option<Bytes>, Error>> {
        while let Some((incoming, unchunker)) = &mut self.body {
            if let Some(chunk) = unchunker.next(&mut self.message)? {
                return Poll::Ready(Ok(Some(chunk)));
            }
            if unchunker.is_ended {
                self.body = None;
                break;
            }
            match incoming.poll_piece(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(message) => {
                    let cut = || broken("it ends in the middle");
                    self.message = message?.ok_or_else(cut)?;
                }
            }
        }
        while let Some((incoming, encoded)) = &mut self.trailers {
            // Only the end of the stream shows where trailers end.
            let end = match incoming.poll_piece(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(message) => match message? {
                    Some(message) => {
                        encoded.extend_from_slice(&message);
                        false
                    }
                    None => true,
                },
            };
            match read_trailers(&Bytes::copy_from_slice(encoded)) {
                Ok(fields) => {
                    *trailers = fields;
                    self.trailers = None;
                }
                Err(crate::value::DecodeError::Truncated { .. }) if !end => {}
                Err(error) => {
                    let error = broken(&format!("its trailers can't be decoded: {error}"));
                    return Poll::Ready(Err(error));
                }
            }
        }
        Poll::Ready(Ok(None))
    }
}

fn broken(reason: &str) -> Error {
    Error::new(
        ErrorCode::InvalidResponse,
        format!("the body is broken: {reason}"),
    )
}

/// Takes the data out of the chunks of a `stream<u8>`, however messages split them.
#[derive(Default)]
struct Unchunker {
    /// The rest of the present chunk.
    left: u64,
    /// The length of the next chunk, as far as it was read.
    length: u64,
    shift: u32,
    is_ended: bool,
}

impl Unchunker {
    /// The next data in the message; `None` when all data were taken.
    fn next(&mut self, message: &mut Bytes) -> Result<Option<Bytes>, Error> {
        loop {
            if message.is_empty() {
                return Ok(None);
            }
            if self.is_ended {
                return Err(broken("it goes on after its end"));
            }
            if self.left > 0 {
                let taken = message
                    .len()
                    .min(usize::try_from(self.left).unwrap_or(usize::MAX));
                self.left -= taken as u64;
                return Ok(Some(message.split_to(taken)));
            }
            let byte = message.get_u8();
            self.length |= u64::from(byte & 0x7f) << self.shift;
            self.shift += 7;
            if self.length > u64::from(u32::MAX) || (byte & 0x80 != 0 && self.shift >= 35) {
                return Err(broken("the length of a chunk is too large"));
            }
            if byte & 0x80 == 0 {
                self.left = std::mem::take(&mut self.length);
                self.shift = 0;
                self.is_ended = self.left == 0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::Unchunker;

    fn unchunk(pieces: &[&[u8]]) -> Result<(Vec<u8>, bool), String> {
        let mut unchunker = Unchunker::default();
        let mut data = Vec::new();
        for piece in pieces {
            let mut message = Bytes::copy_from_slice(piece);
            while let Some(chunk) = unchunker
                .next(&mut message)
                .map_err(|error| error.message)?
            {
                data.extend_from_slice(&chunk);
            }
        }
        Ok((data, unchunker.is_ended))
    }

    #[test]
    fn chunks_may_be_cut_anywhere() {
        let mut stream = b"\x05hello\x81\x00!\xac\x02".to_vec();
        stream.extend([b'x'; 300]);
        stream.push(0);
        let whole = unchunk(&[&stream]).expect("whole");
        assert_eq!(whole.0.len(), 306);
        assert!(whole.0.starts_with(b"hello!xx") && whole.1);
        for cut in 0..stream.len() {
            let (first, second) = stream.split_at(cut);
            assert_eq!(unchunk(&[first, second]).expect("cut"), whole, "{cut}");
        }
        let single: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(unchunk(&single).expect("bytes"), whole);
        assert!(!unchunk(&[b"\x05hell"]).expect("a part").1);
    }

    #[test]
    fn what_no_stream_can_be_is_an_error() {
        let too_large = unchunk(&[&[0xff, 0xff, 0xff, 0xff, 0x1f]]).expect_err("33 bits");
        assert!(too_large.contains("too large"), "{too_large}");
        assert!(unchunk(&[&[0x80; 6]]).is_err());
        let after = unchunk(&[&[0], &[1]]).expect_err("after the end");
        assert!(after.contains("after its end"), "{after}");
    }
}
