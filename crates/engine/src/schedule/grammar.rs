//! `line(1,100,30s) const(100,1m)`: the text form of a schedule.

use std::str::FromStr;

use encarno_record::{decimal, parse_duration};

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

fn part_error(part: &str, expected: &'static str) -> ScheduleError {
    let part = part.chars().take(60).collect();
    ScheduleError::Part { part, expected }
}

#[cfg(test)]
mod tests {
    use super::{Level, Schedule};

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
