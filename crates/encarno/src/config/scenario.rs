//! The `scenario` section: a component decides the load.

use std::path::Path;

use encarno_engine::settings::Workload;
use serde_saphyr::Spanned;

use super::raw::{Raw, RawComponent};
use super::workload::WORKERS_MAX;
use super::{BadValue, duration};
use crate::scenario::{Means, Scenario};

/// The scenario that is asked for; none if there is no such section.
pub(super) fn scenario(raw: &Raw) -> Result<Option<Scenario>, BadValue> {
    let Some(asked) = &raw.scenario else {
        return Ok(None);
    };
    refuse(raw, asked)?;
    let RawComponent {
        wasm,
        sha256,
        settings,
    } = &asked.value;
    let settings = settings.as_ref().map_or("", |text| text.expose());
    let seed = raw.workers.seed;
    let opened = Scenario::open(Path::new(wasm), sha256.as_deref(), settings, seed);
    opened
        .map(Some)
        .map_err(|text| BadValue::at(asked, "scenario", text))
}

/// The workload that it begins with.
pub(super) fn workload(scenario: &Scenario, raw: &Raw) -> Result<Workload, BadValue> {
    let workers = &raw.workers;
    let arrivals = workers.arrivals.as_ref().map(|arrivals| &*arrivals.value);
    let means = Means {
        workers_max: workers
            .maxworkers
            .filter(|&max| max > 0)
            .unwrap_or(WORKERS_MAX),
        poisson: arrivals == Some("poisson"),
        seed: workers.seed,
        late_limit: duration(&workers.latelimit, "workers.latelimit")?,
        duration_max: duration(&workers.duration, "workers.duration")?,
        spin: workers.spin,
        keep_backlog: workers.keepbacklog,
    };
    let workload = scenario.workload(&means);
    workload.map_err(|text| BadValue::missing("scenario", &text))
}

/// What would not be honoured beside it.
fn refuse(raw: &Raw, asked: &Spanned<RawComponent>) -> Result<(), BadValue> {
    let workers = &raw.workers;
    let other = if raw.capacity.is_some() {
        Some("the trials of capacity say what load there is: leave one of them out")
    } else if workers.schedule.is_some() || workers.workloadschedule.is_some() {
        Some("it says what load there is: leave the schedule of workers out")
    } else if workers.mode.is_some() {
        Some("it says what load there is: leave workers.mode out")
    } else {
        None
    };
    other.map_or(Ok(()), |reason| {
        Err(BadValue::at(asked, "scenario", reason))
    })
}
