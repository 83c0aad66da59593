//! The options of a client: JSON, as a script wrote it, to validated.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use encarno_wrpc::nats::{self, Subject, subject};
use encarno_wrpc::tcp;
use encarno_wrpc::tls::ClientTls;
use encarno_wrpc::{blaster, http};
use serde::Deserialize;
use serde::de::{Error as _, IgnoredAny};

/// Longer options can't be meant.
const JSON_BYTES_MAX: usize = 1 << 20;
/// Longer waits can't be meant.
const DURATION_MAX: Duration = Duration::from_secs(24 * 3600);

/// More connections can't be meant.
const POOL_MAX: usize = 4096;

/// What a client needs to know.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) transport: Transport,
    /// So many links serve all clients with this transport; `None`: each client
    /// has one of its own.
    pub(crate) shared: Option<NonZeroUsize>,
}

/// How calls travel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Nats {
        options: nats::Options,
        /// The subject of `blast` under the prefix.
        function: Subject,
        /// The same for HTTP requests.
        http: Subject,
    },
    Tcp(tcp::Options),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    nats: Option<RawNats>,
    tcp: Option<RawTcp>,
    /// For the metrics: the caller's business.
    #[serde(default, rename = "tags")]
    _tags: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawNats {
    url: String,
    #[serde(default)]
    prefix: String,
    name: Option<String>,
    #[serde(default, deserialize_with = "duration")]
    connect_timeout: Option<Duration>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTcp {
    addr: String,
    #[serde(default, deserialize_with = "duration")]
    connect_timeout: Option<Duration>,
    nodelay: Option<bool>,
    #[serde(default, deserialize_with = "duration")]
    keepalive: Option<Duration>,
    source_addr: Option<String>,
    pool: Option<usize>,
    tls: Option<RawTls>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTls {
    ca: Option<PathBuf>,
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
    server_name: Option<String>,
    #[serde(default)]
    insecure_skip_verify: bool,
}

impl Options {
    /// The options in `json`, or a sentence that names the key at fault.
    pub(crate) fn parse(json: &[u8]) -> Result<Self, String> {
        if json.len() > JSON_BYTES_MAX {
            return Err(format!(
                "the options are longer than {JSON_BYTES_MAX} bytes"
            ));
        }
        let mut reader = serde_json::Deserializer::from_slice(json);
        let raw: Raw = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
            let path = error.path().to_string();
            let reason = without_position(&error.into_inner().to_string());
            match path.as_str() {
                "." => reason,
                _ => format!("{path}: {reason}"),
            }
        })?;

        match (raw.nats, raw.tcp) {
            (Some(nats), None) => Ok(Self {
                transport: nats.check()?,
                shared: None,
            }),
            (None, Some(tcp)) => tcp.check(),
            (None, None) => Err("a transport is missing: `nats` or `tcp`".into()),
            (Some(_), Some(_)) => Err("`nats` and `tcp`: only one of them can be used".into()),
        }
    }
}

impl RawNats {
    fn check(self) -> Result<Transport, String> {
        let mut options = nats::Options::new(&self.url)
            .map_err(|error| format!("nats.url: {}", error.message))?;
        if let Some(name) = self.name {
            options.name = name;
        }
        if let Some(connect_timeout) = self.connect_timeout {
            options.connect_timeout = connect_timeout;
        }
        let subject = |instance, function| {
            subject::function(&self.prefix, instance, function).map_err(|_| {
                format!(
                    "nats.prefix: {:?} is not the beginning of a NATS subject",
                    self.prefix
                )
            })
        };
        Ok(Transport::Nats {
            function: subject(blaster::INSTANCE, blaster::FUNCTION)?,
            http: subject(http::INSTANCE, http::FUNCTION)?,
            options,
        })
    }
}

impl RawTcp {
    fn check(self) -> Result<Options, String> {
        let mut options = tcp::Options::new(&self.addr)
            .map_err(|error| format!("tcp.addr: {}", error.message))?;
        if let Some(connect_timeout) = self.connect_timeout {
            options.connect_timeout = connect_timeout;
        }
        if let Some(nodelay) = self.nodelay {
            options.nodelay = nodelay;
        }
        if let Some(keepalive) = self.keepalive {
            options.keepalive = keepalive;
        }
        if let Some(source) = self.source_addr {
            let source = source
                .parse()
                .map_err(|_| format!("tcp.source_addr: {source:?} is not an IP address"))?;
            options.source_addr = Some(source);
        }
        options.tls = self.tls.map(RawTls::check).transpose()?;
        let pool = self.pool.unwrap_or(1);
        if pool > POOL_MAX {
            return Err(format!("tcp.pool: {pool} is more than {POOL_MAX}"));
        }
        options.reuse = pool > 0;
        Ok(Options {
            transport: Transport::Tcp(options),
            shared: NonZeroUsize::new(pool),
        })
    }
}

impl RawTls {
    fn check(self) -> Result<ClientTls, String> {
        let tls = ClientTls {
            ca: self.ca,
            cert: self.cert,
            key: self.key,
            server_name: self.server_name,
            insecure_skip_verify: self.insecure_skip_verify,
        };
        // Files are read again when the connection is made; better to hear of them now.
        if tls.ca.is_some() || tls.cert.is_some() || tls.key.is_some() {
            tls.config()
                .map_err(|error| format!("tcp.tls: {}", error.message))?;
        }
        Ok(tls)
    }
}

/// A script has no lines and columns of JSON.
fn without_position(message: &str) -> String {
    match message.rfind(" at line ") {
        Some(at) => message[..at].to_owned(),
        None => message.to_owned(),
    }
}

/// A number of milliseconds, or text such as `"5s"`.
fn duration<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Raw {
        Milliseconds(f64),
        Text(String),
    }
    let expected = "a number of milliseconds, or text such as \"5s\" or \"1m30s\"";
    let raw = Option::<Raw>::deserialize(from)
        .map_err(|_| D::Error::custom(format!("invalid type, expected {expected}")))?;
    let parsed = match raw {
        None => return Ok(None),
        Some(Raw::Milliseconds(ms)) => Duration::try_from_secs_f64(ms / 1e3).ok(),
        Some(Raw::Text(text)) => parse_duration(&text),
    };
    match parsed {
        Some(duration) if !duration.is_zero() && duration <= DURATION_MAX => Ok(Some(duration)),
        Some(_) => Err(D::Error::custom("must be above 0 and at most 24 hours")),
        None => Err(D::Error::custom(format!(
            "invalid value, expected {expected}"
        ))),
    }
}

/// Numbers with units, as Go writes durations: `1m30s`, `1.5s`, `500ms`.
fn parse_duration(text: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let unit_at = rest.find(|char: char| !char.is_ascii_digit() && char != '.')?;
        let number: f64 = rest[..unit_at].parse().ok()?;
        rest = &rest[unit_at..];
        let unit_end = rest
            .find(|char: char| char.is_ascii_digit() || char == '.')
            .unwrap_or(rest.len());
        let seconds = match &rest[..unit_end] {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            _ => return None,
        };
        total = total.checked_add(Duration::try_from_secs_f64(number * seconds).ok()?)?;
        rest = &rest[unit_end..];
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use encarno_wrpc::nats::{self, Subject};

    use super::{Options, Transport, parse_duration};

    fn nats(json: &str) -> (nats::Options, Subject) {
        match Options::parse(json.as_bytes()).expect("options").transport {
            Transport::Nats {
                options, function, ..
            } => (options, function),
            other => panic!("{other:?}"),
        }
    }

    fn error(json: &str) -> String {
        match Options::parse(json.as_bytes()) {
            Ok(options) => panic!("accepted: {options:?}"),
            Err(error) => error,
        }
    }

    #[test]
    fn the_options_of_the_example() {
        let json = r#"{"nats": {"url": "nats://localhost:4222", "prefix": "wasmtime"},
                       "tags": {"scenario": "basic"}}"#;
        let (options, function) = nats(json);
        assert_eq!(
            function.as_str(),
            "wasmtime.wrpc.0.0.1.xk6:wrpc/blaster@0.0.1.blast"
        );
        assert_eq!(options.connect_timeout, Duration::from_secs(5));
    }

    #[test]
    fn every_option() {
        let json = r#"{"nats": {"url": "nats://a:1,nats://b:2", "prefix": "", "name": "n",
                                "connect_timeout": "1.5s"}}"#;
        let (options, _) = nats(json);
        assert_eq!(options.peers(), "nats://a:1,nats://b:2");
        assert_eq!(options.name, "n");
        assert_eq!(options.connect_timeout, Duration::from_millis(1500));
    }

    #[test]
    fn every_option_of_tcp() {
        let json = r#"{"tcp": {"addr": "[::1]:7761", "connect_timeout": "1s", "nodelay": false,
                               "keepalive": 2000, "source_addr": "::1", "pool": 3,
                               "tls": {"server_name": "a", "insecure_skip_verify": true}}}"#;
        let options = Options::parse(json.as_bytes()).expect("options");
        assert_eq!(options.shared.map(usize::from), Some(3));
        let Transport::Tcp(tcp) = options.transport else {
            panic!("not TCP");
        };
        assert_eq!(tcp.peer(), "[::1]:7761");
        assert_eq!(tcp.connect_timeout, Duration::from_secs(1));
        assert_eq!(tcp.keepalive, Duration::from_secs(2));
        assert_eq!(tcp.source_addr, "::1".parse().ok());
        assert!(tcp.reuse && !tcp.nodelay);
        assert!(tcp.tls.is_some_and(|tls| tls.insecure_skip_verify));

        let json = r#"{"tcp": {"addr": "localhost:7761", "pool": 0}}"#;
        let options = Options::parse(json.as_bytes()).expect("options");
        assert!(options.shared.is_none(), "a link for each client");
        let Transport::Tcp(tcp) = options.transport else {
            panic!("not TCP");
        };
        assert!(!tcp.reuse && tcp.nodelay && tcp.tls.is_none());
    }

    #[test]
    fn errors_name_the_key() {
        for (json, parts) in [
            ("{}", &["nats", "tcp"][..]),
            (r#"{"nats": {}}"#, &["url"]),
            (r#"{"nats": 5}"#, &["nats", "5"]),
            (r#"{"nats": {"url": 5}}"#, &["nats.url", "5", "string"]),
            (r#"{"nats": {"url": "http://a"}}"#, &["nats.url", "http"]),
            (r#"{"natz": {}}"#, &["natz", "`nats`", "`tcp`", "`tags`"]),
            (
                r#"{"nats": {"url": "a"}, "tcp": {"addr": "a:1"}}"#,
                &["nats", "tcp", "only one"],
            ),
            (r#"{"tcp": {}}"#, &["tcp", "addr"]),
            (r#"{"tcp": {"addr": "a"}}"#, &["tcp.addr", "HOST:PORT"]),
            (r#"{"tcp": {"addr": "a:1", "pol": 1}}"#, &["pol", "`pool`"]),
            (r#"{"tcp": {"addr": "a:1", "pool": -1}}"#, &["tcp.pool"]),
            (
                r#"{"tcp": {"addr": "a:1", "pool": 5000}}"#,
                &["tcp.pool", "4096"],
            ),
            (
                r#"{"tcp": {"addr": "a:1", "source_addr": "b"}}"#,
                &["tcp.source_addr", "\"b\""],
            ),
            (
                r#"{"tcp": {"addr": "a:1", "tls": {"ca": "/no/such"}}}"#,
                &["tcp.tls", "/no/such"],
            ),
            (
                r#"{"tcp": {"addr": "a:1", "tls": {"cert": "/no/such"}}}"#,
                &["tcp.tls", "key"],
            ),
            (
                r#"{"nats": {"url": "nats://a", "prefx": "b"}}"#,
                &["prefx", "`url`", "`prefix`", "`name`", "`connect_timeout`"],
            ),
            (
                r#"{"nats": {"url": "nats://a", "prefix": "a b"}}"#,
                &["nats.prefix", "a b"],
            ),
            (
                r#"{"nats": {"url": "nats://a", "connect_timeout": "soon"}}"#,
                &["nats.connect_timeout", "5s"],
            ),
            (
                r#"{"nats": {"url": "nats://a", "connect_timeout": -1}}"#,
                &["nats.connect_timeout"],
            ),
            (
                r#"{"nats": {"url": "nats://a", "connect_timeout": true}}"#,
                &["nats.connect_timeout"],
            ),
            (
                r#"{"nats": {"url": "nats://a", "connect_timeout": 0}}"#,
                &["nats.connect_timeout", "above 0"],
            ),
            ("nonsense", &["expected"]),
            ("", &["EOF"]),
        ] {
            let error = error(json);
            for part in parts {
                assert!(error.contains(part), "{json}: {error:?} lacks {part:?}");
            }
            assert!(!error.contains(" line "), "{error}");
        }
    }

    #[test]
    fn durations() {
        for (text, ms) in [
            ("5s", 5000),
            ("1m30s", 90_000),
            ("500ms", 500),
            ("1.5h", 5_400_000),
        ] {
            assert_eq!(
                parse_duration(text),
                Some(Duration::from_millis(ms)),
                "{text}"
            );
        }
        for text in ["", "5", "s", "5x", "-5s", "1..2s", "5 s", "1e400s"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }
}
