//! `${name}` in a text becomes a value, `${:content-length:}` the length of
//! the body that comes of it.
//!
//! One pass: a value that has `${…}` in it is put in as it is, so that a peer
//! can't write templates.

use std::collections::BTreeMap;

use bytes::{BufMut, Bytes, BytesMut};

use crate::{Slot, Variables};

const CONTENT_LENGTH: &[u8] = b":content-length:";

/// A request with its values put in is at most that long.
const REQUEST_BYTES_MAX: usize = 16 << 20;

/// The variables that are put in, by name; others stay as they are written.
pub type Replaces = [(Box<[u8]>, Slot)];

/// The request would be longer than [`REQUEST_BYTES_MAX`].
#[derive(Debug)]
pub struct TooLong;

/// Whether there may be anything to put in.
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

/// Appends the text with its values put in. Where the length belongs is noted.
pub fn fill(
    text: &[u8],
    replaces: &Replaces,
    variables: &Variables,
    out: &mut BytesMut,
    lengths: &mut Vec<usize>,
) -> Result<(), TooLong> {
    lengths.clear();
    let mut rest = text;
    loop {
        let literal = next_opening(rest).unwrap_or(rest.len());
        append(out, &rest[..literal])?;
        rest = &rest[literal..];
        let Some(inner) = rest.get(2..) else {
            return append(out, rest);
        };
        let name = memchr::memchr(b'}', inner).map(|end| &inner[..end]);
        match name {
            Some(CONTENT_LENGTH) => lengths.push(out.len()),
            name => match name.and_then(|name| slot_of(name, replaces)) {
                Some(slot) => append(out, variables.get(slot))?,
                None => {
                    append(out, &rest[..2])?;
                    rest = inner;
                    continue;
                }
            },
        }
        rest = &inner[name.map_or(0, <[u8]>::len) + 1..];
    }
}

/// A text or request with values that are known from the start; none if there
/// is nothing to put in.
pub fn fill_fixed(
    text: &[u8],
    names: &[String],
    values: &BTreeMap<String, String>,
) -> Result<Option<Bytes>, String> {
    if !is_template(text) {
        return Ok(None);
    }
    let mut variables = Variables::default();
    let mut replaces: Vec<(Box<[u8]>, Slot)> = Vec::with_capacity(names.len());
    for (name, number) in names.iter().zip(0..) {
        replaces.push((name.as_bytes().into(), Slot(number)));
        if let Some(value) = values.get(name) {
            variables.set(Slot(number), value.as_bytes());
        }
    }
    let mut out = BytesMut::with_capacity(text.len());
    let filled = fill_request(text, &replaces, &variables, &mut out, &mut Vec::new());
    filled
        .map_err(|TooLong| format!("with its values it has more than {REQUEST_BYTES_MAX} bytes"))?;
    Ok(Some(out.freeze()))
}

fn slot_of(name: &[u8], replaces: &Replaces) -> Option<Slot> {
    let found = replaces.iter().find(|(known, _)| **known == *name);
    found.map(|&(_, slot)| slot)
}

/// A request, filled, with the length of its body where it belongs.
pub fn fill_request(
    text: &[u8],
    replaces: &Replaces,
    variables: &Variables,
    out: &mut BytesMut,
    lengths: &mut Vec<usize>,
) -> Result<(), TooLong> {
    fill(text, replaces, variables, out, lengths)?;
    if lengths.is_empty() {
        return Ok(());
    }
    let body_bytes = out.len() - body_start(out);
    let mut digits = itoa::Buffer::new();
    let digits = digits.format(body_bytes).as_bytes();
    // From the last one on, so that the places of the others hold.
    for &at in lengths.iter().rev() {
        let end = out.len();
        append(out, digits)?;
        out.copy_within(at..end, at + digits.len());
        out[at..at + digits.len()].copy_from_slice(digits);
    }
    Ok(())
}

/// Where the body of an HTTP request starts: after the first empty line.
pub fn body_start(request: &[u8]) -> usize {
    let mut start = 0;
    while let Some(length) = memchr::memchr(b'\n', &request[start..]) {
        let line = &request[start..start + length];
        start += length + 1;
        if line.is_empty() || line == b"\r" {
            return start;
        }
    }
    request.len()
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

fn append(out: &mut BytesMut, bytes: &[u8]) -> Result<(), TooLong> {
    if out.len() + bytes.len() > REQUEST_BYTES_MAX {
        return Err(TooLong);
    }
    out.put_slice(bytes);
    Ok(())
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use proptest::prelude::*;

    use super::{Slot, Variables, fill_request, is_template};

    fn filled(text: &str, values: &[(&str, &str)]) -> String {
        let mut variables = Variables::default();
        let mut replaces: Vec<(Box<[u8]>, Slot)> = Vec::new();
        for (index, (name, value)) in values.iter().enumerate() {
            replaces.push((name.as_bytes().into(), Slot(index as u32)));
            variables.set(Slot(index as u32), value.as_bytes());
        }
        replaces.push((b"unset"[..].into(), Slot(99)));
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
