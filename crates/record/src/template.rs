//! Replaces `${name}` in a text by a value, and `${:content-length:}` by the length of
//! the resulting body.
//!
//! There is one pass: a value that contains `${…}` is inserted as it is, so that a peer
//! can't write templates.
//!
//! - place: where in a request a value goes, and how it is encoded there

mod place;

use std::collections::BTreeMap;

use bytes::{BufMut, Bytes, BytesMut};
use encarno_http1::Request;
use encarno_secret::Secret;
use place::{Place, Unfit};

use crate::{VariableId, Variables};

/// The text for the length of the body.
pub const LENGTH: &str = "${:content-length:}";
const CONTENT_LENGTH: &[u8] = b":content-length:";
/// The name of a hit's number: `${n}`.
pub const NUMBER: &[u8] = b"n";

/// The most bytes of a request with its values.
const REQUEST_BYTES_MAX: usize = 16 << 20;

/// The variables to fill in, by name; other names stay as they are.
pub type Replaces = [(Box<[u8]>, VariableId)];

/// Why values can't be filled in.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FillError {
    /// The request would be too long.
    #[error("with its values the request has more than {REQUEST_BYTES_MAX} bytes")]
    TooLong,
    /// The value contains a line end, and would start another line.
    #[error("the value of {0} has a line end: it can't be in the head of a request")]
    LineEnd(String),
    /// The value would leave an empty line, which ends the head.
    #[error(
        "the value of {0} is empty and alone in its line: the head of the request would end there"
    )]
    EmptyLine(String),
}

/// Whether the text may contain something to fill in.
pub fn is_template(text: &[u8]) -> bool {
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'$', rest) {
        rest = &rest[at + 1..];
        if rest.first() == Some(&b'{') {
            return true;
        }
    }
    false
}

/// Whether the text contains the number of its hit.
pub fn has_number(text: &[u8]) -> bool {
    memchr::memmem::find(text, b"${n}").is_some()
}

/// Appends the text with its values filled in. The places of lengths are noted.
pub fn fill(
    text: &[u8],
    replaces: &Replaces,
    variables: &Variables,
    out: &mut BytesMut,
    lengths: &mut Vec<usize>,
) -> Result<(), FillError> {
    lengths.clear();
    fill_at(Place::Text, text, replaces, variables, out, lengths)
}

fn fill_at(
    mut place: Place,
    text: &[u8],
    replaces: &Replaces,
    variables: &Variables,
    out: &mut BytesMut,
    lengths: &mut Vec<usize>,
) -> Result<(), FillError> {
    let mut rest = text;
    loop {
        let literal = next_opening(rest).unwrap_or(rest.len());
        append(out, &rest[..literal])?;
        place.pass(&rest[..literal]);
        rest = &rest[literal..];
        let Some(inner) = rest.get(2..) else {
            return append(out, rest);
        };
        let name = memchr::memchr(b'}', inner).map(|end| &inner[..end]);
        match name {
            Some(CONTENT_LENGTH) => lengths.push(out.len()),
            name => match name.and_then(|name| id_of(name, replaces)) {
                Some(id) => {
                    let value = variables.get(id);
                    if out.len() + value.len() > REQUEST_BYTES_MAX {
                        return Err(FillError::TooLong);
                    }
                    let named = || {
                        let name = String::from_utf8_lossy(name.unwrap_or_default());
                        format!("${{{name}}}")
                    };
                    let after = &inner[name.map_or(0, <[u8]>::len) + 1..];
                    if value.is_empty() && place.is_head() && is_line_empty(out, after) {
                        return Err(FillError::EmptyLine(named()));
                    }
                    place
                        .write(value, out)
                        .map_err(|Unfit| FillError::LineEnd(named()))?;
                }
                None => {
                    append(out, &rest[..2])?;
                    place.pass(&rest[..2]);
                    rest = inner;
                    continue;
                }
            },
        }
        rest = &inner[name.map_or(0, <[u8]>::len) + 1..];
    }
}

/// Whether the line that ends with `before` and continues with `after` is empty.
fn is_line_empty(before: &[u8], after: &[u8]) -> bool {
    let before = before.strip_suffix(b"\r").unwrap_or(before);
    let after = after.strip_prefix(b"\r").unwrap_or(after);
    before.ends_with(b"\n") && after.starts_with(b"\n")
}

/// A short text with its values filled in; empty if it would be too long.
pub fn filled(text: &str, replaces: &Replaces, variables: &Variables) -> Vec<u8> {
    if !is_template(text.as_bytes()) {
        return text.as_bytes().to_vec();
    }
    let mut out = BytesMut::with_capacity(text.len());
    match fill(
        text.as_bytes(),
        replaces,
        variables,
        &mut out,
        &mut Vec::new(),
    ) {
        Ok(()) => out.to_vec(),
        Err(_) => Vec::new(),
    }
}

/// A text or request with the values that are known from the start; `None` if there is
/// nothing to fill in.
pub fn fill_fixed(
    text: &[u8],
    names: &[String],
    values: &BTreeMap<String, Secret>,
) -> Result<Option<Bytes>, String> {
    if !is_template(text) {
        return Ok(None);
    }
    let mut variables = Variables::default();
    let mut replaces: Vec<(Box<[u8]>, VariableId)> = Vec::with_capacity(names.len());
    for (name, number) in names.iter().zip(0..) {
        replaces.push((name.as_bytes().into(), VariableId(number)));
        if let Some(value) = values.get(name) {
            variables.set(VariableId(number), value.expose().as_bytes());
        }
    }
    let mut out = BytesMut::with_capacity(text.len());
    let filled = fill_request(text, &replaces, &variables, &mut out, &mut Vec::new());
    filled.map_err(|error| error.to_string())?;
    Ok(Some(out.freeze()))
}

fn id_of(name: &[u8], replaces: &Replaces) -> Option<VariableId> {
    let found = replaces.iter().find(|(known, _)| **known == *name);
    found.map(|&(_, id)| id)
}

/// Fills a request in: each value is encoded for its place, and the length of the body is
/// inserted where it belongs.
pub fn fill_request(
    text: &[u8],
    replaces: &Replaces,
    variables: &Variables,
    out: &mut BytesMut,
    lengths: &mut Vec<usize>,
) -> Result<(), FillError> {
    lengths.clear();
    for (place, part) in parts(text) {
        fill_at(place, part, replaces, variables, out, lengths)?;
    }
    if lengths.is_empty() {
        return Ok(());
    }
    let body_bytes = encarno_http1::head_end(out, 0).map_or(0, |end| out.len() - end);
    let mut digits = itoa::Buffer::new();
    let digits = digits.format(body_bytes).as_bytes();
    // Start with the last one, so that the other places stay valid.
    for &at in lengths.iter().rev() {
        let end = out.len();
        append(out, digits)?;
        out.copy_within(at..end, at + digits.len());
        out[at..at + digits.len()].copy_from_slice(digits);
    }
    Ok(())
}

/// The parts of a request in their order; one text if it isn't a request.
fn parts(text: &[u8]) -> impl Iterator<Item = (Place, &[u8])> {
    let parts = match Request::parse(text) {
        None => [(Place::Text, text), (Place::Text, b""), (Place::Text, b"")],
        Some(request) => {
            let line_bytes = memchr::memchr(b'\n', text).map_or(text.len(), |end| end + 1);
            let (line, rest) = text.split_at(line_bytes);
            let body = request.body().unwrap_or_default();
            let (fields, body) = rest.split_at(rest.len() - body.len());
            let kind = request.field("content-type").unwrap_or_default();
            [
                (Place::Target, line),
                (Place::Head, fields),
                (Place::of_body(kind), body),
            ]
        }
    };
    parts.into_iter()
}

fn next_opening(text: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + memchr::memchr(b'$', &text[from..])?;
        if text.get(at + 1) == Some(&b'{') {
            return Some(at);
        }
        from = at + 1;
    }
}

fn append(out: &mut BytesMut, bytes: &[u8]) -> Result<(), FillError> {
    if out.len() + bytes.len() > REQUEST_BYTES_MAX {
        return Err(FillError::TooLong);
    }
    out.put_slice(bytes);
    Ok(())
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use proptest::prelude::*;

    use super::{FillError, VariableId, Variables, fill_request, is_template};

    fn filled(text: &str, values: &[(&str, &str)]) -> String {
        let mut variables = Variables::default();
        let mut replaces: Vec<(Box<[u8]>, VariableId)> = Vec::new();
        for (index, (name, value)) in values.iter().enumerate() {
            replaces.push((name.as_bytes().into(), VariableId(index as u32)));
            variables.set(VariableId(index as u32), value.as_bytes());
        }
        replaces.push((b"unset"[..].into(), VariableId(99)));
        let mut out = BytesMut::new();
        fill_request(
            text.as_bytes(),
            &replaces,
            &variables,
            &mut out,
            &mut Vec::new(),
        )
        .expect("short");
        String::from_utf8(out.to_vec()).expect("text")
    }

    #[test]
    fn known_texts() {
        let values = [("a", "1"), ("größe", "ü€"), ("t", "${a}")];
        for (text, expected) in [
            ("", ""),
            ("${a}${a}", "11"),
            ("$${a}$", "$1$"),
            ("${", "${"),
            ("${a", "${a"),
            ("${b} ${a ${a}", "${b} ${a 1"),
            ("${t}${unset}", "${a}NO_VALUE"),
            (
                "P\r\nL: ${:content-length:}\r\n\r\n${größe}",
                "P\r\nL: 5\r\n\r\nü€",
            ),
            (
                "P\nL: ${:content-length:}\n\n${größe}${:content-length:}",
                "P\nL: 5\n\nü€5",
            ),
            ("x${:content-length:}", "x0"),
        ] {
            assert_eq!(filled(text, &values), expected, "{text}");
        }
        assert!(is_template(b"$ ${") && !is_template(b"$ {$") && !is_template(b"$"));
    }

    #[test]
    fn a_value_smuggles_no_second_request() {
        let evil = ("v", "x\r\nEvil: 1\r\n\r\nGET /2 HTTP/1.1\r\n\r\n");
        let in_target = filled("GET /?a=${v} HTTP/1.1\r\nHost: h\r\n\r\n", &[evil]);
        assert_eq!(in_target.matches("\r\n").count(), 3, "{in_target}");
        let text = "GET / HTTP/1.1\r\nX: ${v}\r\n\r\n";
        let mut variables = Variables::default();
        variables.set(VariableId(0), evil.1.as_bytes());
        let replaces = [(b"v"[..].into(), VariableId(0))];
        let mut out = BytesMut::new();
        let result = fill_request(
            text.as_bytes(),
            &replaces,
            &variables,
            &mut out,
            &mut Vec::new(),
        );
        assert_eq!(result, Err(FillError::LineEnd("${v}".to_owned())));
        let json = "POST / HTTP/1.1\r\nContent-Type: application/json\r\n\
                    Content-Length: ${:content-length:}\r\n\r\n{\"a\": \"${v}\"}";
        let body = filled(json, &[("v", "\"\n")]);
        assert!(
            body.ends_with("Content-Length: 13\r\n\r\n{\"a\": \"\\\"\\n\"}"),
            "{body}"
        );
    }

    #[test]
    fn a_value_ends_no_head() {
        let replaces = [
            (b"a"[..].into(), VariableId(0)),
            (b"b"[..].into(), VariableId(1)),
        ];
        for (text, a, b, fits) in [
            ("GET / HTTP/1.1\r\n${a}\r\nX: y\r\n\r\n", "", "", false),
            ("GET / HTTP/1.1\n${a}${b}\nX: y\n\n", "", "", false),
            ("GET / HTTP/1.1\r\nX: y\r\n${a}\r\n\r\n", "", "", false),
            ("GET / HTTP/1.1\n${a}${b}\nX: y\n\n", "", "A: b", true),
            ("GET / HTTP/1.1\r\nX:${a}\r\n\r\n", "", "", true),
            ("POST / HTTP/1.1\r\nX: y\r\n\r\na\r\n${a}\r\n", "", "", true),
        ] {
            let mut variables = Variables::default();
            variables.set(VariableId(0), a.as_bytes());
            variables.set(VariableId(1), b.as_bytes());
            let mut out = BytesMut::new();
            let (text, mut lengths) = (text.as_bytes(), Vec::new());
            let written = fill_request(text, &replaces, &variables, &mut out, &mut lengths);
            assert_eq!(written.is_ok(), fits, "{}", text.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn as_replacing_one_after_the_other(
            text in r"(\$\{a\}|\$\{b\}|\$\{c|[$\{}x]){0,12}", a in "[^$\u{1}]{0,4}", b in "[^$\u{1}]{0,4}",
        ) {
            let expected = text.replace("${a}", "\u{1}").replace("${b}", &b).replace('\u{1}', &a);
            prop_assert_eq!(filled(&text, &[("a", &a), ("b", &b)]), expected);
        }

        #[test]
        fn the_length_is_that_of_the_body(body in "[^$]{0,400}", twice in any::<bool>()) {
            let again = if twice { "M: ${:content-length:}\r\n" } else { "" };
            let text = format!("L: ${{:content-length:}}\r\n{again}\r\n${{v}}");
            let out = filled(&text, &[("v", &body)]);
            let (head, end) = out.split_once("\r\n\r\n").expect("a head");
            prop_assert_eq!(end, &body);
            let lines = head.lines().collect::<Vec<_>>();
            prop_assert_eq!(lines.len(), 1 + usize::from(twice));
            for line in lines {
                prop_assert_eq!(&line[3..], body.len().to_string());
            }
        }
    }
}
