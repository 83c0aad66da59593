//! Formats figures, names and verdicts; units fit the size.

use encarno_record::histogram::{Histogram, middle_of};
use encarno_record::notes::{Judgement, Verdict};

const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/// Bytes with their unit, to three digits.
pub(crate) fn bytes_text(bytes: f64) -> String {
    if bytes < 1000.0 {
        return format!("{bytes:.0} B");
    }
    let (mut value, mut unit) = (bytes / 1024.0, 0);
    // 1023 KiB has four digits already.
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let digits = match value {
        _ if value < 9.995 => 2,
        _ if value < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.digits$} {}", UNITS[unit])
}

/// A count, with a comma between thousands from five digits on.
pub(crate) fn count_text(count: u64) -> String {
    let digits = count.to_string();
    if digits.len() < 5 {
        return digits;
    }
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A part of a whole in percent; 0 if the whole is 0.
pub(crate) fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        100.0 * part as f64 / whole as f64
    }
}

/// A row of a histogram: the count of numbers up to this bound and above the bound of the
/// previous row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) up_to: u64,
    pub(crate) count: u64,
}

/// This number of rows: equal steps from the least number to the 99th percentile, and one
/// row for the numbers above it, which would otherwise press all others into one row.
pub(crate) fn rows(numbers: &Histogram, rows: usize) -> Vec<Row> {
    let (min, max) = (numbers.min(), numbers.max());
    if numbers.count() == 0 || rows == 0 {
        return Vec::new();
    }
    let (most, steps) = match numbers.quantile(0.99) {
        // The largest numbers are close enough to need no row of their own.
        most if max - most <= (most - min) / 4 => (max, rows),
        most => (most, rows - 1),
    };
    let width = (most - min).div_ceil(steps.max(1) as u64).max(1);
    let mut found: Vec<Row> = (1..=steps as u64)
        .map(|step| min.saturating_add(step.saturating_mul(width)).min(max))
        .chain((steps < rows).then_some(max))
        .map(|up_to| Row { up_to, count: 0 })
        .collect();
    found.dedup();
    for (bucket, count) in numbers.pairs() {
        let value = middle_of(bucket as usize).clamp(min, max);
        let row = found.partition_point(|row| row.up_to < value);
        let row = row.min(found.len() - 1);
        found[row].count = found[row].count.saturating_add(count);
    }
    found
}

/// The verdict in a line: whether the figures can be trusted.
pub fn verdict_text(verdict: &Verdict) -> String {
    let reasons = verdict.reasons.join("; ");
    match verdict.judgement {
        Judgement::Sound if reasons.is_empty() => {
            "verdict: the generator wasn't the limit".to_owned()
        }
        Judgement::Sound => format!("verdict: the generator wasn't the limit, but {reasons}"),
        Judgement::Limited => format!("verdict: THE GENERATOR WAS A LIMIT: {reasons}"),
        Judgement::Unknown => format!("verdict: {reasons}"),
    }
}

/// The text without terminal control characters, since it may come from a file or a peer.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

/// The same as [`printable`], for a text of several lines.
pub(crate) fn printable_lines(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(printable).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use encarno_record::histogram::Histogram;

    use super::{Row, bytes_text, count_text, rows};

    #[test]
    fn units_fit_the_size() {
        let cases = [
            (0.0, "0 B"),
            (999.0, "999 B"),
            (1000.0, "0.98 KiB"),
            (1024.0 * 99.96, "100 KiB"),
            (1023.0 * 1024.0, "1.00 MiB"),
            (1.5 * 1024.0 * 1024.0 * 1024.0, "1.50 GiB"),
            (u64::MAX as f64, "16.0 EiB"),
        ];
        for (bytes, text) in cases {
            assert_eq!(bytes_text(bytes), text);
        }
        assert_eq!(count_text(9999), "9999");
        assert_eq!(count_text(12_345_678), "12,345,678");
    }

    fn of(values: impl IntoIterator<Item = u64>) -> Histogram {
        let mut histogram = Histogram::default();
        values.into_iter().for_each(|value| histogram.record(value));
        histogram
    }

    #[test]
    fn rows_have_each_number_once() {
        assert_eq!(rows(&of([]), 5), []);
        assert_eq!(rows(&of([7, 7]), 5), [Row { up_to: 7, count: 2 }]);
        let even = rows(&of(1..=1000), 10);
        assert_eq!(even.len(), 10);
        assert_eq!(even.iter().map(|row| row.count).sum::<u64>(), 1000);
        assert!(
            even.iter().all(|row| (99..=102).contains(&row.count)),
            "{even:?}"
        );
        // A number that is far away has a row of its own, and doesn't widen the others.
        let far = rows(&of((1..=1000).chain([1_000_000_000])), 11);
        assert_eq!(far.len(), 11);
        assert_eq!(far.last().map(|row| row.up_to), Some(1_000_000_000));
        assert!(far[9].up_to <= 1000, "{far:?}");
        assert_eq!(far.iter().map(|row| row.count).sum::<u64>(), 1001);
    }
}
