//! The `scenario` section: a component decides the load, the order of records, or what users send.

use std::num::NonZeroU64;
use std::path::Path;

use encarno_engine::settings::{Source, Workload};
use encarno_input::InputSettings;
use encarno_nib::Form;
use serde_saphyr::Spanned;

use super::raw::{Raw, RawComponent};
use super::workload::WORKERS_MAX;
use super::{BadValue, duration};
use crate::scenario::{Common, Decides, Means, Scenario};

/// The scenario that is asked for; none if there is no such section.
pub(super) fn scenario(raw: &Raw) -> Result<Option<Scenario>, BadValue> {
    let Some(asked) = &raw.scenario else {
        return Ok(None);
    };
    let RawComponent {
        wasm,
        sha256,
        settings,
    } = &asked.value;
    let settings = settings.as_ref().map_or("", |text| text.expose());
    let seed = raw.workers.seed;
    let opened = Scenario::open(Path::new(wasm), sha256.as_deref(), settings, seed);
    let opened = opened.map_err(|text| BadValue::at(asked, "scenario", text))?;
    refuse(raw, asked, opened.decides())?;
    Ok(Some(opened))
}

/// What it makes of the records.
pub(super) fn source(
    scenario: &Scenario,
    raw: &Raw,
    input: InputSettings,
    form: Form,
) -> Result<Source, BadValue> {
    let common = Common {
        form,
        host: input.host.clone(),
        headers: input.headers.clone(),
    };
    let hits_max = input.records_max.map(NonZeroU64::get);
    let decided = scenario.source(Source::File(input), common, hits_max);
    decided.map_err(|text| at(raw, &text))
}

fn at(raw: &Raw, text: &str) -> BadValue {
    match &raw.scenario {
        Some(asked) => BadValue::at(asked, "scenario", text),
        None => BadValue::missing("scenario", text),
    }
}

/// The workload that it begins with; `None` if it doesn't decide it.
pub(super) fn workload(scenario: &Scenario, raw: &Raw) -> Result<Option<Workload>, BadValue> {
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
    workload.map_err(|text| at(raw, &text))
}

/// What would not be honoured beside it.
fn refuse(raw: &Raw, asked: &Spanned<RawComponent>, decides: Decides) -> Result<(), BadValue> {
    let workers = &raw.workers;
    let has_schedule = workers.schedule.is_some() || workers.workloadschedule.is_some();
    let mode = workers.mode.as_ref().map(|mode| &*mode.value);
    let other = if raw.capacity.is_some() {
        Some(
            "capacity makes trials of its own, each with one load and the same hits: leave one of the two out",
        )
    } else if decides == Decides::Load && has_schedule {
        Some("it says what load there is: leave the schedule of workers out")
    } else if decides == Decides::Load && mode.is_some() {
        Some("it says what load there is: leave workers.mode out")
    } else if decides == Decides::Users && mode == Some("open") {
        Some("its users decide when they send: write workers.mode: closed")
    } else if decides == Decides::Users && raw.input.payloadfile.is_some() {
        Some("its users say what they send: leave input.payloadfile out")
    } else if decides == Decides::Users && !raw.rules.is_empty() {
        Some("its users look at answers themselves: leave rules out")
    } else {
        None
    };
    other.map_or(Ok(()), |reason| {
        Err(BadValue::at(asked, "scenario", reason))
    })
}
