//! Lists: all matches of an extract, over which a worker can iterate.

use encarno_record::{VariableId, Variables};

use super::VALUE_BYTES_MAX;

/// The most values of a list, and the most bytes of all of them.
const VALUES_MAX: usize = 10_000;
const BYTES_MAX: usize = 16 * VALUE_BYTES_MAX;

/// The lists of one worker, by the variable that the extract names.
#[derive(Debug, Default)]
pub(super) struct Lists(Vec<(VariableId, Vec<Vec<u8>>)>);

/// The variables for the first values of a list, and for its length.
#[derive(Debug)]
pub(super) struct Numbered {
    pub(super) count: VariableId,
    pub(super) items: Vec<VariableId>,
}

impl Lists {
    pub(super) fn get(&self, slot: VariableId) -> Option<&[Vec<u8>]> {
        let found = self.0.iter().find(|(known, _)| *known == slot);
        found.map(|(_, list)| &**list)
    }

    /// Replaces the list. Returns true if it has all values.
    pub(super) fn set<V: AsRef<[u8]>>(
        &mut self,
        slot: VariableId,
        values: impl Iterator<Item = V>,
        numbered: &Numbered,
        variables: &mut Variables,
    ) -> bool {
        let mut list = Vec::new();
        let mut bytes = 0;
        let mut whole = true;
        for value in values {
            let value = value.as_ref();
            bytes += value.len();
            if list.len() >= VALUES_MAX || bytes > BYTES_MAX {
                whole = false;
                break;
            }
            list.push(value.to_vec());
        }
        variables.set(numbered.count, list.len().to_string().as_bytes());
        for (place, slot) in numbered.items.iter().enumerate() {
            match list.get(place) {
                Some(value) => variables.set(*slot, value),
                None => variables.unset(*slot),
            }
        }
        match self.0.iter_mut().find(|(known, _)| *known == slot) {
            Some((_, old)) => *old = list,
            None => self.0.push((slot, list)),
        }
        whole
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
