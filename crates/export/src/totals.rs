//! The sums of a run up to a period: whoever misses a message has all of it with the next.

use std::collections::BTreeMap;

use encarno_record::sums::Sums;

use crate::steps::{Kind, Step};

#[derive(Debug, Default)]
pub(crate) struct Totals(BTreeMap<Kind, Sums>);

impl Totals {
    /// Adds a period: what there is now of each kind of which it has hits.
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
