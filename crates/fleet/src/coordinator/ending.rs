//! The end of a run: what became of each agent, and one file of all.

use encarno_record::merge::{self, End, Part};
use encarno_record::notes::{Judgement, Notes};

use super::collect::Collecting;
use super::{Order, Outcome};
use crate::FleetError;
use crate::parts::account;
use crate::words::{Phase, Plan};

/// Merges what came, says what didn't, and deletes the single files.
pub(super) fn merge(
    order: &Order,
    plan: &Plan,
    collecting: Collecting,
    stops: u32,
) -> Result<Outcome, FleetError> {
    let mut outcome = Outcome {
        run: plan.run.clone(),
        stops,
        ..Outcome::default()
    };
    let mut parts = Vec::new();
    for (number, name) in plan.agents.iter().enumerate() {
        let Some(agent) = collecting.agents.get(name) else {
            continue;
        };
        let due = plan.due.get(number).copied().flatten();
        // What a stop left out was never due.
        let account = account(&agent.part.path, due.filter(|_| stops == 0))?;
        outcome.totals.add(&account.totals);
        let state = &agent.state;
        if !account.is_whole || state.phase != Phase::Done {
            let why = match state.phase {
                Phase::Broken | Phase::Refused => state.text.clone(),
                _ => format!("it said nothing for {} s", order.silence.as_secs()),
            };
            let lost = account.totals.lost;
            outcome.lost.push(format!(
                "the agent {name} was lost, and {lost} hits with it: {why}"
            ));
        } else if !state.text.is_empty() {
            outcome.said.push(format!("{name}: {}", state.text));
        }
        if !state.clock.agent.is_empty() {
            outcome.clocks.push(state.clock.clone());
        }
        // One that said nothing has no file.
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
        notes.totals = Some(outcome.totals);
        notes.clocks.clone_from(&outcome.clocks);
        notes
            .settings
            .push(("agents".to_owned(), plan.agents.join(", ")));
        let mut verdict = notes.verdict.take().unwrap_or_default();
        if !outcome.lost.is_empty() {
            if verdict.judgement == Judgement::Sound {
                verdict.judgement = Judgement::Unknown;
            }
            verdict.reasons.splice(0..0, outcome.lost.iter().cloned());
        }
        notes.verdict = Some(verdict);
        End::Whole
    };
    let merged = merge::merge(&parts, &order.output, conclude);
    let merged = merged.map_err(|error| FleetError(error.to_string()))?;
    outcome.remarks = merged.remarks;
    // What is in one file need not lie about in many.
    let _deleted = std::fs::remove_dir_all(&collecting.folder);
    Ok(outcome)
}
