//! The work of all event loops, merged from their samples.

use std::collections::{BTreeMap, VecDeque};

use crossbeam_channel::Receiver;
use encarno_record::sums::LoopState;

use crate::output::{Sample, TENTH_NS, Tenth};

/// The recent work of all event loops.
#[derive(Debug)]
pub struct Gauge {
    samples: Option<Receiver<Sample>>,
    tenths: BTreeMap<u64, Tenth>,
    /// The states of each loop with their instants, the latest last.
    loops: Vec<VecDeque<(u64, LoopState)>>,
}

/// The work between two instants.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// Each tenth of a second.
    pub tenths: Vec<Tenth>,
    /// The number of hits that ran at the end of each tenth.
    pub running: Vec<u64>,
    /// The share of the time for which each loop used its core.
    pub busy: Vec<f64>,
    /// The share of the time for which workers were free and the input had no record.
    pub starved: f64,
    /// Hits that came due.
    pub scheduled: u64,
    /// Hits that were dropped before they started.
    pub dropped: u64,
    /// Turns in which a hit was due and no worker was free.
    pub no_worker: u64,
    /// The growth of the number of hits that were due or running, from the start to the
    /// end.
    pub backlog: i64,
}

impl Reading {
    /// All tenths together.
    pub fn total(&self) -> Tenth {
        let mut total = Tenth::default();
        self.tenths.iter().for_each(|tenth| total.merge(tenth));
        total
    }

    /// The mean number of running hits.
    pub fn in_flight(&self) -> f64 {
        self.running.iter().sum::<u64>() as f64 / self.running.len().max(1) as f64
    }

    /// The share of its core that the busiest loop used.
    pub fn busiest(&self) -> f64 {
        self.busy.iter().copied().fold(0.0, f64::max)
    }
}

impl Gauge {
    /// A gauge for a number of loops; without samples it stays empty.
    pub(crate) fn new(samples: Option<Receiver<Sample>>, loops: usize) -> Self {
        Self {
            samples,
            tenths: BTreeMap::new(),
            loops: vec![VecDeque::new(); loops],
        }
    }

    pub(crate) fn take(&mut self) {
        let Some(samples) = &self.samples else {
            return;
        };
        while let Ok(sample) = samples.try_recv() {
            for (number, tenth) in &sample.tenths {
                self.tenths.entry(*number).or_default().merge(tenth);
            }
            if let Some(states) = self.loops.get_mut(sample.number) {
                states.push_back((sample.until_ns, sample.state));
            }
        }
    }

    /// The instant before which all ended hits are known, ns from the run's start.
    pub fn whole_until_ns(&self) -> u64 {
        let latest = |states: &VecDeque<(u64, LoopState)>| states.back().map_or(0, |state| state.0);
        let until_ns = self.loops.iter().map(latest).min().unwrap_or(0);
        until_ns / TENTH_NS * TENTH_NS
    }

    /// The number of running hits, by the loops' last samples.
    pub fn running(&self) -> u64 {
        let latest = self.loops.iter().filter_map(VecDeque::back);
        latest.map(|(_, state)| state.running).sum()
    }

    /// The work between two instants, which are whole tenths of a second.
    pub fn read(&self, from_ns: u64, to_ns: u64) -> Reading {
        let tenths = (from_ns / TENTH_NS..to_ns / TENTH_NS)
            .map(|number| self.tenths.get(&number).cloned().unwrap_or_default());
        let tenths: Vec<_> = tenths.collect();
        let mut reading = Reading {
            running: vec![0; tenths.len()],
            tenths,
            ..Reading::default()
        };
        for states in &self.loops {
            reading.add_loop(states, from_ns, to_ns);
        }
        reading.starved /= self.loops.len().max(1) as f64;
        reading
    }

    pub(super) fn forget_before(&mut self, instant_ns: u64) {
        self.tenths = self.tenths.split_off(&(instant_ns / TENTH_NS));
        for states in &mut self.loops {
            while states.len() > 1 && states.front().is_some_and(|state| state.0 < instant_ns) {
                states.pop_front();
            }
        }
    }
}

impl Reading {
    fn add_loop(&mut self, states: &VecDeque<(u64, LoopState)>, from_ns: u64, to_ns: u64) {
        // A loop reports its state soon after a tenth is over.
        let at = |instant_ns: u64| {
            let later = states.iter().find(|state| state.0 >= instant_ns);
            later.or(states.back())
        };
        let (Some((start_ns, start)), Some((end_ns, end))) = (at(from_ns), at(to_ns)) else {
            return;
        };
        let mut later = states.iter().peekable();
        for (running, number) in self.running.iter_mut().zip(1..) {
            let tenth_end_ns = from_ns + number * TENTH_NS;
            while later.next_if(|state| state.0 < tenth_end_ns).is_some() {}
            let state = later.peek().copied().or(states.back());
            *running += state.map_or(0, |(_, state)| state.running);
        }
        let since = |pick: fn(&LoopState) -> u64| pick(end).saturating_sub(pick(start));
        let span_ns = end_ns.saturating_sub(*start_ns).max(1) as f64;
        self.busy.push(since(|state| state.cpu_ns) as f64 / span_ns);
        self.starved += since(|state| state.starved_ns) as f64 / span_ns;
        self.scheduled += since(|state| state.scheduled);
        self.dropped += since(|state| state.dropped);
        self.no_worker += since(|state| state.no_worker);
        let open = |state: &LoopState| {
            (state.scheduled - state.started - state.dropped + state.running) as i64
        };
        self.backlog += open(end) - open(start);
    }
}

#[cfg(test)]
mod tests {
    use crossbeam_channel::unbounded;
    use std::collections::BTreeMap;

    use encarno_record::sums::LoopState;

    use super::Gauge;
    use crate::output::{Sample, TENTH_NS, Tenth};

    #[test]
    fn loops_are_put_together_tenth_by_tenth() {
        let (sender, samples) = unbounded();
        let mut gauge = Gauge::new(Some(samples), 2);
        let mut say = |number, tenths_past: u64, ended: &[(u64, u64)], cpu_part: f64, due| {
            let until_ns = tenths_past * TENTH_NS + 7;
            let tenth = |&(number, ended): &(u64, u64)| {
                let tenth = Tenth {
                    ended,
                    ..Tenth::default()
                };
                (number, tenth)
            };
            let state = LoopState {
                running: 3,
                scheduled: due,
                started: due.min(10),
                cpu_ns: (until_ns as f64 * cpu_part) as u64,
                ..LoopState::default()
            };
            let tenths: BTreeMap<_, _> = ended.iter().map(tenth).collect();
            let sample = Sample {
                number,
                until_ns,
                state,
                tenths,
            };
            sender.send(sample).expect("the gauge is there");
            gauge.take();
            gauge.whole_until_ns() / TENTH_NS
        };
        assert_eq!(say(0, 1, &[(0, 5)], 0.5, 3), 0);
        assert_eq!(say(1, 1, &[(0, 1)], 0.9, 0), 1);
        assert_eq!(say(1, 4, &[(1, 2), (3, 4)], 0.9, 0), 1);
        assert_eq!(say(0, 4, &[(2, 7)], 0.5, 17), 4);
        let reading = gauge.read(TENTH_NS, 4 * TENTH_NS);
        let ended: Vec<_> = reading.tenths.iter().map(|tenth| tenth.ended).collect();
        assert_eq!(ended, [2, 7, 4]);
        assert_eq!((reading.total().ended, reading.in_flight()), (13, 6.0));
        assert!((reading.busiest() - 0.9).abs() < 1e-6, "{reading:?}");
        assert_eq!((reading.scheduled, reading.backlog), (14, 7));
        gauge.forget_before(3 * TENTH_NS);
        assert_eq!(gauge.read(TENTH_NS, 4 * TENTH_NS).total().ended, 4);
    }
}
