//! Flags that several commands have, in groups: [`request`] and [`records`] for what is
//! sent, [`connection`] for connections, [`load`] for rate and length, [`part`] for a
//! part of a run, [`output`] for files, [`verdict`] for conditions, and [`watch`] for
//! pages and metrics.

pub(super) mod bounds;
pub(super) mod connection;
pub(super) mod fleet;
pub(super) mod load;
pub(super) mod output;
pub(super) mod part;
pub(super) mod pods;
pub(super) mod rate;
pub(super) mod records;
pub(super) mod request;
pub(super) mod verdict;
pub(super) mod watch;

use std::time::Duration;

use encarno_record::parse_duration;

/// Parses a duration as schedules write it.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let parsed = parse_duration(text).map(Duration::from_nanos);
    parsed.ok_or_else(|| "expected a duration such as 30s, 1m30s or 200ms".to_owned())
}

/// The same as it was written, for a protocol that reads it.
/// A share of a whole, as 1% or as 0.01.
pub(super) fn share(text: &str) -> Result<f64, String> {
    let (number, unit) = match text.trim().strip_suffix('%') {
        Some(number) => (number, 0.01),
        None => (text.trim(), 1.0),
    };
    let share = number.trim_end().parse::<f64>().map(|number| number * unit);
    let share = share.ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "expected a share, such as 1% or 0.01".to_owned())
}

pub(super) fn duration_text(text: &str) -> Result<String, String> {
    duration(text).map(|_| text.to_owned())
}
