//! A load over time that a guest decides, once a second.

use std::path::Path;

use wasmtime::Store;

use crate::bindings::shape::exports::encarno::scenario::shaper as wit;
use crate::bindings::shape::{Shape as Guest, ShapePre};
use crate::component::{ComponentError, Loaded, said};
use crate::linked::{Linked, refused, short};
use crate::store::{Fault, SETUP_CPU, State, allow};

/// Segments of a load.
const SEGMENTS_MAX: usize = 10_000;

/// A component that is a shape.
#[derive(Clone)]
pub struct Shape {
    linked: Linked<ShapePre<State>>,
}

impl std::fmt::Debug for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.linked.fmt(f)
    }
}

/// What a load counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Hits per second.
    Rate,
    /// Workers.
    Workers,
}

/// The load goes straight from one value to another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Segment {
    /// From then on, ns from the run's start.
    pub from_ns: u64,
    /// Until then.
    pub to_ns: u64,
    /// The value at its start.
    pub start: f64,
    /// The value at its end.
    pub end: f64,
}

/// A load over time: segments without gaps.
#[derive(Clone, Debug, PartialEq)]
pub struct Load {
    /// What it counts.
    pub kind: Kind,
    /// At least one.
    pub segments: Vec<Segment>,
}

/// What a guest says after a second.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// The load stays as it is.
    Hold,
    /// Another one.
    Load(Load),
    /// The run ends, and why.
    Stop(String),
}

/// What happened in a second; the fields are those of the WIT.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[allow(missing_docs)] // wit/scenario/scenario.wit says what they are
pub struct Window {
    pub from_ns: u64,
    pub to_ns: u64,
    pub scheduled: u64,
    pub started: u64,
    pub done: u64,
    pub failed: u64,
    pub dropped: u64,
    pub running: u64,
    pub p50_ns: u64,
    pub p90_ns: u64,
    pub p99_ns: u64,
    pub p999_ns: u64,
    pub max_ns: u64,
    pub lag_p99_ns: u64,
    pub busy: f64,
    pub earliest_ns: u64,
}

/// A shape that runs.
pub struct Shaper {
    store: Store<State>,
    guest: Guest,
    kind: Kind,
}

impl Shape {
    /// A component that exports a shape; the seed is that of its random numbers.
    pub fn new(loaded: Loaded, settings: &str, seed: u64) -> Result<Self, ComponentError> {
        let linked = Linked::new(loaded, "a shape", settings, seed, ShapePre::new)?;
        Ok(Self { linked })
    }

    /// The component's file.
    pub fn file(&self) -> &Path {
        self.linked.file()
    }

    /// Its checksum.
    pub fn sha256(&self) -> &str {
        self.linked.sha256()
    }

    /// A guest, and the load that it begins with: always the same.
    pub fn begin(&self) -> Result<(Shaper, Load), ComponentError> {
        let begun = || -> Result<_, Fault> {
            let mut store = self.linked.store(self.linked.seed);
            let guest = self.linked.pre.instantiate(&mut store)?;
            allow(&mut store, SETUP_CPU);
            let shaper = guest.encarno_scenario_shaper();
            let load =
                shaper.call_configure(&mut store, &self.linked.settings, self.linked.seed)?;
            let load = load.map_err(|text| refused(&text))?;
            let load = understood(load).map_err(Fault)?;
            if load.segments[0].from_ns != 0 {
                return Err(Fault("its first load doesn't begin at 0".to_owned()));
            }
            let kind = load.kind;
            Ok((Shaper { store, guest, kind }, load))
        };
        begun().map_err(|fault| self.linked.error(fault))
    }
}

impl Shaper {
    /// A second is over. The error says how the guest broke down.
    pub fn tick(&mut self, window: &Window) -> Result<Verdict, String> {
        allow(&mut self.store, SETUP_CPU);
        let window = wit::Window {
            from_ns: window.from_ns,
            to_ns: window.to_ns,
            scheduled: window.scheduled,
            started: window.started,
            done: window.done,
            failed: window.failed,
            dropped: window.dropped,
            running: window.running,
            p50_ns: window.p50_ns,
            p90_ns: window.p90_ns,
            p99_ns: window.p99_ns,
            p999_ns: window.p999_ns,
            max_ns: window.max_ns,
            lag_p99_ns: window.lag_p99_ns,
            busy: window.busy,
            earliest_ns: window.earliest_ns,
        };
        let shaper = self.guest.encarno_scenario_shaper();
        let verdict = shaper.call_tick(&mut self.store, window);
        match verdict.map_err(|error| said(&error))? {
            wit::Verdict::Hold => Ok(Verdict::Hold),
            wit::Verdict::Stop(text) => Ok(Verdict::Stop(short(&text))),
            wit::Verdict::Load(load) => {
                let load = understood(load)?;
                match load.kind == self.kind {
                    true => Ok(Verdict::Load(load)),
                    false => Err("the guest began with the other kind of load".to_owned()),
                }
            }
        }
    }

    /// The run is over: what the guest says about it.
    pub fn report(&mut self) -> Result<String, String> {
        allow(&mut self.store, SETUP_CPU);
        let shaper = self.guest.encarno_scenario_shaper();
        let report = shaper.call_report(&mut self.store);
        report
            .map(|text| short(&text))
            .map_err(|error| said(&error))
    }
}

/// A load that can be: segments without gaps, values that are numbers.
fn understood(load: wit::Load) -> Result<Load, String> {
    let (kind, segments) = match load {
        wit::Load::Rate(segments) => (Kind::Rate, segments),
        wit::Load::Workers(segments) => (Kind::Workers, segments),
    };
    if segments.is_empty() || segments.len() > SEGMENTS_MAX {
        let count = segments.len();
        return Err(format!(
            "a load has {count} segments: 1 to {SEGMENTS_MAX} are possible"
        ));
    }
    let segments: Vec<_> = segments
        .into_iter()
        .map(|segment| Segment {
            from_ns: segment.from_ns,
            to_ns: segment.to_ns,
            start: segment.start,
            end: segment.end,
        })
        .collect();
    let is_level = |value: f64| value.is_finite() && (0.0..=1e9).contains(&value);
    for segment in &segments {
        let Segment {
            from_ns,
            to_ns,
            start,
            end,
        } = *segment;
        if to_ns <= from_ns {
            return Err(format!("a segment goes from {from_ns} ns to {to_ns} ns"));
        }
        if !is_level(start) || !is_level(end) {
            return Err(format!(
                "a segment goes from {start} to {end}: 0 to 1e9 are possible"
            ));
        }
    }
    let gap = segments
        .windows(2)
        .find(|pair| pair[0].to_ns != pair[1].from_ns);
    match gap {
        Some(pair) => Err(format!(
            "a segment ends at {} ns, and the next one begins at {} ns",
            pair[0].to_ns, pair[1].from_ns
        )),
        None => Ok(Load { kind, segments }),
    }
}
