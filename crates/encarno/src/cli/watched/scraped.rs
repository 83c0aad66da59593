//! Points of a run that are fetched while it goes on.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use encarno_engine::control::{Control, Stop};
use encarno_export::steps::Steps;
use encarno_report::served::{Bound, Document, Served};

use super::super::fetched::Fetched;
use super::super::{Failure, complain};
use super::Export;

/// The file is looked at that often.
const LOOK: Duration = Duration::from_millis(500);
/// Whoever waits longer than that for the last fetch is told so.
const QUIET: Duration = Duration::from_secs(2);
/// The last figures are kept for twice the time between two fetches, but no longer.
const LAST_FETCH_MAX: Duration = Duration::from_secs(120);
const LAST_FETCH_MIN: Duration = Duration::from_secs(15);

/// Points that are offered.
pub(super) struct Scraped {
    fetched: Arc<Fetched>,
    thread: JoinHandle<()>,
    over: Arc<AtomicBool>,
    url: String,
    control: Arc<Control>,
    _served: Served,
}

impl Scraped {
    /// The run is on, and writes that file.
    pub(super) fn start(
        bound: Bound,
        file: &Path,
        control: &Arc<Control>,
    ) -> Result<Self, Failure> {
        // Whoever fetches gets sums up to now: the seconds between don't matter.
        let mut steps = Steps::open(file, 1).map_err(Failure::setup)?;
        let fetched = Fetched::of(file, &steps);
        let over = Arc::new(AtomicBool::new(false));
        let (is_over, taken) = (Arc::clone(&over), Arc::clone(&fetched));
        let body = move || {
            loop {
                let was_over = is_over.load(Ordering::Acquire);
                // A file that can't be read any more is told by the run itself.
                while let Ok(Some(step)) = match was_over {
                    true => steps.next_step(),
                    false => steps.next_whole(),
                } {
                    taken.take(&step);
                }
                if was_over {
                    return;
                }
                thread::park_timeout(LOOK);
            }
        };
        let thread = thread::Builder::new().name("metrics".to_owned());
        let thread = thread.spawn(body).map_err(Failure::setup)?;
        let url = bound.url().to_owned();
        let document: Arc<dyn Document> = Arc::<Fetched>::clone(&fetched);
        Ok(Self {
            _served: bound.serve(document).map_err(Failure::setup)?,
            fetched,
            thread,
            over,
            url,
            control: Arc::clone(control),
        })
    }
}

impl Export for Scraped {
    fn tell(&self) {
        self.over.store(true, Ordering::Release);
        self.thread.thread().unpark();
    }

    fn stop(&self) -> Stop {
        self.control.stop()
    }

    fn end(self: Box<Self>, stop: Stop) -> Option<String> {
        // It reads a file on, and ends.
        if let Err(panic) = self.thread.join() {
            std::panic::resume_unwind(panic);
        }
        let url = &self.url;
        let (began, mut told) = (Instant::now(), false);
        let reason = loop {
            let patience = (self.fetched.pause() * 2).clamp(LAST_FETCH_MIN, LAST_FETCH_MAX);
            match self.fetched.is_up_to_date() {
                None => break "nobody fetched them".to_owned(),
                Some(true) => return None,
                _ if self.control.stop() != stop => break "given up".to_owned(),
                _ if began.elapsed() > patience => {
                    break format!("nobody fetched them within {} s", patience.as_secs());
                }
                _ => {}
            }
            if !told && began.elapsed() > QUIET {
                told = true;
                complain(&format!(
                    "the run has ended; its last points can be fetched at {url} for {} s, unless a \
                     signal (Ctrl-C) gives them up",
                    patience.as_secs()
                ));
            }
            thread::sleep(QUIET / 100);
        };
        let lost = format!("the last points were NOT delivered at {url}: {reason}");
        complain(&lost);
        Some(lost)
    }
}
