//! The pods of a run. A thread makes them, watches them, and removes them.

mod life;
mod watching;

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use tempfile::NamedTempFile;
use tokio::sync::oneshot;

use crate::KubeError;
use crate::certificate;
use crate::manifest::{Credentials, NATS_PORT};
use crate::settings::{Nats, Settings};
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

/// The credentials of a run. Agents reach its own NATS server at `host`.
pub(crate) fn credentials(settings: &Settings, host: &str) -> Result<Credentials, KubeError> {
    if let Nats::Server { url, .. } = &settings.nats {
        return Ok(Credentials {
            url: url.expose().to_owned(),
            password: String::new(),
            certificate: None,
        });
    }
    let password = random(32)?;
    Ok(Credentials {
        url: url_of(&password, host, NATS_PORT),
        certificate: Some(certificate::make(&[host.to_owned()])?),
        password,
    })
}

/// The URL of a run's NATS server at a host.
fn url_of(password: &str, host: &str, port: u16) -> String {
    match host.contains(':') {
        true => format!("tls://encarno:{password}@[{host}]:{port}"),
        false => format!("tls://encarno:{password}@{host}:{port}"),
    }
}

/// A name for a run, which no other run has.
pub fn new_run() -> Result<String, KubeError> {
    Ok(format!("encarno-{}", random(8)?))
}

/// Random letters and digits, with 5 bits each.
fn random(count: usize) -> Result<String, KubeError> {
    const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let mut bytes = vec![0; count];
    File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .map_err(KubeError::of("no random password: /dev/urandom"))?;
    let letters = bytes.iter().map(|byte| LETTERS[usize::from(byte & 31)]);
    Ok(letters.map(char::from).collect())
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

#[cfg(test)]
mod tests {
    use super::{new_run, random, url_of};

    #[test]
    fn names_and_passwords_differ_and_fit() {
        let run = new_run().unwrap_or_default();
        // A group of agents, and with the number of an agent and more a name of a pod.
        assert!((9..=32).contains(&run.len()), "{run}");
        let (one, other) = (random(32), random(32));
        assert!(one.is_ok() && one != other);
        assert_eq!(
            url_of("p", "10.0.0.1", 4222),
            "tls://encarno:p@10.0.0.1:4222"
        );
        assert_eq!(
            url_of("p", "fd00::1", 4222),
            "tls://encarno:p@[fd00::1]:4222"
        );
    }
}
