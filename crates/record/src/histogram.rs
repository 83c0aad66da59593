//! A distribution with an error below 0.1 % at any size.
//!
//! The buckets are those of HdrHistogram with three digits: linear in each
//! power of two, 1024 for each. A quantile is the middle of its bucket, at most
//! 0.05 % away from the exact one; count, sum, minimum and maximum are exact.
//! A histogram is equal to the sum of its parts, in whatever order they are
//! merged.
//!
//! A distribution of few values is a short list. Beyond that the counts are
//! kept in pages that are made when needed. Thousands of labels fit.

use crate::varint;

/// The number of buckets for each power of two, as a power of two.
const BUCKETS_LOG2: u32 = 10;
const PAGE_LOG2: u32 = 6;
const PAGE: usize = 1 << PAGE_LOG2;
const PAGES: usize = BUCKETS.div_ceil(PAGE);
/// The most buckets in a list; more buckets are kept in pages.
const FEW_MAX: usize = 12;
/// The number of buckets.
pub const BUCKETS: usize = bucket_of(u64::MAX) + 1;

/// A distribution of numbers.
#[derive(Clone, Debug)]
pub struct Histogram {
    few: Vec<(u32, u64)>,
    paged: Option<Box<Paged>>,
    count: u64,
    sum: u128,
    min: u64,
    max: u64,
    exact: Option<Box<Exact>>,
}

/// The exact numbers at some ranks.
#[derive(Clone, Debug)]
pub(crate) struct Exact {
    /// The count of all numbers. With another count, they have other ranks.
    pub(crate) count: u64,
    /// Ranks, from 1, and the numbers there.
    pub(crate) numbers: Vec<(u64, u64)>,
}

#[derive(Clone, Debug)]
struct Paged {
    /// The index of each page in `counts`; 0 means that the page doesn't exist, because
    /// index 0 is unused.
    places: [u16; PAGES],
    counts: Vec<[u64; PAGE]>,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            few: Vec::new(),
            paged: None,
            count: 0,
            sum: 0,
            min: u64::MAX,
            max: 0,
            exact: None,
        }
    }
}

impl PartialEq for Histogram {
    fn eq(&self, other: &Self) -> bool {
        (self.count, self.sum, self.min, self.max) == (other.count, other.sum, other.min, other.max)
            && self.pairs() == other.pairs()
    }
}

impl Histogram {
    /// Adds a number.
    #[inline]
    pub fn record(&mut self, value: u64) {
        self.count += 1;
        self.sum += u128::from(value);
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        self.add(bucket_of(value), 1);
    }

    /// Adds numbers, like [`Histogram::record`] but faster.
    #[inline]
    pub fn record_all(&mut self, values: impl Iterator<Item = u64>) {
        let (mut count, mut sum, mut min, mut max) = (0, 0_u128, self.min, self.max);
        let mut note = |value: u64| {
            count += 1;
            sum += u128::from(value);
            min = min.min(value);
            max = max.max(value);
        };
        match &mut self.paged {
            Some(paged) => values.for_each(|value| {
                note(value);
                paged.add(bucket_of(value), 1);
            }),
            None => values.for_each(|value| {
                note(value);
                self.add(bucket_of(value), 1);
            }),
        }
        self.count += count;
        self.sum += sum;
        (self.min, self.max) = (min, max);
    }

    /// Adds 0 `count` times.
    pub fn record_zeros(&mut self, count: u64) {
        if count > 0 {
            self.count += count;
            self.min = 0;
            self.add(0, count);
        }
    }

    /// Adds all numbers of another histogram.
    pub fn merge(&mut self, other: &Self) {
        other.for_each(|bucket, count| self.add(bucket, count));
        // A file may claim any counts.
        self.count = self.count.saturating_add(other.count);
        self.sum = self.sum.saturating_add(other.sum);
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    /// The count of numbers.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The exact sum.
    pub fn sum(&self) -> u128 {
        self.sum
    }

    /// The exact least number; 0 if there is none.
    pub fn min(&self) -> u64 {
        if self.count == 0 { 0 } else { self.min }
    }

    /// The exact greatest number.
    pub fn max(&self) -> u64 {
        self.max
    }

    /// The exact mean; 0 if there are no numbers.
    pub fn mean(&self) -> f64 {
        if self.count == 0 {
            0.0
        } else {
            self.sum as f64 / self.count as f64
        }
    }

    /// The number at or below which this share of all numbers lies (nearest rank), within
    /// 0.05 %; 0 if there are no numbers. It is exact if the number at its rank is known.
    pub fn quantile(&self, share: f64) -> u64 {
        let rank = self.rank(share);
        if let Some(exact) = self.known() {
            let found = exact.numbers.iter().find(|(known, _)| *known == rank);
            if let Some((_, number)) = found {
                return *number;
            }
        }
        let (mut before, mut found) = (0, None);
        self.in_order(|bucket, count| {
            before = u64::saturating_add(before, count);
            if before >= rank && found.is_none() {
                found = Some(bucket);
            }
        });
        found.map_or(0, |bucket| middle_of(bucket).clamp(self.min, self.max))
    }

    /// The nearest rank of a quantile, from 1.
    pub(crate) fn rank(&self, share: f64) -> u64 {
        ((share * self.count as f64).ceil() as u64).clamp(1, self.count.max(1))
    }

    /// Each rank with its bucket, and with its rank among the numbers of that bucket.
    pub(crate) fn places_of(&self, ranks: &[u64]) -> Vec<(u64, usize, u64)> {
        let mut places = Vec::new();
        let mut before = 0_u64;
        self.in_order(|bucket, count| {
            let until = before.saturating_add(count);
            let here = ranks.iter().filter(|&&rank| before < rank && rank <= until);
            places.extend(here.map(|&rank| (rank, bucket, rank - before)));
            before = until;
        });
        places
    }

    /// Sets the numbers at some ranks.
    pub(crate) fn set_exact(&mut self, exact: Exact) {
        self.exact = Some(Box::new(exact));
    }

    /// Whether the quantiles that all outputs show are exact.
    pub fn is_exact(&self) -> bool {
        self.known().is_some()
    }

    fn known(&self) -> Option<&Exact> {
        let exact = self.exact.as_deref();
        exact.filter(|exact| exact.count == self.count)
    }

    /// The buckets with numbers and their counts, by bucket.
    pub fn pairs(&self) -> Vec<(u32, u64)> {
        let mut pairs = Vec::with_capacity(self.few.len());
        self.for_each(|bucket, count| pairs.push((bucket as u32, count)));
        pairs.sort_unstable();
        pairs
    }

    /// Appends the histogram as varints: the number of pairs; for each pair the distance
    /// from the last bucket and the count; then sum, minimum and maximum.
    pub fn append_to(&self, out: &mut Vec<u8>) {
        let pairs = self.pairs();
        varint::append(out, pairs.len() as u64);
        let mut last = 0;
        for (bucket, count) in pairs {
            varint::append(out, u64::from(bucket - last));
            varint::append(out, count);
            last = bucket;
        }
        if self.count > 0 {
            varint::append(out, self.sum as u64);
            varint::append(out, (self.sum >> 64) as u64);
            varint::append(out, self.min);
            varint::append(out, self.max);
        }
    }

    /// Takes a histogram from the start of these bytes; `None` if they don't begin with
    /// one.
    pub fn take_from(bytes: &mut &[u8]) -> Option<Self> {
        let mut histogram = Self::default();
        let pairs = varint::take(bytes)?;
        let mut bucket = 0_u64;
        for _ in 0..pairs {
            bucket = bucket.checked_add(varint::take(bytes)?)?;
            if bucket >= BUCKETS as u64 {
                return None;
            }
            let count = varint::take(bytes)?;
            histogram.add(bucket as usize, count);
            histogram.count = histogram.count.checked_add(count)?;
        }
        if histogram.count > 0 {
            let low = varint::take(bytes)?;
            histogram.sum = u128::from(varint::take(bytes)?) << 64 | u128::from(low);
            histogram.min = varint::take(bytes)?;
            histogram.max = varint::take(bytes)?;
            if histogram.min > histogram.max {
                return None;
            }
        }
        Some(histogram)
    }

    #[inline]
    fn add(&mut self, bucket: usize, count: u64) {
        match &mut self.paged {
            Some(paged) => paged.add(bucket, count),
            None => self.add_to_few(bucket, count),
        }
    }

    fn add_to_few(&mut self, bucket: usize, count: u64) {
        let known = self
            .few
            .iter()
            .position(|&(other, _)| other == bucket as u32);
        match known {
            Some(place) => self.few[place].1 = self.few[place].1.saturating_add(count),
            None if self.few.len() < FEW_MAX => self.few.push((bucket as u32, count)),
            None => {
                let mut paged = Paged {
                    places: [0; PAGES],
                    counts: vec![[0; PAGE]],
                };
                for (bucket, count) in std::mem::take(&mut self.few) {
                    paged.add(bucket as usize, count);
                }
                paged.add(bucket, count);
                self.paged = Some(Box::new(paged));
            }
        }
    }

    /// Calls `take` with each bucket and its count, in order of buckets.
    fn in_order(&self, mut take: impl FnMut(usize, u64)) {
        match &self.paged {
            Some(_) => self.for_each(take),
            None => {
                let mut few = self.few.clone();
                few.sort_unstable();
                few.iter()
                    .for_each(|&(bucket, count)| take(bucket as usize, count));
            }
        }
    }

    /// Calls `take` with each bucket and its count, in order of buckets if there are
    /// pages.
    fn for_each(&self, mut take: impl FnMut(usize, u64)) {
        for &(bucket, count) in &self.few {
            take(bucket as usize, count);
        }
        let Some(paged) = &self.paged else { return };
        let made = paged.places.iter().enumerate();
        for (page, &place) in made.filter(|&(_, &place)| place > 0) {
            for (bucket, &count) in paged.counts[place as usize].iter().enumerate() {
                if count > 0 {
                    take(page * PAGE + bucket, count);
                }
            }
        }
    }
}

impl Paged {
    #[inline]
    fn add(&mut self, bucket: usize, count: u64) {
        let mut place = self.places[bucket >> PAGE_LOG2];
        if place == 0 {
            place = self.make_page(bucket >> PAGE_LOG2);
        }
        let sum = &mut self.counts[place as usize][bucket % PAGE];
        *sum = sum.wrapping_add(count);
    }

    #[cold]
    fn make_page(&mut self, page: usize) -> u16 {
        let place = self.counts.len() as u16;
        self.counts.push([0; PAGE]);
        self.places[page] = place;
        place
    }
}

/// The bucket of a number.
#[inline]
pub const fn bucket_of(value: u64) -> usize {
    let magnitude = u64::BITS - 1 - (value | 1 << BUCKETS_LOG2).leading_zeros();
    let shift = magnitude - BUCKETS_LOG2;
    ((shift as usize) << BUCKETS_LOG2) + (value >> shift) as usize
}

/// The number in the middle of a bucket.
pub const fn middle_of(bucket: usize) -> u64 {
    let magnitude = bucket >> BUCKETS_LOG2;
    if magnitude < 2 {
        return bucket as u64;
    }
    let shift = magnitude - 1;
    let steps = bucket - (shift << BUCKETS_LOG2);
    ((steps as u64) << shift) + (1 << (shift - 1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Histogram, PAGES, bucket_of, middle_of};

    fn of(values: impl IntoIterator<Item = u64>) -> Histogram {
        let mut histogram = Histogram::default();
        values.into_iter().for_each(|value| histogram.record(value));
        histogram
    }

    #[test]
    fn known_distributions() {
        let none = Histogram::default();
        assert_eq!((none.min(), none.max(), none.quantile(0.5)), (0, 0, 0));
        let small = of(1..=1000);
        assert_eq!(
            (
                small.quantile(0.5),
                small.quantile(0.99),
                small.quantile(1.0)
            ),
            (500, 990, 1000)
        );
        assert_eq!((small.mean(), small.min(), small.max()), (500.5, 1, 1000));
        let extremes = of([0, u64::MAX]);
        assert_eq!((extremes.quantile(0.5), extremes.max()), (0, u64::MAX));
        assert!(PAGES < usize::from(u16::MAX));
    }

    proptest! {
        #[test]
        fn a_bucket_is_within_half_a_thousandth(value: u64, shift in 0..64_u32) {
            let value = value >> shift;
            let middle = middle_of(bucket_of(value));
            prop_assert!(value.abs_diff(middle) as f64 <= value as f64 * 0.0005);
        }

        #[test]
        fn quantiles_are_those_of_the_sorted_numbers(
            mut values in prop::collection::vec(0_u64..10_000_000_000, 1..200),
            share in 0.0..=1.0_f64,
        ) {
            let (left, right) = values.split_at(values.len() / 2);
            let mut histogram = of(left.iter().copied());
            histogram.merge(&of(right.iter().copied()));
            values.sort_unstable();
            let rank = ((share * values.len() as f64).ceil() as usize).max(1);
            let exact = values[rank - 1];
            prop_assert!(histogram.quantile(share).abs_diff(exact) as f64 <= exact as f64 * 0.001);
            prop_assert_eq!(histogram.count(), values.len() as u64);
        }

        #[test]
        fn it_comes_back_and_the_order_of_merges_does_not_matter(
            values in prop::collection::vec(0_u64..10_000_000_000, 0..100),
            shift in 0..30_u32,
            cut: prop::sample::Index,
        ) {
            let whole = of(values.iter().map(|value| value >> shift));
            let (left, right) = values.split_at(cut.index(values.len() + 1));
            let [left, right] = [left, right].map(|part| of(part.iter().map(|value| value >> shift)));
            for (one, other) in [(&left, &right), (&right, &left)] {
                let mut merged = one.clone();
                merged.merge(other);
                prop_assert_eq!(&merged, &whole);
            }
            let mut bytes = Vec::new();
            whole.append_to(&mut bytes);
            let mut rest = &bytes[..];
            prop_assert_eq!(Histogram::take_from(&mut rest).expect("it is one"), whole);
            prop_assert!(rest.is_empty());
            for cut in 0..bytes.len() {
                prop_assert!(Histogram::take_from(&mut &bytes[..cut]).is_none());
            }
        }
    }
}
