//! HTTP/3: many hits at a time on one connection over QUIC.
//!
//! - answers: what comes, put down in the hits
//! - link: one connection, and the hits that are on their way

mod answers;
mod link;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use encarno_http3::{ALPN, CongestionWatch, Limits, Prepared};
use encarno_nib::{
    BadOption, Dialer, Form, Kind, Network, NetworkProtocol, Options, Prepare, Scheme, Seat,
    SetUpError,
};
use encarno_record::Payload;
use link::{Link, Settings};
use quinn_proto::crypto::rustls::QuicClientConfig;
use quinn_proto::{ClientConfig, EndpointConfig, TransportConfig, VarInt};

use crate::multiplexed::{Multiplexed, Plain};

/// HTTP/3.
#[derive(Clone, Debug)]
pub struct Http3Protocol {
    /// The number of hits that a connection carries at a time.
    pub streams: u32,
    /// Whether GET and HEAD are sent before the handshake ends (0-RTT), if the server has
    /// allowed it on an earlier connection.
    pub early: bool,
    /// Whether further connections are opened if the server allows fewer streams.
    pub spread: bool,
    /// TLS for QUIC, after the set-up.
    client: Option<ClientConfig>,
}

impl Default for Http3Protocol {
    fn default() -> Self {
        Self {
            streams: 1,
            early: false,
            spread: false,
            client: None,
        }
    }
}

impl NetworkProtocol for Http3Protocol {
    type Nib = Multiplexed<Plain, Link>;

    const KIND: &'static Kind = &Kind {
        name: "http3",
        aliases: &["h3"],
        schemes: &[Scheme::with_tls("https", Some(443))],
        form: Form::Http,
        tls: Some(&[ALPN]),
        network: true,
        options: &["streams", "early-data", "spread"],
    };

    fn new(options: &Options) -> Result<Self, BadOption> {
        if options.network.proxy.is_some() {
            let reason = "http3 goes over UDP, which an HTTP proxy doesn't carry: leave it out";
            return Err(BadOption::new("proxy", reason));
        }
        let early = options.own("early-data", "true or false")?.unwrap_or(false);
        if early && options.network.tls.no_resumption {
            let reason = "a connection whose first data are early resumes a session: allow that";
            return Err(BadOption::new("early-data", reason));
        }
        Ok(Self {
            streams: options.streams(1)?,
            early,
            spread: options.own("spread", "true or false")?.unwrap_or(false),
            client: None,
        })
    }

    fn set_up(self, network: &Network) -> Result<Self, SetUpError> {
        let Some(config) = network.tls() else {
            return Ok(self);
        };
        // Of all that TLS can be, QUIC needs this.
        let mut config = rustls::ClientConfig::clone(config);
        config.enable_early_data = self.early;
        let tls = QuicClientConfig::try_from(config).map_err(|_| {
            SetUpError::Protocol(
                "HTTP/3 needs TLS 1.3 with the cipher suite TLS_AES_128_GCM_SHA256: allow both"
                    .to_owned(),
            )
        })?;
        Ok(Self {
            client: Some(ClientConfig::new(Arc::new(tls))),
            ..self
        })
    }

    fn nib(&self, dialer: Dialer, seat: &Seat<'_>) -> Multiplexed<Plain, Link> {
        let limits = Limits {
            head_bytes_max: dialer.settings().head_bytes_max,
        };
        let settings = Settings {
            limits,
            client: self.client.clone(),
            endpoint: Arc::new(EndpointConfig::default()),
            early: self.early,
            spread: self.spread,
        };
        Multiplexed::new(settings, Plain, self.streams, dialer, seat)
    }

    fn prepare(&self) -> Option<Arc<dyn Prepare>> {
        Some(Arc::new(Frames))
    }

    fn streams(&self) -> u32 {
        self.streams
    }

    fn descriptors(&self, workers: u64) -> u64 {
        let streams = if self.spread { 1 } else { self.streams };
        workers.div_ceil(u64::from(streams.max(1)))
    }
}

/// The settings of our end of QUIC. How long a hit waits is decided by its timeout, not by a
/// timeout of the connection.
fn transport(watch: CongestionWatch) -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport
        .max_idle_timeout(None)
        // Servers open a control stream and two of QPACK; others are refused.
        .max_concurrent_uni_streams(VarInt::from_u32(8))
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .datagram_receive_buffer_size(None)
        .congestion_controller_factory(Arc::new(watch))
        .initial_rtt(Duration::from_millis(100));
    transport
}

/// Makes field sections from requests.
#[derive(Debug)]
struct Frames;

impl Prepare for Frames {
    fn prepare(&self, payload: Payload) -> Result<Payload, String> {
        match payload {
            Payload::Memory(text) => Prepared::of_text(&text).map(Payload::Memory),
            Payload::File { .. } => {
                Err("with HTTP/3 a request is held in memory, and this one is too long".to_owned())
            }
        }
    }

    fn with_field(&self, prepared: &Bytes, name: &str, value: &str) -> Option<Bytes> {
        Prepared::read(prepared)?.with_field(name.as_bytes(), value.as_bytes())
    }
}
