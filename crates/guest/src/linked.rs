//! A component of a scenario, linked: each of its guests begins with the same settings and
//! random numbers.

use std::path::Path;
use std::sync::Arc;

use wasmtime::component::{InstancePre, Linker};
use wasmtime::{Engine, Store};

use crate::component::{ComponentError, Loaded, cut, said};
use crate::store::{Bounds, Fault, MEMORY_BYTES, SETUP_CPU, State, add_wasi, allow, store};

/// Longer texts of a scenario are cut.
const TEXT_CHARS_MAX: usize = 500;

/// A linked component; `P` instantiates its world.
#[derive(Clone)]
pub(crate) struct Linked<P> {
    pub(crate) pre: P,
    pub(crate) settings: Arc<str>,
    pub(crate) seed: u64,
    loaded: Loaded,
}

impl<P> std::fmt::Debug for Linked<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.loaded.fmt(f)
    }
}

impl<P> Linked<P> {
    /// A component that should be `what`, such as "a shape".
    pub(crate) fn new(
        loaded: Loaded,
        what: &str,
        settings: &str,
        seed: u64,
        of: impl FnOnce(InstancePre<State>) -> wasmtime::Result<P>,
    ) -> Result<Self, ComponentError> {
        let what = format!("{what} of encarno:scenario@0.1.0");
        Ok(Self {
            pre: link(&loaded, &what, |_| Ok(()), of)?,
            settings: settings.into(),
            seed,
            loaded,
        })
    }

    /// The component's file.
    pub(crate) fn file(&self) -> &Path {
        &self.loaded.file
    }

    /// Its checksum.
    pub(crate) fn sha256(&self) -> &str {
        &self.loaded.sha256
    }

    /// A store for a guest whose random numbers follow from this seed. The guest may be
    /// instantiated in it.
    pub(crate) fn store(&self, seed: u64) -> Store<State> {
        let bounds = Bounds {
            memory_bytes: MEMORY_BYTES,
            seed,
            timeless: true,
        };
        let mut store = store(self.engine(), bounds);
        allow(&mut store, SETUP_CPU);
        store
    }

    fn engine(&self) -> &Engine {
        self.loaded.component.engine()
    }

    pub(crate) fn error(&self, fault: Fault) -> ComponentError {
        self.loaded.error(fault.0)
    }
}

/// Links a component that should be `what` with what every guest may import, and with `more`.
pub(crate) fn link<P>(
    loaded: &Loaded,
    what: &str,
    more: impl FnOnce(&mut Linker<State>) -> wasmtime::Result<()>,
    of: impl FnOnce(InstancePre<State>) -> wasmtime::Result<P>,
) -> Result<P, ComponentError> {
    let linked = || {
        let mut linker = Linker::new(loaded.component.engine());
        add_wasi(&mut linker)?;
        more(&mut linker)?;
        of(linker.instantiate_pre(&loaded.component)?)
    };
    linked().map_err(|error: wasmtime::Error| {
        let error = said(&error);
        loaded.error(format!("it isn't {what}: {error}"))
    })
}

/// The guest refuses its settings.
pub(crate) fn refused(text: &str) -> Fault {
    Fault(format!("the guest says: {}", short(text)))
}

/// A text of a scenario, on one line and not too long.
pub(crate) fn short(text: &str) -> String {
    cut(text, TEXT_CHARS_MAX)
}
