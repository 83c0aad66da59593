//! Settings as names and values.

/// The settings that a run was given, out of its settings text: flags as `Debug` shows
/// them, without those that say nothing. None if it is another text.
pub(super) fn named(text: &str) -> Option<Vec<(String, String)>> {
    let inside = structure(text.trim())?;
    let mut found = Vec::new();
    collect(inside, &mut found);
    Some(found)
}

/// What is between the braces of `Name { … }`.
fn structure(text: &str) -> Option<&str> {
    let (name, rest) = text.split_once(" {")?;
    let is_name = name.starts_with(|c: char| c.is_ascii_uppercase())
        && name.chars().all(|c| c.is_ascii_alphanumeric());
    is_name.then(|| rest.strip_suffix('}'))?
}

fn collect(inside: &str, found: &mut Vec<(String, String)>) {
    for field in fields(inside) {
        let Some((name, value)) = field.split_once(": ") else {
            continue;
        };
        let value = value.trim();
        if let Some(inside) = structure(value) {
            collect(inside, found);
            continue;
        }
        let value = value
            .strip_prefix("Some(")
            .and_then(|value| value.strip_suffix(')'))
            .unwrap_or(value);
        if !matches!(value, "None" | "[]" | "{}" | "false" | "\"\"") {
            let value = value.trim_matches('"').to_owned();
            found.push((name.trim().replace('_', " "), value));
        }
    }
}

/// Parts between commas that stand in no bracket and no text.
fn fields(text: &str) -> Vec<&str> {
    let (mut depth, mut quoted, mut escaped, mut start) = (0_i32, false, false, 0);
    let mut parts = Vec::new();
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if quoted => {}
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

#[cfg(test)]
mod tests {
    use super::named;

    #[test]
    fn flags_become_names_and_values() {
        let text = r#"HitArguments { request: RequestArguments { url: http://***@h/, headers: ["A, b": ***], label: "", data: None }, rate: Some(Constant("500")), spin: false, output: Some("a\", {.enc") }"#;
        let found = named(text).expect("flags");
        let found: Vec<_> = found
            .iter()
            .map(|(name, value)| (&**name, &**value))
            .collect();
        assert_eq!(
            found,
            [
                ("url", "http://***@h/"),
                ("headers", "[\"A, b\": ***]"),
                ("rate", "Constant(\"500\")"),
                ("output", "a\\\", {.enc"),
            ]
        );
        assert_eq!(named("{\"a\": 1}"), None);
    }
}
