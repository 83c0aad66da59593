//! A result file as Prometheus fetches it.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use encarno_export::run_name;
use encarno_export::scrape::{self, Exposition, Form};
use encarno_export::steps::{Step, Steps};
use encarno_report::served::{Document, Made};

/// What is fetched: a result file, as far as it was read.
pub(super) struct Fetched(Mutex<State>);

struct State {
    exposition: Exposition,
    /// Raised whenever there is more.
    version: u64,
    /// The last version that somebody has.
    taken: Option<u64>,
    /// When it was fetched last: at first, when it was offered.
    fetched: Instant,
    /// The time between the last two fetches.
    pause: Duration,
}

impl Fetched {
    pub(super) fn of(file: &Path, steps: &Steps) -> Arc<Self> {
        let started_unix_ns = steps.started_unix_ns();
        Arc::new(Self(Mutex::new(State {
            exposition: Exposition::new(&run_name(file, started_unix_ns), started_unix_ns),
            version: 0,
            taken: None,
            fetched: Instant::now(),
            pause: Duration::ZERO,
        })))
    }

    pub(super) fn take(&self, step: &Step) {
        let mut state = self.lock();
        state.exposition.take(step);
        state.version += 1;
    }

    /// Whether somebody has all there is; none if nobody ever asked.
    pub(super) fn is_up_to_date(&self) -> Option<bool> {
        let state = self.lock();
        state.taken.map(|taken| taken == state.version)
    }

    /// The time between the last two fetches.
    pub(super) fn pause(&self) -> Duration {
        self.lock().pause
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Document for Fetched {
    fn path(&self) -> &str {
        scrape::PATH
    }

    fn make(&self, accept: &str) -> Made {
        let form = Form::wanted(accept);
        let state = self.lock();
        Made {
            content_type: form.content_type(),
            body: state.exposition.write(form),
            version: state.version,
        }
    }

    fn taken(&self, version: u64) {
        let mut state = self.lock();
        state.taken = state.taken.max(Some(version));
        state.pause = state.fetched.elapsed();
        state.fetched = Instant::now();
    }
}
