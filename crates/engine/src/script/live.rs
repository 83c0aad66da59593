//! Extracts and asserts whose texts contain variables. They are compiled when the values
//! are known, and kept for the same values.

use std::collections::HashMap;
use std::sync::Arc;

use encarno_record::Strings;
use encarno_record::script::{Assert, Extract};

use super::check::{Check, Test};
use super::extract::{ExtractPlan, Source};
use super::pattern::Matchers;
use super::plan::Expressions;
use super::values::{assert_with, extract_with};

/// The most that are kept; further ones are compiled each time.
const KEPT_MAX: usize = 1000;

/// The expressions that one event loop has compiled.
#[derive(Debug, Default)]
pub(super) struct Live {
    expressions: Expressions,
    /// Working memory for the expressions.
    pub(super) matchers: Matchers,
    checks: HashMap<Assert, Arc<Check>>,
    extracts: HashMap<Extract, Arc<ExtractPlan>>,
}

impl Live {
    /// The check with its variables' values; `None` if it has no variables, or if the
    /// values make it invalid.
    pub(super) fn check(
        &mut self,
        check: &Check,
        strings: &Strings,
        fill: impl Fn(&str) -> String,
    ) -> Option<Arc<Check>> {
        let Test::Live(assert) = &check.test else {
            return None;
        };
        let assert = assert_with(assert, fill);
        self.make_room();
        if let Some(check) = self.checks.get(&assert) {
            return Some(Arc::clone(check));
        }
        let check = Arc::new(self.expressions.check(&assert, strings).ok()?);
        self.checks.insert(assert, Arc::clone(&check));
        Some(check)
    }

    /// The extract with its variables' values; `None` as for [`Live::check`].
    pub(super) fn extract(
        &mut self,
        plan: &ExtractPlan,
        fill: impl Fn(&str) -> String,
    ) -> Option<Arc<ExtractPlan>> {
        let Source::Live(extract) = &plan.source else {
            return None;
        };
        let extract = extract_with(extract, fill);
        self.make_room();
        if let Some(plan) = self.extracts.get(&extract) {
            return Some(Arc::clone(plan));
        }
        let plan = Arc::new(self.expressions.extract(&extract).ok()?);
        self.extracts.insert(extract, Arc::clone(&plan));
        Some(plan)
    }

    fn make_room(&mut self) {
        if self.checks.len() + self.extracts.len() >= KEPT_MAX {
            *self = Self::default();
        }
    }
}
