//! A connection of one call, at the receiver's end.

use std::future::{Future as _, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, Interest};
use tokio::time::{Instant, timeout, timeout_at};

use super::READ_BYTES;
use super::frames::{self, Decoder, EMPTY, Event, FRAME_BYTES_MAX};
use super::site::{self, Seat, Site};
use crate::outbox::Outbox;
use crate::pending_params::Gathered;
use crate::serve::{Invocation, Parameters};
use crate::socket::Stream;
use crate::value::DecodeError;
use crate::{Error, ErrorCode};

/// The most bytes of parameters that are read before the call is handed on.
const BEGINNING_BYTES_MAX: usize = 256 << 10;
/// How often parameters are checked while they arrive. After that, only their marked end
/// counts, because a check takes time in proportion to their length.
const LOOKS_MAX: u32 = 16;

/// A call and its connection.
pub struct Single {
    site: Arc<Site>,
    export: usize,
    stream: Stream,
    inbox: BytesMut,
    frames: Decoder,
    params: Gathered,
    looks: u32,
    /// The parameters can't be complete before there are this many bytes.
    look_at: usize,
    /// Whether nothing more is expected from the caller.
    is_read: bool,
    /// Whether the caller is one of ours: it has marked the end of its parameters, and
    /// won't close its side before the receiver does.
    keeps_open: bool,
    is_accepted: bool,
    _seat: Seat,
}

impl Single {
    /// Reads the call after its header, unless it must be refused.
    pub(super) async fn read_call(
        site: Arc<Site>,
        stream: Stream,
        inbox: BytesMut,
        names: &[u8],
        seat: Seat,
        deadline: Instant,
    ) -> Option<Invocation<Self>> {
        let found = site.find(names);
        let mut single = Self {
            export: *found.as_ref().unwrap_or(&0),
            params: Gathered::new(&site.limits, site.next_source()),
            site,
            stream,
            inbox,
            frames: Decoder::default(),
            looks: 0,
            look_at: 0,
            is_read: false,
            keeps_open: false,
            is_accepted: false,
            _seat: seat,
        };
        let whole = match found {
            Ok(_) => match timeout_at(deadline, single.read(BEGINNING_BYTES_MAX)).await {
                Ok(whole) => whole,
                Err(_) => Err(single.site.limits.params_late()),
            },
            Err(error) => Err(error),
        };
        let parameters = match whole {
            Ok(true) => single.params.take().map(Parameters::Whole),
            Ok(false) => Ok(Parameters::Partial),
            Err(error) => Err(error),
        };
        let parameters = match parameters {
            Ok(parameters) => parameters,
            Err(error) => {
                single.finish(Err(error)).await;
                return None;
            }
        };
        Some(Invocation {
            export: single.export,
            parameters,
            traceparent: None,
            responder: single,
        })
    }

    /// Reads parameters until they are complete or more than `bytes_max` bytes.
    async fn read(&mut self, bytes_max: usize) -> Result<bool, Error> {
        loop {
            while let Some(event) = self.frames.next(&mut self.inbox)? {
                match event {
                    Event::Data(data) => self.params.push(&data)?,
                    Event::Empty => {
                        self.keeps_open = !self.params.is_empty();
                        return self.end();
                    }
                    Event::Error(error) => {
                        return Err(frames::violation(format!("a caller that sends {error}")));
                    }
                }
            }
            if self.params.len() >= self.look_at && self.looks < LOOKS_MAX && self.look()? {
                return Ok(true);
            }
            if self.params.len() > bytes_max {
                return Ok(false);
            }
            self.inbox.reserve(READ_BYTES);
            match self.read_more().await? {
                Ok(0) if self.frames.is_within_frame(&self.inbox) => {
                    return Err(frames::violation("the parameters end within a frame"));
                }
                Ok(0) => return self.end(),
                Ok(_) => {}
                Err(error) => {
                    let text = format!("the caller is gone: {error}");
                    return Err(Error::new(ErrorCode::Cancelled, text));
                }
            }
        }
    }

    /// Reads from the socket, until the parameters are given up to make room for others.
    async fn read_more(&mut self) -> Result<io::Result<usize>, Error> {
        let Self {
            stream,
            inbox,
            params,
            ..
        } = self;
        poll_fn(|context| {
            if let Some(error) = params.poll_given_up(context) {
                return Poll::Ready(Err(error));
            }
            pin!(stream.read_buf(inbox)).poll(context).map(Ok)
        })
        .await
    }

    fn check(&self) -> Result<(), DecodeError> {
        (self.params).look(|params| self.site.check(self.export, params))
    }

    /// Whether the parameters are complete.
    fn look(&mut self) -> Result<bool, Error> {
        self.looks += 1;
        match self.check() {
            Ok(()) => {
                // Nothing may follow, except the end mark of our callers.
                if self.inbox[..] == *EMPTY {
                    self.inbox.clear();
                    self.keeps_open = !self.params.is_empty();
                }
                self.is_read = self.inbox.is_empty();
                Ok(true)
            }
            Err(DecodeError::Truncated { missing, .. }) => {
                let needed = (self.params.len() as u64).saturating_add(missing);
                if needed > self.site.limits.params_bytes_max as u64 {
                    return Err(self.site.limits.too_large());
                }
                self.look_at = needed as usize;
                self.params.announce(self.look_at);
                Ok(false)
            }
            Err(error) => Err(undecodable(&error)),
        }
    }

    /// Handles the end of the caller's data, which ends the parameters.
    fn end(&mut self) -> Result<bool, Error> {
        self.is_read = true;
        match self.check() {
            Ok(()) => Ok(true),
            Err(error) => Err(undecodable(&error)),
        }
    }

    /// Waits for the rest of the parameters.
    pub(super) async fn complete(&mut self) -> Result<Bytes, Error> {
        self.accept().await;
        let limit = self.site.limits.params_timeout;
        match timeout(limit, self.read(usize::MAX)).await {
            Ok(Ok(_)) => self.params.take(),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(self.site.limits.params_late()),
        }
    }

    pub(super) async fn accept(&mut self) {
        if !self.is_accepted {
            self.is_accepted = true;
            let mut out = Outbox::default();
            out.put(EMPTY);
            self.write(&mut out).await;
        }
    }

    /// Waits until the caller is known to be gone: it reset the connection, or, being one
    /// of ours, closed it.
    pub(super) async fn caller_gone(&self) {
        let tcp = self.stream.tcp();
        if self.keeps_open && matches!(tcp.peek(&mut [0]).await, Ok(0) | Err(_)) {
            return;
        }
        // This fails only if calls can't be answered either.
        let _ = tcp.ready(Interest::ERROR).await;
    }

    pub(super) async fn finish(mut self, result: Result<Bytes, Error>) {
        let mut out = Outbox::default();
        match result {
            Ok(mut results) => {
                if !self.is_accepted {
                    out.put(EMPTY);
                }
                let mut head = Vec::new();
                while !results.is_empty() {
                    let frame = results.split_to(results.len().min(FRAME_BYTES_MAX));
                    head.clear();
                    frames::put_head(frame.len(), &mut head);
                    out.put(&head);
                    out.put_bytes(frame);
                }
                out.put(EMPTY);
            }
            Err(error) => {
                let mut frame = Vec::new();
                frames::put_error(&error, &mut frame);
                out.put(&frame);
            }
        }
        self.write(&mut out).await;
        match self.is_read {
            true => {
                let _ = self.stream.shutdown().await;
            }
            false => site::close(&mut self.stream).await,
        }
    }

    /// A caller that can't be reached finds out by its own deadline.
    async fn write(&mut self, out: &mut Outbox) {
        let limit = self.site.settings.silence_max;
        if let Err(error) = site::write(out, &mut self.stream, limit).await {
            tracing::debug!(%error, "an answer was lost");
        }
    }
}

fn undecodable(error: &DecodeError) -> Error {
    frames::violation(format!("the parameters can't be decoded: {error}"))
}
