//! `--live` and `--metrics` with agents: the pages of a run whose results the coordinator
//! merges while it goes on.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use encarno_engine::control::Stop;
use encarno_record::results::SumsReader;
use encarno_report::live::Live;
use encarno_report::served::{Address, Bound};
use signal_hook::flag;
use tempfile::TempDir;

use super::watched::{Export as _, Scraped, bound_for_metrics};
use super::{Failure, complain, ending_signals, page};

const LOOK: Duration = Duration::from_millis(200);

/// The pages of a run. They are there as soon as agents have sent results.
pub(super) struct GroupPages {
    folder: TempDir,
    is_over: Arc<AtomicBool>,
    /// Whether a signal gave up whoever hasn't fetched the last points.
    is_given_up: Arc<AtomicBool>,
    showing: Option<JoinHandle<Shown>>,
    live: Option<Live>,
}

/// What is served. It is empty if there was nothing to show before the end.
#[derive(Default)]
struct Shown {
    live: Option<Live>,
    scraped: Option<Scraped>,
}

impl GroupPages {
    /// Takes the addresses, and waits for the file. `None` if nobody looks on.
    pub(super) fn open(
        live: Option<&Address>,
        metrics: Option<&Address>,
    ) -> Result<Option<Self>, Failure> {
        if live.is_none() && metrics.is_none() {
            return Ok(None);
        }
        let live = live.map(page::of_run).transpose()?;
        let metrics = metrics.map(bound_for_metrics).transpose()?;
        let folder = tempfile::tempdir().map_err(Failure::output)?;
        let (is_over, is_given_up) = (Arc::default(), Arc::default());
        let body = show(
            (live, metrics),
            file_in(&folder),
            Arc::clone(&is_over),
            Arc::clone(&is_given_up),
        );
        let thread = thread::Builder::new().name("pages".to_owned()).spawn(body);
        Ok(Some(Self {
            showing: Some(thread.map_err(Failure::setup)?),
            folder,
            is_over,
            is_given_up,
            live: None,
        }))
    }

    /// The file that they show.
    pub(super) fn file(&self) -> PathBuf {
        file_in(&self.folder)
    }

    /// The run is over, and the file is whole: whoever fetches its points gets the last
    /// ones. Returns what they didn't get.
    pub(super) fn deliver(&mut self) -> Option<String> {
        self.is_over.store(true, Ordering::Relaxed);
        // If the thread panicked, it has printed a message.
        let shown = self.showing.take()?.join().unwrap_or_default();
        self.live = shown.live;
        let scraped = shown.scraped?;
        for signal in ending_signals() {
            // Without it, the wait has its own end.
            let _registered = flag::register(signal, Arc::clone(&self.is_given_up));
        }
        scraped.tell();
        let stop = scraped.stop();
        Box::new(scraped).end(stop)
    }

    /// Ends the page.
    pub(super) fn end(mut self) {
        self.deliver();
        if let Some(live) = self.live {
            live.end();
        }
    }
}

fn file_in(folder: &TempDir) -> PathBuf {
    folder.path().join("run.enc")
}

/// Waits for the file, and serves it.
fn show(
    (live, metrics): (Option<Bound>, Option<Bound>),
    file: PathBuf,
    is_over: Arc<AtomicBool>,
    is_given_up: Arc<AtomicBool>,
) -> impl FnOnce() -> Shown + Send + 'static {
    let has_begun = |file: &Path| File::open(file).is_ok_and(|file| SumsReader::new(file).is_ok());
    move || {
        while !has_begun(&file) {
            if is_over.load(Ordering::Relaxed) {
                return Shown::default();
            }
            thread::sleep(LOOK);
        }
        // The run goes on without its pages.
        let live = live.and_then(|bound| {
            let shown = bound.show(&file, "run".to_owned(), None);
            let shown = shown.map_err(|error| {
                complain(&format!("--live: the page can't be shown: {error}"));
            });
            shown.ok()
        });
        let told = move || match is_given_up.load(Ordering::Relaxed) {
            true => Stop::Now,
            false => Stop::No,
        };
        let scraped = metrics.and_then(|bound| {
            let scraped = Scraped::start(bound, &file, Arc::new(told));
            let scraped =
                scraped.map_err(|failure| complain(&format!("--metrics: {}", failure.text)));
            scraped.ok()
        });
        Shown { live, scraped }
    }
}
