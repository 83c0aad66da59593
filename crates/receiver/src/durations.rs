//! Durations on the command line: `10s`, `500ms`, `1m30s`.

use std::time::Duration;

/// Parses one or more numbers, each with its unit: `h`, `m`, `s`, `ms` or `us`.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let expected = "expected a duration such as 10s, 500ms or 1m30s";
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|char: char| !char.is_ascii_digit() && char != '.');
        let (number, tail) = rest.split_at(digits.ok_or(expected)?);
        let letters = tail.find(|char: char| !char.is_ascii_alphabetic());
        let (unit, tail) = tail.split_at(letters.unwrap_or(tail.len()));
        let unit_seconds = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" => 1e-6,
            _ => return Err(expected.into()),
        };
        let number: f64 = number.parse().map_err(|_| expected)?;
        let part = Duration::try_from_secs_f64(number * unit_seconds).map_err(|_| "too long")?;
        total = total.checked_add(part).ok_or("too long")?;
        rest = tail;
    }
    match total {
        Duration::ZERO => Err(expected.into()),
        // The limit is a century, because deadlines are computed from it.
        total if total > Duration::from_secs(100 * 365 * 86400) => Err("too long".into()),
        total => Ok(total),
    }
}

#[cfg(test)]
mod tests {
    use super::parse;
    use std::time::Duration;

    #[test]
    fn durations() {
        for (text, milliseconds) in [
            ("10s", 10_000),
            ("500ms", 500),
            ("1m30s", 90_000),
            ("1.5s", 1500),
            ("2h", 7_200_000),
        ] {
            assert_eq!(
                parse(text),
                Ok(Duration::from_millis(milliseconds)),
                "{text}"
            );
        }
        for bad in [
            "",
            "10",
            "s",
            "10 s",
            "1d",
            "-1s",
            "0s",
            "1..2s",
            "1e99h",
            "99999999999h",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
