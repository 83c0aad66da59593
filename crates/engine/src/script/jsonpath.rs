//! JSONPaths of RFC 9535, and their older form as Jayway's library reads it. JMeter uses
//! that library, so Taurus's examples use the older form.

use std::borrow::Cow;

use serde_json::Value;
use serde_json_path::JsonPath;

/// The longest JSONPath; no person writes a longer one.
const PATH_BYTES_MAX: usize = 16 << 10;
/// The deepest nesting of brackets.
const PATH_DEPTH_MAX: usize = 64;

/// A parsed JSONPath.
#[derive(Debug)]
pub(super) struct Path {
    path: JsonPath,
    /// Whether it ends with `.length()`.
    is_length: bool,
}

impl Path {
    /// Parses a JSONPath; the error says what is wrong.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        check_size(text)?;
        let trimmed = text.trim();
        let (rest, is_length) = match trimmed
            .strip_suffix(".length()")
            .or_else(|| trimmed.strip_suffix(".size()"))
        {
            Some(rest) => (rest, true),
            None => (trimmed, false),
        };
        let rewritten = |error| match rest.is_empty() {
            true => Err(error),
            false => of_rfc(&rewrite(rest)).map_err(|_| error),
        };
        let path = of_rfc(rest).or_else(rewritten);
        let path = path.map_err(|error| format!("bad JSONPath {text:?}, {error}"))?;
        Ok(Self { path, is_length })
    }

    /// The nodes that it finds.
    pub(super) fn find<'a>(&self, json: &'a Value) -> Vec<Cow<'a, Value>> {
        let nodes = self.path.query(json).all().into_iter();
        match self.is_length {
            false => nodes.map(Cow::Borrowed).collect(),
            true => nodes
                .filter_map(|node| {
                    Some(Cow::Owned(Value::from(match node {
                        Value::Array(items) => items.len(),
                        Value::Object(members) => members.len(),
                        Value::String(text) => text.chars().count(),
                        _ => return None,
                    })))
                })
                .collect(),
        }
    }
}

/// Parses a JSONPath of RFC 9535.
fn of_rfc(text: &str) -> Result<JsonPath, String> {
    // No path ends within an escape, and serde_json_path 0.7.2 panics if a text ends with
    // `\u` or `\uD`.
    let before_last = text.char_indices().next_back().map_or(0, |(at, _)| at);
    if text.ends_with("\\u") || text[..before_last].ends_with("\\u") {
        let at = text.chars().count();
        return Err(format!("at character {at}: it ends within an escape"));
    }
    JsonPath::parse(text)
        .map_err(|error| format!("at character {}: {}", error.position(), error.message()))
}

/// Checks the limits that protect the parser, which is recursive.
fn check_size(text: &str) -> Result<(), String> {
    if text.len() > PATH_BYTES_MAX {
        return Err(format!("a JSONPath has more than {PATH_BYTES_MAX} bytes"));
    }
    let mut depth = 0_usize;
    for byte in text.bytes() {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > PATH_DEPTH_MAX {
            let start: String = text.chars().take(20).collect();
            return Err(format!(
                "bad JSONPath {start:?}…: brackets in more than {PATH_DEPTH_MAX} levels"
            ));
        }
    }
    Ok(())
}

/// Rewrites `$.[0]`, `$.a-b`, `a.b`, `[(@.length-1)]` and `$.` in the syntax of RFC 9535.
fn rewrite(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    out.push('$');
    let mut rest = text.strip_prefix('$').unwrap_or(text);
    if rest.len() == text.len() {
        let (name, after) = split_name(rest);
        push_name(&mut out, name, ".");
        rest = after;
    }
    while let Some(first) = rest.chars().next() {
        if first == '[' {
            let (bracket, after) = split_bracket(rest);
            match last_but(bracket) {
                Some(number) => out.push_str(&format!("[-{number}]")),
                None => out.push_str(bracket),
            }
            rest = after;
            continue;
        }
        let dots = if rest.starts_with("..") { ".." } else { "." };
        let Some(after) = rest.strip_prefix(dots) else {
            // Nothing to rewrite; the parser reports errors.
            out.push_str(rest);
            break;
        };
        let (name, after) = split_name(after);
        if name.is_empty() && after.is_empty() && out != "$" {
            // A name is missing; the parser reports it.
            out.push_str(dots);
        }
        push_name(&mut out, name, dots);
        rest = after;
    }
    out
}

/// Splits off a name without quotes, up to the next dot or bracket.
fn split_name(text: &str) -> (&str, &str) {
    text.split_at(text.find(['.', '[']).unwrap_or(text.len()))
}

fn push_name(out: &mut String, name: &str, dots: &str) {
    let is_plain = |name: &str| {
        let is_inside = |char: char| char == '_' || char.is_alphanumeric();
        name.chars().all(is_inside) && !name.starts_with(|char: char| char.is_numeric())
    };
    match name {
        // A dot before a bracket, or alone after `$`, has no meaning.
        "" if dots == "." => {}
        // Other functions of Jayway's, or incomplete ones, aren't supported; the parser
        // reports them.
        name if name.is_empty() || name == "*" || name.contains(['(', ')']) || is_plain(name) => {
            out.push_str(dots);
            out.push_str(name);
        }
        name => {
            if dots == ".." {
                out.push_str("..");
            }
            let quoted = name.replace('\\', "\\\\").replace('\'', "\\'");
            out.push_str(&format!("['{quoted}']"));
        }
    }
}

/// Splits off the text from a bracket to its closing bracket; brackets in quotes don't
/// count.
fn split_bracket(text: &str) -> (&str, &str) {
    let mut depth = 0_usize;
    let mut quote = None;
    let mut escaped = false;
    for (at, char) in text.char_indices() {
        match (quote, char) {
            _ if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(open), _) if open == char => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(char),
            (None, '[') => depth += 1,
            (None, ']') => {
                depth -= 1;
                if depth == 0 {
                    return text.split_at(at + 1);
                }
            }
            (None, _) => {}
        }
    }
    (text, "")
}

/// `[(@.length-1)]` is the last element.
fn last_but(bracket: &str) -> Option<u32> {
    let inside = bracket.strip_prefix("[(@.length")?.strip_suffix(")]")?;
    let inside = inside.strip_prefix("()").unwrap_or(inside);
    inside.trim().strip_prefix('-')?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::Path;

    fn find(path: &str, json: &Value) -> Vec<String> {
        let path = Path::parse(path).unwrap_or_else(|error| panic!("{error}"));
        path.find(json)
            .iter()
            .map(|node| node.to_string())
            .collect()
    }

    #[test]
    fn as_taurus_writes_them() {
        let json = json!({
            "data": [{"user": {"username": "ann"}}, {"user": {"username": "bob"}}],
            "a-b": {"@type": 1, "x y": 2, "0": 3}, "t": "grüße", "n": 5,
        });
        for (path, found) in [
            ("$.data.[0].user.username", vec![r#""ann""#]),
            ("$.data.[:100].user.username", vec![r#""ann""#, r#""bob""#]),
            ("$.data[(@.length-1)].user.username", vec![r#""bob""#]),
            ("$.data[(@.length() - 2)].user.username", vec![r#""ann""#]),
            ("$.a-b.@type", vec!["1"]),
            ("$['a-b']['x y']", vec!["2"]),
            ("$.a-b.x y", vec!["2"]),
            ("$.a-b.0", vec!["3"]),
            ("$..@type", vec!["1"]),
            ("$..username", vec![r#""ann""#, r#""bob""#]),
            ("data.[1].user.username", vec![r#""bob""#]),
            ("a-b.@type", vec!["1"]),
            ("$.data.length()", vec!["2"]),
            ("$.data.[0].length()", vec!["1"]),
            ("$.t.length()", vec!["5"]),
            ("$.n.length()", vec![]),
            ("$.length()", vec!["4"]),
            (
                "$.data[?(@.user.username == 'bob')].user.username",
                vec![r#""bob""#],
            ),
            ("$.data.*.user.username", vec![r#""ann""#, r#""bob""#]),
            ("$.gone.[0]", vec![]),
        ] {
            assert_eq!(find(path, &json), found, "{path}");
        }
        assert_eq!(find("$.[1]", &json!([7, 8])), ["8"]);
        assert_eq!(find("$.", &json!([7])), ["[7]"]);
        assert_eq!(find("$..[0]", &json!([[7]])), ["[7]", "7"]);
    }

    #[test]
    fn mistakes_are_named() {
        for path in [
            "['\\u",
            "$['\\ud",
            "$['\\u.length()",
            "$.a[",
            "$.a[?(@.b =~ /x/)]",
            "",
            "$.a.min()",
            "$.a.length(",
            "$.a.length)",
            "$.a.",
            "$.a[0].",
        ] {
            let error = Path::parse(path).expect_err(path);
            assert!(error.contains(&format!("bad JSONPath {path:?}")), "{error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_survived(text in r#"[$.\[\]@?()*'"\\a0é:,\- uD8]{0,24}"#) {
            let _ = Path::parse(&text);
        }

        #[test]
        fn names_with_anything_in_them(name in r"[a-zé@$-][a-zé0-9@$ -]{0,10}") {
            let json = json!({ name.trim(): 1 });
            proptest::prop_assert_eq!(find(&format!("$.{}", name.trim()), &json), ["1"]);
        }
    }
}
