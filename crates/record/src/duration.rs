//! Parses and formats durations and times.

/// Parses a duration as schedules have it: `1d2h3m4s`, `0.5s`, `500ms`; a bare number is
/// seconds. The result is in ns.
pub fn parse_duration(text: &str) -> Option<u64> {
    let mut rest = text.trim();
    let mut total_ns = 0_u64;
    let mut last_unit_ns = u64::MAX;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let (number, tail) = rest.split_at(digits);
        let letters = tail
            .find(|c: char| !c.is_alphabetic())
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let unit_ns = match unit {
            "d" => 86_400_000_000_000,
            "h" => 3_600_000_000_000,
            "m" => 60_000_000_000,
            "s" | "" => 1_000_000_000,
            "ms" => 1_000_000,
            "us" | "µs" => 1_000,
            "ns" => 1,
            _ => return None,
        };
        // Units must descend, each at most once, as in 1h30m.
        if unit_ns >= last_unit_ns {
            return None;
        }
        last_unit_ns = unit_ns;
        let part = decimal(number, unit_ns)?;
        total_ns = total_ns.checked_add(part)?;
        rest = tail;
    }
    Some(total_ns)
}

/// A decimal number times a unit, computed exactly; digits below 1 are cut off.
pub fn decimal(text: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return None;
    }
    let whole: u64 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    let mut sum = whole.checked_mul(unit)?;
    let fraction = &fraction[..fraction.len().min(18)];
    if !fraction.is_empty() {
        let numerator: u128 = fraction.parse().ok()?;
        sum = sum.checked_add(
            (numerator * u128::from(unit) / 10_u128.pow(fraction.len() as u32)) as u64,
        )?;
    }
    Some(sum)
}

/// A second of Unix time as text, in the format of logs.
pub fn utc(unix: u64) -> String {
    let (days, seconds) = ((unix / 86_400) as i64, unix % 86_400);
    // Converts days to a date (Howard Hinnant, chrono-compatible low-level date
    // algorithms).
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 {
        month_index + 3
    } else {
        month_index - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}Z")
}

#[cfg(test)]
mod tests {
    use super::parse_duration;

    #[test]
    fn durations() {
        assert_eq!(parse_duration("1d2h3m4s"), Some(93_784_000_000_000));
        assert_eq!(parse_duration("0.5"), Some(500_000_000));
        assert_eq!(parse_duration("1.5h"), Some(5_400_000_000_000));
        assert_eq!(parse_duration("250ms"), Some(250_000_000));
        for bad in ["", "s", "1x", "-1s", "1s1m", "1e9s", "99999999999999d", "."] {
            assert_eq!(parse_duration(bad), None, "{bad}");
        }
    }
}
