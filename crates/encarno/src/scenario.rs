//! Scenarios that are wasm components: a load that is decided while the run goes on.
//!
//! Without the cargo feature `wasm` there are none.

#[cfg(feature = "wasm")]
mod shaped;

#[cfg(feature = "wasm")]
pub use shaped::{Scenario, Shaping};

#[cfg(not(feature = "wasm"))]
pub use none::{Scenario, Shaping};

#[cfg(not(feature = "wasm"))]
mod none {
    use std::path::Path;

    use encarno_engine::meter::Window;
    use encarno_engine::pilot::Helm;
    use encarno_engine::settings::Workload;

    use super::Means;

    /// There are none.
    #[derive(Clone, Debug)]
    pub enum Scenario {}

    /// Nothing is shaped.
    pub enum Shaping {}

    impl Scenario {
        /// Says why there are none.
        pub fn open(_: &Path, _: Option<&str>, _: &str, _: u64) -> Result<Self, String> {
            Err(crate::protocols::WITHOUT_WASM.to_owned())
        }

        /// There are none.
        pub fn file(&self) -> &Path {
            match *self {}
        }

        /// There are none.
        pub fn workload(&self, _: &Means) -> Result<Workload, String> {
            match *self {}
        }

        /// There are none.
        pub fn begin(&self) -> Result<Shaping, String> {
            match *self {}
        }
    }

    impl Shaping {
        /// Nothing is shaped.
        pub fn window(&mut self, _: &Window) {
            match *self {}
        }

        /// Nothing is shaped.
        pub fn look(&mut self, _: &mut Helm<'_>) {
            match *self {}
        }

        /// Nothing is shaped.
        pub fn end(self) -> (Option<String>, Option<String>) {
            match self {}
        }
    }
}

use std::time::Duration;

/// What a load may use.
#[derive(Clone, Copy, Debug)]
pub struct Means {
    /// At most so many workers.
    pub workers_max: usize,
    /// Hits at a rate are a Poisson process.
    pub poisson: bool,
    /// The seed of that.
    pub seed: u64,
    /// A hit that is later than that is dropped.
    pub late_limit: Option<Duration>,
    /// The run ends then, whatever the load says.
    pub duration_max: Option<Duration>,
    /// Start hits to the microsecond.
    pub spin: bool,
    /// Make hits that wait at the end.
    pub keep_backlog: bool,
}
