//! Counts hits by address.

use std::collections::HashMap;

use encarno_record::StringId;

/// The hits of one event loop by address. Most hits go to the same address as the one
/// before.
#[derive(Debug, Default)]
pub(super) struct AddressCounts {
    last: StringId,
    last_hits: u64,
    others: HashMap<StringId, u64>,
}

impl AddressCounts {
    #[inline]
    pub(super) fn count(&mut self, address: StringId) {
        if address != self.last {
            self.turn_to(address);
        }
        self.last_hits += 1;
    }

    #[inline(never)]
    fn turn_to(&mut self, address: StringId) {
        if self.last_hits > 0 {
            *self.others.entry(self.last).or_default() += self.last_hits;
        }
        (self.last, self.last_hits) = (address, 0);
    }

    /// Takes all counts, and leaves none.
    pub(super) fn take(&mut self) -> HashMap<StringId, u64> {
        self.turn_to(StringId(0));
        std::mem::take(&mut self.others)
    }
}
