//! `line(1,100,30s) const(100,1m)`: the text form of a schedule.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use encarno_record::{decimal, parse_duration};

use super::{Level, Piece, Schedule, Wave, replay};

/// Why a schedule can't be parsed.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum ScheduleError {
    /// It is empty.
    #[error("the schedule is empty: write for example const(100,30s)")]
    Empty,
    /// It is longer than ten years.
    #[error("the schedule is longer than ten years")]
    TooLong,
    /// A level is above a thousand million.
    #[error("a level of the schedule is above 1000000000")]
    TooHigh,
    /// A part isn't `name(arguments)`.
    #[error("schedule, at '{part}': expected {expected}")]
    Part {
        /// The part, as it was written.
        part: String,
        /// The accepted parts.
        expected: &'static str,
    },
    /// A file can't be replayed.
    #[error("schedule, replay({file}): {reason}", file = file.display())]
    Replay {
        /// The file.
        file: PathBuf,
        /// Why not.
        reason: String,
    },
}

impl FromStr for Schedule {
    type Err = ScheduleError;

    /// This reads no files: see [`Schedule::read`].
    fn from_str(text: &str) -> Result<Self, ScheduleError> {
        parse(text, &mut |_, _| {
            Err("a schedule can't name files here".to_owned())
        })
    }
}

impl Schedule {
    /// Parses a schedule, and reads the files that it names.
    pub fn read(text: &str) -> Result<Self, ScheduleError> {
        parse(text, &mut |file, factor| replay::read(file, factor))
    }

    /// Parses a table of rates, as a file for `replay` contains it.
    pub fn of_table(text: &str) -> Result<Self, ScheduleError> {
        let pieces = replay::of_text(text).map_err(|reason| ScheduleError::Replay {
            file: "table".into(),
            reason,
        })?;
        Self::new(pieces)
    }
}

/// Reads the pieces of a file, with each level multiplied by this many millionths.
type ReadFile<'a> = &'a mut dyn FnMut(&Path, Level) -> Result<Vec<Piece>, String>;

fn parse(text: &str, read: ReadFile) -> Result<Schedule, ScheduleError> {
    let (mut pieces, mut files) = (Vec::new(), Vec::new());
    let is_between = |c: char| c.is_whitespace() || c == ',';
    let text = text.trim();
    let after = text.strip_prefix("poisson");
    let after = after.filter(|rest| rest.is_empty() || rest.starts_with(is_between));
    let mut rest = after.unwrap_or(text).trim_start_matches(is_between);
    while !rest.is_empty() {
        let end = rest.find(')').ok_or_else(|| part_error(rest, SHAPE))?;
        let (part, tail) = rest.split_at(end + 1);
        match replayed(part)? {
            Some((file, factor)) => {
                match read(&file, factor) {
                    Ok(mut read) => pieces.append(&mut read),
                    Err(reason) => return Err(ScheduleError::Replay { file, reason }),
                }
                files.push(file);
            }
            None => append(part, &mut pieces)?,
        }
        rest = tail.trim_start_matches(is_between);
    }
    let schedule = Schedule::new(pieces)?;
    Ok(Schedule {
        poisson: after.is_some(),
        files,
        ..schedule
    })
}

/// The file of a `replay(file)` or `replay(file,factor)`.
fn replayed(part: &str) -> Result<Option<(PathBuf, Level)>, ScheduleError> {
    let Some(("replay", arguments)) = part.split_once('(').map(|(name, it)| (name.trim(), it))
    else {
        return Ok(None);
    };
    let arguments = arguments.trim_end_matches(')');
    let (file, factor) = match arguments.rsplit_once(',') {
        Some((file, factor)) => (file, decimal(factor.trim(), Level::ONE.0).map(Level)),
        None => (arguments, Some(Level::ONE)),
    };
    let file = file.trim();
    match factor.filter(|&factor| factor > Level::default() && !file.is_empty()) {
        Some(factor) => Ok(Some((file.into(), factor))),
        None => Err(part_error(
            part,
            "replay(file) or replay(file,factor), with a factor above zero such as 2 or 0.5",
        )),
    }
}

const SHAPE: &str = "line(from,to,duration), const(level,duration), step(from,to,increment,duration), \
    ramp(n,duration), start(n), wait(duration), sine(mean,amplitude,period,duration), \
    spike(base,peak,rise,hold,fall) or replay(file)";
/// The most levels of one `step`.
const STEP_LEVELS_MAX: u64 = 100_000;

fn append(part: &str, pieces: &mut Vec<Piece>) -> Result<(), ScheduleError> {
    let error = |expected| part_error(part, expected);
    let (name, arguments) = part.split_once('(').ok_or_else(|| error(SHAPE))?;
    let arguments = arguments.trim_end_matches(')');
    let arguments: Vec<&str> = arguments.split(',').map(str::trim).collect();
    let level = |text: &str| {
        decimal(text, Level::ONE.0)
            .map(Level)
            .ok_or_else(|| error("a number up to 1000000000, such as 100 or 0.5"))
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
    let mut push = |from, to, duration_ns| pieces.push(Piece::line(from, to, duration_ns));
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
            // If the increment doesn't fit, the end is a level of its own.
            if !distance.is_multiple_of(increment.0) {
                push(to, to, time_ns);
            }
        }
        ("sine", [mean, amplitude, period, time]) => {
            let wave = Wave {
                mean: level(mean)?,
                amplitude: level(amplitude)?,
                period_ns: duration(period)?,
            };
            let piece = Piece::wave(wave, duration(time)?);
            pieces.push(piece.ok_or_else(|| {
                error("an amplitude above zero and not above the mean, as in sine(100,50,1m,10m)")
            })?);
        }
        ("spike", [base, peak, rise, hold, fall]) => {
            let (base, peak) = (level(base)?, level(peak)?);
            let time = |text: &str| {
                parse_duration(text).ok_or_else(|| error("a duration such as 30s, or 0s"))
            };
            let (rise_ns, hold_ns, fall_ns) = (time(rise)?, time(hold)?, time(fall)?);
            let lasts = [rise_ns, hold_ns, fall_ns].iter().any(|&ns| ns > 0);
            if peak <= base || !lasts {
                return Err(error("a peak above the base, and a duration above zero"));
            }
            push(base, peak, rise_ns);
            push(peak, peak, hold_ns);
            push(peak, base, fall_ns);
        }
        ("poisson", _) => {
            return Err(error(
                "the word poisson before all parts, as in 'poisson const(100,30s)'",
            ));
        }
        _ => return Err(error(SHAPE)),
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
    fn a_spike_rises_holds_and_falls() {
        let spike: Schedule = "const(2,3s) spike(2,10,2s,3s,1s) const(2,1s)"
            .parse()
            .unwrap();
        assert_eq!(
            spike.to_string_of_levels(&[0, 4, 5, 7, 8, 9]),
            "2 6 10 10 10 2"
        );
        let hits = spike.hits_before(u64::MAX);
        assert_eq!(hits, 6 + 12 + 30 + 6 + 2);
        let sudden: Schedule = "spike(1,9,0s,2s,0s)".parse().unwrap();
        assert_eq!(
            (sudden.hits_before(u64::MAX), sudden.duration_ns()),
            (18, 2_000_000_000)
        );
    }

    #[test]
    fn poisson_is_a_word_before_all_parts() {
        let parse = |text: &str| text.parse::<Schedule>();
        assert!(parse("poisson const(5,1s)").unwrap().is_poisson());
        assert!(parse(" poisson, sine(5,1,1s,9s)").unwrap().is_poisson());
        assert!(!parse("const(5,1s)").unwrap().is_poisson());
        for (text, word) in [
            ("poisson", "empty"),
            ("poisson(5,1s)", "the word poisson before"),
            ("const(5,1s) poisson", "expected line"),
            ("poissons const(5,1s)", "expected line"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(word), "{text}: {error}");
        }
    }

    #[test]
    fn files_are_replayed_where_files_may_be_read() {
        let file = std::env::temp_dir().join(format!("encarno-rates-{}", std::process::id()));
        std::fs::write(&file, "3\n0\n5\n").unwrap();
        let name = file.display();
        let text = format!("const(1,1s) replay({name}) replay({name}, 1.5)");
        let read = Schedule::read(&text);
        let refused = text.parse::<Schedule>().unwrap_err().to_string();
        std::fs::remove_file(&file).unwrap();
        let read = read.unwrap();
        assert_eq!(
            read.to_string_of_levels(&[0, 1, 2, 3, 4, 5, 6]),
            "1 3 0 5 4.5 0 7.5"
        );
        assert!(read.files().eq([&*file, &*file]));
        assert!(refused.contains("can't name files here"), "{refused}");
        let missing = Schedule::read("replay(/nowhere/rates)")
            .unwrap_err()
            .to_string();
        assert!(missing.contains("/nowhere/rates"), "{missing}");
        let folder = Schedule::read("replay(/)").unwrap_err().to_string();
        assert!(folder.contains("isn't a file"), "{folder}");
    }

    impl Schedule {
        fn to_string_of_levels(&self, seconds: &[u64]) -> String {
            let level = |at: &u64| self.level_at(at * 1_000_000_000).0 as f64 * 1e-6;
            let levels: Vec<_> = seconds.iter().map(|at| level(at).to_string()).collect();
            levels.join(" ")
        }
    }

    #[test]
    fn bad_schedules_name_the_place() {
        for bad in [
            "sine(5,6,1s,9s)",
            "sine(5,0,1s,9s)",
            "sine(0,0,1s,9s)",
            "sine(5,-1,1s,9s)",
            "sine(5,1,0s,9s)",
            "sine(5,1,9s,0s)",
            "sine(5,1,9s)",
            "sine(600000000,600000000,9s,9s)",
            "spike(5,5,1s,1s,1s)",
            "spike(5,4,1s,1s,1s)",
            "spike(1,5,0s,0s,0s)",
            "spike(1,5,1s)",
            "replay()",
            "replay(,2)",
            "replay(file,0)",
            "replay(file,-1)",
            "replay(file,x)",
            "replay(file",
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
