//! A guest that decides which record comes next.

use std::path::Path;
use std::sync::Arc;

use wasmtime::Store;
use wasmtime::component::Linker;

use crate::bindings::choose::{Choose as Guest, ChoosePre};
use crate::component::{ComponentError, Loaded, said};
use crate::shape::short;
use crate::store::{Bounds, Fault, MEMORY_BYTES, SETUP_CPU, State, add_wasi, allow, store};

/// A component that is a chooser.
#[derive(Clone)]
pub struct Choose {
    loaded: Loaded,
    pre: ChoosePre<State>,
    settings: Arc<str>,
    seed: u64,
}

impl std::fmt::Debug for Choose {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.loaded.fmt(f)
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
        let pre = || -> wasmtime::Result<_> {
            let mut linker = Linker::new(loaded.component.engine());
            add_wasi(&mut linker)?;
            ChoosePre::new(linker.instantiate_pre(&loaded.component)?)
        };
        let pre = pre().map_err(|error| {
            let error = said(&error);
            loaded.error(format!(
                "it isn't a chooser of encarno:scenario@0.1.0: {error}"
            ))
        })?;
        Ok(Self {
            loaded,
            pre,
            settings: settings.into(),
            seed,
        })
    }

    /// The component's file.
    pub fn file(&self) -> &Path {
        &self.loaded.file
    }

    /// Its checksum.
    pub fn sha256(&self) -> &str {
        &self.loaded.sha256
    }

    /// A guest that chooses among records with these labels.
    pub fn begin(&self, labels: &[String]) -> Result<Chooser, ComponentError> {
        let begun = || -> Result<_, Fault> {
            let bounds = Bounds {
                memory_bytes: MEMORY_BYTES,
                seed: self.seed,
                timeless: true,
            };
            let mut store = store(self.pre.engine(), bounds);
            allow(&mut store, SETUP_CPU);
            let guest = self.pre.instantiate(&mut store)?;
            allow(&mut store, SETUP_CPU);
            let chooser = guest.encarno_scenario_chooser();
            let configured =
                chooser.call_configure(&mut store, &self.settings, self.seed, labels)?;
            configured.map_err(|text| Fault(format!("the guest says: {}", short(&text))))?;
            Ok(Chooser { store, guest })
        };
        begun().map_err(|fault| self.loaded.error(fault.0))
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
