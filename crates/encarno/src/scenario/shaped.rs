//! A component that says what load there is.

use std::collections::VecDeque;
use std::path::Path;

use encarno_engine::control::GrowError;
use encarno_engine::meter::Window;
use encarno_engine::pilot::Helm;
use encarno_engine::schedule::{Level, Piece, Schedule};
use encarno_engine::settings::{Arrivals, ClosedSettings, OpenSettings, Workload};
use encarno_guest::shape::{self, Kind, Load, Segment, Shape, Shaper, Verdict};
use serde_json::{Value, json};

use super::Means;

/// Loops know of a load in time if it is told so long before it holds, at least.
const MARGIN_NS: u64 = 50_000_000;

/// A shape that was read, with the load that it begins with.
#[derive(Clone, Debug)]
pub struct Shaped {
    shape: Shape,
    load: Load,
}

/// A shape that runs.
pub struct Shaping {
    shaper: Shaper,
    first: Option<Value>,
    windows: VecDeque<Window>,
    stopped: Option<String>,
    broken: Option<String>,
}

impl Shaped {
    /// Asks the component for its first load.
    pub fn new(shape: Shape) -> Result<Self, String> {
        let (_, load) = shape.begin().map_err(|error| error.to_string())?;
        Ok(Self { shape, load })
    }

    /// The component's file.
    pub fn file(&self) -> &Path {
        self.shape.file()
    }

    /// The workload of its first load.
    pub fn workload(&self, means: &Means) -> Result<Workload, String> {
        let pieces = pieces(&self.load.segments, 0);
        let schedule = Schedule::new(pieces).map_err(|error| error.to_string())?;
        Ok(match self.load.kind {
            Kind::Rate => Workload::Open(OpenSettings {
                arrivals: match means.poisson {
                    true => Arrivals::Poisson {
                        schedule,
                        seed: means.seed,
                    },
                    false => Arrivals::Uniform(schedule),
                },
                workers_start: 0,
                workers_max: means.workers_max,
                late_limit: means.late_limit,
                duration_max: means.duration_max,
                spin: means.spin,
                keep_backlog: means.keep_backlog,
            }),
            Kind::Workers => {
                if schedule.workers_max() > means.workers_max {
                    return Err(format!(
                        "the load has {} workers, and -c allows {}",
                        schedule.workers_max(),
                        means.workers_max
                    ));
                }
                Workload::Closed(ClosedSettings {
                    workers: schedule,
                    duration: means.duration_max,
                    workers_max: means.workers_max,
                })
            }
        })
    }

    /// The run begins: the guest is asked anew, and says the same.
    pub fn begin(&self) -> Result<Shaping, String> {
        let (shaper, load) = self.shape.begin().map_err(|error| error.to_string())?;
        if load != self.load {
            return Err("the scenario begins with another load than before".to_owned());
        }
        let first = json!({"sha256": self.shape.sha256(), "load": as_json(&load)});
        Ok(Shaping {
            shaper,
            first: Some(first),
            windows: VecDeque::new(),
            stopped: None,
            broken: None,
        })
    }
}

impl Shaping {
    /// A second of the run is over.
    pub fn window(&mut self, window: &Window) {
        self.windows.push_back(window.clone());
    }

    /// Asks the guest about the seconds that are over, and does what it says.
    pub fn look(&mut self, helm: &mut Helm<'_>) {
        if let Some(first) = self.first.take() {
            mark(helm, 0, first);
        }
        while let Some(window) = self.windows.pop_front() {
            if self.stopped.is_some() || self.broken.is_some() || helm.is_stopping() {
                return self.windows.clear();
            }
            let earliest_ns = helm.earliest_ns() + MARGIN_NS;
            match self.shaper.tick(&seen(&window, earliest_ns)) {
                Ok(verdict) => self.carry_out(verdict, &window, helm),
                Err(text) => self.break_off(text, &window, helm),
            }
        }
    }

    /// The run is over: what the scenario says about it, and how it broke down if it did.
    pub fn end(mut self) -> (Option<String>, Option<String>) {
        if self.broken.is_some() {
            return (None, self.broken);
        }
        let stopped = self
            .stopped
            .map(|text| format!("ended by the scenario: {text}"));
        match self.shaper.report() {
            Ok(report) if report.is_empty() => (stopped, None),
            Ok(report) => {
                let stopped = stopped.map_or_else(String::new, |text| format!("{text}; "));
                (Some(format!("{stopped}{report}")), None)
            }
            Err(text) => (stopped, Some(text)),
        }
    }

    fn carry_out(&mut self, verdict: Verdict, window: &Window, helm: &mut Helm<'_>) {
        let second = json!([window.from_ns, window.to_ns]);
        match verdict {
            Verdict::Hold => mark(
                helm,
                window.to_ns,
                json!({"window": second, "verdict": "hold"}),
            ),
            Verdict::Stop(text) => {
                let said = json!({"window": second, "verdict": "stop", "why": text});
                mark(helm, window.to_ns, said);
                self.stopped = Some(text);
                helm.end();
            }
            Verdict::Load(load) => {
                let asked_ns = load.segments[0].from_ns;
                let from_ns = asked_ns.max(helm.earliest_ns() + MARGIN_NS / 2);
                let said = json!({
                    "window": second, "verdict": "load", "from": from_ns, "load": as_json(&load),
                });
                mark(helm, window.to_ns, said);
                match helm.grow(from_ns, &pieces(&load.segments, from_ns)) {
                    // Some loop may have switched late, or the run ends anyway.
                    Ok(()) | Err(GrowError::Late | GrowError::Stopped | GrowError::Paused) => {}
                    Err(GrowError::Ended { .. }) => {}
                    Err(error) => self.break_off(error.to_string(), window, helm),
                }
            }
        }
    }

    fn break_off(&mut self, text: String, window: &Window, helm: &mut Helm<'_>) {
        mark(helm, window.to_ns, json!({"broken": text}));
        self.broken = Some(text);
        helm.end();
    }
}

pub(super) fn mark(helm: &Helm<'_>, at_ns: u64, said: Value) {
    helm.mark(at_ns, json!({"scenario": said}).to_string());
}

fn as_json(load: &Load) -> Value {
    let segments = load.segments.iter();
    let segments = segments.map(|it| json!([it.from_ns, it.to_ns, it.start, it.end]));
    let segments: Vec<_> = segments.collect();
    match load.kind {
        Kind::Rate => json!({"rate": segments}),
        Kind::Workers => json!({"workers": segments}),
    }
}

/// What the guest sees of a second.
fn seen(window: &Window, earliest_ns: u64) -> shape::Window {
    let response = &window.total.response_ns;
    shape::Window {
        from_ns: window.from_ns,
        to_ns: window.to_ns,
        scheduled: window.scheduled,
        started: window.started,
        done: window.total.hits - window.total.failed,
        failed: window.total.failed,
        dropped: window.dropped,
        running: window.state.running,
        p50_ns: response.quantile(0.5),
        p90_ns: response.quantile(0.9),
        p99_ns: response.quantile(0.99),
        p999_ns: response.quantile(0.999),
        max_ns: response.max(),
        lag_p99_ns: window.total.lag_ns.quantile(0.99),
        busy: window.busy.iter().copied().fold(0.0, f64::max),
        earliest_ns,
    }
}

/// The pieces of a schedule from that instant on. What a load says of earlier ones is over; if
/// all of it is, its last level holds for a moment.
fn pieces(segments: &[Segment], from_ns: u64) -> Vec<Piece> {
    let level = |value: f64| Level((value * Level::ONE.0 as f64).round() as u64);
    let mut pieces = Vec::new();
    if let Some(first) = segments.first()
        && first.from_ns > from_ns
    {
        pieces.push(Piece::flat(level(first.start), first.from_ns - from_ns));
    }
    for segment in segments.iter().filter(|it| it.to_ns > from_ns) {
        let begin_ns = segment.from_ns.max(from_ns);
        let whole_ns = (segment.to_ns - segment.from_ns) as f64;
        let gone = (begin_ns - segment.from_ns) as f64 / whole_ns;
        let start = segment.start + (segment.end - segment.start) * gone;
        pieces.push(Piece::line(
            level(start),
            level(segment.end),
            segment.to_ns - begin_ns,
        ));
    }
    if pieces.is_empty() {
        let last = segments.last().map_or(0.0, |segment| segment.end);
        pieces.push(Piece::flat(level(last), 1));
    }
    pieces
}

#[cfg(test)]
mod tests {
    use encarno_engine::schedule::{Level, Piece};
    use encarno_guest::shape::Segment;

    use super::pieces;

    const SEGMENTS: [Segment; 2] = [
        Segment {
            from_ns: 100,
            to_ns: 200,
            start: 10.0,
            end: 20.0,
        },
        Segment {
            from_ns: 200,
            to_ns: 300,
            start: 5.0,
            end: 5.0,
        },
    ];

    #[test]
    fn what_is_over_is_left_out() {
        let level = Level::whole;
        let rest = Piece::flat(level(5), 100);
        let half = Piece::line(level(15), level(20), 50);
        assert_eq!(pieces(&SEGMENTS, 150), [half, rest]);
        let whole = Piece::line(level(10), level(20), 100);
        assert_eq!(pieces(&SEGMENTS, 100), [whole, rest]);
        assert_eq!(pieces(&SEGMENTS, 400), [Piece::flat(level(5), 1)]);
    }
}
