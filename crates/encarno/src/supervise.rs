//! A run with its console, and with the conditions that end or fail it.

use std::cell::RefCell;
use std::sync::{Arc, OnceLock};

use encarno_engine::RunError;
use encarno_engine::control::Control;
use encarno_engine::control::Stop;
use encarno_engine::meter::{Summary, Window};
use encarno_engine::pilot::{Helm, Pilot};

use crate::console::Console;
use crate::criteria::Judged;
use crate::criteria::watch::Watch;
use crate::exit;
use crate::messages;
use crate::protocols::{self, Run};
use crate::scenario::{Running, Scenario};
use encarno_record::condition::Measured;

/// A run that has ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Its figures.
    pub summary: Summary,
    /// The conditions that may fail it, with their results.
    pub judged: Vec<Judged>,
    /// The condition that ended it, with its value.
    pub stopped_by: Option<String>,
    /// The agents that were lost, with the reasons.
    pub lost: Vec<String>,
    /// The scenario broke down, and the run ended by that.
    pub scenario_broke: bool,
    /// It may have no hit: it is a part of a small run, or one of k6.
    pub may_be_empty: bool,
}

/// Looks at the run, and has it shaped if a scenario does that.
struct Follower<'a> {
    observe: &'a mut dyn FnMut(&Window),
    shaping: Option<Running>,
}

impl Pilot for Follower<'_> {
    fn window(&mut self, window: &Window) {
        (self.observe)(window);
        if let Some(shaping) = &mut self.shaping {
            shaping.window(window);
        }
    }

    fn look(&mut self, helm: &mut Helm<'_>) {
        if let Some(shaping) = &mut self.shaping {
            shaping.look(helm);
        }
    }
}

/// Makes the run. `stop` is called with the control once the run has started.
pub fn run(run: &Run, stop: impl FnOnce(Arc<Control>)) -> Result<Ended, RunError> {
    let workload = &run.settings.workload;
    let criteria = &run.judging.criteria;
    let mut watch = Watch::new(criteria.stop_if.clone(), workload.workers_max() as u64);
    let held: Arc<OnceLock<Arc<Control>>> = Arc::default();
    let console = RefCell::new(Console::new(run.progress, workload));
    let mut stopped_by = None;
    let mut observe = |window: &Window| {
        if stopped_by.is_none()
            && let Some(reason) = watch.take(window)
            && let Some(control) = held.get()
            && control.stop() == Stop::No
        {
            control.drain();
            stopped_by = Some(reason);
        }
        console.borrow_mut().show(window);
    };
    let shaping = run.scenario.as_ref().map(Scenario::begin).transpose();
    let mut follower = Follower {
        observe: &mut observe,
        shaping: shaping.map_err(RunError::Settings)?,
    };
    let summary = protocols::steer(run, &mut follower, |control| {
        // It is called once.
        let _set = held.set(Arc::clone(&control));
        // Connect the signals first: a signal that ends the program would leave the
        // terminal taken.
        stop(Arc::clone(&control));
        let (title, hits_max) = (run.title(), run.hits_max());
        console.borrow_mut().begin(&title, hits_max, &control);
    });
    let shaping = follower.shaping.take();
    console.borrow_mut().end();
    let (report, broke) = shaping.map_or((None, None), Running::end);
    if let Some(report) = report {
        messages::say(&format!("scenario: {report}"));
    }
    if let Some(broke) = &broke {
        messages::say(&format!("the scenario broke down: {broke}"));
    }
    let summary = summary?;
    let sample = Measured {
        statistics: &summary.statistics,
        total: &summary.total,
        dropped: summary.totals.dropped,
        span_ns: summary.span_ns,
    };
    let judged = criteria.fail_if.iter();
    let judged = judged.map(|condition| condition.judge(&sample)).collect();
    Ok(Ended {
        judged,
        stopped_by,
        lost: Vec::new(),
        scenario_broke: broke.is_some(),
        may_be_empty: run.settings.part.count > 1,
        summary,
    })
}

impl Ended {
    /// Whether no hit succeeded: all of them failed, or none was made. A user who stops a run
    /// before its first hit knows that, and a part may have no hit of a small run.
    pub fn no_hit_succeeded(&self) -> bool {
        let totals = &self.summary.totals;
        let none_was_made = totals.dropped > 0 || totals.scheduled == 0 && !self.may_be_empty;
        let to_its_end = self.summary.stop == Stop::No;
        totals.done == 0 && (totals.failed > 0 || to_its_end && none_was_made)
    }

    /// The exit status of the program. The user's own acts come before measurements, and
    /// the user's conditions before ours.
    pub fn exit_status(&self, strict: bool) -> u8 {
        if self.summary.stop == Stop::Now {
            exit::INTERRUPTED
        } else if self.stopped_by.is_some() || self.judged.iter().any(|judged| judged.holds) {
            exit::CRITERIA
        } else if self.scenario_broke {
            exit::ENGINE
        } else if self.no_hit_succeeded() {
            exit::ALL_FAILED
        } else if strict && self.summary.verdict.is_limited() {
            exit::STRICT
        } else {
            exit::OK
        }
    }
}
