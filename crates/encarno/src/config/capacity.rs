//! The `capacity` section: the load comes from trials, not from a schedule.

use std::time::Duration;

use encarno_engine::settings::Workload;
use serde_saphyr::Spanned;

use super::raw::{Raw, RawCapacity};
use super::{BadValue, duration, given};
use crate::capacity::{Asked, Settings, driver, written};

/// The capacity that the configuration asks for; `None` if it has no such section.
pub(super) fn asked(raw: &Raw) -> Result<Option<Asked>, BadValue> {
    let Some(capacity) = &raw.capacity else {
        return Ok(None);
    };
    refuse(raw)?;
    let settings = settings(capacity, raw.workers.seed)?;
    Ok(Some(Asked {
        settings,
        json_file: given(&capacity.jsonfile),
    }))
}

/// The workload of the trials.
pub(super) fn workload(asked: &Asked, raw: &Raw) -> Result<Workload, BadValue> {
    let late_limit = duration(&raw.protocol.timeout, "protocol.timeout")?;
    let late_limit = late_limit.unwrap_or(LATE_LIMIT);
    Ok(driver::workload(&asked.settings, late_limit))
}

/// A hit that can't start within this time is dropped, just as one without an answer
/// fails.
const LATE_LIMIT: Duration = Duration::from_secs(10);

fn settings(raw: &RawCapacity, seed: u64) -> Result<Settings, BadValue> {
    fn said<T>(
        value: &Option<Spanned<String>>,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, BadValue> {
        let parsed = value
            .as_ref()
            .map(|value| parse(&value.value).map_err(|reason| BadValue::at(value, key, reason)));
        parsed.transpose()
    }
    let default = Settings::default();
    let workers = match &raw.workers {
        Some(value) => written::workers(&value.value.to_string())
            .map_err(|reason| BadValue::at(value, "capacity.workers", reason))?,
        None => default.workers.clone(),
    };
    let trial = said(&raw.trial, "capacity.trial", written::trial)?;
    let (trial_min, trial_max) = trial.unwrap_or((default.trial_min, default.trial_max));
    let precision = said(&raw.precision, "capacity.precision", written::part)?;
    let within = said(&raw.within, "capacity.within", written::part)?;
    Ok(Settings {
        goal: said(&raw.goal, "capacity.goal", |text| text.parse())?,
        within: within.unwrap_or(default.within),
        precision: precision.unwrap_or(default.precision),
        trial_min,
        trial_max,
        seed,
        in_flight_max: raw.connections.unwrap_or(*workers.end()),
        generator_max: None,
        k6: false,
        workers,
    })
}

/// Refuses keys that set another load, or that judge a run in a way that trials don't
/// have.
fn refuse(raw: &Raw) -> Result<(), BadValue> {
    let (workers, run) = (&raw.workers, &raw.run);
    let load = "the trials of capacity decide how much is sent, and when: leave it out";
    let judged = "a capacity has capacity.goal and ends by itself: leave it out";
    let written = "capacity.jsonfile writes the result of a capacity: leave it out";
    let keys = [
        (workers.mode.is_some(), "workers.mode", load),
        (workers.schedule.is_some(), "workers.schedule", load),
        (
            workers.workloadschedule.is_some(),
            "workers.workloadschedule",
            load,
        ),
        (workers.arrivals.is_some(), "workers.arrivals", load),
        (workers.duration.is_some(), "workers.duration", load),
        (workers.latelimit.is_some(), "workers.latelimit", load),
        (workers.startingworkers > 0, "workers.startingworkers", load),
        (workers.maxworkers.is_some(), "workers.maxworkers", load),
        (!run.failif.is_empty(), "run.failif", judged),
        (!run.stopif.is_empty(), "run.stopif", judged),
        (run.strict, "run.strict", judged),
        (run.summaryfile.is_some(), "run.summaryfile", written),
        (run.junitfile.is_some(), "run.junitfile", written),
    ];
    match keys.iter().find(|(there, _, _)| *there) {
        Some((_, key, reason)) => Err(BadValue::missing(key, reason)),
        None => Ok(()),
    }
}
