//! Asserts and extracts whose texts contain variables, with values filled in.

use encarno_record::script::{Assert, Extract};

use super::names::pieces;

/// Whether one of its texts may contain variables.
pub(super) fn assert_is_live(assert: &Assert) -> bool {
    texts_of_assert(assert).any(is_template)
}

/// Whether one of its texts may contain variables.
pub(super) fn extract_is_live(extract: &Extract) -> bool {
    texts_of_extract(extract).any(is_template)
}

/// The assert with its variables' values.
pub(super) fn assert_with(assert: &Assert, fill: impl Fn(&str) -> String) -> Assert {
    let fill_option = |text: &Option<String>| text.as_deref().map(&fill);
    Assert {
        regex: fill(&assert.regex),
        text: fill_option(&assert.text),
        jsonpath: fill_option(&assert.jsonpath),
        equals: fill_option(&assert.equals),
        ..assert.clone()
    }
}

/// The extract with its variables' values.
pub(super) fn extract_with(extract: &Extract, fill: impl Fn(&str) -> String) -> Extract {
    let fill_option = |text: &Option<String>| text.as_deref().map(&fill);
    Extract {
        regex: fill(&extract.regex),
        jsonpath: fill_option(&extract.jsonpath),
        default: fill_option(&extract.default),
        ..extract.clone()
    }
}

/// A text with the values of variables that never change. Other variables stay.
pub(super) fn with_fixed<'a>(text: &str, value: impl Fn(&str) -> Option<&'a [u8]>) -> String {
    let mut filled = String::with_capacity(text.len());
    for (before, name) in pieces(text) {
        filled.push_str(before);
        match name.map(|name| value(name).ok_or(name)) {
            None => {}
            Some(Ok(value)) => filled.push_str(&String::from_utf8_lossy(value)),
            Some(Err(name)) => filled.extend(["${", name, "}"]),
        }
    }
    filled
}

/// A text that values may make of this one.
pub(super) fn without_values(text: &str) -> String {
    with_fixed(text, |_| Some(b"0"))
}

pub(super) fn texts_of_assert(assert: &Assert) -> impl Iterator<Item = &str> {
    let options = [&assert.text, &assert.jsonpath, &assert.equals];
    let options = options.into_iter().filter_map(|text| text.as_deref());
    options.chain([&*assert.regex])
}

pub(super) fn texts_of_extract(extract: &Extract) -> impl Iterator<Item = &str> {
    let options = [&extract.jsonpath, &extract.default];
    let options = options.into_iter().filter_map(|text| text.as_deref());
    options.chain([&*extract.regex])
}

fn is_template(text: &str) -> bool {
    encarno_record::template::is_template(text.as_bytes())
}
