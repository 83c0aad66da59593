//! The pods of a run. A thread makes them, watches them, and removes them.

mod life;
mod watching;

use std::io::Write as _;
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use tempfile::NamedTempFile;
use tokio::sync::oneshot;

use crate::KubeError;
use crate::credentials::new_run;
use crate::settings::Settings;
use life::Life;

/// Where the coordinator meets the agents.
#[derive(Debug)]
pub struct Meeting {
    /// The URL of the NATS server, with its user. `None` if you named a server.
    pub url: Option<String>,
    /// The server's certificate.
    pub ca: Option<NamedTempFile>,
}

/// What is wrong, once something is that doesn't pass.
pub type Trouble = Arc<Mutex<Option<String>>>;

/// The pods of a run. All of its objects are removed with this value.
#[derive(Debug)]
pub struct Pods {
    /// The name of the run, which is also the group of its agents.
    pub run: String,
    /// Where the coordinator meets them.
    pub meeting: Meeting,
    /// What is wrong with them.
    pub trouble: Trouble,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Pods {
    /// Starts the pods, and returns when all of them run. If one can't run, everything is
    /// removed again. `tell` is called with sentences for people, also later.
    pub fn start(settings: Settings, tell: fn(&str)) -> Result<Self, KubeError> {
        let run = new_run()?;
        let (ready, is_ready) = mpsc::channel();
        let (stop, is_stopped) = oneshot::channel();
        let trouble = Trouble::default();
        let life = Life {
            run: run.clone(),
            settings,
            trouble: Arc::clone(&trouble),
            tell,
        };
        let thread = thread::Builder::new()
            .name("kubernetes".to_owned())
            .spawn(move || life.live(&ready, is_stopped))
            .map_err(KubeError::of("no thread for the pods"))?;
        let mut pods = Self {
            run,
            meeting: Meeting {
                url: None,
                ca: None,
            },
            trouble,
            stop: Some(stop),
            thread: Some(thread),
        };
        let told = is_ready.recv();
        let told = told.map_err(|_| KubeError("the pods' thread has ended".to_owned()))?;
        pods.meeting = told?;
        Ok(pods)
    }
}

impl Drop for Pods {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // The thread may have ended already.
            let _stopped = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ended = thread.join();
        }
    }
}

fn text_file(text: &str) -> Result<NamedTempFile, KubeError> {
    let failed = || KubeError::of("no temporary file for the certificate");
    let mut file = NamedTempFile::new().map_err(failed())?;
    file.write_all(text.as_bytes()).map_err(failed())?;
    Ok(file)
}

fn set(trouble: &Trouble, text: &str) {
    let mut trouble = trouble.lock().unwrap_or_else(PoisonError::into_inner);
    trouble.get_or_insert_with(|| text.to_owned());
}
