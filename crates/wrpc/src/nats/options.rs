//! Servers, TLS and timeouts.

use std::sync::Arc;
use std::time::Duration;

use encarno_secret::FileOrText;

use super::credentials::{self, Invalid};
use super::subject;
use crate::core_nats::{self, Credentials, ErrorKind, ServerAddr};
use crate::location::{self, Location};
use crate::tls::ClientTls;
use crate::{Error, ErrorCode};

/// The options of a connection to NATS. Users with equal options may share a connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Options {
    /// The servers, `nats://host:port` or `tls://host:port`, without credentials. They
    /// are tried in turn, beginning with a random one.
    pub servers: Vec<ServerAddr>,
    /// Further servers, which a server has announced.
    pub(super) told: Vec<ServerAddr>,
    /// The name that the server's monitoring shows.
    pub name: String,
    /// The credentials.
    pub credentials: Credentials,
    /// The certificates to trust, and the client's own.
    pub tls: Tls,
    /// The prefix of the subjects of answers; a server's permissions may demand another
    /// one.
    pub inbox_prefix: String,
    /// The most time of an attempt to connect, and the most time that a call waits for a
    /// lost connection.
    pub connect_timeout: Duration,
    /// How often the server is asked whether it is alive. A connection is given up after
    /// three unanswered questions in a row.
    pub ping_interval: Duration,
    /// The most attempts to restore a lost connection, before it is closed for good.
    pub max_reconnects: Option<usize>,
    /// The longest pause between such attempts.
    pub reconnect_delay: Duration,
    /// The most calls of a served function that may wait. Further ones are dropped and
    /// counted.
    pub unread_calls_max: usize,
}

/// TLS settings, in addition to `tls://` in a URL.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Tls {
    /// Certificates to trust instead of the system's, in PEM.
    pub ca: Option<FileOrText>,
    /// The client's certificate, in PEM.
    pub cert: Option<FileOrText>,
    /// Its key, in PEM.
    pub key: Option<FileOrText>,
    /// Whether TLS is always used. By default it is if any of the other settings is
    /// given; and it is always used if one of the URLs begins with `tls://`.
    pub required: Option<bool>,
}

impl Options {
    /// Options for the servers in `urls`, separated by commas. The scheme `nats://` and
    /// the port 4222 may be left out. URLs may contain `user:password@` or `token@`.
    pub fn new(urls: &str) -> Result<Self, Error> {
        let mut credentials = Credentials::None;
        let mut servers = Vec::new();
        for url in urls.split(',') {
            let (server, of_url) = parse_url(url.trim())?;
            servers.push(server);
            // The first URL with credentials counts, because all servers of a cluster
            // must know the same user.
            if credentials == Credentials::None {
                credentials = of_url;
            }
        }
        Ok(Self {
            servers,
            told: Vec::new(),
            credentials,
            name: "encarno".into(),
            tls: Tls::default(),
            inbox_prefix: "_INBOX".into(),
            connect_timeout: Duration::from_secs(5),
            ping_interval: Duration::from_millis(1500),
            max_reconnects: None,
            reconnect_delay: Duration::from_secs(1),
            unread_calls_max: 1 << 16,
        })
    }

    /// Checks everything that needs no server: files, names and numbers.
    pub fn check(&self) -> Result<(), Invalid> {
        self.tls.check()?;
        if subject::function(&self.inbox_prefix, "", "inbox").is_err() {
            let reason = format!(
                "{:?} is not the beginning of a NATS subject",
                self.inbox_prefix
            );
            return Err(Invalid::new("inbox_prefix", reason));
        }
        if self.max_reconnects == Some(0) {
            return Err(Invalid::new("max_reconnects", "it must be above 0"));
        }
        Ok(())
    }

    /// Adds credentials to those of the URLs.
    pub fn identify(&mut self, given: credentials::Given) -> Result<(), Invalid> {
        match given.check()? {
            Credentials::None => {}
            _ if self.credentials != Credentials::None => {
                return Err(Invalid::new("url", "it has other credentials already"));
            }
            checked => self.credentials = checked,
        }
        Ok(())
    }

    /// The servers as text, without credentials.
    pub fn peers(&self) -> String {
        let peers: Vec<String> = self.servers.iter().map(ServerAddr::to_string).collect();
        peers.join(",")
    }

    /// Whether TLS is used with all servers: those of the URLs, and those that they
    /// announce.
    fn requires_tls(&self) -> bool {
        self.tls.is_required() || self.servers.iter().any(|server| server.tls)
    }

    /// The options of the client.
    pub(super) fn of_client(&self) -> core_nats::Options {
        let tls = ClientTls {
            ca: self.tls.ca.clone(),
            cert: self.tls.cert.clone(),
            key: self.tls.key.clone(),
            ..ClientTls::default()
        };
        core_nats::Options {
            servers: self.servers.clone(),
            told: self.told.clone(),
            name: self.name.clone(),
            credentials: self.credentials.clone(),
            require_tls: self.requires_tls(),
            tls: Arc::new(move || tls.config().map_err(|error| error.message)),
            connect_timeout: self.connect_timeout,
            ping_interval: self.ping_interval,
            max_reconnects: self.max_reconnects,
            reconnect_delay: self.reconnect_delay,
        }
    }
}

impl Tls {
    fn is_required(&self) -> bool {
        let has_files = self.ca.is_some() || self.cert.is_some();
        self.required.unwrap_or(has_files)
    }

    fn check(&self) -> Result<(), Invalid> {
        match (&self.cert, &self.key) {
            (Some(_), None) => return Err(Invalid::new("tls.cert", "its key is missing")),
            (None, Some(_)) => return Err(Invalid::new("tls.key", "its certificate is missing")),
            _ => {}
        }
        for (option, file, label) in [
            ("tls.ca", &self.ca, "CERTIFICATE-----"),
            ("tls.cert", &self.cert, "CERTIFICATE-----"),
            ("tls.key", &self.key, "PRIVATE KEY-----"),
        ] {
            let Some(file) = file else { continue };
            let reason = match file.read() {
                Ok(text) if text.contains(label) => continue,
                Ok(_) => format!("{file} has no \"{label}\" in PEM"),
                Err(error) => format!("cannot read {file}: {error}"),
            };
            return Err(Invalid::new(option, reason));
        }
        Ok(())
    }
}

/// Parses a URL. NATS itself accepts any URL; this refuses those that can't work, by
/// name.
fn parse_url(url: &str) -> Result<(ServerAddr, Credentials), Error> {
    let invalid = |reason: String| {
        let shown = location::shown(url);
        Error::new(
            ErrorCode::ConnectionRefused,
            format!("invalid NATS URL {shown:?}: {reason}"),
        )
    };
    let location = Location::parse(url, &["nats", "tls"]).map_err(invalid)?;
    let address = ServerAddr::new(&location);
    let credentials = match location.user {
        Some(user) => credentials::of_url(user, location.password),
        None => Credentials::None,
    };
    Ok((address, credentials))
}

/// Maps the reason why a connection can't be made to our list of errors.
pub(super) fn connect_error(options: &Options, error: &core_nats::Error) -> Error {
    let code = match error.kind {
        ErrorKind::Resolve => ErrorCode::UnresolvedHost,
        ErrorKind::Tls => ErrorCode::TlsFailure,
        ErrorKind::Authentication => ErrorCode::Authentication,
        ErrorKind::PayloadTooLarge => ErrorCode::PayloadTooLarge,
        ErrorKind::Io | ErrorKind::TimedOut | ErrorKind::Protocol | ErrorKind::Closed => {
            ErrorCode::ConnectionRefused
        }
    };
    // The error names one server.
    let text = match options.servers.len() {
        1 => format!("cannot connect to NATS at {error}"),
        _ => format!("cannot connect to NATS at {}: {error}", options.peers()),
    };
    Error::new(code, text)
}

#[cfg(test)]
mod tests {
    use super::{Options, Tls};

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

    #[test]
    fn secrets_of_urls_are_taken_out() {
        let options =
            Options::new("nats://me:hid%20den@host:1,nats://hidden2@other").expect("URLs");
        let shown = format!("{options:?} {}", options.peers());
        assert!(!shown.contains("hid"), "{shown}");
        assert!(shown.contains("host") && shown.contains("me"), "{shown}");
    }

    #[test]
    fn checks_need_no_server() {
        let mut options = Options::new("host").expect("URL");
        options.check().expect("defaults");
        options.max_reconnects = Some(0);
        assert_eq!(options.check().expect_err("0").option, "max_reconnects");
        options.max_reconnects = Some(1);
        for bad in ["a b", "a..b", "*", ">"] {
            options.inbox_prefix = bad.into();
            assert_eq!(options.check().expect_err(bad).option, "inbox_prefix");
        }
        options.inbox_prefix = "mine.inbox".into();
        for (tls, option) in [
            (
                Tls {
                    ca: Some("/no/such".into()),
                    ..Tls::default()
                },
                "tls.ca",
            ),
            (
                Tls {
                    ca: Some("/proc/self/status".into()),
                    ..Tls::default()
                },
                "tls.ca",
            ),
            (
                Tls {
                    cert: Some("a".into()),
                    ..Tls::default()
                },
                "tls.cert",
            ),
            (
                Tls {
                    key: Some("a".into()),
                    ..Tls::default()
                },
                "tls.key",
            ),
        ] {
            options.tls = tls;
            assert_eq!(options.check().expect_err(option).option, option);
        }
    }
}
