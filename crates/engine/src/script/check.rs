//! Checks an answer against asserts.

use std::sync::Arc;

use encarno_record::StringId;
use encarno_record::script::{Assert, Subject};
use memchr::memmem::Finder;

use super::inspection::{Inspection, node_text};
use super::jsonpath::Path;
use super::pattern::{Matchers, Pattern};

/// An assert, compiled.
#[derive(Debug)]
pub(super) struct Check {
    pub(super) subject: Subject,
    pub(super) test: Test,
    pub(super) invert: bool,
    /// The error of a hit that doesn't meet it.
    pub(super) error: StringId,
}

#[derive(Debug)]
pub(super) enum Test {
    Regex(Pattern),
    Text(Box<Finder<'static>>),
    JsonPath(Arc<Path>, Expected),
    /// The assert contains variables: see `live`.
    Live(Box<Assert>),
}

/// The value that one of a JSONPath's nodes must have.
#[derive(Debug)]
pub(super) enum Expected {
    Anything,
    Text(String),
    Regex(Pattern),
}

impl Check {
    pub(super) fn is_met(&self, inspection: &mut Inspection<'_>, matchers: &mut Matchers) -> bool {
        let found = match &self.test {
            Test::Regex(pattern) => {
                let text = inspection.part(self.subject);
                matchers.get(pattern).regex.is_match(text)
            }
            Test::Text(finder) => finder.find(inspection.part(self.subject)).is_some(),
            Test::JsonPath(path, expected) => {
                let nodes = inspection.nodes(path);
                match expected {
                    Expected::Anything => !nodes.is_empty(),
                    Expected::Text(text) => {
                        nodes.iter().any(|node| node_text(node) == text.as_str())
                    }
                    Expected::Regex(pattern) => {
                        let regex = &matchers.get(pattern).regex;
                        nodes
                            .iter()
                            .any(|node| regex.is_match(node_text(node).as_bytes()))
                    }
                }
            }
            // With these values, the assert is invalid and can't be met.
            Test::Live(_) => return false,
        };
        found != self.invert
    }
}

/// The error text: the expectation that wasn't met.
pub(super) fn error_text(assert: &Assert) -> String {
    let place = match assert.subject {
        _ if assert.jsonpath.is_some() => "the body",
        Subject::Response => "the response",
        Subject::Body => "the body",
        Subject::Headers => "the headers",
        Subject::Code => "the code",
    };
    let verb = if assert.invert { "has" } else { "doesn't have" };
    let what = match (&assert.jsonpath, &assert.equals, &assert.text) {
        (Some(path), None, _) if assert.regex.is_empty() => path.clone(),
        (Some(path), None, _) => format!("{path} =~ /{}/", assert.regex),
        (Some(path), Some(text), _) => format!("{path} = {text:?}"),
        (None, _, Some(text)) => format!("{text:?}"),
        (None, _, None) => format!("/{}/", assert.regex),
    };
    let text = format!("assert: {place} {verb} {what}");
    match text.char_indices().nth(ERROR_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Texts of asserts get numbers below this one; further texts share one number.
pub(super) const ERRORS_END: StringId = StringId(1_000_000);

/// The most characters of an error, which is a line in tables.
const ERROR_CHARS_MAX: usize = 200;
