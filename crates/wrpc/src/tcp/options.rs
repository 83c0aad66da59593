//! The address, TLS and timeouts.

use std::net::IpAddr;
use std::time::Duration;

use crate::location::{self, Location};
use crate::tls::ClientTls;
use crate::{Error, ErrorCode};

/// The options of a caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// A host name or an IP address, an IPv6 one without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The most time of an attempt to connect, including TLS.
    pub connect_timeout: Duration,
    /// Whether small writes are sent at once.
    pub nodelay: bool,
    /// A peer that is silent for about this time is given up.
    pub keepalive: Duration,
    /// The local address to connect from.
    pub source_addr: Option<IpAddr>,
    /// TLS, if it is used.
    pub tls: Option<ClientTls>,
    /// Whether to keep one connection for all calls if the receiver supports that.
    /// Otherwise each call has its own connection.
    pub reuse: bool,
    /// Whether the write side of a connection of one call is shut down after the
    /// parameters. Receivers that read to the end need that. A proxy may answer it by
    /// closing the connection, so that a call without results looks like a success. By
    /// default, it is done for functions that always have results, and for functions
    /// without parameters.
    pub half_close: Option<bool>,
}

impl Options {
    /// Options for the receiver at `HOST:PORT`; an IPv6 address needs brackets.
    pub fn new(addr: &str) -> Result<Self, Error> {
        let (host, port) = parse(addr)?;
        Ok(Self {
            host,
            port,
            connect_timeout: Duration::from_secs(5),
            nodelay: true,
            keepalive: Duration::from_secs(5),
            source_addr: None,
            tls: None,
            reuse: true,
            half_close: None,
        })
    }

    /// The address as text.
    pub fn peer(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }
}

/// Parses `HOST:PORT`.
pub(super) fn parse(addr: &str) -> Result<(String, u16), Error> {
    let invalid = |reason: &str| {
        let shown = location::shown(addr);
        let text = format!(
            "invalid address {shown:?}: {reason}; expected HOST:PORT, such as \
             \"127.0.0.1:7761\" or \"[::1]:7761\""
        );
        Error::new(ErrorCode::ConnectionRefused, text)
    };
    let location = Location::parse(&format!("tcp://{addr}"), &["tcp"]);
    let location = location.map_err(|reason| invalid(&reason))?;
    if location.user.is_some() || location.password.is_some() {
        return Err(invalid("a receiver over TCP takes no credentials"));
    }
    match location.port {
        Some(port) => Ok((location.host, port)),
        None => Err(invalid("it has no port")),
    }
}

#[cfg(test)]
mod tests {
    use super::Options;

    #[test]
    fn addresses() {
        for good in [
            "127.0.0.1:1",
            "[::1]:7761",
            "localhost:65535",
            "a.b-c.example:0",
        ] {
            assert_eq!(Options::new(good).expect(good).peer(), good);
        }
        for bad in [
            "",
            ":1",
            "localhost",
            "localhost:",
            "a:65536",
            "a:-1",
            "::1:7761",
            "[::1]",
            "[a]:1",
            "[::1:1",
            "tcp://a:1",
            "a b:1",
            "me@a:1",
        ] {
            let error = Options::new(bad).expect_err(bad);
            assert!(error.message.contains("HOST:PORT"), "{bad}: {error}");
        }
    }
}
