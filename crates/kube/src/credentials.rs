//! The name of a run and the credentials of its NATS server, which no other run has.

use std::fs::File;
use std::io::Read as _;

use crate::KubeError;
use crate::certificate::{self, Certificate};
use crate::settings::{Nats, Settings};

/// The port of a run's NATS server.
pub(crate) const NATS_PORT: u16 = 4222;

/// The credentials of a run.
pub(crate) struct Credentials {
    /// The URL for agents.
    pub(crate) url: String,
    pub(crate) password: String,
    pub(crate) certificate: Option<Certificate>,
}

/// The credentials of a run. Agents reach its own NATS server at `host`.
pub(crate) fn make(settings: &Settings, host: &str) -> Result<Credentials, KubeError> {
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
pub(crate) fn url_of(password: &str, host: &str, port: u16) -> String {
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
