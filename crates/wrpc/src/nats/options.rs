//! Where to connect and how.

use std::time::Duration;

use async_nats::{ConnectErrorKind, ConnectOptions, ServerAddr};
use percent_encoding::percent_decode_str;

use crate::{Error, ErrorCode};

/// The options of a connection to NATS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// `nats://host:port` or `tls://host:port`, tried in turn.
    pub servers: Vec<ServerAddr>,
    /// The name that the server's monitoring shows.
    pub name: String,
    /// How long an attempt to connect may take, and how long a call waits for
    /// a lost connection to come back.
    pub connect_timeout: Duration,
}

impl Options {
    /// Options for the servers in `urls`, separated by commas. The scheme
    /// `nats://` and the port 4222 may be left out; `user:password@` and
    /// `token@` are understood.
    pub fn new(urls: &str) -> Result<Self, Error> {
        let servers = urls
            .split(',')
            .map(|url| parse_url(url.trim()))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            servers,
            name: "encarno".into(),
            connect_timeout: Duration::from_secs(5),
        })
    }

    /// The servers as text, without credentials.
    pub fn peers(&self) -> String {
        let peer = |server: &ServerAddr| {
            let (scheme, host, port) = (server.scheme(), server.host(), server.port());
            // `host` comes without the brackets of an IPv6 address.
            if host.contains(':') {
                format!("{scheme}://[{host}]:{port}")
            } else {
                format!("{scheme}://{host}:{port}")
            }
        };
        let peers: Vec<String> = self.servers.iter().map(peer).collect();
        peers.join(",")
    }

    /// async-nats reads no credentials from URLs. The first URL that has any speaks
    /// for all: one user has to be known to all servers of a cluster.
    fn credentials(&self) -> ConnectOptions {
        let Some(server) = self
            .servers
            .iter()
            .find(|server| server.username().is_some())
        else {
            return ConnectOptions::new();
        };
        let user = decoded(server.username().unwrap_or_default());
        match server.password() {
            Some(password) => ConnectOptions::with_user_and_password(user, decoded(password)),
            None => ConnectOptions::with_token(user),
        }
    }

    pub(super) fn to_connect_options(&self) -> ConnectOptions {
        self.credentials()
            .name(&self.name)
            .connection_timeout(self.connect_timeout)
            // Subjects are built by this crate and checked once, at set-up.
            .skip_subject_validation(true)
            .reconnect_delay_callback(|attempt| {
                // 0, 10, 20, 40 … 1000 ms: a server that was restarted is found at once,
                // one that is away isn't flooded.
                match attempt {
                    0 | 1 => Duration::ZERO,
                    _ => Duration::from_millis((5u64 << attempt.min(8)).min(1000)),
                }
            })
    }
}

/// The text behind `%xx`; the bytes of a secret that isn't text are left as they came.
fn decoded(part: &str) -> String {
    percent_decode_str(part)
        .decode_utf8()
        .map_or_else(|_| part.to_owned(), Into::into)
}

/// NATS itself accepts any URL; what can't work is refused here, by name.
fn parse_url(url: &str) -> Result<ServerAddr, Error> {
    let invalid = |reason: &str| {
        Error::new(
            ErrorCode::ConnectionRefused,
            format!("invalid NATS URL {:?}: {reason}", without_secrets(url)),
        )
    };
    if url.is_empty() {
        return Err(invalid("it is empty"));
    }
    let address: ServerAddr = url.parse().map_err(|error| invalid(&format!("{error}")))?;
    let host = address.host();
    if host.is_empty() || host.contains(|char: char| char.is_whitespace() || char == '%') {
        return Err(invalid("it needs a host name or an IP address"));
    }
    match address.scheme() {
        "nats" | "tls" => Ok(address),
        other => Err(invalid(&format!(
            "the scheme must be nats or tls, not {other}"
        ))),
    }
}

fn without_secrets(url: &str) -> String {
    match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) if scheme + 3 <= at => {
            format!("{}…{}", &url[..scheme + 3], &url[at..])
        }
        (None, Some(at)) => format!("…{}", &url[at..]),
        _ => url.to_owned(),
    }
}

/// Sorts the reasons why a connection can't be made into our list.
pub(super) fn connect_error(options: &Options, error: &async_nats::ConnectError) -> Error {
    let code = match error.kind() {
        ConnectErrorKind::Dns => ErrorCode::UnresolvedHost,
        ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
            ErrorCode::Authentication
        }
        ConnectErrorKind::Tls => ErrorCode::TlsFailure,
        ConnectErrorKind::ServerParse
        | ConnectErrorKind::TimedOut
        | ConnectErrorKind::Io
        | ConnectErrorKind::MaxReconnects => ErrorCode::ConnectionRefused,
    };
    Error::new(
        code,
        format!("cannot connect to NATS at {}: {error}", options.peers()),
    )
}

#[cfg(test)]
mod tests {
    use super::Options;

    #[test]
    fn urls() {
        let peers = |urls: &str| Options::new(urls).map(|options| options.peers());
        assert_eq!(
            peers("nats://localhost:4223").as_deref(),
            Ok("nats://localhost:4223")
        );
        assert_eq!(peers("127.0.0.1").as_deref(), Ok("nats://127.0.0.1:4222"));
        assert_eq!(
            peers("nats://[::1]:1, tls://me:secret@host").as_deref(),
            Ok("nats://[::1]:1,tls://host:4222")
        );
        for bad in [
            "",
            "http://localhost",
            "nats://",
            "nats://host:port",
            "nats://a b",
        ] {
            assert!(Options::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn errors_keep_secrets() {
        let error = Options::new("http://me:secret@host:1").expect_err("wrong scheme");
        assert!(!error.message.contains("secret"), "{error}");
        assert!(error.message.contains("host:1"), "{error}");
    }
}
