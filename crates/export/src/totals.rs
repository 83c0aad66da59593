//! The sums of a run up to a period, so that a receiver that misses a message gets
//! everything with the next one.

use std::collections::BTreeMap;

use encarno_record::sums::Sums;

use crate::steps::{Kind, Step};

#[derive(Debug, Default)]
pub(crate) struct Totals(BTreeMap<Kind, Sums>);

impl Totals {
    /// Adds a period. Returns the present totals of each kind that has hits in it.
    pub(crate) fn add<'a>(
        &'a mut self,
        step: &'a Step,
    ) -> impl Iterator<Item = (&'a Kind, &'a Sums)> {
        for (kind, sums) in &step.sums {
            self.0.entry(kind.clone()).or_default().merge(sums);
        }
        step.sums
            .keys()
            .filter_map(|kind| self.0.get_key_value(kind))
    }

    /// What there is of each kind.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Kind, &Sums)> {
        self.0.iter()
    }
}
