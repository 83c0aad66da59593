//! Influx's lines: for each period and kind of hit, a line with its sums.

use std::fmt::Write as _;

use encarno_record::statistics::QUANTILES;

use crate::Body;
use crate::steps::{Kind, Step};

/// The content type of a body.
pub const CONTENT_TYPE: &str = "text/plain; charset=utf-8";

/// The lines of a period. Times are in seconds.
pub fn lines(step: &Step) -> Body {
    let mut text = String::new();
    for (kind, sums) in &step.sums {
        text.push_str("encarno");
        tags(kind, &mut text);
        let _ = write!(
            text,
            " hits={}i,failed={}i,sent={}i,received={}i",
            sums.hits,
            if kind.failed { sums.hits } else { 0 },
            signed(sums.sent_bytes),
            signed(sums.received_bytes)
        );
        for (name, times) in [
            ("response", &sums.response_ns),
            ("service", &sums.service_ns),
            ("lag", &sums.lag_ns),
        ] {
            let seconds = |ns: f64| ns * 1e-9;
            let _ = write!(text, ",{name}_mean={}", seconds(times.mean()));
            for (quantile, share) in QUANTILES {
                let value = seconds(times.quantile(share) as f64);
                let _ = write!(text, ",{name}_{}={value}", quantile.replace('.', "_"));
            }
            let _ = write!(text, ",{name}_max={}", seconds(times.max() as f64));
        }
        let _ = writeln!(text, " {}", step.from_unix_ns);
    }
    Body {
        bytes: text.into_bytes(),
        points: step.sums.len() as u64,
    }
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn tags(kind: &Kind, text: &mut String) {
    // A tag must have a value.
    if !kind.label.is_empty() {
        let _ = write!(text, ",label={}", escaped(&kind.label));
    }
    if kind.status > 0 {
        let _ = write!(text, ",status={}", kind.status);
    }
    if kind.net_code > 0 {
        let _ = write!(text, ",net={}", kind.net_code);
    }
    // No tag may have the name of the field `failed`.
    text.push_str(if kind.failed {
        ",outcome=failed"
    } else {
        ",outcome=ok"
    });
}

/// A tag's value, without line ends.
fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            ',' | '=' | ' ' => text.extend(['\\', c]),
            // A backslash at the end would escape the next character.
            '\\' => text.push('/'),
            c if c.is_control() => text.push('\u{fffd}'),
            c => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn a_hostile_label_stays_one_value() {
        assert_eq!(escaped("a b,c=d\n\\"), "a\\ b\\,c\\=d\u{fffd}/");
    }
}
