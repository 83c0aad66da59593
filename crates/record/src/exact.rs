//! Exact quantiles of hits in files.
//!
//! Buckets say in which of them a rank lies. So the hits are read once more, and only the
//! numbers in those buckets are kept: at most as many as a bucket is wide.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use crate::histogram::{Exact, Histogram, bucket_of};
use crate::results::whole::{self, FileError};
use crate::statistics::{QUANTILES, Statistics};
use crate::{Hit, StringId, Texts};

/// Makes the quantiles that all outputs show exact, if the files have every hit of the
/// statistics. True if they have.
pub fn refine(paths: &[&Path], statistics: &mut Statistics) -> Result<bool, FileError> {
    let total = statistics.total();
    let mut total_picks = Picks::of([&total.service_ns, &total.response_ns, &total.lag_ns]);
    let mut label_picks: Vec<Picks> = statistics.times().map(Picks::of).collect();
    for path in paths {
        let (mut reader, mut texts) = (whole::open(path)?, Texts::default());
        let mut places = HashMap::<StringId, usize>::new();
        whole::drain(&mut reader, path, &mut texts, |hits, texts| {
            for hit in hits.iter() {
                total_picks.take(&hit);
                let place = places.entry(hit.label);
                let place = place.or_insert_with(|| statistics.place_of(&texts.get(hit.label)));
                if let Some(picks) = label_picks.get_mut(*place) {
                    picks.take(&hit);
                }
            }
            Ok::<_, FileError>(())
        })?;
    }
    let of_labels: Option<Vec<_>> = label_picks.into_iter().map(Picks::exact).collect();
    let (Some(of_total), Some(of_labels)) = (total_picks.exact(), of_labels) else {
        return Ok(false);
    };
    statistics.set_exact(of_total, of_labels);
    Ok(true)
}

/// The numbers of three histograms: service times, response times and lags.
struct Picks([Pick; 3]);

/// The numbers in the buckets of the wanted ranks.
struct Pick {
    count: u64,
    left: u64,
    /// Each rank with its bucket, and the rank among the numbers of that bucket.
    ranks: Vec<(u64, usize, u64)>,
    numbers: HashMap<usize, BTreeMap<u64, u64>>,
}

impl Picks {
    fn of(times: [&Histogram; 3]) -> Self {
        Self(times.map(Pick::of))
    }

    fn take(&mut self, hit: &Hit) {
        let [service, response, lag] = &mut self.0;
        service.take(hit.service_ns());
        response.take(hit.response_ns());
        lag.take(hit.lag_ns());
    }

    /// `None` if there were other numbers than those of the histograms.
    fn exact(self) -> Option<[Exact; 3]> {
        let [service, response, lag] = self.0.map(Pick::exact);
        Some([service?, response?, lag?])
    }
}

impl Pick {
    fn of(times: &Histogram) -> Self {
        let ranks = QUANTILES.map(|(_, share)| times.rank(share));
        let ranks = times.places_of(&ranks);
        let numbers = ranks
            .iter()
            .map(|&(_, bucket, _)| (bucket, BTreeMap::new()));
        Self {
            count: times.count(),
            left: times.count(),
            numbers: numbers.collect(),
            ranks,
        }
    }

    fn take(&mut self, number: u64) {
        self.left = self.left.wrapping_sub(1);
        if let Some(numbers) = self.numbers.get_mut(&bucket_of(number)) {
            *numbers.entry(number).or_default() += 1;
        }
    }

    fn exact(self) -> Option<Exact> {
        let number = |&(rank, bucket, among): &(u64, usize, u64)| {
            let mut before = 0;
            let mut numbers = self.numbers.get(&bucket)?.iter();
            let found = numbers.find(|&(_, &count)| {
                before += count;
                before >= among
            });
            Some((rank, *found?.0))
        };
        let numbers = self.ranks.iter().map(number).collect::<Option<_>>()?;
        (self.left == 0).then_some(Exact {
            count: self.count,
            numbers,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test that fails here says enough

    use std::path::Path;

    use super::refine;
    use crate::formats::{NativeSink, Sink as _};
    use crate::results::{Ending, whole};
    use crate::statistics::QUANTILES;
    use crate::{Expected, Hit, Strings, Texts};

    fn written(path: &Path, hits: &[Hit], strings: &Strings) {
        let expected = Expected::default();
        let mut sink =
            NativeSink::create(path, 1_700_000_000_000_000_000, 1, &expected, "").unwrap();
        let mut texts = Texts::of_run(strings.clone());
        sink.hits(hits, &mut texts).unwrap();
        sink.finish(Ending::default(), &mut texts).unwrap();
    }

    #[test]
    fn quantiles_are_those_of_the_sorted_numbers() {
        let folder = tempfile::tempdir().unwrap();
        let strings = Strings::default();
        let labels = ["one", "two", "three"].map(|text| strings.intern(text));
        let hit = |number: u64| Hit {
            label: labels[number as usize % 3],
            scheduled_ns: number,
            started_ns: number + number % 7,
            // Many numbers in each bucket, and not in order.
            ended_ns: number + 10_000_000 + number * 7_919 % 100_003,
            protocol_code: 200,
            ..Hit::default()
        };
        let hits: Vec<Hit> = (0..9_000).map(hit).collect();
        let files = ["a", "b"].map(|name| folder.path().join(name));
        written(&files[0], &hits[..4_000], &strings);
        written(&files[1], &hits[4_000..], &strings);
        let mut all = whole::read(&files[0]).unwrap();
        all.merge(&whole::read(&files[1]).unwrap());
        let paths = [&*files[0], &*files[1]];
        assert!(
            !refine(&paths[..1], &mut all.statistics).unwrap(),
            "hits are missing"
        );
        assert!(!all.statistics.total().response_ns.is_exact());
        assert!(refine(&paths, &mut all.statistics).unwrap());
        let check = |times: &crate::histogram::Histogram, mut numbers: Vec<u64>| {
            assert!(times.is_exact());
            numbers.sort_unstable();
            for (name, share) in QUANTILES {
                let rank = (share * numbers.len() as f64).ceil() as usize;
                assert_eq!(times.quantile(share), numbers[rank - 1], "{name}");
            }
        };
        let total = all.statistics.total();
        check(
            &total.response_ns,
            hits.iter().map(Hit::response_ns).collect(),
        );
        check(
            &total.service_ns,
            hits.iter().map(Hit::service_ns).collect(),
        );
        check(&total.lag_ns, hits.iter().map(Hit::lag_ns).collect());
        for (label, statistics) in all.statistics.labels() {
            let id = strings.intern(label);
            let of_label = hits.iter().filter(|hit| hit.label == id);
            check(
                &statistics.response_ns,
                of_label.map(Hit::response_ns).collect(),
            );
        }
        // One hit more, and they aren't exact any more.
        let mut more = total.response_ns.clone();
        more.record(5);
        assert!(!more.is_exact());
    }
}
