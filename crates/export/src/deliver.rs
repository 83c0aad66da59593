//! Delivers bodies by HTTP. A failed delivery is tried again for a limited time.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use encarno_secret::Secret;
use rustls::crypto::ring;
use ureq::Agent;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

/// The longest time of a try.
const TRY_TIME_MAX: Duration = Duration::from_secs(10);
/// The least time of one try, even if there is less.
const TRY_TIME_MIN: Duration = Duration::from_secs(1);
/// The pause after the first try; it doubles with each try …
const PAUSE_FIRST: Duration = Duration::from_millis(250);
/// … up to this.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// The most bytes of an answer that are read.
const ANSWER_BYTES_MAX: u64 = 64 << 10;

/// The destination of bodies.
#[derive(Debug)]
pub struct Target {
    agent: Agent,
    url: String,
    headers: Vec<(String, Secret)>,
    patience: Duration,
}

/// Why a body wasn't delivered.
#[derive(Debug, thiserror::Error)]
pub enum Undelivered {
    /// No try succeeded in the given time.
    #[error("after {tries} tries in {seconds:.0} s: {reason}")]
    Patience {
        /// The number of tries.
        tries: u32,
        /// The time of all tries.
        seconds: f64,
        /// The reason of the last failure.
        reason: String,
    },
    /// It was refused, and another try would be refused too.
    #[error("{0}")]
    Refused(String),
}

impl Target {
    /// A destination: a URL, headers for each body, and how long a body is tried.
    pub fn new(url: &str, headers: Vec<(String, Secret)>, patience: Duration) -> Self {
        let system = rustls_native_certs::load_native_certs().certs;
        let system: Vec<_> = system
            .iter()
            .map(|one| Certificate::from_der(one).to_owned())
            .collect();
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::from(system))
            .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()))
            .build();
        let config = Agent::config_builder()
            // A receiver that never answers may not take more time than there is.
            .timeout_global(Some(TRY_TIME_MAX.min(patience.max(TRY_TIME_MIN))))
            .http_status_as_error(false)
            .max_redirects(0)
            .tls_config(tls)
            .build();
        Self {
            agent: config.into(),
            url: url.to_owned(),
            headers,
            patience,
        }
    }

    /// Delivers a body, and returns the answer.
    pub fn deliver(&self, content_type: &str, body: &[u8]) -> Result<Vec<u8>, Undelivered> {
        let begun = Instant::now();
        let mut pause = PAUSE_FIRST;
        for tries in 1.. {
            let reason = match self.attempt(content_type, body) {
                Ok(answer) => return Ok(answer),
                Err(Failed::Again(reason)) => reason,
                Err(Failed::Never(reason)) => return Err(Undelivered::Refused(reason)),
            };
            let left = self.patience.saturating_sub(begun.elapsed());
            if left.is_zero() {
                let seconds = begun.elapsed().as_secs_f64();
                return Err(Undelivered::Patience {
                    tries,
                    seconds,
                    reason,
                });
            }
            thread::sleep(pause.min(left));
            pause = (pause * 2).min(PAUSE_MAX);
        }
        Err(Undelivered::Refused("too many tries".to_owned()))
    }

    fn attempt(&self, content_type: &str, body: &[u8]) -> Result<Vec<u8>, Failed> {
        let mut request = self.agent.post(&self.url).content_type(content_type);
        for (name, value) in &self.headers {
            request = request.header(name, value.expose());
        }
        let mut answer = request.send(body).map_err(|error| match error {
            ureq::Error::BadUri(_) | ureq::Error::Http(_) => Failed::Never(error.to_string()),
            error => Failed::Again(error.to_string()),
        })?;
        let status = answer.status().as_u16();
        let read = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX);
        let bytes = read.read_to_vec().unwrap_or_default();
        let said = || {
            let text = String::from_utf8_lossy(&bytes);
            let text: String = text.chars().filter(|c| !c.is_control()).take(200).collect();
            match text.trim() {
                "" => format!("status {status}"),
                text => format!("status {status}: {text}"),
            }
        };
        match status {
            200..=299 => Ok(bytes),
            408 | 429 | 500..=599 => Err(Failed::Again(said())),
            _ => Err(Failed::Never(said())),
        }
    }
}

enum Failed {
    Again(String),
    Never(String),
}
