//! The schemes of URLs.

/// A scheme of URLs, with its properties.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scheme {
    /// Its name, in lower case.
    pub name: &'static str,
    /// The default port; `None` if each URL must name one.
    pub port: Option<u16>,
    /// Whether the connection uses TLS.
    pub tls: bool,
    /// Whether the path of a unix socket follows, instead of a host.
    pub unix: bool,
}

impl Scheme {
    /// A scheme for a host without TLS.
    pub const fn new(name: &'static str, port: Option<u16>) -> Self {
        Self {
            name,
            port,
            tls: false,
            unix: false,
        }
    }

    /// A scheme for a host with TLS.
    pub const fn with_tls(name: &'static str, port: Option<u16>) -> Self {
        Self {
            tls: true,
            ..Self::new(name, port)
        }
    }

    /// A scheme for a unix socket.
    pub const fn unix(name: &'static str) -> Self {
        Self {
            unix: true,
            ..Self::new(name, None)
        }
    }
}
