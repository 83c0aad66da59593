//! Labels, addresses and error texts, each identified by a number.
//!
//! A text is interned where it is first met (a label when its record is read, an error
//! when it first happens) and never removed, so that a hit contains only numbers.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

/// The number of a text; 0 is the empty text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StringId(pub u32);

/// An append-only table of texts, shared by all threads.
#[derive(Clone, Debug)]
pub struct Strings(Arc<RwLock<Table>>);

#[derive(Debug)]
struct Table {
    texts: Vec<Arc<str>>,
    ids: HashMap<Arc<str>, StringId>,
}

impl Default for Strings {
    fn default() -> Self {
        let empty: Arc<str> = "".into();
        Self(Arc::new(RwLock::new(Table {
            ids: HashMap::from([(Arc::clone(&empty), StringId(0))]),
            texts: vec![empty],
        })))
    }
}

impl Strings {
    /// The number of a text; a new text gets a new number.
    pub fn intern(&self, text: &str) -> StringId {
        self.intern_below(text, StringId(u32::MAX))
            .unwrap_or_default()
    }

    /// The number of a text; `None` if a new number would be `end` or higher. For texts
    /// that a file or peer chooses.
    pub fn intern_below(&self, text: &str, end: StringId) -> Option<StringId> {
        if let Some(&id) = self.table().ids.get(text) {
            return Some(id);
        }
        let mut table = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(&id) = table.ids.get(text) {
            return Some(id);
        }
        let id = StringId(table.texts.len() as u32);
        if id >= end {
            return None;
        }
        let text: Arc<str> = text.into();
        table.texts.push(Arc::clone(&text));
        table.ids.insert(text, id);
        Some(id)
    }

    /// The text with this number.
    pub fn get(&self, id: StringId) -> Option<Arc<str>> {
        self.table().texts.get(id.0 as usize).cloned()
    }

    /// The texts from this number on, in order, for a writer.
    pub fn since(&self, first: StringId) -> Vec<Arc<str>> {
        let table = self.table();
        table.texts.get(first.0 as usize..).unwrap_or(&[]).to_vec()
    }

    fn table(&self) -> RwLockReadGuard<'_, Table> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The texts for the numbers in hits, of a run or of a file.
#[derive(Clone, Debug, Default)]
pub struct Texts {
    live: Option<Strings>,
    known: Vec<Option<Arc<str>>>,
}

impl Texts {
    /// The texts of a run, which may grow.
    pub fn of_run(strings: Strings) -> Self {
        Self {
            live: Some(strings),
            known: Vec::new(),
        }
    }

    /// Adds a text of a file.
    pub fn insert(&mut self, id: StringId, text: &str) {
        /// The most texts, because a hostile file could claim any number.
        const TEXTS_MAX: usize = 1 << 22;
        let place = id.0 as usize;
        if place >= TEXTS_MAX {
            return;
        }
        if place >= self.known.len() {
            self.known.resize(place + 1, None);
        }
        self.known[place] = Some(text.into());
    }

    /// The text with this number; `#number` if damage destroyed it.
    pub fn get(&mut self, id: StringId) -> Arc<str> {
        self.learn(id);
        match self.known.get(id.0 as usize) {
            Some(Some(text)) => Arc::clone(text),
            _ if id.0 == 0 => Arc::from(""),
            _ => format!("#{}", id.0).into(),
        }
    }

    /// All texts from this number on that are known now.
    pub fn since(&mut self, first: StringId) -> Vec<Arc<str>> {
        self.learn(StringId(u32::MAX));
        let known = self.known.get(first.0 as usize..).unwrap_or_default();
        known
            .iter()
            .map(|text| text.clone().unwrap_or_default())
            .collect()
    }

    fn learn(&mut self, id: StringId) {
        if let Some(strings) = &self.live
            && id.0 as usize >= self.known.len()
        {
            let new = strings.since(StringId(self.known.len() as u32));
            self.known.extend(new.into_iter().map(Some));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{StringId, Strings};

    #[test]
    fn a_text_keeps_its_number() {
        let strings = Strings::default();
        assert_eq!(strings.intern(""), StringId(0));
        let label = strings.intern("label");
        assert_eq!(strings.intern("label"), label);
        assert_eq!(strings.get(label).as_deref(), Some("label"));
        assert_eq!(strings.since(StringId(1)).len(), 1);
        assert_eq!(strings.get(StringId(9)), None);
    }

    #[test]
    fn texts_that_others_choose_are_bounded() {
        let strings = Strings::default();
        assert_eq!(strings.intern_below("one", StringId(2)), Some(StringId(1)));
        assert_eq!(strings.intern_below("two", StringId(2)), None);
        assert_eq!(strings.intern_below("one", StringId(2)), Some(StringId(1)));
        assert_eq!(strings.intern("two"), StringId(2));
    }
}
