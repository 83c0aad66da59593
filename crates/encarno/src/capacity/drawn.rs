//! Prepares a measurement for the report.

use std::path::Path;

use encarno_report::capacity::{Capacity, Goal, Point, Range};

use super::file;
use super::findings::Findings;
use super::outcome::Outcome;
use super::text;
use super::trial::{Trial, TrialLoad, Verdict};

/// The number of points of the curve.
const CURVE_POINTS: u32 = 120;
/// The curve is drawn to this multiple of the most workers.
const BEYOND: f64 = 1.15;

/// The measurement in a result file with these marks, for the report; `None` if the file
/// has none.
pub fn of_marks<'a>(path: &Path, marks: impl Iterator<Item = &'a str>) -> Option<Capacity> {
    let findings = file::of_marks(path, marks).ok()?;
    Some(of_findings(&findings))
}

fn of_findings(findings: &Findings) -> Capacity {
    let outcome = Outcome::of(findings);
    let points = findings.trials().iter().filter_map(point).collect();
    let widest = outcome.measured.as_ref();
    let widest = widest.map_or(0.0, |range| f64::from(*range.end()) * BEYOND);
    let band = findings.band();
    let curve = (1..=CURVE_POINTS).filter_map(|number| {
        let workers =
            1.0 + (widest - 1.0).max(0.0) * f64::from(number - 1) / f64::from(CURVE_POINTS - 1);
        let at = band.as_ref()?.at(workers)?;
        let range = Range {
            low: at.low,
            value: at.value,
            high: at.high,
        };
        Some((workers, range))
    });
    Capacity {
        is_known: outcome.exit_status == 0,
        curve: curve.collect(),
        points,
        peak: outcome
            .peak
            .map(|peak| (peak.workers.value, peak.throughput.value)),
        goal: outcome.goal.as_ref().map(|goal| Goal {
            text: goal.goal.clone(),
            holds: goal.holds,
            fails: goal.fails,
            trials: findings.trials().iter().filter_map(of_goal).collect(),
        }),
        trials: findings.trials().iter().map(text::trial_cells).collect(),
        found: text::found_lines(&outcome),
        reasons: outcome.reasons,
    }
}

fn point(trial: &Trial) -> Option<Point> {
    let TrialLoad::Workers(workers) = trial.load else {
        return None;
    };
    let half = trial.half_width.unwrap_or(0.0) * trial.throughput;
    Some(Point {
        workers: f64::from(workers),
        throughput: Range {
            low: (trial.throughput - half).max(0.0),
            value: trial.throughput,
            high: trial.throughput + half,
        },
        counts: matches!(trial.verdict, Verdict::Steady | Verdict::Unstable),
    })
}

fn of_goal(trial: &Trial) -> Option<(f64, Option<bool>)> {
    let TrialLoad::Rate(rate) = trial.load else {
        return None;
    };
    let held = match trial.verdict {
        Verdict::Holds => Some(true),
        Verdict::Fails | Verdict::Errors => Some(false),
        _ => None,
    };
    Some((rate, held))
}
