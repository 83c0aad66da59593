//! The options of a client: JSON, as a script wrote it, to validated.

use std::num::NonZeroUsize;
use std::time::Duration;

use encarno_wrpc::blaster;
use encarno_wrpc::nats::{self, Subject, subject};
use serde::Deserialize;
use serde::de::{Error as _, IgnoredAny};

/// Longer options can't be meant.
const JSON_BYTES_MAX: usize = 1 << 20;
/// Longer waits can't be meant.
const DURATION_MAX: Duration = Duration::from_secs(24 * 3600);

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
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    nats: RawNats,
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

        Ok(Self {
            transport: raw.nats.check()?,
            shared: None,
        })
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
        let function = subject::function(&self.prefix, blaster::INSTANCE, blaster::FUNCTION)
            .map_err(|_| {
                format!(
                    "nats.prefix: {:?} is not the beginning of a NATS subject",
                    self.prefix
                )
            })?;
        Ok(Transport::Nats { options, function })
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
            Transport::Nats { options, function } => (options, function),
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
    fn errors_name_the_key() {
        for (json, parts) in [
            ("{}", &["nats"][..]),
            (r#"{"nats": {}}"#, &["url"]),
            (r#"{"nats": 5}"#, &["nats", "5"]),
            (r#"{"nats": {"url": 5}}"#, &["nats.url", "5", "string"]),
            (r#"{"nats": {"url": "http://a"}}"#, &["nats.url", "http"]),
            (r#"{"natz": {}}"#, &["natz", "`nats`", "`tags`"]),
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
