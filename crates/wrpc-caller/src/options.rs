//! Parses and validates the options of a client, JSON that a script wrote.

mod of_nats;
mod of_tcp;

use std::num::NonZeroUsize;
use std::time::Duration;

use encarno_wrpc::{FileOrText, Secret};
use serde::Deserialize;
use serde::de::{Error as _, IgnoredAny};

use self::of_nats::RawNats;
use self::of_tcp::RawTcp;
use crate::link::Transport;

/// The most bytes of the options.
const JSON_BYTES_MAX: usize = 1 << 20;
/// The longest duration.
const DURATION_MAX: Duration = Duration::from_secs(24 * 3600);

/// The options of a client.
#[derive(Debug)]
pub struct Options {
    /// The transport of its calls.
    pub transport: Transport,
    /// The number of links that serve all clients with this transport; `None` means that
    /// each client has its own.
    pub shared: Option<NonZeroUsize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    nats: Option<RawNats>,
    tcp: Option<RawTcp>,
    /// Tags of the metrics, which the caller handles.
    #[serde(default, rename = "tags")]
    _tags: Option<IgnoredAny>,
}

impl Options {
    /// Parses the options; the error names the invalid key.
    pub fn parse(json: &[u8]) -> Result<Self, String> {
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

        let (transport, shared) = match (raw.nats, raw.tcp) {
            (Some(nats), None) => nats.check()?,
            (None, Some(tcp)) => tcp.check()?,
            (None, None) => return Err("a transport is missing: `nats` or `tcp`".into()),
            (Some(_), Some(_)) => {
                return Err("`nats` and `tcp`: only one of them can be used".into());
            }
        };
        Ok(Self { transport, shared })
    }
}

/// The script has no JSON, so positions in JSON mean nothing there.
fn without_position(message: &str) -> String {
    match message.rfind(" at line ") {
        Some(at) => message[..at].to_owned(),
        None => message.to_owned(),
    }
}

/// A secret text. An error says only that the value isn't a text.
fn secret<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Secret>, D::Error> {
    let text = Option::<String>::deserialize(from)
        .map_err(|_| D::Error::custom("invalid type, expected a string"))?;
    Ok(text.map(Secret::new))
}

/// The name of a file, or a text in its place.
fn file_or_text<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<FileOrText>, D::Error> {
    let text = Option::<String>::deserialize(from).map_err(|_| {
        D::Error::custom("invalid type, expected the name of a file or its content")
    })?;
    Ok(text.map(FileOrText::from))
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

/// Parses numbers with units in Go's form: `1m30s`, `1.5s`, `500ms`.
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

    use encarno_wrpc::nats;

    use super::{Options, parse_duration};
    use crate::link::Transport;

    fn nats(json: &str) -> (nats::Options, String) {
        match Options::parse(json.as_bytes()).expect("options").transport {
            Transport::Nats { options, prefix } => (options, prefix),
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
        let (options, prefix) = nats(json);
        assert_eq!(prefix, "wasmtime");
        assert_eq!(options.connect_timeout, Duration::from_secs(5));
    }

    #[test]
    fn every_option() {
        let json = r#"{"nats": {"url": ["nats://a:1", "nats://b:2,c"], "prefix": "", "name": "n",
            "user": "me", "password": "hidden", "tls": {"required": true}, "inbox_prefix": "in",
            "connect_timeout": "1.5s", "ping_interval": 700, "max_reconnects": 3,
            "reconnect_delay": "2s", "shared": 4}}"#;
        let (options, _) = nats(json);
        assert_eq!(options.peers(), "nats://a:1,nats://b:2,nats://c:4222");
        assert_eq!(options.name, "n");
        assert_eq!(options.tls.required, Some(true));
        assert_eq!(options.inbox_prefix, "in");
        assert_eq!(options.connect_timeout, Duration::from_millis(1500));
        assert_eq!(options.ping_interval, Duration::from_millis(700));
        assert_eq!(options.max_reconnects, Some(3));
        assert_eq!(options.reconnect_delay, Duration::from_secs(2));
        let parsed = Options::parse(json.as_bytes()).expect("options");
        assert_eq!(parsed.shared.map(usize::from), Some(4));
        let shown = format!("{parsed:?}");
        assert!(shown.contains("me") && !shown.contains("hidden"), "{shown}");
    }

    #[test]
    fn no_error_shows_a_secret() {
        for wrong in [
            r#""password": 314159"#,
            r#""user": "me", "password": ["314159"]"#,
            r#""token": 314159"#,
            r#""token": "314159", "nkey": "314159""#,
            r#""nkey": "314159""#,
            r#""jwt": "314159""#,
            r#""user": "me", "password": "314159", "prefix": "a b""#,
            r#""user": "me", "password": "314159", "tls": {"ca": "/no/such"}"#,
        ] {
            let error = error(&format!(r#"{{"nats": {{"url": "nats://a", {wrong}}}}}"#));
            assert!(error.starts_with("nats."), "{error}");
            assert!(!error.contains("314159"), "{error}");
        }
    }

    #[test]
    fn every_option_of_tcp() {
        let json = r#"{"tcp": {"addr": "[::1]:7761", "connect_timeout": "1s", "nodelay": false,
                               "keepalive": 2000, "source_addr": "::1", "pool": 3, "half_close": true,
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
        assert_eq!(tcp.half_close, Some(true));
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
                r#"{"nats": {"url": ["nats://a", 7]}}"#,
                &["nats.url", "7", "string"],
            ),
            (
                r#"{"nats": {"url": "nats://me:x@a", "token": "t"}}"#,
                &["nats.url", "other credentials"],
            ),
            (
                r#"{"nats": {"url": "nats://a", "tls": {"ca": "/no/such"}}}"#,
                &["nats.tls.ca", "/no/such", "No such file"],
            ),
            (
                r#"{"nats": {"url": "nats://a", "tls": {"insecure": true}}}"#,
                &["nats.tls", "insecure", "`ca`"],
            ),
            (
                r#"{"nats": {"url": "nats://a", "max_reconnects": 0}}"#,
                &["nats.max_reconnects", "above 0"],
            ),
            (
                r#"{"nats": {"url": "nats://a", "shared": 0}}"#,
                &["nats.shared", "nonzero"],
            ),
            (
                r#"{"nats": {"url": "nats://a", "shared": 100000}}"#,
                &["nats.shared", "at most 65536"],
            ),
            (
                r#"{"nats": {"url": "nats://a", "inbox_prefix": "a b"}}"#,
                &["nats.inbox_prefix", "a b"],
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
