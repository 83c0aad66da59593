//! Variables by name. Each has a place, which is the same for all workers.

use std::collections::HashMap;

use encarno_record::VariableId;
use encarno_record::template::Replaces;

/// The most distinct expressions, JSONPaths and names in a run.
const TEXTS_MAX: usize = 10_000;

/// Variables by name.
#[derive(Debug, Default)]
pub(super) struct Names(HashMap<Box<str>, VariableId>);

impl Names {
    pub(super) fn id_of(&mut self, name: &str) -> Result<VariableId, String> {
        if let Some(&slot) = self.0.get(name) {
            return Ok(slot);
        }
        bounded(self.0.len(), "variables")?;
        let slot = VariableId(self.0.len() as u32);
        self.0.insert(name.into(), slot);
        Ok(slot)
    }

    /// The variables `${name}` in these texts.
    pub(super) fn in_texts<'a>(
        &mut self,
        texts: impl Iterator<Item = &'a str>,
    ) -> Result<Box<Replaces>, String> {
        let names = texts.flat_map(names_in);
        let names = names.map(|name| Ok((name.as_bytes().into(), self.id_of(name)?)));
        names.collect()
    }
}

/// The names of the variables `${name}` in a text. A name with a colon isn't a variable.
pub(super) fn names_in(text: &str) -> impl Iterator<Item = &str> {
    let names = pieces(text).filter_map(|(_, name)| name);
    names.filter(|name| !name.is_empty() && !name.starts_with(':'))
}

/// The text before each `${name}` together with the name, and at the end the remaining
/// text.
pub(super) fn pieces(text: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    let mut left = Some(text);
    std::iter::from_fn(move || {
        let text = left.take()?;
        let found = text.split_once("${");
        let found = found.and_then(|(before, after)| Some((before, after.split_once('}')?)));
        let Some((before, (name, behind))) = found else {
            return Some((text, None));
        };
        left = Some(behind);
        Some((before, Some(name)))
    })
}

pub(super) fn bounded(count: usize, what: &str) -> Result<(), String> {
    if count < TEXTS_MAX {
        Ok(())
    } else {
        Err(format!("more than {TEXTS_MAX} distinct {what} in one run"))
    }
}
