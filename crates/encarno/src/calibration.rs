//! `encarno calibrate`: measures, against targets of its own, how many hits this machine
//! can make on time, and keeps the figures for later runs.
//!
//! - [`machine`]: the machine that was measured
//! - [`file`]: the file that keeps the figures
//! - [`measured`]: the measurements of one protocol, and the runs that make them

pub mod file;
pub mod machine;
pub mod measured;

use encarno_engine::settings::Workload;
use serde::{Deserialize, Serialize};

use self::machine::Machine;
use self::measured::Measured;
use crate::protocols::Run;

/// The version of the file's schema.
pub const VERSION: u32 = 1;

/// The figures of a calibrated machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// The version of this schema: [`VERSION`].
    pub version: u32,
    /// The machine that was measured.
    pub machine: Machine,
    /// When it was measured, Unix time in s.
    pub measured_unix_s: u64,
    /// How long each of its runs took, s.
    pub run_seconds: f64,
    /// What was measured.
    pub entries: Vec<Entry>,
}

/// The measurement of one protocol with a number of loops and connections.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// One of [`measured::MEASURED`], by its name.
    pub protocol: String,
    /// The number of event loops.
    pub loops: usize,
    /// The number of hits that may run at a time.
    pub workers: usize,
    /// Hits per second if each worker starts again at once (a closed workload).
    pub closed_rate: f64,
    /// The highest rate at which hits were on time, hits per second; `None` if they were
    /// late at each rate that was tried.
    pub open_rate: Option<f64>,
    /// How late hits started at that rate, or at the lowest rate that was tried.
    pub lag_s: Quantiles,
    /// CPU time of the event loops for one hit at that rate, s.
    pub cpu_s: f64,
    /// The share of its core that the busiest event loop used at that rate.
    pub busy: f64,
}

/// Quantiles of a time, s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Quantiles {
    /// The median.
    pub p50: f64,
    /// The 99th percentile.
    pub p99: f64,
    /// The 99.9th percentile.
    pub p999: f64,
}

impl Calibration {
    /// The highest rate to which a run like this one was calibrated; `None` if it wasn't
    /// calibrated.
    ///
    /// Through a proxy, a hit costs more than any that was measured.
    pub fn rate_for(&self, run: &Run) -> Option<f64> {
        let network = run.protocol.network()?;
        let address = network.address.as_deref().unwrap_or_default();
        if network.proxy.is_some() {
            return None;
        }
        let kind = run.protocol.kind();
        let scheme = address.split_once("://").map(|(scheme, _)| scheme);
        let is_tls = scheme
            .and_then(|name| kind.scheme(name))
            .is_some_and(|scheme| scheme.tls);
        let measured = Measured::of(kind.name, is_tls)?;
        let loops = run.settings.threads.map_or(self.machine.cores, usize::from);
        let workload = &run.settings.workload;
        let is_closed = matches!(workload, Workload::Closed(_));
        self.rate(measured.name, loops, workload.workers_max(), is_closed)
    }

    /// Why a run is compared with none of the figures, if there is more to say than that nobody
    /// measured the like.
    pub fn silent_for(run: &Run) -> Option<&'static str> {
        let is_proxied = run.protocol.network()?.proxy.is_some();
        is_proxied.then_some(
            "hits go through a proxy: this machine's calibration doesn't cover that, and nothing is \
             compared with it",
        )
    }

    /// The highest calibrated rate of a protocol with this number of loops and workers:
    /// the better one of the two nearest measurements.
    pub fn rate(&self, protocol: &str, loops: usize, workers: usize, closed: bool) -> Option<f64> {
        let of_protocol = self
            .entries
            .iter()
            .filter(|entry| entry.protocol == protocol);
        let of_protocol: Vec<&Entry> = of_protocol.collect();
        let known = of_protocol.iter().map(|entry| entry.loops);
        // With more loops than cores, the figures of fewer loops still hold, as far as is
        // known.
        let fits = known.clone().filter(|&known| known <= loops).max();
        let loops = fits.or_else(|| known.min())?;
        let with_loops = of_protocol.iter().filter(|entry| entry.loops == loops);
        let with_loops: Vec<_> = with_loops.collect();
        let counts = with_loops.iter().map(|entry| entry.workers);
        let below = counts.clone().filter(|&count| count <= workers).max();
        let above = counts.filter(|&count| count >= workers).min();
        let near = with_loops.iter().filter(|entry| {
            let is = |count: Option<usize>| count == Some(entry.workers);
            is(below) || is(above)
        });
        let rates = near.filter_map(|entry| match closed {
            true => Some(entry.closed_rate),
            false => entry.open_rate,
        });
        rates.fold(None, |best, rate| Some(best.unwrap_or(0.0_f64).max(rate)))
    }
}

#[cfg(test)]
mod tests {
    use super::{Calibration, Entry, Quantiles, VERSION, machine::Machine};

    #[test]
    fn a_run_is_compared_with_what_is_next_to_it() {
        let entry = |loops, workers, rate: f64| Entry {
            protocol: "http".to_owned(),
            loops,
            workers,
            closed_rate: 2.0 * rate,
            open_rate: (rate > 0.0).then_some(rate),
            lag_s: Quantiles::default(),
            cpu_s: 1e-5,
            busy: 0.5,
        };
        let calibration = Calibration {
            version: VERSION,
            machine: Machine::this(),
            measured_unix_s: 0,
            run_seconds: 1.0,
            entries: vec![
                entry(1, 1, 10.0),
                entry(1, 16, 40.0),
                entry(1, 256, 30.0),
                entry(4, 16, 90.0),
                entry(4, 256, 0.0),
            ],
        };
        let rate = |loops, workers| calibration.rate("http", loops, workers, false);
        assert_eq!(rate(1, 1), Some(10.0));
        assert_eq!(rate(1, 3), Some(40.0));
        assert_eq!(rate(1, 16), Some(40.0));
        assert_eq!(rate(1, 100), Some(40.0));
        assert_eq!(rate(3, 1000), Some(30.0));
        assert_eq!(rate(4, 1), Some(90.0));
        assert_eq!(rate(64, 64), Some(90.0));
        assert_eq!(rate(4, 256), None, "nothing was on time");
        assert_eq!(calibration.rate("http", 1, 16, true), Some(80.0));
        assert_eq!(calibration.rate("udp", 1, 1, false), None);
    }
}
