//! The end of a run: the outcome of each agent, and one file of all.

use encarno_record::merge::{self, End, Part};
use encarno_record::notes::{Judgement, Notes, Threshold};
use encarno_record::series::Metrics;
use encarno_record::statistics::counted;
use encarno_record::thresholds;

use super::collect::Collecting;
use super::{Order, Outcome};
use crate::FleetError;
use crate::parts::{News, account};
use crate::words::{Phase, Plan};

/// Merges the results, reports missing ones, and deletes the single files.
pub(super) fn merge(
    order: &Order,
    plan: &Plan,
    mut collecting: Collecting,
    stops: u32,
) -> Result<Outcome, FleetError> {
    let mut outcome = Outcome {
        run: plan.run.clone(),
        stops,
        ended: collecting.ended.clone(),
        aborted: collecting.aborted.is_some(),
        data: collecting.data.take(),
        ..Outcome::default()
    };
    outcome.thresholds = judge(&mut collecting, &mut outcome.remarks)?;
    let mut parts = Vec::new();
    for (number, name) in plan.agents.iter().enumerate() {
        let Some(agent) = collecting.agents.get(name) else {
            continue;
        };
        let due = plan.due.get(number).copied().flatten();
        // Hits that a stop left out were never due.
        let was_stopped = stops > 0 || collecting.ended.is_some();
        let due = due.filter(|_| !was_stopped);
        let mut account = account(&agent.part.path, due)?;
        let state = &agent.state;
        if account.is_whole && state.phase == Phase::Broken {
            // It ended in order, but before its time.
            let left = due.unwrap_or(0).saturating_sub(account.totals.scheduled);
            account.totals.scheduled += left;
            account.totals.lost += left;
        }
        outcome.totals.add(&account.totals);
        if !account.is_whole || state.phase != Phase::Done {
            let why = match state.phase {
                Phase::Broken | Phase::Refused => state.text.clone(),
                _ => format!("it was silent for {} s", order.silence.as_secs()),
            };
            let lost = counted(account.totals.lost, "hit");
            outcome.lost.push(format!(
                "the agent {name} was lost, and {lost} with it: {why}"
            ));
        } else if !state.text.is_empty() {
            outcome.said.push(format!("{name}: {}", state.text));
        }
        if !state.clock.agent.is_empty() {
            outcome.clocks.push(state.clock.clone());
        }
        // An agent without results has no file.
        if agent.part.chunks() > 0 {
            parts.push(Part {
                path: agent.part.path.clone(),
                name: name.clone(),
            });
        }
    }
    if parts.is_empty() {
        return Err(FleetError(format!(
            "no agent has sent results. {}",
            outcome.lost.join(". ")
        )));
    }
    let conclude = |notes: &mut Notes| {
        // k6 has no account.
        if notes.totals.is_some() || !outcome.lost.is_empty() {
            notes.totals = Some(outcome.totals);
        }
        notes.clocks.clone_from(&outcome.clocks);
        notes.thresholds.clone_from(&outcome.thresholds);
        notes
            .settings
            .push(("agents".to_owned(), plan.agents.join(", ")));
        if !outcome.lost.is_empty() {
            let mut verdict = notes.verdict.take().unwrap_or_default();
            if verdict.judgement == Judgement::Sound {
                verdict.judgement = Judgement::Unknown;
            }
            verdict.reasons.splice(0..0, outcome.lost.iter().cloned());
            notes.verdict = Some(verdict);
        }
        End::Whole
    };
    let merged = merge::merge(&parts, &order.output, conclude);
    let merged = merged.map_err(|error| FleetError(error.to_string()))?;
    outcome.remarks.extend(merged.remarks);
    if let Some(growing) = collecting.growing.take()
        && let Err(error) = growing.finish(&merged.notes)
    {
        let remark = format!("the page of the run isn't complete: {error}");
        outcome.remarks.push(remark);
    }
    // The merged file has everything, so the single files aren't needed.
    let _deleted = std::fs::remove_dir_all(&collecting.folder);
    Ok(outcome)
}

/// What became of the thresholds of a k6 script, on the metrics of all agents. No agent
/// judges them.
fn judge(
    collecting: &mut Collecting,
    remarks: &mut Vec<String>,
) -> Result<Vec<Threshold>, FleetError> {
    let (mut metrics, mut span_ns) = (Metrics::default(), 0);
    let mut demands = String::new();
    for agent in collecting.agents.values_mut() {
        let looked = agent.part.look(&mut News::default(), None);
        looked.map_err(FleetError::of(agent.part.path.display().to_string()))?;
        let Some(reader) = agent.part.reader() else {
            continue;
        };
        metrics.merge(reader.metrics());
        span_ns = span_ns.max(reader.span_ns());
        let mut settings = reader.notes().settings.iter();
        if let Some((_, text)) = settings.find(|(name, _)| name == thresholds::SETTING) {
            demands.clone_from(text);
        }
    }
    if demands.is_empty() {
        return Ok(Vec::new());
    }
    match thresholds::parse(&demands) {
        Ok(demands) => {
            let seconds = span_ns as f64 * 1e-9;
            let judged = demands.iter().map(|demand| demand.judge(&metrics, seconds));
            Ok(judged.collect())
        }
        Err(error) => {
            remarks.push(format!(
                "the thresholds of the script can't be judged: {error}"
            ));
            Ok(Vec::new())
        }
    }
}
