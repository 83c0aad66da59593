//! Converts our buckets to those of an exponential histogram: bucket i of scale s
//! contains values above 2^(i/2^s) and up to 2^((i+1)/2^s).

use std::collections::BTreeMap;

use encarno_record::histogram::{Histogram, middle_of};

/// The most octaves of the finest scale; with more, pairs of buckets are merged.
const OCTAVES_MAX: i64 = 16;

/// The buckets of an exponential histogram, of seconds.
#[derive(Debug, PartialEq)]
pub(crate) struct Buckets {
    pub(crate) scale: i32,
    pub(crate) offset: i32,
    pub(crate) counts: Vec<u64>,
    pub(crate) zeros: u64,
}

impl Buckets {
    /// The buckets, with this finest scale. At scale 7, a bucket is 0.54 % wide, at 8
    /// half as much.
    pub(crate) fn of(times: &Histogram, finest: u32) -> Self {
        let buckets_max = OCTAVES_MAX << finest;
        let mut zeros = 0;
        let mut found: BTreeMap<i64, u64> = BTreeMap::new();
        for (bucket, count) in times.pairs() {
            // Minimum and maximum are known more exactly than their buckets.
            let ns = middle_of(bucket as usize).clamp(times.min(), times.max());
            if ns == 0 {
                zeros += count;
                continue;
            }
            let exact = (ns as f64 * 1e-9).log2() * f64::from(1 << finest);
            *found.entry(exact.ceil() as i64 - 1).or_default() += count;
        }
        let mut scale = finest as i32;
        while let (Some((first, _)), Some((last, _))) =
            (found.first_key_value(), found.last_key_value())
            && last - first >= buckets_max
        {
            scale -= 1;
            let finer = std::mem::take(&mut found);
            for (index, count) in finer {
                *found.entry(index >> 1).or_default() += count;
            }
        }
        let first = found.first_key_value().map_or(0, |(&index, _)| index);
        let last = found.last_key_value().map_or(-1, |(&index, _)| index);
        let counts = (first..=last).map(|index| found.get(&index).copied().unwrap_or(0));
        Self {
            scale,
            offset: first as i32,
            counts: counts.collect(),
            zeros,
        }
    }
}

#[cfg(test)]
mod tests {
    use encarno_record::histogram::Histogram;

    use super::Buckets;

    fn of(values: &[u64]) -> Buckets {
        let mut histogram = Histogram::default();
        values.iter().for_each(|&value| histogram.record(value));
        Buckets::of(&histogram, 7)
    }

    #[test]
    fn a_value_lies_in_its_bucket_and_zeros_apart() {
        for ns in [1_u64, 999, 1_000_000, 123_456_789, 7_000_000_000] {
            let buckets = of(&[0, ns, 0]);
            assert_eq!((buckets.zeros, buckets.counts.len()), (2, 1));
            let bound = |index: i32| (f64::from(index) / 128.0).exp2();
            let seconds = ns as f64 * 1e-9;
            assert!(bound(buckets.offset) < seconds * 1.001, "{ns}");
            assert!(seconds <= bound(buckets.offset + 1) * 1.001, "{ns}");
        }
        assert!(of(&[]).counts.is_empty());
    }

    #[test]
    fn a_wide_range_becomes_coarser_and_loses_nothing() {
        let buckets = of(&[1, 1_000, 1_000_000_000, u64::MAX / 2]);
        assert!(buckets.scale < 7 && buckets.counts.len() <= 2048);
        assert_eq!(buckets.counts.iter().sum::<u64>(), 4);
    }
}
