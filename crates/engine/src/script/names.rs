//! Variables by name: each has a place, the same for all workers.

use std::collections::HashMap;

use encarno_record::VariableId;

/// Distinct expressions, JSONPaths and names in a run.
const TEXTS_MAX: usize = 10_000;

/// Variables by name.
#[derive(Debug, Default)]
pub(super) struct Names(HashMap<Box<str>, VariableId>);

impl Names {
    pub(super) fn id_of(&mut self, name: &str) -> Result<VariableId, String> {
        if let Some(&slot) = self.0.get(name) {
            return Ok(slot);
        }
        bounded(self.0.len(), "variables")?;
        let slot = VariableId(self.0.len() as u32);
        self.0.insert(name.into(), slot);
        Ok(slot)
    }
}

pub(super) fn bounded(count: usize, what: &str) -> Result<(), String> {
    if count < TEXTS_MAX {
        Ok(())
    } else {
        Err(format!("more than {TEXTS_MAX} distinct {what} in one run"))
    }
}
