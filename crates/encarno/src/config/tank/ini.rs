//! Parses `load.ini`: sections, `key = value`, and values that continue in indented
//! lines.

use serde_json::{Map, Value};

/// Whether the first line that isn't empty or a comment is `[section]`.
pub(super) fn is_ini(text: &str) -> bool {
    let mut lines = text.lines().map(str::trim);
    let first = lines.find(|line| !line.is_empty() && !line.starts_with([';', '#']));
    first.is_some_and(|line| section(line).is_some())
}

/// The sections with their keys; all values are texts.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    let mut sections: Vec<(String, Vec<(String, String)>)> = Vec::new();
    for (number, whole) in text.lines().enumerate() {
        let bad = |reason: &str| format!("line {}: {reason}", number + 1);
        let line = whole.trim();
        if line.is_empty() || line.starts_with([';', '#']) {
            continue;
        }
        let line = line.split(" ;").next().unwrap_or_default().trim_end();
        let goes_on = whole.starts_with([' ', '\t']);
        let last = sections.last_mut();
        if let (true, Some((_, value))) = (goes_on, last.and_then(|(_, keys)| keys.last_mut())) {
            value.push('\n');
            value.push_str(line);
        } else if let Some(name) = section(line) {
            sections.push((name.to_owned(), Vec::new()));
        } else {
            let (key, value) = line
                .split_once(['=', ':'])
                .ok_or_else(|| bad("write [section] or key = value"))?;
            let (_, keys) = sections
                .last_mut()
                .ok_or_else(|| bad("a [section] comes first"))?;
            keys.push((key.trim().to_lowercase(), value.trim().to_owned()));
        }
    }
    let sections = sections.into_iter().map(|(name, keys)| {
        let keys = keys.into_iter();
        let keys: Map<_, _> = keys.map(|(key, value)| (key, value.into())).collect();
        (name, Value::Object(keys))
    });
    Ok(Value::Object(sections.collect()))
}

fn section(line: &str) -> Option<&str> {
    let name = line.strip_prefix('[')?.strip_suffix(']')?;
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (!name.is_empty() && name.chars().all(is_of_name)).then_some(name)
}
