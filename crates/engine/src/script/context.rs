//! The state that all sessions of one event loop share: buffers, random numbers, and
//! compiled expressions with their working memory.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::BytesMut;
use encarno_record::template::{FillError, fill};
use encarno_record::{Expected, StringId, Strings, Variables};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::SeedableRng;

use super::check::ERRORS_END;
use super::compile::Compiler;
use super::live::Live;
use super::pattern::Matchers;
use super::plan::Plan;

/// The most labels and the most addresses that values may create. Further labels share
/// one, and further addresses fail.
pub(super) const LABELS_END: StringId = StringId(1_000_000);
pub(super) const ADDRESSES_END: StringId = StringId(2_000_000);

/// The most combinations of asserts whose names are kept.
const COMBINATIONS_MAX: usize = 10_000;

/// The state that all sessions of one event loop use.
#[derive(Debug)]
pub struct ScriptContext {
    pub(super) compiler: Arc<Compiler>,
    pub(super) strings: Strings,
    /// The statuses that don't fail a hit.
    pub(super) expected: Expected,
    pub(super) random: Xoshiro256PlusPlus,
    pub(super) matchers: Matchers,
    pub(super) live: Live,
    pub(super) body: Vec<u8>,
    pub(super) text: BytesMut,
    pub(super) lengths: Vec<usize>,
    pub(super) cookies: String,
    /// The errors of the asserts that weren't met, and the name of each combination of
    /// errors.
    pub(super) unmet: Vec<StringId>,
    together: HashMap<Box<[StringId]>, StringId>,
    /// The address of records that have none.
    address: Arc<str>,
    pub(super) texts: Texts,
}

#[derive(Debug)]
pub(super) struct Texts {
    pub(super) value_too_long: StringId,
    pub(super) redirects: StringId,
    pub(super) location: StringId,
    pub(super) labels: StringId,
    pub(super) addresses: StringId,
}

impl ScriptContext {
    /// The context of one event loop.
    pub fn new(
        compiler: Arc<Compiler>,
        address: Option<&str>,
        event_loop: usize,
        strings: &Strings,
        expected: &Expected,
    ) -> Self {
        let seed = compiler.seed.wrapping_add(event_loop as u64);
        Self {
            random: Xoshiro256PlusPlus::seed_from_u64(seed),
            compiler,
            strings: strings.clone(),
            expected: *expected,
            matchers: Matchers::default(),
            live: Live::default(),
            body: Vec::new(),
            text: BytesMut::new(),
            lengths: Vec::new(),
            cookies: String::new(),
            unmet: Vec::new(),
            together: HashMap::new(),
            address: address.unwrap_or_default().into(),
            texts: Texts {
                value_too_long: strings.intern("an extracted value is too long"),
                redirects: strings.intern("more redirects than are followed"),
                location: strings.intern("a redirect to where HTTP can't go"),
                labels: strings.intern("(more labels)"),
                addresses: strings.intern("too many different addresses"),
            },
        }
    }

    pub(super) fn address_of(&self, id: StringId) -> Arc<str> {
        match id {
            StringId(0) => Arc::clone(&self.address),
            id => self.strings.get(id).unwrap_or_else(|| "".into()),
        }
    }

    /// One error that names all asserts that weren't met.
    pub(super) fn named_together(&mut self) -> StringId {
        if let Some(&id) = self.together.get(&self.unmet[..]) {
            return id;
        }
        let texts = self.unmet.iter().filter_map(|&id| self.strings.get(id));
        let texts: Vec<_> = texts.collect();
        let id = self.strings.intern_below(&texts.join("; "), ERRORS_END);
        let id = id.unwrap_or(self.unmet[0]);
        if self.together.len() < COMBINATIONS_MAX {
            self.together.insert(self.unmet[..].into(), id);
        }
        id
    }

    pub(super) fn fill_text(
        &mut self,
        text: &str,
        plan: &Plan,
        variables: &Variables,
    ) -> Result<(), FillError> {
        self.text.clear();
        let replaces = plan.replaces.as_deref().unwrap_or_default();
        fill(
            text.as_bytes(),
            replaces,
            variables,
            &mut self.text,
            &mut self.lengths,
        )
    }
}
