//! The page of a run that goes on: a small HTTP server that shows a result file while it
//! grows.
//!
//! A thread reads the file once a second. The page is made on request, and never so often
//! that it takes more than a fiftieth of a core. `GET /` returns the page. `GET /events`
//! returns server-sent events: each has the figures of the run so far, and with `?page=1`
//! also the page. `POST /pause`, `/resume` and `/stop` steer the run, if that is allowed.
//!
//! - serve: the answers
//! - state: the run and its page

mod serve;
mod state;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::Reading;
use crate::served::{self, Bound};
use state::{Shared, State};

/// Where the page stands.
pub const PATH: &str = "/";
/// The file is read on that often.
const PERIOD: Duration = Duration::from_secs(1);
/// How long followers of the run have to receive its end.
const LAST_LOOK: Duration = Duration::from_secs(10);

/// Whoever steers the run that is shown.
pub trait Steering: Send + Sync {
    /// Pauses the run: no hit starts until [`Steering::resume`].
    fn pause(&self) -> Result<(), String>;
    /// Resumes the run.
    fn resume(&self) -> Result<(), String>;
    /// Stops the run; running hits may end.
    fn stop(&self);
    /// Whether the run is paused.
    fn is_paused(&self) -> bool;
}

/// A page that is served until this is dropped.
pub struct Live {
    shared: Arc<Shared>,
    address: SocketAddr,
    url: String,
    threads: Vec<JoinHandle<()>>,
}

impl Bound {
    /// Shows this result file from now on. `steering` is who may be told to pause and
    /// to stop; none = nobody.
    pub fn show(
        self,
        file: &Path,
        name: String,
        steering: Option<Box<dyn Steering>>,
    ) -> io::Result<Live> {
        let reading = Reading::open(file, name).map_err(io::Error::other)?;
        let (address, url) = (self.listener.local_addr()?, self.url().to_owned());
        let shared = Arc::new(Shared::new(State::new(reading), steering));
        shared.read_on();
        let mut threads = Vec::new();
        let (follower, server) = (Arc::clone(&shared), Arc::clone(&shared));
        let (listener, access) = (self.listener, Arc::new(self.access));
        threads.push(spawn("live-file", move || follow(&follower))?);
        threads.push(spawn("live-page", move || {
            served::accept(&listener, &access, &server)
        })?);
        Ok(Live {
            shared,
            address,
            url,
            threads,
        })
    }
}

impl Live {
    /// The URL of the page.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Shows the file until `is_over` returns true, also after the run has ended.
    pub fn wait(&self, mut is_over: impl FnMut() -> bool) {
        while !is_over() {
            thread::sleep(PERIOD / 10);
        }
    }

    /// Ends after the run: its followers get the last state, and a moment to receive it.
    pub fn end(self) {
        self.shared.read_on();
        self.shared.finish();
        self.shared.wait_told(LAST_LOOK);
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.shared.close();
        served::wake(self.address);
        for thread in self.threads.drain(..) {
            // If the thread panicked, it has printed a message.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live").field("url", &self.url).finish()
    }
}

fn follow(shared: &Shared) {
    while !shared.wait_closed(PERIOD) {
        shared.read_on();
    }
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name(name.to_owned()).spawn(body)
}
