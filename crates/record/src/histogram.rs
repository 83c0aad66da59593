//! A distribution with an error below 0.1 % at any size.
//!
//! The buckets are those of HdrHistogram with three digits: linear in each
//! power of two. They are kept in pages that are made when needed, so that a
//! histogram costs a few KiB and not a few hundred; thousands of labels fit.

/// Each power of two has that many buckets, as a power of two.
const BUCKETS_LOG2: u32 = 10;
const PAGE_LOG2: u32 = 6;
const PAGE: usize = 1 << PAGE_LOG2;
const PAGES: usize = BUCKETS.div_ceil(PAGE);
/// All buckets there are.
pub const BUCKETS: usize = bucket_of(u64::MAX) + 1;

/// A distribution of numbers.
#[derive(Clone, Debug)]
pub struct Histogram {
    /// Where a page lies in `counts`; 0 = not made yet, for place 0 is unused.
    places: [u16; PAGES],
    counts: Vec<[u64; PAGE]>,
    count: u64,
    sum: u128,
    min: u64,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        let counts = vec![[0; PAGE]];
        Self {
            places: [0; PAGES],
            counts,
            count: 0,
            sum: 0,
            min: u64::MAX,
            max: 0,
        }
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
        let bucket = bucket_of(value);
        let mut place = self.places[bucket >> PAGE_LOG2];
        if place == 0 {
            place = self.make_page(bucket >> PAGE_LOG2);
        }
        self.counts[place as usize][bucket % PAGE] += 1;
    }

    /// Adds all numbers of another one.
    pub fn merge(&mut self, other: &Self) {
        for (page, &from) in other
            .places
            .iter()
            .enumerate()
            .filter(|&(_, &from)| from > 0)
        {
            let to = match self.places[page] {
                0 => self.make_page(page),
                place => place,
            };
            let added = &other.counts[from as usize];
            for (count, more) in self.counts[to as usize].iter_mut().zip(added) {
                *count += more;
            }
        }
        self.count += other.count;
        self.sum += other.sum;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    /// How many numbers.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The least one, exactly; 0 if there is none.
    pub fn min(&self) -> u64 {
        if self.count == 0 { 0 } else { self.min }
    }

    /// The greatest one, exactly.
    pub fn max(&self) -> u64 {
        self.max
    }

    /// The mean, exactly; 0 of none.
    pub fn mean(&self) -> f64 {
        if self.count == 0 {
            0.0
        } else {
            self.sum as f64 / self.count as f64
        }
    }

    /// The number below or at which that share of all lies (nearest rank),
    /// within 0.05 %; 0 of none.
    pub fn quantile(&self, share: f64) -> u64 {
        let rank = ((share * self.count as f64).ceil() as u64).clamp(1, self.count.max(1));
        let mut before = 0;
        for (page, &place) in self
            .places
            .iter()
            .enumerate()
            .filter(|&(_, &place)| place > 0)
        {
            for (bucket, count) in self.counts[place as usize].iter().enumerate() {
                before += count;
                if before >= rank {
                    return middle_of(page * PAGE + bucket).clamp(self.min, self.max);
                }
            }
        }
        0
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
    }
}
