//! The latency of messages that a server sends by itself, by the time that each of them
//! has in its text.

use std::sync::Arc;

use encarno_record::StringId;
use encarno_record::series::Measured;
use regex_automata::PatternID;
use regex_automata::meta::{Config, Regex};
use regex_automata::util::captures::Captures;

/// The metric of these latencies.
const LATENCY: &str = "websocket_push_latency";
/// The time is looked for in so many bytes at the start of a message.
pub(super) const START_BYTES_MAX: usize = 64 << 10;
/// The most memory of a compiled expression.
const EXPRESSION_BYTES_MAX: usize = 10 << 20;

/// Where a message has the time at which it was sent.
#[derive(Clone, Debug)]
pub(super) struct SentAt(Arc<Regex>);

impl SentAt {
    /// The regular expression, whose first group is the time.
    pub(super) fn new(text: &str) -> Result<Self, String> {
        let config = Config::new()
            .nfa_size_limit(Some(EXPRESSION_BYTES_MAX))
            .hybrid_cache_capacity(EXPRESSION_BYTES_MAX);
        let regex = Regex::builder().configure(config).build(text);
        let regex = regex.map_err(|error| match error.syntax_error() {
            Some(error) => format!("it isn't a regular expression: {error}"),
            None => format!("{error}"),
        })?;
        match regex.group_info().group_len(PatternID::ZERO) {
            ..2 => {
                Err(r#"it has no group for the time: write one, as in "at": ([0-9]+)"#.to_owned())
            }
            _ => Ok(Self(Arc::new(regex))),
        }
    }
}

/// Measures the latencies of one event loop.
#[derive(Debug)]
pub(super) struct Pushed {
    regex: Arc<Regex>,
    groups: Captures,
    started_unix_ns: u64,
    measured: Measured,
}

impl Pushed {
    pub(super) fn new(sent_at: &SentAt, started_unix_ns: u64) -> Self {
        Self {
            regex: Arc::clone(&sent_at.0),
            groups: sent_at.0.create_captures(),
            started_unix_ns,
            measured: Measured::new(started_unix_ns),
        }
    }

    /// Measures a message that was whole at this instant of the run, if it has its time.
    pub(super) fn message(&mut self, start: &[u8], now_ns: u64) {
        self.regex.captures(start, &mut self.groups);
        let group = self.groups.get_group(1);
        let Some(sent_ns) = group.and_then(|group| unix_ns(&start[group.range()])) else {
            return;
        };
        let now_unix_ns = self.started_unix_ns.saturating_add(now_ns);
        // It is below 0 if the clocks differ by more than the latency.
        let latency_ns = i128::from(now_unix_ns) - i128::from(sent_ns);
        if let Ok(latency_ns) = latency_ns.try_into() {
            self.measured
                .record(LATENCY, StringId(0), now_ns, latency_ns);
        }
    }

    pub(super) fn take(&mut self) -> Measured {
        self.measured.take()
    }
}

/// A time since 1970 in s, ms, µs or ns, which its size tells apart, with a fraction or
/// without.
fn unix_ns(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !is_number(whole) || !is_number(fraction) {
        return None;
    }
    let whole: u64 = whole.parse().ok()?;
    let unit_ns: u64 = match whole.checked_ilog10().unwrap_or(0) {
        0..=10 => 1_000_000_000,
        11..=13 => 1_000_000,
        14..=16 => 1_000,
        _ => 1,
    };
    let mut ns = whole.checked_mul(unit_ns)?;
    let mut digit_ns = unit_ns;
    for digit in fraction.bytes() {
        digit_ns /= 10;
        ns = ns.checked_add(u64::from(digit - b'0') * digit_ns)?;
    }
    Some(ns)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test that fails here says enough

    use super::{Pushed, SentAt, unix_ns};

    const STARTED: u64 = 1_700_000_000_000_000_000;

    #[test]
    fn times_in_any_unit() {
        let ns = 1_700_000_000_123_456_789;
        for (text, expected) in [
            ("1700000000", Some(STARTED)),
            ("1700000000.123456789", Some(ns)),
            ("1700000000.12345678901", Some(ns)),
            ("1700000000123", Some(ns / 1_000_000 * 1_000_000)),
            ("1700000000123.456789", Some(ns)),
            ("1700000000123456", Some(ns / 1000 * 1000)),
            ("1700000000123456789", Some(ns)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("18446744073.999999999", None),
            ("", None),
            (".5", None),
            ("-1700000000", None),
            ("+1700000000", None),
            ("1700000000.5.5", None),
        ] {
            assert_eq!(unix_ns(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn latencies_are_those_of_messages_with_a_time() {
        let sent_at = SentAt::new(r#""at": ?([0-9.]+)"#).unwrap();
        let mut pushed = Pushed::new(&sent_at, STARTED);
        let messages: [&[u8]; 4] = [
            b"{\"at\":1700000000005}",
            b"{\"at\": 1700000000012.5, \"b\": 1}",
            b"{\"b\": 1}",
            b"\xff{\"at\":1700000000009}",
        ];
        for message in messages {
            pushed.message(message, 10_000_000);
        }
        let measured = pushed.take();
        let sums: Vec<_> = measured.sums().collect();
        let [(second, "websocket_push_latency", _, points)] = sums[..] else {
            panic!("{sums:?}");
        };
        assert_eq!((second, points.count), (1_700_000_000, 3));
        assert_eq!((points.min, points.max), (-2.5, 5.0));
        assert!(pushed.take().is_empty());
        for (text, reason) in [
            ("at", "no group"),
            ("(", "regular expression"),
            ("(.{1000}){1000}", ""),
        ] {
            let error = SentAt::new(text).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
