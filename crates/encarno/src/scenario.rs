//! Scenarios that are wasm components: a load that is decided while the run goes on, the order
//! of records, or virtual users.
//!
//! Without the cargo feature `wasm` there are none.

#[cfg(feature = "wasm")]
mod decided;
#[cfg(feature = "wasm")]
mod opened;
#[cfg(feature = "wasm")]
mod shaped;

#[cfg(feature = "wasm")]
pub use opened::{Running, Scenario};

#[cfg(not(feature = "wasm"))]
pub use none::{Running, Scenario};

#[cfg(not(feature = "wasm"))]
mod none {
    use std::path::Path;

    use encarno_engine::meter::Window;
    use encarno_engine::pilot::Helm;
    use encarno_engine::settings::{Source, Workload};

    use super::{Common, Decides, Means};

    /// There are none.
    #[derive(Clone, Debug)]
    pub enum Scenario {}

    /// Nothing runs.
    pub enum Running {}

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
        pub fn decides(&self) -> Decides {
            match *self {}
        }

        /// There are none.
        pub fn workload(&self, _: &Means) -> Result<Option<Workload>, String> {
            match *self {}
        }

        /// There are none.
        pub fn source(&self, _: Source, _: Common, _: Option<u64>) -> Result<Source, String> {
            match *self {}
        }

        /// There are none.
        pub fn begin(&self) -> Result<Running, String> {
            match *self {}
        }
    }

    impl Running {
        /// Nothing runs.
        pub fn window(&mut self, _: &Window) {
            match *self {}
        }

        /// Nothing runs.
        pub fn look(&mut self, _: &mut Helm<'_>) {
            match *self {}
        }

        /// Nothing runs.
        pub fn end(self) -> (Option<String>, Option<String>) {
            match self {}
        }
    }
}

use std::time::Duration;

use encarno_nib::Form;
use encarno_secret::Secret;

/// What a scenario decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decides {
    /// When hits start.
    Load,
    /// Which record comes next.
    Order,
    /// What a user sends, and when.
    Users,
}

/// What requests of users have without their doing.
#[derive(Clone, Debug)]
pub struct Common {
    /// The form of what is sent.
    pub form: Form,
    /// The host of the target.
    pub host: String,
    /// Further headers.
    pub headers: Vec<(String, Secret)>,
}

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
