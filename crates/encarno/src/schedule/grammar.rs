//! `line(1,100,30s) const(100,1m)`: the text form of a schedule.

use std::str::FromStr;

use super::{Level, Piece, Schedule};

/// A schedule that can't be read.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum ScheduleError {
    /// Nothing in it.
    #[error("the schedule is empty: write for example const(100,30s)")]
    Empty,
    /// Longer than ten years.
    #[error("the schedule is longer than ten years")]
    TooLong,
    /// A level past a thousand million.
    #[error("a level of the schedule is above 1000000000")]
    TooHigh,
    /// A part isn't `name(arguments)`.
    #[error("schedule, at '{part}': expected {expected}")]
    Part {
        /// The part as it was written.
        part: String,
        /// What can stand there.
        expected: &'static str,
    },
}

/// A duration as schedules write it: `1d2h3m4s`, `0.5s`, `500ms`; a bare
/// number is seconds. Result in ns.
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
        // Units go down, each at most once, as in 1h30m.
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

impl FromStr for Schedule {
    type Err = ScheduleError;

    fn from_str(text: &str) -> Result<Self, ScheduleError> {
        let mut pieces = Vec::new();
        let mut rest = text.trim();
        while !rest.is_empty() {
            let end = rest.find(')').ok_or_else(|| part_error(rest, SHAPE))?;
            let (part, tail) = rest.split_at(end + 1);
            append(part, &mut pieces)?;
            rest = tail.trim_start_matches(|c: char| c.is_whitespace() || c == ',');
        }
        Self::new(pieces)
    }
}

const SHAPE: &str = "line(from,to,duration), const(level,duration), step(from,to,increment,duration), \
    ramp(n,duration), start(n) or wait(duration)";
/// More levels than that in one `step` are a mistake.
const STEP_LEVELS_MAX: u64 = 100_000;

fn append(part: &str, pieces: &mut Vec<Piece>) -> Result<(), ScheduleError> {
    let error = |expected| part_error(part, expected);
    let (name, arguments) = part.split_once('(').ok_or_else(|| error(SHAPE))?;
    let arguments = arguments.trim_end_matches(')');
    let arguments: Vec<&str> = arguments.split(',').map(str::trim).collect();
    let level = |text: &str| {
        decimal(text, Level::ONE.0)
            .map(Level)
            .ok_or_else(|| error("a number such as 100 or 0.5"))
    };
    let duration = |text: &str| {
        parse_duration(text)
            .filter(|&ns| ns > 0)
            .ok_or_else(|| error("a duration above zero such as 30s, 1m30s or 2h"))
    };
    let before = pieces
        .last()
        .map(|piece: &Piece| piece.to)
        .unwrap_or_default();
    let raised = |by: Level| {
        before
            .0
            .checked_add(by.0)
            .map(Level)
            .ok_or(ScheduleError::TooHigh)
    };
    let mut push = |from, to, duration_ns| {
        pieces.push(Piece {
            from,
            to,
            duration_ns,
        })
    };
    match (name.trim(), arguments.as_slice()) {
        ("line", [from, to, time]) => push(level(from)?, level(to)?, duration(time)?),
        ("const", [value, time]) => push(level(value)?, level(value)?, duration(time)?),
        ("ramp", [number, time]) => push(before, raised(level(number)?)?, duration(time)?),
        ("start", [number]) => {
            let to = raised(level(number)?)?;
            push(to, to, 0);
        }
        ("wait", [time]) => push(before, before, duration(time)?),
        ("step", [from, to, increment, time]) => {
            let (from, to, increment) = (level(from)?, level(to)?, level(increment)?);
            let time_ns = duration(time)?;
            let distance = from.0.abs_diff(to.0);
            if increment.0 == 0 || distance / increment.0 >= STEP_LEVELS_MAX {
                return Err(error("an increment above zero, and at most 100000 levels"));
            }
            for index in 0..=distance / increment.0 {
                let change = index * increment.0;
                let value = Level(if to >= from {
                    from.0 + change
                } else {
                    from.0 - change
                });
                push(value, value, time_ns);
            }
            // The increment doesn't fit: the end is a level of its own.
            if !distance.is_multiple_of(increment.0) {
                push(to, to, time_ns);
            }
        }
        ("line" | "const" | "ramp" | "start" | "wait" | "step", _) | (_, _) => {
            return Err(error(SHAPE));
        }
    }
    Ok(())
}

/// A decimal number times a unit, exactly; digits below the unit are cut off.
fn decimal(text: &str, unit: u64) -> Option<u64> {
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

fn part_error(part: &str, expected: &'static str) -> ScheduleError {
    let part = part.chars().take(60).collect();
    ScheduleError::Part { part, expected }
}

#[cfg(test)]
mod tests {
    use super::{Level, Schedule, parse_duration};

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

    #[test]
    fn steps_go_up_and_down_and_end_where_they_should() {
        let levels = |text: &str| -> Vec<u64> {
            let schedule: Schedule = text.parse().unwrap();
            schedule
                .pieces()
                .iter()
                .map(|piece| piece.to.0 / Level::ONE.0)
                .collect()
        };
        assert_eq!(levels("step(1,10,4,5s)"), [1, 5, 9, 10]);
        assert_eq!(levels("step(10,1,3,5s)"), [10, 7, 4, 1]);
        assert_eq!(levels("step(10,0,4,5s)"), [10, 6, 2, 0]);
        assert_eq!(
            levels("start(5) wait(1s) ramp(5,10s) start(2)"),
            [5, 5, 10, 12]
        );
        assert_eq!(levels("step(5,5,1,1s)"), [5]);
    }

    #[test]
    fn bad_schedules_name_the_place() {
        for bad in [
            "",
            "const(5)",
            "const(5,0s)",
            "const(-1,1s)",
            "line(1,2,3s",
            "foo(1)",
            "step(1,1000000,0.1,1s)",
            "step(1,2,0,1s)",
            "const(1,1s)x",
            "const(9999999999,1s)",
            "const(1,9999d)",
            "const(é,1s)",
            ")",
        ] {
            let error = bad.parse::<Schedule>().unwrap_err().to_string();
            assert!(error.contains("schedule"), "{bad}: {error}");
        }
    }
}
