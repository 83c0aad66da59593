//! Addresses: `http://host:port`, `https://[::1]`, `udp://host:53`, `http+unix:///path`;
//! threads look names up, not the event loop.
//!
//! - `book`: the addresses of an event loop
//! - `resolver`: threads that look names up

mod book;
mod resolver;

use std::net::{IpAddr, SocketAddr};

use encarno_record::mask::masked_url;
use rustix::net::SocketAddrUnix;
use url::{ParseError, Url};

use super::socket::Peer;
use crate::Scheme;
pub use book::{AddressBook, Endpoint, Lookup, resolve_now};
pub use resolver::Resolver;

/// A parsed address, whose name isn't looked up yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Whether the address uses TLS.
    pub tls: bool,
    /// The name or IP address, or the path of a unix socket.
    pub host: Host,
}

/// The host of an address.
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

/// Why an address can't be used.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("address '{address}': {reason}")]
pub struct AddressError {
    /// The address, as it was written.
    pub address: String,
    /// What is wrong.
    pub reason: String,
}

impl Address {
    /// Parses an address with the schemes of its protocol; without a scheme, the address
    /// has the first one. Anything after host and port is ignored.
    pub fn parse(text: &str, schemes: &[Scheme]) -> Result<Self, AddressError> {
        // The error must not repeat a password.
        let error = |reason: String| AddressError {
            address: masked_url(text),
            reason,
        };
        let (scheme, rest) = match text.trim().split_once("://") {
            None => (schemes.first(), text.trim()),
            Some((name, rest)) => {
                let mut known = schemes.iter();
                let scheme = known.find(|known| known.name.eq_ignore_ascii_case(name));
                (scheme, rest)
            }
        };
        let Some(scheme) = scheme else {
            let known = schemes.iter().map(|known| format!("{}://", known.name));
            let known: Vec<_> = known.collect();
            return Err(error(format!("expected {}", known.join(", "))));
        };
        if scheme.unix {
            let path = SocketAddrUnix::new(rest)
                .map_err(|_| error("the socket's path is too long".to_owned()))?;
            return Ok(Self {
                tls: scheme.tls,
                host: Host::Unix(path),
            });
        }
        let url = any_url(rest).map_err(|reason| error(bad_url(rest, reason)))?;
        let name = match host_of(&url) {
            Ok(Some(name)) => name,
            Ok(None) => return Err(error("no host".to_owned())),
            Err(reason) => return Err(error(format!("host {:?}: {reason}", url.host_str()))),
        };
        match url.port().filter(|&port| port > 0).or(scheme.port) {
            Some(port) => Ok(Self {
                tls: scheme.tls,
                host: Host::Internet { name, port },
            }),
            None => Err(error("no port".to_owned())),
        }
    }

    /// The name that TLS sends and verifies.
    pub fn name(&self) -> &str {
        match &self.host {
            Host::Internet { name, .. } => name,
            Host::Unix(_) => "localhost",
        }
    }

    /// Host and port, with brackets around an IPv6 address.
    pub fn authority(&self) -> String {
        match &self.host {
            Host::Internet { name, port } if name.contains(':') => format!("[{name}]:{port}"),
            Host::Internet { name, port } => format!("{name}:{port}"),
            Host::Unix(_) => "localhost".to_owned(),
        }
    }

    /// The peer, if no name has to be looked up.
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

/// Whether data sent to this address stays on this machine, whatever its scheme.
pub fn is_local(text: &str) -> bool {
    let text = text.trim();
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    // A path without a host is a unix socket.
    if rest.starts_with('/') {
        return true;
    }
    match any_url(rest).map(|url| host_of(&url)) {
        Ok(Ok(Some(name))) => match name.parse::<IpAddr>() {
            Ok(ip) => ip.is_loopback(),
            Err(_) => name == "localhost",
        },
        _ => false,
    }
}

/// Parses a URL with an unknown scheme, so that no scheme's own rules (its default port,
/// its slashes) apply.
fn any_url(rest: &str) -> Result<Url, ParseError> {
    Url::parse(&format!("any://{rest}"))
}

/// The host's name in DNS form (xn--… for other alphabets), or its IP address.
fn host_of(url: &Url) -> Result<Option<String>, ParseError> {
    match url.host() {
        None | Some(url::Host::Domain("")) => Ok(None),
        Some(url::Host::Domain(name)) => url::Host::parse(name).map(|host| Some(host.to_string())),
        Some(url::Host::Ipv4(ip)) => Ok(Some(ip.to_string())),
        Some(url::Host::Ipv6(ip)) => Ok(Some(ip.to_string())),
    }
}

fn bad_url(rest: &str, reason: ParseError) -> String {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    match reason {
        _ if !host.starts_with('[') && host.matches(':').count() > 1 => {
            "an IPv6 address needs brackets: [::1]:80".to_owned()
        }
        ParseError::InvalidIpv6Address => "brackets are for IPv6 addresses: [::1]:80".to_owned(),
        ParseError::InvalidPort => "the port isn't a number up to 65535".to_owned(),
        ParseError::EmptyHost => "no host".to_owned(),
        other => other.to_string(),
    }
}

/// A host's name as parsed URLs have it: in lower case and in ASCII (IDN).
pub(crate) fn host_name(name: &str) -> String {
    match url::Host::parse(name) {
        Ok(url::Host::Domain(name)) => name,
        _ => name.to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Address, Host, is_local, resolve_now};
    use crate::Scheme;

    const SCHEMES: &[Scheme] = &[
        Scheme::new("http", Some(80)),
        Scheme::with_tls("https", Some(443)),
        Scheme::new("udp", None),
        Scheme::new("here", Some(7777)),
        Scheme::unix("http+unix"),
    ];

    #[test]
    fn addresses() {
        let parse = |text: &str| {
            let address = Address::parse(text, SCHEMES).map_err(|error| error.reason)?;
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
        is("udp://127.0.0.1:80/", false, "127.0.0.1", 80);
        is("https://h:443", true, "h", 443);
        is("https://h:80", true, "h", 80);
        is("here://h", false, "h", 7777);
        is("http://h:/", false, "h", 80);
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
        assert!(resolve_now("http://no-such-name.invalid/", SCHEMES, &Default::default()).is_err());
        for (text, says) in [
            ("http://::1:80", "brackets"),
            ("http://h:99999", "port"),
            (
                "gopher://h",
                "expected http://, https://, udp://, here://, http+unix://",
            ),
            ("udp://h", "no port"),
            ("http://", "no host"),
        ] {
            let reason = parse(text).expect_err(text);
            assert!(reason.contains(says), "{text}: {reason}");
        }
    }

    #[test]
    fn what_is_wrong_with_an_address_is_told_without_its_password() {
        for text in [
            "http://user:hunter2@h:99999",
            "gopher://user:hunter2@h",
            "http://user:hunter2@",
        ] {
            let error = Address::parse(text, SCHEMES).expect_err(text).to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn what_stays_on_this_machine() {
        for text in [
            "http://127.0.0.9:80/a",
            "https://[::1]",
            "localhost:1",
            "unix:///run/a",
            "x://u:p@LOCALHOST",
        ] {
            assert!(is_local(text), "{text}");
        }
        for text in [
            "http://10.0.0.1",
            "h",
            "http://localhost.test/",
            "",
            "http://a b",
        ] {
            assert!(!is_local(text), "{text}");
        }
    }
}
