//! Addresses: `http://host:port`, `https://[::1]`, `udp://host:53`,
//! `http+unix:///path`; names are looked up off the event loop.
//!
//! - `book`: what an event loop knows of its addresses
//! - `resolver`: threads that look names up

mod book;
mod resolver;

use std::net::{IpAddr, SocketAddr};

use rustix::net::SocketAddrUnix;

use super::socket::Peer;
pub use book::{AddressBook, Endpoint, Lookup, resolve_now};
pub use resolver::Resolver;

/// An address that was understood, and isn't looked up yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Whether TLS is spoken.
    pub tls: bool,
    /// The name or IP address, or the path of a unix socket.
    pub host: Host,
}

/// Where it leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// A host's name, or its IP address without brackets.
    Internet {
        /// The name.
        name: String,
        /// The port.
        port: u16,
    },
    /// A unix socket.
    Unix(SocketAddrUnix),
}

/// An address that can't be used.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("address '{address}': {reason}")]
pub struct AddressError {
    /// As it was written.
    pub address: String,
    /// What is wrong.
    pub reason: String,
}

impl Address {
    /// Understands an address. What follows host and port is ignored.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let error = |reason: &str| AddressError {
            address: text.to_owned(),
            reason: reason.to_owned(),
        };
        let (scheme, rest) = text
            .trim()
            .split_once("://")
            .unwrap_or(("http", text.trim()));
        let (tls, port) = match scheme.to_ascii_lowercase().as_str() {
            "http" => (false, 80),
            "https" => (true, 443),
            "udp" | "echo" => (false, 0),
            "http+unix" | "unix" => {
                let path = SocketAddrUnix::new(rest)
                    .map_err(|_| error("the socket's path is too long"))?;
                return Ok(Self {
                    tls: false,
                    host: Host::Unix(path),
                });
            }
            _ => {
                return Err(error(
                    "expected http://, https://, udp://, echo:// or http+unix://",
                ));
            }
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let authority = authority
            .rsplit_once('@')
            .map_or(authority, |(_, host)| host);
        let (name, port_text) = if let Some(inner) = authority.strip_prefix('[') {
            let (name, tail) = inner
                .split_once(']')
                .filter(|(name, _)| name.contains(':'))
                .ok_or_else(|| error("brackets are for IPv6 addresses: [::1]:80"))?;
            (name, tail.strip_prefix(':'))
        } else {
            match authority.split_once(':') {
                Some((_, tail)) if tail.contains(':') => {
                    return Err(error("an IPv6 address needs brackets: [::1]:80"));
                }
                Some((name, port)) => (name, Some(port)),
                None => (authority, None),
            }
        };
        let port = match port_text {
            None | Some("") => port,
            Some(digits) => digits
                .parse()
                .map_err(|_| error("the port isn't a number up to 65535"))?,
        };
        if name.is_empty() {
            return Err(error("no host"));
        }
        // Names in any alphabet are looked up as DNS has them (xn--…).
        let name = match name.contains(':') {
            true => name.to_owned(),
            false => match url::Host::parse(name) {
                Ok(host) => host.to_string(),
                Err(reason) => return Err(error(&format!("host {name:?}: {reason}"))),
            },
        };
        if port == 0 {
            return Err(error("no port"));
        }
        Ok(Self {
            tls,
            host: Host::Internet { name, port },
        })
    }

    /// The name that TLS asks for and verifies.
    pub fn name(&self) -> &str {
        match &self.host {
            Host::Internet { name, .. } => name,
            Host::Unix(_) => "localhost",
        }
    }

    /// The peer, where no name has to be looked up.
    fn immediate(&self) -> Option<Peer> {
        match &self.host {
            Host::Unix(path) => Some(Peer::Unix(path.clone())),
            Host::Internet { name, port } => {
                let ip: IpAddr = name.parse().ok()?;
                Some(Peer::Internet(SocketAddr::new(ip, *port)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Address, Host, resolve_now};

    #[test]
    fn addresses() {
        let parse = |text: &str| {
            let address = Address::parse(text).map_err(|error| error.reason)?;
            let Host::Internet { name, port } = address.host else {
                return Err("unix".to_owned());
            };
            Ok((address.tls, name, port))
        };
        let is = |text: &str, tls, name: &str, port| {
            assert_eq!(parse(text), Ok((tls, name.to_owned(), port)), "{text}")
        };
        is("http://example.org/", false, "example.org", 80);
        is("https://[::1]/a?b", true, "::1", 443);
        is("https://user:pass@h:8443", true, "h", 8443);
        is("udp://127.0.0.1:53", false, "127.0.0.1", 53);
        is("localhost:8070", false, "localhost", 8070);
        is("HTTPS://H.test?x=1", true, "h.test", 443);
        is("http://bücher.example/", false, "xn--bcher-kva.example", 80);
        is("udp://münchen:9", false, "xn--mnchen-3ya", 9);
        is("http://a_b.svc:80", false, "a_b.svc", 80);
        for bad in [
            "",
            "http://",
            "ftp://a",
            "http://a:b",
            "http://a:99999",
            "http://[::1",
            "http://::1:80",
            "udp://a",
            "http://a b/",
            "http://[localhost]:80/",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert_eq!(parse("http+unix:///run/a.sock"), Err("unix".to_owned()));
        assert!(resolve_now("http://no-such-name.invalid/", &Default::default()).is_err());
    }
}
