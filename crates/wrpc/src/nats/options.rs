//! Where to connect and how.

use std::fs::File;
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::time::Duration;

use async_nats::{ConnectErrorKind, ConnectOptions, ServerAddr, rustls};

use super::credentials::{self, Credentials, Invalid};
use super::subject;
use crate::file_or_text::FileOrText;
use crate::location::{self, Location};
use crate::{Error, ErrorCode};

/// A first pause before another attempt to connect; it doubles with each.
const RECONNECT_DELAY_MIN: Duration = Duration::from_millis(10);

/// The options of a connection to NATS. Those that differ in nothing may share one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Options {
    /// `nats://host:port` or `tls://host:port`, tried in turn; without credentials.
    pub servers: Vec<ServerAddr>,
    /// The name that the server's monitoring shows.
    pub name: String,
    /// Who we are.
    pub credentials: Credentials,
    /// Whom we trust, and who we are by certificate.
    pub tls: Tls,
    /// Where answers arrive; a server's permissions may ask for another one.
    pub inbox_prefix: String,
    /// How long an attempt to connect may take, and how long a call waits for
    /// a lost connection to come back.
    pub connect_timeout: Duration,
    /// The server is asked so often whether it is there. A connection on which three
    /// such questions in turn find no answer is given up.
    pub ping_interval: Duration,
    /// Attempts to restore a lost connection, before it is closed for good.
    pub max_reconnects: Option<usize>,
    /// The longest pause between such attempts.
    pub reconnect_delay: Duration,
    /// Messages that may wait here to be read. Further ones are dropped and counted.
    pub unread_messages_max: usize,
}

/// TLS, beyond what `tls://` in a URL asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Tls {
    /// Certificates to trust instead of the system's, in PEM.
    pub ca: Option<FileOrText>,
    /// Our own certificate, in PEM.
    pub cert: Option<FileOrText>,
    /// Its key, in PEM.
    pub key: Option<FileOrText>,
    /// Never talk without TLS. Also so, unless said otherwise, with any of the others;
    /// and always where one of the URLs begins with `tls://`.
    pub required: Option<bool>,
}

impl Options {
    /// Options for the servers in `urls`, separated by commas. The scheme
    /// `nats://` and the port 4222 may be left out; `user:password@` and
    /// `token@` are understood.
    pub fn new(urls: &str) -> Result<Self, Error> {
        let mut credentials = Credentials::None;
        let mut servers = Vec::new();
        for url in urls.split(',') {
            let (server, of_url) = parse_url(url.trim())?;
            servers.push(server);
            // The first URL that has any speaks for all: one user has to be known to
            // all servers of a cluster.
            if credentials == Credentials::None {
                credentials = of_url;
            }
        }
        Ok(Self {
            servers,
            credentials,
            name: "encarno".into(),
            tls: Tls::default(),
            inbox_prefix: "_INBOX".into(),
            connect_timeout: Duration::from_secs(5),
            ping_interval: Duration::from_millis(1500),
            max_reconnects: None,
            reconnect_delay: Duration::from_secs(1),
            unread_messages_max: 1 << 16,
        })
    }

    /// Looks at what a server isn't needed for: files, names and numbers.
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

    /// Adds credentials to those that the URLs may have.
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

    /// The bound of all first attempts together: each server has its own.
    pub(super) fn first_connect_timeout(&self) -> Duration {
        let servers = u32::try_from(self.servers.len()).unwrap_or(u32::MAX);
        self.connect_timeout.saturating_mul(servers)
    }

    /// Whether no server may be talked to without TLS: not those of the URLs, nor any that
    /// they tell of.
    fn requires_tls(&self) -> bool {
        self.tls.is_required() || self.servers.iter().any(ServerAddr::tls_required)
    }

    /// The same for async-nats, and files that it may open as long as it reconnects.
    pub(super) fn to_connect_options(&self) -> io::Result<(ConnectOptions, Vec<File>)> {
        let longest = self.reconnect_delay;
        let mut options = self
            .credentials
            .to_connect_options()?
            .name(&self.name)
            .custom_inbox_prefix(&self.inbox_prefix)
            .connection_timeout(self.connect_timeout)
            .ping_interval(self.ping_interval)
            .subscription_capacity(self.unread_messages_max)
            .require_tls(self.requires_tls())
            // Subjects are built by this crate and checked once, at set-up.
            .skip_subject_validation(true)
            .reconnect_delay_callback(move |attempt| reconnect_delay(attempt, longest));
        if let Some(attempts) = self.max_reconnects {
            // async-nats counts the first attempts too, one for each server.
            options = options.max_reconnects(attempts.max(self.servers.len()));
        }
        let mut kept = Vec::new();
        let mut open = |given: &FileOrText| {
            let (path, file) = given.as_file()?;
            kept.extend(file);
            io::Result::Ok(path)
        };
        if let Some(ca) = &self.tls.ca {
            options = options.add_root_certificates(open(ca)?);
        }
        if let (Some(cert), Some(key)) = (&self.tls.cert, &self.tls.key) {
            options = options.add_client_certificate(open(cert)?, open(key)?);
        }
        Ok((options, kept))
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

/// 0, 10, 20, 40 … ms: a server that was restarted is found at once, one that is away
/// isn't flooded. Up to half of a pause is left out by chance, lest all who lost
/// the same server come back in the same instant.
fn reconnect_delay(attempt: usize, longest: Duration) -> Duration {
    if attempt <= 1 {
        return Duration::ZERO;
    }
    let doublings = u32::try_from(attempt - 2).unwrap_or(u32::MAX).min(31);
    let delay = RECONNECT_DELAY_MIN
        .saturating_mul(1 << doublings)
        .min(longest);
    let chance = RandomState::new().hash_one(attempt) as f64 / u64::MAX as f64;
    delay.mul_f64(1.0 - chance / 2.0)
}

/// NATS itself accepts any URL; what can't work is refused here, by name.
fn parse_url(url: &str) -> Result<(ServerAddr, Credentials), Error> {
    let invalid = |reason: String| {
        let shown = location::shown(url);
        Error::new(
            ErrorCode::ConnectionRefused,
            format!("invalid NATS URL {shown:?}: {reason}"),
        )
    };
    let location = Location::parse(url, &["nats", "tls"]).map_err(invalid)?;
    let address = ServerAddr::from_url(location.url);
    let address = address.map_err(|error| invalid(error.to_string()))?;
    let credentials = match location.user {
        Some(user) => Credentials::of_url(user, location.password),
        None => Credentials::None,
    };
    Ok((address, credentials))
}

/// Sorts the reasons why a connection can't be made into our list.
pub(super) fn connect_error(options: &Options, error: &async_nats::ConnectError) -> Error {
    let code = match error.kind() {
        // async-nats takes what TLS and the server refuse for failures of the IO.
        _ if is_of_tls(error) => ErrorCode::TlsFailure,
        ConnectErrorKind::Io if is_of_credentials(&error.to_string()) => ErrorCode::Authentication,
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
    if error.kind() == ConnectErrorKind::TimedOut {
        return no_answer(options);
    }
    Error::new(
        code,
        format!("cannot connect to NATS at {}: {error}", options.peers()),
    )
}

/// No server answered in time: async-nats or we may be the first to say so.
pub(super) fn no_answer(options: &Options) -> Error {
    let (peers, limit) = (options.peers(), options.first_connect_timeout());
    let text = format!("cannot connect to NATS at {peers}: no answer within {limit:?}");
    Error::new(ErrorCode::ConnectionRefused, text)
}

fn is_of_tls(error: &async_nats::ConnectError) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        let inner = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        if error.is::<rustls::Error>() || inner.is_some_and(|inner| inner.is::<rustls::Error>()) {
            return true;
        }
        source = error.source();
    }
    false
}

/// Such as "user authentication expired".
pub(super) fn is_of_credentials(text: &str) -> bool {
    let text = text.to_lowercase();
    text.contains("authentication") || text.contains("authorization")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Options, Tls, reconnect_delay};

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

    #[test]
    fn pauses_double_up_to_the_longest() {
        let longest = Duration::from_millis(300);
        assert_eq!(reconnect_delay(1, longest), Duration::ZERO);
        for (attempt, ms) in [
            (2, 10),
            (3, 20),
            (6, 160),
            (7, 300),
            (40, 300),
            (usize::MAX, 300),
        ] {
            for _ in 0..100 {
                let delay = reconnect_delay(attempt, longest);
                let whole = Duration::from_millis(ms);
                assert!(delay <= whole && delay >= whole / 2, "{attempt}: {delay:?}");
            }
        }
    }
}
