//! Scripts with data from peers.

use bytes::BytesMut;
use encarno_engine::script::fuzz;
use encarno_http1::{Request, head_end};
use encarno_record::template::{fill_request, filled, is_template};
use encarno_record::{VariableId, Variables};

use super::{parts, text};
use crate::memory_file::MemoryFile;

/// Checks that values never add a line to a head.
pub(crate) fn templates(bytes: &[u8]) {
    let mut parts = parts(bytes);
    let (template, a) = (
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
    );
    let b = parts.next().unwrap_or_default();
    let mut variables = Variables::default();
    let names: [&[u8]; 2] = [b"a", b"b"];
    let replaces: Vec<_> = (names.iter().zip(0..))
        .map(|(&name, number)| (name.into(), VariableId(number)))
        .collect();
    variables.set(VariableId(0), a);
    variables.set(VariableId(1), b);
    let _ = is_template(template);
    if let Some(text) = text(template) {
        let _ = filled(text, &replaces, &variables);
    }
    let mut out = BytesMut::new();
    let written = fill_request(template, &replaces, &variables, &mut out, &mut Vec::new());
    let (Ok(()), Some(_)) = (written, Request::parse(template)) else {
        return;
    };
    let lines = |text: &[u8]| {
        let head = head_end(text, 0).map(|end| &text[..end]);
        head.map(|head| head.iter().filter(|&&byte| byte == b'\n').count())
    };
    assert_eq!(lines(template), lines(&out), "{}", out.escape_ascii());
}

/// Applies a path to a JSON text.
pub(crate) fn jsonpath(bytes: &[u8]) {
    let mut parts = parts(bytes);
    if let Some(path) = parts.next().and_then(text) {
        fuzz::jsonpath(path, parts.next().unwrap_or_default());
    }
}

/// Searches a text with an expression.
pub(crate) fn patterns(bytes: &[u8]) {
    let mut parts = parts(bytes);
    if let Some(pattern) = parts.next().and_then(text) {
        fuzz::pattern(pattern, parts.next().unwrap_or_default());
    }
}

/// Parses conditions of steps.
pub(crate) fn conditions(bytes: &[u8]) {
    if let Some(text) = text(bytes) {
        fuzz::condition(text);
    }
}

/// Takes a URL, and the Set-Cookie fields of its response.
pub(crate) fn cookies(bytes: &[u8]) {
    let mut parts = parts(bytes);
    if let Some(url) = parts.next().and_then(text) {
        fuzz::cookies(url, parts);
    }
}

/// Follows a redirect of a request.
pub(crate) fn redirects(bytes: &[u8]) {
    let mut parts = parts(bytes);
    let (request, location) = (
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
    );
    fuzz::redirect(request, location);
}

/// Reads a file of rows.
pub(crate) fn data(bytes: &[u8]) {
    if let Some(file) = MemoryFile::new(bytes) {
        fuzz::data(&file.path());
    }
}
