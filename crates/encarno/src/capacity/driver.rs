//! Steers the run from trial to trial.

use std::collections::BTreeMap;
use std::time::Duration;

use encarno_engine::control::{GrowError, Load};
use encarno_engine::meter::{Window, own_failure};
use encarno_engine::output::TENTH_NS;
use encarno_engine::pilot::{Helm, Pilot};
use encarno_engine::schedule::Level;
use encarno_engine::settings::{SteeredSettings, Workload};
use encarno_record::Expected;

use super::Settings;
use super::findings::{Findings, Next};
use super::judge::{self, Judged, PARTS};
use super::trial::{Marked, Note, Trial, TrialLoad, Verdict};

/// The most time that running hits get to end before the next trial.
const DRAIN_NS_MAX: u64 = 30_000_000_000;
/// Each look at a trial comes this many tenths of a second after the last.
const LOOK_TENTHS: u64 = 3;
/// After this time, everything that happened within a second has been reported.
const SAID_NS_MAX: u64 = 2_500_000_000;
/// The shortest warm-up of a rate.
const WARM_UP_NS_MIN: u64 = 500_000_000;

/// Steers a run. After the run, it has the findings.
pub struct Driver<'a> {
    findings: Findings,
    phase: Phase,
    began: bool,
    /// Failures since the trial began, by code and text.
    errors: BTreeMap<(u16, String), u64>,
    /// The statuses that don't fail a hit.
    expected: Expected,
    show: &'a mut dyn FnMut(&Trial),
}

enum Phase {
    Idle,
    Running(Running),
    Draining { from_ns: u64 },
    Done,
}

#[derive(Clone, Copy)]
struct Running {
    next: Next,
    from_ns: u64,
    /// The instant of the next look.
    look_ns: u64,
    /// Whether the hits of the previous load have ended.
    settled: bool,
}

/// The workload of such a steered run. A hit that can't start within `late_limit` is
/// dropped.
pub fn workload(settings: &Settings, late_limit: Duration) -> Workload {
    Workload::Steered(SteeredSettings {
        workers_max: settings.in_flight_max.max(*settings.workers.end()) as usize,
        in_flight_max: settings.in_flight_max as usize,
        late_limit,
        seed: settings.seed,
        spin: false,
    })
}

impl<'a> Driver<'a> {
    /// Calls `show` with each trial that has ended. `expected` is the run's.
    pub fn new(settings: Settings, expected: Expected, show: &'a mut dyn FnMut(&Trial)) -> Self {
        Self {
            findings: Findings::new(settings),
            phase: Phase::Idle,
            began: false,
            errors: BTreeMap::new(),
            expected,
            show,
        }
    }

    /// Returns the findings after the run.
    pub fn into_findings(mut self) -> Findings {
        self.findings.end();
        self.findings
    }

    /// The findings up to now.
    pub fn findings(&self) -> &Findings {
        &self.findings
    }

    /// The load of the present trial, and the instant from which it applies.
    pub fn now(&self) -> Option<(TrialLoad, u64)> {
        let Phase::Running(running) = &self.phase else {
            return None;
        };
        let load = match running.next {
            Next::Workers(workers) => TrialLoad::Workers(workers),
            Next::Rate(plan) => TrialLoad::Rate(plan.rate),
            Next::Users(users) => TrialLoad::Users(users),
        };
        Some((load, running.from_ns))
    }

    fn begin(&mut self, helm: &mut Helm<'_>) {
        if !self.began {
            self.began = true;
            self.note(helm, Note::Settings(self.findings.settings().clone()));
        }
        let Some(next) = self.findings.next() else {
            self.phase = Phase::Done;
            return helm.end();
        };
        let load = match next {
            Next::Workers(workers) | Next::Users(workers) => Load::Workers(workers),
            Next::Rate(plan) => Load::Rate(Level((plan.rate * Level::ONE.0 as f64) as u64)),
        };
        if let Some(from_ns) = self.steer(helm, load) {
            helm.forget_before(from_ns);
            self.errors.clear();
            let running = Running {
                next,
                from_ns,
                look_ns: from_ns,
                settled: false,
            };
            self.phase = Phase::Running(Running {
                look_ns: first_look(&running),
                ..running
            });
        }
    }

    /// Sets a load from the next whole tenth on, and returns that instant; `None` if the
    /// load has to be set again.
    fn steer(&mut self, helm: &Helm<'_>, load: Load) -> Option<u64> {
        let from_ns = (helm.earliest_ns() / TENTH_NS + 2) * TENTH_NS;
        match helm.steer(from_ns, load) {
            // Some loop may have switched late; the warm-up covers that time.
            Ok(()) | Err(GrowError::Late) => Some(from_ns),
            Err(GrowError::TooSoon { .. }) => None,
            Err(error) => {
                self.give_up(helm, error.to_string());
                None
            }
        }
    }

    fn judge(&mut self, helm: &mut Helm<'_>, running: Running) {
        let until_ns = helm.gauge().whole_until_ns();
        if until_ns < running.look_ns {
            return;
        }
        let settings = self.findings.settings();
        let Running { next, from_ns, .. } = running;
        let (judged, warm_up_ns, to_ns, load) = match next {
            Next::Workers(workers) | Next::Users(workers) if !running.settled => {
                return self.settle(helm, running, (workers, until_ns));
            }
            Next::Workers(workers) | Next::Users(workers) => {
                let reading = helm.gauge().read(from_ns, until_ns);
                let judged = judge::workers(&reading, settings);
                let warm_up = judged
                    .as_ref()
                    .map_or(0, |judged| judged.plateau.warm_up_bins);
                let load = TrialLoad::Workers(workers);
                (judged, warm_up as u64 * TENTH_NS, until_ns, load)
            }
            Next::Rate(plan) => {
                let start_ns = from_ns + warm_up_ns(plan.seconds_min);
                // Evaluate up to the look that was due, not up to the present.
                let to_ns = running.look_ns;
                let part_ns = (to_ns - start_ns) / PARTS;
                let gauge = helm.gauge();
                let part = |number| start_ns + number * part_ns;
                let batches: Vec<_> = (0..PARTS)
                    .map(|number| gauge.read(part(number), part(number + 1)))
                    .collect();
                let judged = settings.goal.as_ref().map(|goal| {
                    judge::rate(&gauge.read(start_ns, to_ns), &batches, goal, settings)
                });
                let over = to_ns - start_ns >= trial_ns(plan.seconds_max);
                let judged = judged.filter(|judged| over || judged.verdict != Verdict::Undecided);
                (
                    judged,
                    start_ns - from_ns,
                    to_ns,
                    TrialLoad::Rate(plan.rate),
                )
            }
        };
        // Failures are known when their second is over.
        let is_said = |judged: &Judged| {
            judged.verdict != Verdict::Errors
                || !self.errors.is_empty()
                || until_ns > from_ns + SAID_NS_MAX
        };
        match judged.filter(is_said) {
            None => {
                self.phase = Phase::Running(Running {
                    look_ns: later_look(&running),
                    ..running
                });
            }
            Some(judged) => {
                let window = (from_ns, warm_up_ns, to_ns);
                self.end_trial(helm, load, window, judged);
            }
        }
    }

    /// Waits until the hits of a previous, greater load have ended. They would count as
    /// hits of this trial, and they slow down the hits beside them.
    fn settle(&mut self, helm: &Helm<'_>, running: Running, (workers, until_ns): (u32, u64)) {
        let from_ns = running.from_ns;
        let reading = helm.gauge().read(from_ns, until_ns);
        let total = reading.total();
        let fits = |&running: &u64| running <= u64::from(workers);
        let settled = reading.running.iter().position(fits);
        let over = until_ns >= from_ns + DRAIN_NS_MAX;
        let begins_ns = match settled {
            Some(0) => from_ns,
            Some(tenths) => {
                let service_ns = total.service_ns / total.ended.max(1);
                from_ns + (tenths as u64 + 1) * TENTH_NS + service_ns.div_ceil(TENTH_NS) * TENTH_NS
            }
            None if over => until_ns,
            None => {
                let look_ns = until_ns + TENTH_NS;
                self.phase = Phase::Running(Running { look_ns, ..running });
                return;
            }
        };
        self.phase = Phase::Running(Running {
            from_ns: begins_ns,
            look_ns: begins_ns + LOOK_TENTHS * TENTH_NS,
            settled: true,
            ..running
        });
    }

    fn end_trial(
        &mut self,
        helm: &mut Helm<'_>,
        load: TrialLoad,
        (from_ns, warm_up_ns, to_ns): (u64, u64, u64),
        judged: Judged,
    ) {
        let reading = helm.gauge().read(from_ns + warm_up_ns, to_ns);
        let total = reading.total();
        let Judged {
            mut verdict,
            mut reason,
            plateau,
            conditions,
        } = judged;
        let own = self.errors.keys().find_map(|(code, _)| own_failure(*code));
        if let Some(own) = own {
            (verdict, reason) = (Verdict::GeneratorLimit, Some(own.to_owned()));
        }
        let most = self.errors.iter().max_by_key(|(_, hits)| **hits);
        if let (Verdict::Errors, Some(((_, text), _))) = (verdict, most) {
            let said = reason.unwrap_or_default();
            reason = Some(format!("{said}, most of them with {text}"));
        }
        let trial = Trial {
            number: self.findings.trials().len() + 1,
            load,
            from_ns,
            to_ns,
            warm_up_ns,
            verdict,
            reason,
            hits: total.ended,
            failed: total.failed,
            dropped: reading.dropped,
            throughput: plateau.throughput,
            half_width: Some(plateau.half_width).filter(|width| width.is_finite()),
            relative_error: Some(plateau.relative_error)
                .filter(|error| error.is_finite())
                .unwrap_or(0.0),
            in_flight: plateau.in_flight,
            service_s: plateau.service_s,
            littles_error: plateau.littles_error(),
            busy: reading.busiest(),
            lag_p99_s: total.lag_ns.quantile(0.99) as f64 * 1e-9,
            conditions,
            thresholds: Vec::new(),
        };
        (self.show)(&trial);
        self.note(helm, Note::Trial(trial.clone()));
        self.heed(helm, trial);
    }

    /// Adapts the next trial to the result of this one.
    fn heed(&mut self, helm: &mut Helm<'_>, trial: Trial) {
        let first = self.findings.trials().is_empty();
        let overloaded = matches!(trial.load, TrialLoad::Rate(_))
            || matches!(trial.verdict, Verdict::Errors | Verdict::GeneratorLimit);
        let reason = match trial.verdict {
            _ if trial.hits == 0 && matches!(trial.load, TrialLoad::Workers(_)) => {
                let seconds = trial.seconds();
                Some(format!(
                    "no hit ended within {seconds:.1} s: is the system there?"
                ))
            }
            Verdict::Errors if first => {
                let reason = trial.reason.clone().unwrap_or_default();
                Some(format!("the first load fails already: {reason}"))
            }
            _ => None,
        };
        self.findings.observe(trial);
        match reason {
            Some(reason) => self.give_up(helm, reason),
            None if overloaded => match self.steer(helm, Load::Rest) {
                Some(from_ns) => self.phase = Phase::Draining { from_ns },
                None => self.phase = Phase::Idle,
            },
            None => self.phase = Phase::Idle,
        }
    }

    fn give_up(&mut self, helm: &Helm<'_>, reason: String) {
        self.note(helm, Note::GivenUp(reason.clone()));
        self.findings.give_up(reason);
        self.phase = Phase::Done;
        helm.end();
    }

    fn note(&self, helm: &Helm<'_>, note: Note) {
        let at_ns = helm.gauge().whole_until_ns();
        let marked = Marked { capacity: note };
        match serde_json::to_string(&marked) {
            Ok(text) => helm.mark(at_ns, text),
            Err(error) => tracing::warn!("a trial isn't in the result file: {error}"),
        }
    }
}

impl Pilot for Driver<'_> {
    fn window(&mut self, window: &Window) {
        for ((code, text), hits) in &window.total.errors {
            *self.errors.entry((*code, text.to_string())).or_default() += hits;
        }
        for (&code, hits) in &window.total.protocol_codes {
            if !self.expected.has(code) {
                let text = format!("status {code}");
                *self.errors.entry((0, text)).or_default() += hits;
            }
        }
    }

    fn look(&mut self, helm: &mut Helm<'_>) {
        if !matches!(self.phase, Phase::Done) && helm.is_stopping() {
            self.phase = Phase::Done;
        }
        match &self.phase {
            Phase::Idle => self.begin(helm),
            Phase::Running(running) => {
                let running = *running;
                self.judge(helm, running);
            }
            Phase::Draining { from_ns } => {
                let until_ns = helm.gauge().whole_until_ns();
                let drained = until_ns > *from_ns && helm.gauge().running() == 0;
                if drained || until_ns > from_ns + DRAIN_NS_MAX {
                    self.phase = Phase::Idle;
                    self.begin(helm);
                }
            }
            Phase::Done => {}
        }
    }
}

/// Makes the time of a trial a multiple of whole tenths for each batch.
fn trial_ns(seconds: f64) -> u64 {
    let part = (seconds * 1e9) as u64 / PARTS;
    part.div_ceil(TENTH_NS).max(1) * TENTH_NS * PARTS
}

/// A tenth of the shortest trial, which is much longer than the system's relaxation time.
fn warm_up_ns(seconds_min: f64) -> u64 {
    let warm_up_ns = ((seconds_min * 1e8) as u64).max(WARM_UP_NS_MIN);
    warm_up_ns.div_ceil(TENTH_NS) * TENTH_NS
}

fn first_look(running: &Running) -> u64 {
    running.from_ns
        + match running.next {
            Next::Workers(_) | Next::Users(_) => LOOK_TENTHS * TENTH_NS,
            Next::Rate(plan) => warm_up_ns(plan.seconds_min) + trial_ns(plan.seconds_min),
        }
}

/// Each look at a goal is another chance of a wrong result, so the time between looks
/// doubles.
fn later_look(running: &Running) -> u64 {
    match running.next {
        Next::Workers(_) | Next::Users(_) => running.look_ns + LOOK_TENTHS * TENTH_NS,
        Next::Rate(plan) => {
            let start_ns = running.from_ns + warm_up_ns(plan.seconds_min);
            let length_ns = 2 * (running.look_ns - start_ns);
            start_ns + length_ns.min(trial_ns(plan.seconds_max))
        }
    }
}
