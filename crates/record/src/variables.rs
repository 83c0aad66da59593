//! A worker's variables, by place. Each name gets its place once.

/// The text for a variable without a value.
const NO_VALUE: &[u8] = b"NO_VALUE";

/// The place of a variable, which is the same for all workers of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VariableId(pub u32);

/// The values of one worker.
#[derive(Debug, Default)]
pub struct Variables(Vec<Variable>);

/// A variable; its bytes stay allocated from one value to the next.
#[derive(Debug, Default)]
struct Variable {
    is_set: bool,
    bytes: Vec<u8>,
}

impl Variables {
    /// The value; `NO_VALUE` if there is none.
    pub fn get(&self, id: VariableId) -> &[u8] {
        match self.0.get(id.0 as usize) {
            Some(variable) if variable.is_set => &variable.bytes,
            _ => NO_VALUE,
        }
    }

    /// Sets the value.
    pub fn set(&mut self, id: VariableId, value: &[u8]) {
        let index = id.0 as usize;
        if index >= self.0.len() {
            self.0.resize_with(index + 1, Variable::default);
        }
        let variable = &mut self.0[index];
        variable.is_set = true;
        variable.bytes.clear();
        variable.bytes.extend_from_slice(value);
    }

    /// Removes all values.
    pub fn clear(&mut self) {
        self.0
            .iter_mut()
            .for_each(|variable| variable.is_set = false);
    }

    /// Removes the value.
    pub fn unset(&mut self, id: VariableId) {
        if let Some(variable) = self.0.get_mut(id.0 as usize) {
            variable.is_set = false;
        }
    }

    /// Whether it has a value.
    pub fn is_set(&self, id: VariableId) -> bool {
        let variable = self.0.get(id.0 as usize);
        variable.is_some_and(|variable| variable.is_set)
    }
}
