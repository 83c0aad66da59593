//! The memory that parameters of all calls together may take.
//!
//! The number of calls is bounded elsewhere, and that is enough for small
//! parameters. Large ones are counted here as well.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Parameters up to this aren't counted.
const SMALL_BYTES_MAX: usize = 64 << 10;

/// What is counted.
const UNIT_BYTES: usize = 1 << 10;

/// Memory for large parameters.
pub(crate) struct Budget(Arc<Semaphore>);

/// A part of the budget, until this is dropped. `None` for small parameters.
pub(crate) struct Reserved(Option<OwnedSemaphorePermit>);

impl Budget {
    /// A budget of so many bytes, at most 4 TiB.
    pub(crate) fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(units(bytes) as usize)))
    }

    /// Memory for parameters that have arrived, if there is any left.
    pub(crate) fn try_reserve(&self, bytes: usize) -> Option<Reserved> {
        if bytes <= SMALL_BYTES_MAX {
            return Some(Reserved(None));
        }
        let permit = Arc::clone(&self.0).try_acquire_many_owned(units(bytes));
        permit.ok().map(|permit| Reserved(Some(permit)))
    }

    /// Memory for parameters that may become as large as that, as soon as
    /// there is so much.
    pub(crate) async fn reserve(&self, bytes_max: usize) -> Option<Reserved> {
        let permit = Arc::clone(&self.0).acquire_many_owned(units(bytes_max));
        permit.await.ok().map(|permit| Reserved(Some(permit)))
    }
}

impl Reserved {
    /// Gives back what isn't needed.
    pub(crate) fn shrink(&mut self, bytes: usize) {
        if let Some(permit) = &mut self.0 {
            let spare = permit.num_permits().saturating_sub(units(bytes) as usize);
            drop(permit.split(spare));
        }
    }
}

fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::Budget;

    const MIB: usize = 1 << 20;

    #[tokio::test]
    async fn a_budget_is_spent_and_given_back() {
        let budget = Budget::new(10 * MIB);
        let mut arriving = budget.reserve(8 * MIB).await.expect("8 of 10 MiB");
        assert!(budget.try_reserve(3 * MIB).is_none());
        assert!(budget.try_reserve(1000).is_some(), "small ones don't count");
        arriving.shrink(MIB);
        let whole = budget.try_reserve(9 * MIB).expect("9 of 10 MiB");
        assert!(budget.try_reserve(MIB).is_none());
        drop(arriving);
        assert!(budget.try_reserve(MIB).is_some());
        drop(whole);
        assert!(budget.reserve(10 * MIB).await.is_some());
    }
}
