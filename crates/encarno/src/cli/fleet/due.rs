//! How many hits each part of a run has, as far as the schedule determines it.

use encarno_engine::schedule::{HitInstants, Randomness};
use encarno_engine::settings::{Arrivals, Part, Source, Start, Workload};

use crate::protocols::Run;

/// The number of hits of each part; `None` where the input or the answers decide.
pub(super) fn parts(run: &Run, count: usize) -> Vec<Option<u64>> {
    (0..count).map(|number| part(run, number, count)).collect()
}

fn part(run: &Run, number: usize, count: usize) -> Option<u64> {
    let part = Part {
        number,
        count,
        start: Start::Now,
    };
    let hits_max = match &run.settings.source {
        Source::Request { hits_max, .. } => hits_max.map(|max| part.of(max as usize) as u64),
        // The input may end before the schedule does.
        Source::File(input) if input.passes.is_some() || input.records_max.is_some() => {
            return None;
        }
        Source::File(_) | Source::Chosen { .. } | Source::Users { .. } => None,
    };
    let Workload::Open(open) = &run.settings.workload else {
        // A limit on hits determines the number of hits.
        return hits_max;
    };
    let schedule = open.schedule()?;
    let end_ns = open
        .duration_max
        .map_or(u64::MAX, |duration| duration.as_nanos() as u64);
    let end_ns = end_ns.min(schedule.duration_ns());
    let due = match &open.arrivals {
        Arrivals::Uniform(_) => part.of(schedule.hits_before(end_ns) as usize) as u64,
        Arrivals::Poisson { seed, .. } => {
            let random = Randomness::Poisson { seed: *seed };
            let instants = HitInstants::new(schedule, random, number as u64, count as u64);
            instants
                .take_while(|&instant_ns| instant_ns < end_ns)
                .count() as u64
        }
        Arrivals::Recorded => return None,
    };
    Some(due.min(hits_max.unwrap_or(u64::MAX)))
}
