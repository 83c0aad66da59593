//! Points of a run that are fetched while it goes on.

use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use encarno_engine::control::Stop;
use encarno_export::steps::Steps;
use encarno_report::served::{Address, Bound, Document, Served};

use super::super::fetched::Fetched;
use super::super::{Failure, complain};
use super::follower::Follower;
use super::{Export, Told};

/// The file is looked at that often.
const LOOK: Duration = Duration::from_millis(500);
/// Whoever waits longer than that for the last fetch is told so.
const QUIET: Duration = Duration::from_secs(2);
/// The last figures are kept for twice the time between two fetches, but no longer.
const LAST_FETCH_MAX: Duration = Duration::from_secs(120);
const LAST_FETCH_MIN: Duration = Duration::from_secs(15);

/// Takes the address, and says where points can be fetched.
pub(in crate::cli) fn bound_for_metrics(address: &Address) -> Result<Bound, Failure> {
    let bound = Bound::to(address, encarno_export::scrape::PATH);
    let bound = bound
        .map_err(|error| Failure::setup(format!("--metrics can't listen on {address}: {error}")))?;
    complain(&format!("metrics can be fetched at {}", bound.url()));
    Ok(bound)
}

/// Points that are offered.
pub(in crate::cli) struct Scraped {
    follower: Follower<Arc<Fetched>>,
    url: String,
    told: Told,
    _served: Served,
}

impl Scraped {
    /// The run is on, and writes that file.
    pub(in crate::cli) fn start(bound: Bound, file: &Path, told: Told) -> Result<Self, Failure> {
        // Whoever fetches gets sums up to now: the seconds between don't matter.
        let steps = Steps::open(file, 1).map_err(Failure::setup)?;
        let fetched = Fetched::of(file, &steps);
        let taker = Arc::clone(&fetched);
        let follower = Follower::start("metrics", LOOK, steps, taker, |taker, step, _| {
            taker.take(step);
        })?;
        let url = bound.url().to_owned();
        let document: Arc<dyn Document> = Arc::<Fetched>::clone(&fetched);
        Ok(Self {
            _served: bound.serve(document).map_err(Failure::setup)?,
            follower,
            url,
            told,
        })
    }
}

impl Export for Scraped {
    fn tell(&self) {
        self.follower.tell();
    }

    fn stop(&self) -> Stop {
        (self.told)()
    }

    fn end(self: Box<Self>, stop: Stop) -> Option<String> {
        // It reads a file on, and ends.
        let fetched = self.follower.join();
        let url = &self.url;
        let (began, mut told) = (Instant::now(), false);
        let reason = loop {
            let patience = (fetched.pause() * 2).clamp(LAST_FETCH_MIN, LAST_FETCH_MAX);
            match fetched.is_up_to_date() {
                None => break "nobody fetched them".to_owned(),
                Some(true) => return None,
                _ if (self.told)() != stop => break "given up".to_owned(),
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
