//! Subjects.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// A subject: tokens with dots between them. It is cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Subject(Arc<str>);

impl Subject {
    /// The subject as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether servers accept it: no token is empty, and no character ends a word.
    pub fn is_valid(&self) -> bool {
        let ends_a_word = |char: char| char.is_ascii_whitespace() || char == '\0';
        !self.contains(ends_a_word) && self.split('.').all(|token| !token.is_empty())
    }
}

impl From<&str> for Subject {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl From<String> for Subject {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl Deref for Subject {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self)
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::Subject;

    #[test]
    fn what_a_server_takes() {
        for valid in ["a", "a.b", "é.b", "_INBOX.x.>", "a.*.b"] {
            assert!(Subject::from(valid).is_valid(), "{valid:?}");
        }
        for wrong in [
            "",
            ".",
            "a.",
            ".a",
            "a..b",
            "a b",
            "a\tb",
            "a\r\nPUB b 0",
            "a\0",
        ] {
            assert!(!Subject::from(wrong).is_valid(), "{wrong:?}");
        }
    }
}
