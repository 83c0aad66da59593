//! The `workers` section: when hits start.

use encarno_engine::schedule::{Level, Piece, Schedule};
use encarno_engine::settings::{Arrivals, ClosedSettings, OpenSettings, Workload};
use encarno_input::{InputFormat, InputSettings, format_of};

use super::raw::{RawLevel, RawWorkers};
use super::{BadValue, duration};

/// The limit for `maxworkers: 0`, which means no limit in Go-encarno.
pub(super) const WORKERS_MAX: usize = 10_000;

pub(super) fn workload(
    raw: &RawWorkers,
    input: &InputSettings,
    ends_with_rows: bool,
) -> Result<Workload, BadValue> {
    let schedule = schedule(raw)?;
    let duration_max = duration(&raw.duration, "workers.duration")?;
    match raw.mode.as_ref().map(|mode| (mode, &*mode.value)) {
        Some((_, "open")) => Ok(Workload::Open(OpenSettings {
            arrivals: arrivals(raw, schedule, input)?,
            workers_start: raw.startingworkers,
            workers_max: raw.maxworkers.filter(|&max| max > 0).unwrap_or(WORKERS_MAX),
            late_limit: duration(&raw.latelimit, "workers.latelimit")?,
            duration_max,
            spin: raw.spin,
            keep_backlog: raw.keepbacklog,
        })),
        Some((_, "closed")) => {
            let bounded = ends_with_rows || input.passes.is_some() || input.records_max.is_some();
            let workers = match schedule {
                Some(schedule) => schedule,
                // Go-encarno made no workers in this case. With a bounded input, the
                // meaning is clear.
                None if bounded || duration_max.is_some() => {
                    let workers = raw.maxworkers.unwrap_or(0).max(raw.startingworkers).max(1);
                    Schedule::constant(Level::whole(u32::try_from(workers).unwrap_or(u32::MAX)), 0)
                }
                None => return Err(BadValue::missing("workers.workloadschedule", EMPTY)),
            };
            if workers.is_poisson() {
                return Err(BadValue::missing(
                    "workers.schedule",
                    "poisson needs a rate, and a number of workers isn't one: leave it out",
                ));
            }
            if workers.duration_ns() == 0 && !bounded && duration_max.is_none() {
                return Err(no_length(raw));
            }
            Ok(Workload::Closed(ClosedSettings {
                workers,
                duration: duration_max,
                workers_max: 0,
            }))
        }
        Some((mode, other)) => Err(BadValue::at(
            mode,
            "workers.mode",
            format!("{other:?} isn't known: write open or closed"),
        )),
        None => Err(BadValue::missing(
            "workers.mode",
            "write open (a rate) or closed (a number of workers)",
        )),
    }
}

const EMPTY: &str =
    "the schedule is empty: write for example [{levelstart: 1, levelend: 10, duration: 30s}]";

fn arrivals(
    raw: &RawWorkers,
    schedule: Option<Schedule>,
    input: &InputSettings,
) -> Result<Arrivals, BadValue> {
    let kind = raw
        .arrivals
        .as_ref()
        .map(|arrivals| (arrivals, &*arrivals.value));
    match (kind, schedule) {
        (Some((_, "recorded")), None) => Ok(Arrivals::Recorded),
        (Some((arrivals, "recorded")), Some(_)) => Err(BadValue::at(
            arrivals,
            "workers.arrivals",
            "recorded instants and a schedule can't be combined",
        )),
        // A file with its own instants needs no schedule. The standard input can't be
        // examined beforehand.
        (None, None)
            if input.file.is_file() && matches!(format_of(input), Ok(InputFormat::Stpd)) =>
        {
            Ok(Arrivals::Recorded)
        }
        (_, None) => Err(BadValue::missing("workers.workloadschedule", EMPTY)),
        (_, Some(schedule)) if schedule.duration_ns() == 0 => Err(no_length(raw)),
        (Some((arrivals, "uniform")), Some(schedule)) if schedule.is_poisson() => {
            Err(BadValue::at(
                arrivals,
                "workers.arrivals",
                "the schedule says poisson: one of them is wrong",
            ))
        }
        (None | Some((_, "uniform")), Some(schedule)) => Ok(Arrivals::of(schedule, raw.seed)),
        (Some((_, "poisson")), Some(schedule)) => Ok(Arrivals::Poisson {
            schedule,
            seed: raw.seed,
        }),
        (Some((arrivals, _)), _) => Err(BadValue::at(
            arrivals,
            "workers.arrivals",
            "write uniform, poisson or recorded",
        )),
    }
}

/// The schedule in either form; `None` if it is missing or an empty list.
fn schedule(raw: &RawWorkers) -> Result<Option<Schedule>, BadValue> {
    match (&raw.schedule, &raw.workloadschedule) {
        (Some(text), Some(_)) => Err(BadValue::at(
            text,
            "workers.schedule",
            "use either schedule or workloadschedule, not both",
        )),
        (Some(text), None) => {
            let schedule = Schedule::read(&text.value);
            schedule
                .map(Some)
                .map_err(|error| BadValue::at(text, "workers.schedule", error.to_string()))
        }
        (None, Some(levels)) if !levels.value.is_empty() => {
            let pieces = levels
                .value
                .iter()
                .map(piece)
                .collect::<Result<Vec<_>, _>>()?;
            let schedule = Schedule::new(pieces);
            schedule.map(Some).map_err(|error| {
                BadValue::at(levels, "workers.workloadschedule", error.to_string())
            })
        }
        (None, _) => Ok(None),
    }
}

fn piece(raw: &RawLevel) -> Result<Piece, BadValue> {
    let level = |value: &serde_saphyr::Spanned<f64>, key| {
        let millionths = (value.value * Level::ONE.0 as f64).round();
        if (0.0..=Level::MAX.0 as f64).contains(&millionths) {
            Ok(Level(millionths as u64))
        } else {
            Err(BadValue::at(
                value,
                key,
                "a level lies between 0 and 1000000000",
            ))
        }
    };
    let time = duration(
        &Some(raw.duration.clone()),
        "workers.workloadschedule.duration",
    )?
    .unwrap_or_default();
    Ok(Piece::line(
        level(&raw.levelstart, "workers.workloadschedule.levelstart")?,
        level(&raw.levelend, "workers.workloadschedule.levelend")?,
        u64::try_from(time.as_nanos()).unwrap_or(u64::MAX),
    ))
}

fn no_length(raw: &RawWorkers) -> BadValue {
    let reason = "the schedule has no length: give one of its parts a duration";
    match (&raw.schedule, &raw.workloadschedule) {
        (Some(text), _) => BadValue::at(text, "workers.schedule", reason),
        (_, Some(levels)) => BadValue::at(levels, "workers.workloadschedule", reason),
        _ => BadValue::missing("workers.workloadschedule", EMPTY),
    }
}
