//! Which value can't be encoded, and why.

use std::fmt;

/// A value that isn't of its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueError {
    /// The way to the value, the last step first.
    path: Vec<String>,
    reason: String,
}

impl ValueError {
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self {
            path: Vec::new(),
            reason: reason.into(),
        }
    }

    pub(crate) fn within(mut self, step: String) -> Self {
        self.path.push(step);
        self
    }

    pub(crate) fn field(self, name: &str) -> Self {
        self.within(format!(".{name}"))
    }

    pub(crate) fn item(self, index: usize) -> Self {
        self.within(format!("[{index}]"))
    }
}

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in self.path.iter().rev() {
            f.write_str(step)?;
        }
        if !self.path.is_empty() {
            f.write_str(": ")?;
        }
        f.write_str(&self.reason)
    }
}

impl std::error::Error for ValueError {}
