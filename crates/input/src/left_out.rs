//! Records that were left out on purpose, by reason.

use std::borrow::Cow;
use std::fmt;

/// The most reasons that are counted separately, because a file may contain any number of
/// methods.
const REASONS_MAX: usize = 20;

/// Counts of what was left out in one pass through an input.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    reasons: Vec<(Cow<'static, str>, u64)>,
}

impl LeftOut {
    /// The total count.
    pub fn count(&self) -> u64 {
        self.reasons.iter().map(|(_, count)| count).sum()
    }

    /// Whether nothing was left out.
    pub fn is_empty(&self) -> bool {
        self.reasons.is_empty()
    }

    /// The counts by reason.
    pub fn reasons(&self) -> impl Iterator<Item = (&str, u64)> {
        self.reasons
            .iter()
            .map(|(reason, count)| (&**reason, *count))
    }

    pub(super) fn add(&mut self, reason: impl Into<Cow<'static, str>>) {
        let mut reason = reason.into();
        let known = |reasons: &[(Cow<'static, str>, u64)], reason: &str| {
            reasons.iter().position(|(other, _)| other == reason)
        };
        if known(&self.reasons, &reason).is_none() && self.reasons.len() >= REASONS_MAX {
            reason = Cow::Borrowed("others");
        }
        match known(&self.reasons, &reason) {
            Some(place) => self.reasons[place].1 += 1,
            None => self.reasons.push((reason, 1)),
        }
    }
}

impl FromIterator<(String, u64)> for LeftOut {
    fn from_iter<I: IntoIterator<Item = (String, u64)>>(reasons: I) -> Self {
        let reasons = reasons.into_iter();
        Self {
            reasons: reasons
                .map(|(reason, count)| (Cow::Owned(reason), count))
                .collect(),
        }
    }
}

/// Formats as `3 POST, 150 lines without a request`.
impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (reason, count)) in self.reasons.iter().enumerate() {
            let comma = if place > 0 { ", " } else { "" };
            write!(f, "{comma}{count} {reason}")?;
        }
        Ok(())
    }
}
