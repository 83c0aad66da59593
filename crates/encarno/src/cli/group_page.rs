//! `--live` with agents: the page of a run whose results the coordinator merges while it
//! goes on.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use encarno_record::results::SumsReader;
use encarno_report::live::Live;
use encarno_report::served::{Address, Bound};
use tempfile::TempDir;

use super::{Failure, complain, page};

const LOOK: Duration = Duration::from_millis(200);

/// The page of a run. It is there as soon as agents have sent results.
pub(super) struct GroupPage {
    folder: TempDir,
    is_over: Arc<AtomicBool>,
    showing: JoinHandle<Option<Live>>,
}

impl GroupPage {
    /// Takes the address, and waits for the file.
    pub(super) fn open(address: &Address) -> Result<Self, Failure> {
        let bound = page::of_run(address)?;
        let folder = tempfile::tempdir().map_err(Failure::output)?;
        let (file, is_over) = (file_in(&folder), Arc::new(AtomicBool::new(false)));
        let ends = Arc::clone(&is_over);
        let body = move || show(bound, &file, &ends);
        let thread = thread::Builder::new().name("live".to_owned()).spawn(body);
        Ok(Self {
            showing: thread.map_err(Failure::setup)?,
            folder,
            is_over,
        })
    }

    /// The file that it shows.
    pub(super) fn file(&self) -> PathBuf {
        file_in(&self.folder)
    }

    /// The run is over, and the file is whole.
    pub(super) fn end(self) {
        self.is_over.store(true, Ordering::Relaxed);
        // If the thread panicked, it has printed a message.
        if let Ok(Some(live)) = self.showing.join() {
            live.end();
        }
    }
}

fn file_in(folder: &TempDir) -> PathBuf {
    folder.path().join("run.enc")
}

/// `None` if there was nothing to show before the end.
fn show(bound: Bound, file: &Path, is_over: &AtomicBool) -> Option<Live> {
    let has_begun = || File::open(file).is_ok_and(|file| SumsReader::new(file).is_ok());
    while !has_begun() {
        if is_over.load(Ordering::Relaxed) {
            return None;
        }
        thread::sleep(LOOK);
    }
    let shown = bound.show(file, "run".to_owned(), None);
    shown
        .map_err(|error| complain(&format!("--live: the page can't be shown: {error}")))
        .ok()
}
