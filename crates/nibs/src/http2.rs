//! HTTP/2, with TLS by ALPN and without TLS by prior knowledge: many hits at a
//! time on one connection.
//!
//! - answers: what comes, put down in the hits
//! - bodies: those of requests, as far as there is room for them
//! - link: one connection, and the hits that are on their way

mod answers;
mod bodies;
mod link;

use std::sync::Arc;

use bytes::Bytes;
use encarno_http2::{Limits, Prepared};
use encarno_nib::{BadOption, Dialer, Form, Kind, NetworkProtocol, Options, Prepare, Scheme, Seat};
use encarno_record::Payload;
use link::Link;

use crate::multiplexed::{Dialect, Multiplexed, Plain};

/// The nib of one event loop.
pub type Http2<D> = Multiplexed<D, Link>;

/// HTTP/2.
#[derive(Clone, Copy, Debug)]
pub struct Http2Protocol {
    /// The number of hits that a connection carries at a time.
    pub streams: u32,
    /// The window of each of our streams.
    pub window_bytes: u32,
    /// Whether heads are compressed with a table that grows with the connection.
    pub indexed: bool,
}

impl Default for Http2Protocol {
    fn default() -> Self {
        Self {
            streams: 1,
            window_bytes: Limits::default().window,
            indexed: false,
        }
    }
}

impl NetworkProtocol for Http2Protocol {
    type Nib = Http2<Plain>;

    const KIND: &'static Kind = &Kind {
        name: "http2",
        aliases: &["h2", "h2c"],
        schemes: &[
            Scheme::new("http", Some(80)),
            Scheme::with_tls("https", Some(443)),
            Scheme::unix("http+unix"),
            Scheme::unix("unix"),
        ],
        form: Form::Http,
        tls: Some(&[b"h2"]),
        network: true,
        options: &["streams", "window", "hpack"],
    };

    fn new(options: &Options) -> Result<Self, BadOption> {
        let usual = Self::default();
        let window = options.own("window", "a number of bytes from 1 to 1073741823")?;
        let window_bytes = window.unwrap_or(usual.window_bytes);
        if !(1..=usual.window_bytes).contains(&window_bytes) {
            let reason = format!("write a number from 1 to {}", usual.window_bytes);
            return Err(BadOption::new("window", reason));
        }
        let indexed = match options.own.get("hpack").map(String::as_str) {
            None | Some("static") => false,
            Some("indexed") => true,
            Some(_) => return Err(BadOption::new("hpack", "write static or indexed")),
        };
        Ok(Self {
            streams: options.streams(usual.streams)?,
            window_bytes,
            indexed,
        })
    }

    fn nib(&self, dialer: Dialer, seat: &Seat<'_>) -> Http2<Plain> {
        self.nib_of(Plain, dialer, seat)
    }

    fn prepare(&self) -> Option<Arc<dyn Prepare>> {
        Some(Arc::new(Frames))
    }

    fn streams(&self) -> u32 {
        self.streams
    }
}

impl Http2Protocol {
    /// The nib of one event loop, for what is sent over HTTP/2.
    pub(crate) fn nib_of<D: Dialect>(
        &self,
        dialect: D,
        dialer: Dialer,
        seat: &Seat<'_>,
    ) -> Http2<D> {
        let limits = Limits {
            window: self.window_bytes,
            head_bytes_max: dialer.settings().head_bytes_max,
            indexed: self.indexed,
            ..Limits::default()
        };
        Multiplexed::new(limits, dialect, self.streams, dialer, seat)
    }
}

/// Makes frames from requests.
#[derive(Debug)]
struct Frames;

impl Prepare for Frames {
    fn prepare(&self, payload: Payload) -> Result<Payload, String> {
        match payload {
            Payload::Memory(text) => Prepared::of_text(&text).map(Payload::Memory),
            Payload::File { .. } => {
                Err("with HTTP/2 a request is held in memory, and this one is too long".to_owned())
            }
        }
    }

    fn with_field(&self, prepared: &Bytes, name: &str, value: &str) -> Option<Bytes> {
        Prepared::read(prepared)?.with_field(name.as_bytes(), value.as_bytes())
    }
}
