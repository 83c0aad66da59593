//! A guest that decides which record comes next.

use std::path::Path;

use wasmtime::Store;

use crate::bindings::choose::{Choose as Guest, ChoosePre};
use crate::component::{ComponentError, Loaded, said};
use crate::linked::{Linked, refused};
use crate::store::{Fault, SETUP_CPU, State, allow};

/// A component that is a chooser.
#[derive(Clone)]
pub struct Choose {
    linked: Linked<ChoosePre<State>>,
}

impl std::fmt::Debug for Choose {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.linked.fmt(f)
    }
}

/// A chooser that runs.
pub struct Chooser {
    store: Store<State>,
    guest: Guest,
}

impl std::fmt::Debug for Chooser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Chooser")
    }
}

impl Choose {
    /// A component that exports a chooser; the seed is that of its random numbers.
    pub fn new(loaded: Loaded, settings: &str, seed: u64) -> Result<Self, ComponentError> {
        let linked = Linked::new(loaded, "a chooser", settings, seed, ChoosePre::new)?;
        Ok(Self { linked })
    }

    /// The component's file.
    pub fn file(&self) -> &Path {
        self.linked.file()
    }

    /// Its checksum.
    pub fn sha256(&self) -> &str {
        self.linked.sha256()
    }

    /// A guest that chooses among records with these labels.
    pub fn begin(&self, labels: &[String]) -> Result<Chooser, ComponentError> {
        let begun = || -> Result<_, Fault> {
            let mut store = self.linked.store(self.linked.seed);
            let guest = self.linked.pre.instantiate(&mut store)?;
            allow(&mut store, SETUP_CPU);
            let chooser = guest.encarno_scenario_chooser();
            let configured = chooser.call_configure(
                &mut store,
                &self.linked.settings,
                self.linked.seed,
                labels,
            )?;
            configured.map_err(|text| refused(&text))?;
            Ok(Chooser { store, guest })
        };
        begun().map_err(|fault| self.linked.error(fault))
    }
}

impl Chooser {
    /// The numbers of the records that come next. The error says how the guest broke down.
    pub fn next(&mut self, count: u32) -> Result<Vec<u32>, String> {
        allow(&mut self.store, SETUP_CPU);
        let chooser = self.guest.encarno_scenario_chooser();
        let next = chooser.call_next(&mut self.store, count);
        next.map_err(|error| said(&error))
    }
}
