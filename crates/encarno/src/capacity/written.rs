//! How settings are written on a command line and in a configuration.

use std::ops::RangeInclusive;
use std::time::Duration;

use encarno_record::parse_duration;

/// The most workers: no machine has files for more.
const WORKERS_MAX: u32 = 1_000_000;

/// Numbers of workers such as `1..2000`; one number is the largest.
pub fn workers(text: &str) -> Result<RangeInclusive<u32>, String> {
    let shape =
        || "expected numbers of workers such as 1..2000, or only the largest one".to_owned();
    let (low, high) = match text.split_once("..") {
        Some((low, high)) => (low, high.strip_prefix('=').unwrap_or(high)),
        None => ("1", text),
    };
    let number = |text: &str| text.trim().parse::<u32>().map_err(|_| shape());
    let (low, high) = (number(low)?, number(high)?);
    match 1 <= low && low <= high && high <= WORKERS_MAX {
        true => Ok(low..=high),
        false => Err(format!(
            "the numbers lie in 1 … {WORKERS_MAX}, the smaller one first"
        )),
    }
}

/// A part such as `5%` or `0.05`.
pub fn part(text: &str) -> Result<f64, String> {
    let part = match text.strip_suffix('%') {
        Some(percent) => percent.trim().parse::<f64>().map(|percent| percent / 100.0),
        None => text.parse(),
    };
    part.ok()
        .filter(|part| (0.001..=0.5).contains(part))
        .ok_or_else(|| "expected a part such as 5%, from 0.1 to 50 %".to_owned())
}

/// The bounds of the time of a trial, such as `2s..15s`.
pub fn trial(text: &str) -> Result<(Duration, Duration), String> {
    let (shortest, longest) = text
        .split_once("..")
        .ok_or("expected the shortest and the longest one, such as 2s..15s")?;
    let duration = |text: &str| {
        let duration = parse_duration(text.trim()).map(Duration::from_nanos);
        duration.ok_or_else(|| format!("{text:?} isn't a duration such as 500ms or 30s"))
    };
    let (shortest, longest) = (duration(shortest)?, duration(longest)?);
    let least = Duration::from_millis(500);
    match least <= shortest && shortest <= longest && longest <= Duration::from_secs(3600) {
        true => Ok((shortest, longest)),
        false => Err("a trial takes from 500ms to 1h, the shortest first".to_owned()),
    }
}
