//! The largest number of workers that keeps a goal, if a trial shows only whether it did.

/// The range of the search.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Search {
    /// The smallest number of workers; at least 1.
    pub low: u32,
    /// The largest number of workers.
    pub high: u32,
    /// The final distance of the bounds, as a part of the lower one.
    pub width: f64,
}

impl Search {
    /// The bounds from trials (workers, and whether the goal held): the number that
    /// holds, and the number that fails. If the goal failed below a number at which it
    /// held, the failure counts.
    pub fn bounds(trials: &[(u32, bool)]) -> (Option<u32>, Option<u32>) {
        let failed = trials.iter().filter(|(_, held)| !held);
        let fails = failed.map(|(workers, _)| *workers).min();
        let below = |workers: u32| fails.is_none_or(|fails| workers < fails);
        let held = trials
            .iter()
            .filter(|(workers, held)| *held && below(*workers));
        (held.map(|(workers, _)| *workers).max(), fails)
    }

    /// The next number to try; `None` when the bounds are close enough, or can't come
    /// closer.
    pub fn next(&self, trials: &[(u32, bool)]) -> Option<u32> {
        let (low, high) = (self.low.max(1), self.high.max(self.low).max(1));
        match Self::bounds(trials) {
            (None, None) => Some(low),
            (Some(holds), None) if holds >= high => None,
            (Some(holds), None) => Some(holds.saturating_mul(2).min(high)),
            (None, Some(fails)) if fails <= low => None,
            (None, Some(fails)) => Some((fails / 2).max(low)),
            (Some(holds), Some(fails)) => {
                let near = f64::from(fails) <= f64::from(holds) * (1.0 + self.width);
                let between = (f64::from(holds) * f64::from(fails)).sqrt() as u32;
                (fails - holds > 1 && !near).then(|| between.clamp(holds + 1, fails - 1))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Search;

    fn found(limit: u32, low: u32, high: u32) -> (Option<u32>, Option<u32>, usize) {
        let search = Search {
            low,
            high,
            width: 0.05,
        };
        let mut trials = Vec::new();
        while let Some(workers) = search.next(&trials) {
            assert!((low..=high).contains(&workers));
            trials.push((workers, workers <= limit));
            assert!(trials.len() < 30, "{trials:?}");
        }
        let (holds, fails) = Search::bounds(&trials);
        (holds, fails, trials.len())
    }

    #[test]
    fn a_limit_is_bracketed() {
        for limit in [1, 2, 3, 37, 99] {
            assert_eq!(
                found(limit, 1, 100).0.map(|holds| holds <= limit),
                Some(true)
            );
            let (holds, fails, trials) = found(limit, 1, 100);
            let (holds, fails) = (holds.unwrap_or(0), fails.unwrap_or(0));
            assert!(
                fails > limit
                    && (fails - holds == 1 || f64::from(fails) <= 1.05 * f64::from(holds))
            );
            assert!(trials <= 13, "{limit}: {trials}");
        }
        assert_eq!(found(100, 1, 100).0, Some(100));
        assert_eq!(found(0, 1, 100), (None, Some(1), 1));
        assert_eq!(found(3, 10, 100), (None, Some(10), 1));
    }

    #[test]
    fn what_is_known_is_not_tried_again_and_a_failure_counts() {
        let search = Search {
            low: 1,
            high: 64,
            width: 0.05,
        };
        let trials = [(1, true), (16, true), (32, true), (16, false), (64, false)];
        assert_eq!(Search::bounds(&trials), (Some(1), Some(16)));
        assert_eq!(search.next(&trials), Some(4));
    }
}
