//! One section of another tool's configuration.

use serde_json::{Map, Value};

/// Keys that are taken one by one; the remaining keys can be reported.
#[derive(Debug)]
pub(super) struct Keys {
    place: String,
    values: Map<String, Value>,
}

impl Keys {
    /// The keys of a section; `place` is for messages.
    pub(super) fn of(place: &str, value: Value) -> Result<Self, String> {
        let values = match value {
            Value::Null => Map::new(),
            Value::Object(values) => values,
            _ => return Err(format!("{place}: write keys with values here")),
        };
        Ok(Self {
            place: place.to_owned(),
            values,
        })
    }

    /// An error about one key.
    pub(super) fn bad(&self, key: &str, reason: &str) -> String {
        format!("{}.{key}: {reason}", self.place)
    }

    /// Takes a text, or a number as text; `None` if it is empty.
    pub(super) fn text(&mut self, key: &str) -> Result<Option<String>, String> {
        let text = match self.values.remove(key) {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::String(text)) => text.trim().to_owned(),
            Some(Value::Number(number)) => number.to_string(),
            Some(Value::Bool(flag)) => flag.to_string(),
            Some(_) => return Err(self.bad(key, "write a text")),
        };
        Ok(Some(text).filter(|text| !text.is_empty()))
    }

    /// Takes a text that must exist.
    pub(super) fn needed(&mut self, key: &str) -> Result<String, String> {
        self.text(key)?
            .ok_or_else(|| self.bad(key, "it is missing"))
    }

    /// Takes a boolean.
    pub(super) fn flag(&mut self, key: &str) -> Result<bool, String> {
        match self.text(key)?.as_deref() {
            None | Some("false" | "False" | "0" | "no") => Ok(false),
            Some("true" | "True" | "1" | "yes") => Ok(true),
            Some(_) => Err(self.bad(key, "write true or false")),
        }
    }

    /// Takes a whole number above zero; Tank writes -1 for none.
    pub(super) fn count(&mut self, key: &str) -> Result<Option<u64>, String> {
        let Some(text) = self.text(key)? else {
            return Ok(None);
        };
        let number: Result<i64, _> = text.parse();
        match number {
            Ok(number) => Ok(u64::try_from(number).ok().filter(|&number| number > 0)),
            Err(_) => Err(self.bad(key, "write a whole number")),
        }
    }

    /// Takes a number that must exist and be at least zero.
    pub(super) fn number(&mut self, key: &str) -> Result<f64, String> {
        let number = self.needed(key)?.parse::<f64>().ok();
        let number = number.filter(|number| number.is_finite() && *number >= 0.0);
        number.ok_or_else(|| self.bad(key, "write a number"))
    }

    /// Whether the key exists.
    pub(super) fn has(&self, key: &str) -> bool {
        self.values.contains_key(key)
    }

    /// Takes several texts: a list, or the lines of one text.
    pub(super) fn list(&mut self, key: &str) -> Result<Vec<String>, String> {
        let texts = match self.values.remove(key) {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::String(text)) => text.lines().map(str::to_owned).collect(),
            Some(Value::Array(values)) => {
                let mut texts = Vec::new();
                for value in values {
                    match value {
                        Value::String(text) => texts.push(text),
                        Value::Number(number) => texts.push(number.to_string()),
                        _ => return Err(self.bad(key, "write a list of texts")),
                    }
                }
                texts
            }
            Some(_) => return Err(self.bad(key, "write a list of texts")),
        };
        let texts = texts.iter().map(|text| text.trim().to_owned());
        Ok(texts.filter(|text| !text.is_empty()).collect())
    }

    /// Takes an inner section.
    pub(super) fn section(&mut self, key: &str) -> Result<Self, String> {
        let value = self.values.remove(key).unwrap_or_default();
        Self::of(&format!("{}.{key}", self.place), value)
    }

    /// Takes one inner section, or a list of them.
    pub(super) fn sections(&mut self, key: &str) -> Result<Vec<Self>, String> {
        let place = format!("{}.{key}", self.place);
        match self.values.remove(key) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Array(values)) => {
                let sections = values.into_iter();
                sections.map(|value| Self::of(&place, value)).collect()
            }
            Some(value) => Ok(vec![Self::of(&place, value)?]),
        }
    }

    /// Drops keys that affect neither the load nor its results.
    pub(super) fn ignore(&mut self, keys: &[&str]) {
        for key in keys {
            self.values.remove(*key);
        }
    }

    /// Adds a note for each remaining key.
    pub(super) fn name_rest(self, notes: &mut Vec<String>) {
        for key in self.values.keys() {
            notes.push(format!("{}.{key}: it isn't honoured", self.place));
        }
    }
}
