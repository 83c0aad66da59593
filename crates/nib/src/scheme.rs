//! How URLs begin.

/// The beginning of a URL, and what it says about the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scheme {
    /// As it is written, in lower case.
    pub name: &'static str,
    /// The port of a URL that names none; none = each URL has to name one.
    pub port: Option<u16>,
    /// Whether TLS is spoken.
    pub tls: bool,
    /// Whether a path of a unix socket follows, and not a host.
    pub unix: bool,
}

impl Scheme {
    /// A host without TLS.
    pub const fn new(name: &'static str, port: Option<u16>) -> Self {
        Self {
            name,
            port,
            tls: false,
            unix: false,
        }
    }

    /// A host with TLS.
    pub const fn with_tls(name: &'static str, port: Option<u16>) -> Self {
        Self {
            tls: true,
            ..Self::new(name, port)
        }
    }

    /// A unix socket.
    pub const fn unix(name: &'static str) -> Self {
        Self {
            unix: true,
            ..Self::new(name, None)
        }
    }
}
