//! Servers, credentials and timeouts.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use encarno_secret::Secret;
use tokio_rustls::rustls::ClientConfig;

use crate::location::Location;

const PORT: u16 = 4222;

/// The options of a client.
#[derive(Clone)]
pub struct Options {
    /// The servers; not empty.
    pub servers: Vec<ServerAddr>,
    /// Further servers, which a server has announced.
    pub told: Vec<ServerAddr>,
    /// The name that the server's monitoring shows.
    pub name: String,
    /// The credentials.
    pub credentials: Credentials,
    /// Whether to use TLS with every server, whatever its address says.
    pub require_tls: bool,
    /// Makes the TLS configuration, again for each connection. It may block.
    pub tls: TlsConfig,
    /// The most time of an attempt to connect.
    pub connect_timeout: Duration,
    /// How often the server is asked whether it is alive.
    pub ping_interval: Duration,
    /// The most attempts to restore a lost connection, before it is closed for good.
    pub max_reconnects: Option<usize>,
    /// The longest pause between such attempts.
    pub reconnect_delay: Duration,
}

/// Makes the TLS configuration; the error says why it can't be made.
pub type TlsConfig = Arc<dyn Fn() -> Result<Arc<ClientConfig>, String> + Send + Sync>;

/// The credentials of a client, checked as far as possible without a server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Credentials {
    /// No credentials.
    #[default]
    None,
    /// A user with a password.
    Password {
        /// The user's name.
        user: String,
        /// The password.
        password: Secret,
    },
    /// A token.
    Token(Secret),
    /// The seed of an nkey.
    Nkey(Secret),
    /// A JWT.
    Jwt {
        /// The JWT itself.
        jwt: Secret,
        /// The seed of the nkey that signs for it.
        seed: Secret,
    },
}

impl Credentials {
    /// Parses a credentials file: a JWT, and the seed of its nkey. `None` if it isn't
    /// one.
    pub fn from_file(text: &str) -> Option<Self> {
        let mut blocks = Vec::new();
        let mut lines = text.lines().map(str::trim);
        while let Some(line) = lines.next() {
            if line.starts_with("-----BEGIN ") {
                let mut within = lines.by_ref().take_while(|line| !line.starts_with("---"));
                blocks.push(within.find(|line| !line.is_empty())?);
            }
        }
        let [jwt, seed] = blocks[..] else { return None };
        let is_word = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        nkeys::KeyPair::from_seed(seed).ok()?;
        is_word(jwt).then(|| Self::Jwt {
            jwt: Secret::new(jwt),
            seed: Secret::new(seed),
        })
    }
}

/// The address of a server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServerAddr {
    /// A host name or an IP address, an IPv6 one without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Whether its URL demands TLS.
    pub tls: bool,
    /// The name that its certificate must have, if that isn't the host.
    pub(super) tls_name: Option<String>,
}

impl ServerAddr {
    /// The address in a NATS URL.
    pub(crate) fn new(location: &Location) -> Self {
        Self {
            host: location.host.clone(),
            port: location.port.unwrap_or(PORT),
            tls: location.url.scheme() == "tls",
            tls_name: None,
        }
    }

    /// The address of another server in `connect_urls`, in the form `HOST:PORT`.
    pub(super) fn told_by(&self, other: &str) -> Option<Self> {
        let (host, port) = other.rsplit_once(':')?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let is_ip = |host: &str| host.parse::<std::net::IpAddr>().is_ok();
        let known = self.tls_name.as_deref().unwrap_or(&self.host);
        Some(Self {
            host: Some(host).filter(|host| !host.is_empty())?.to_owned(),
            port: port.parse().ok().filter(|&port| port > 0)?,
            tls: self.tls,
            // A cluster's certificates have names, but it announces IP addresses.
            tls_name: (is_ip(host) && !is_ip(known)).then(|| known.to_owned()),
        })
    }

    pub(super) fn tls_name(&self) -> &str {
        self.tls_name.as_deref().unwrap_or(&self.host)
    }

    pub(super) fn is_same_place(&self, other: &Self) -> bool {
        (&self.host, self.port) == (&other.host, other.port)
    }
}

/// Formats the address as a URL.
impl fmt::Display for ServerAddr {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "tls" } else { "nats" };
        let (host, port) = (&self.host, self.port);
        match host.contains(':') {
            true => write!(formatter, "{scheme}://[{host}]:{port}"),
            false => write!(formatter, "{scheme}://{host}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Credentials, ServerAddr};
    use crate::location::Location;

    fn server(url: &str) -> ServerAddr {
        ServerAddr::new(&Location::parse(url, &["nats", "tls"]).expect(url))
    }

    #[test]
    fn servers_tell_of_others() {
        let told = |by: &str, other: &str| {
            let told = server(by).told_by(other)?;
            Some(format!("{told} {}", told.tls_name()))
        };
        let name = "tls://name:1";
        assert_eq!(
            told(name, "10.0.0.1:2").as_deref(),
            Some("tls://10.0.0.1:2 name")
        );
        assert_eq!(told(name, "[::1]:2").as_deref(), Some("tls://[::1]:2 name"));
        assert_eq!(
            told(name, "other:2").as_deref(),
            Some("tls://other:2 other")
        );
        assert_eq!(
            told("10.0.0.1", "10.0.0.2:2").as_deref(),
            Some("nats://10.0.0.2:2 10.0.0.2")
        );
        for wrong in ["", ":", ":1", "a:", "a", "a:0", "a:x", "a:65536"] {
            assert_eq!(told(name, wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn credentials_files() {
        // A seed made for this test, which no server knows.
        const SEED: &str = "SUACH75SWCM5D2JMJM6EKLR2WDARVGZT4QC6LX3AGHSWOMVAKERABBBRWM";
        let file = |jwt: &str, seed: &str| {
            let text = format!(
                "-----BEGIN NATS USER JWT-----\r\n{jwt}\r\n------END NATS USER JWT------\n\n\
                 ****** IMPORTANT ******\n\n\
                 -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
            );
            Credentials::from_file(&text)
        };
        match file("a.b.c", SEED) {
            Some(Credentials::Jwt { jwt, seed }) => {
                assert_eq!((jwt.expose(), seed.expose()), ("a.b.c", SEED));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(file("", SEED), None);
        assert_eq!(file("a.b.c", ""), None);
        assert_eq!(file("a b", SEED), None);
        assert_eq!(file("a.b.c", "SUAC"), None);
        assert_eq!(Credentials::from_file(""), None);
        assert_eq!(Credentials::from_file("-----BEGIN A-----"), None);
    }
}
