//! The run that is shown, and its page.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use encarno_record::statistics::QUANTILES;
use serde_json::json;

use super::Steering;
use crate::page::{self, Mode};
use crate::{Reading, Run};

/// Making the page takes at most one part in this number of the time.
const COST_PART: u32 = 50;
/// The shortest time between two versions of the page.
const PERIOD_MIN: Duration = Duration::from_secs(1);

/// The run, as far as it was read.
pub(super) struct State {
    reading: Reading,
    /// Increased whenever there are new data.
    version: u64,
    ended: bool,
    /// The latest page with its version, and the time that it took.
    page: Option<(u64, Arc<Vec<u8>>)>,
    made: Instant,
    cost: Duration,
}

impl State {
    pub(super) fn new(reading: Reading) -> Self {
        Self {
            reading,
            version: 0,
            ended: false,
            page: None,
            made: Instant::now(),
            cost: Duration::ZERO,
        }
    }

    fn pause_after_page(&self) -> Duration {
        (self.cost * COST_PART).max(PERIOD_MIN)
    }
}

pub(super) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    closed: Mutex<bool>,
    closing: Condvar,
    /// Viewers who are told of everything until the end.
    followers: Arc<AtomicUsize>,
    steering: Option<Box<dyn Steering>>,
}

/// A stream of events, as long as it lasts.
pub(super) struct Viewer(Arc<AtomicUsize>);

impl Viewer {
    fn of(all: &Arc<AtomicUsize>) -> Self {
        all.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(all))
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Shared {
    pub(super) fn new(state: State, steering: Option<Box<dyn Steering>>) -> Self {
        Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
            closed: Mutex::new(false),
            closing: Condvar::new(),
            followers: Arc::default(),
            steering,
        }
    }

    pub(super) fn steering(&self) -> Option<&dyn Steering> {
        self.steering.as_deref()
    }

    pub(super) fn follower(&self) -> Viewer {
        Viewer::of(&self.followers)
    }

    /// Reads new data of the file. If the file can't be read any more, the page keeps its
    /// last state.
    pub(super) fn read_on(&self) {
        let mut state = self.lock();
        if state.reading.read_on().unwrap_or(false) {
            state.version += 1;
            state.ended |= state.reading.run().whole.summary.ended;
            self.changed.notify_all();
        }
    }

    /// Notes that no more data will come.
    pub(super) fn finish(&self) {
        let mut state = self.lock();
        if !state.ended {
            state.ended = true;
            state.version += 1;
        }
        self.changed.notify_all();
    }

    /// Waits for up to this time until the run's followers have received its end.
    pub(super) fn wait_told(&self, patience: Duration) {
        let begun = Instant::now();
        while self.followers.load(Ordering::Relaxed) > 0 && begun.elapsed() < patience {
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(super) fn close(&self) {
        *self.closed.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.closing.notify_all();
        self.changed.notify_all();
    }

    pub(super) fn is_closed(&self) -> bool {
        *self.closed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for up to this time; true if nothing is shown any more.
    pub(super) fn wait_closed(&self, patience: Duration) -> bool {
        let closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .closing
            .wait_timeout_while(closed, patience, |closed| !*closed);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// The page, as recent as its cost allows.
    pub(super) fn page(&self) -> io::Result<Arc<Vec<u8>>> {
        let mut state = self.lock();
        if let Some((version, page)) = &state.page {
            let is_new = *version == state.version;
            let is_young = state.made.elapsed() < state.pause_after_page() && !state.ended;
            if is_new || is_young {
                return Ok(Arc::clone(page));
            }
        }
        let begun = Instant::now();
        let mut bytes = Vec::new();
        let mode = Mode::Live {
            control: self.steering.is_some() && !state.ended,
            ended: state.ended,
        };
        page::write_as(
            &mode,
            std::slice::from_ref(state.reading.run()),
            &[],
            &mut bytes,
        )?;
        let page = Arc::new(bytes);
        state.cost = begun.elapsed();
        state.made = Instant::now();
        state.page = Some((state.version, Arc::clone(&page)));
        Ok(page)
    }

    /// The next version after this one, its figures, and whether it is the last; `None`
    /// if nothing happened for too long.
    pub(super) fn next_event(
        &self,
        seen: Option<u64>,
        patience: Duration,
    ) -> Option<(u64, serde_json::Value, bool)> {
        let mut state = self.lock();
        let begun = Instant::now();
        loop {
            let is_new = seen.is_none_or(|seen| state.version > seen);
            let due =
                seen.is_none() || state.ended || state.made.elapsed() >= state.pause_after_page();
            if is_new && due {
                let figures = figures(state.reading.run(), state.ended, self.is_paused());
                return Some((state.version, figures, state.ended));
            }
            if begun.elapsed() >= patience || self.is_closed() {
                return None;
            }
            let wait = if is_new { PERIOD_MIN / 5 } else { patience };
            let waited = self.changed.wait_timeout(state, wait);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn is_paused(&self) -> bool {
        self.steering.as_ref().is_some_and(|it| it.is_paused())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The figures of the run so far, with the names of `encarno stats --json`.
fn figures(run: &Run, ended: bool, paused: bool) -> serde_json::Value {
    let total = run.whole.statistics.total();
    let times = &total.response_ns;
    let mut response = serde_json::Map::new();
    response.insert("min".to_owned(), times.min().into());
    response.insert("mean".to_owned(), times.mean().into());
    for (name, share) in QUANTILES {
        response.insert(name.to_owned(), times.quantile(share).into());
    }
    response.insert("max".to_owned(), times.max().into());
    let state = match (ended, paused) {
        (true, _) => "ended",
        (_, true) => "paused",
        _ => "running",
    };
    json!({
        "state": state,
        "seconds": run.whole.span_ns as f64 * 1e-9,
        "hits": total.hits,
        "failed": total.failed,
        "response_ns": response,
    })
}
