//! The page of a run that goes on: a small HTTP server that shows a result file while it
//! grows.
//!
//! A thread reads the file once a second. The page is made when somebody asks for it, and
//! never so often that it takes more than a fiftieth of a core. `GET /` is the page,
//! `GET /events` are server-sent events: each says what the run came to so far, and with
//! `?page=1` brings the page. `POST /pause`, `/resume` and `/stop` steer the run, if
//! somebody allowed it.
//!
//! - access: who may see it
//! - request: what a browser asks
//! - serve: the answers
//! - silent: connections that have asked nothing yet
//! - state: the run and its page

mod access;
mod request;
mod serve;
mod silent;
mod state;

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs as _};
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::Reading;
use access::Access;
use state::{Shared, State};

/// The port when none is named.
const PORT: u16 = 7070;
/// The file is read on that often.
const PERIOD: Duration = Duration::from_secs(1);
/// Those who follow the run get so long to take its end.
const LAST_LOOK: Duration = Duration::from_secs(10);

/// Where the page is served: `:7070`, `7070` and nothing are on this machine alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveAddress(String);

impl FromStr for LiveAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || "expected a port or an address, such as :7070 or 192.168.1.2:7070".to_owned();
        let text = text.trim();
        if text.is_empty() {
            return Ok(Self(format!("127.0.0.1:{PORT}")));
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => (host, port),
            None if text.bytes().all(|byte| byte.is_ascii_digit()) => ("", text),
            None => return Err(wrong()),
        };
        port.parse::<u16>().map_err(|_| wrong())?;
        if host.contains('/') || host.contains(char::is_whitespace) {
            return Err(wrong());
        }
        Ok(Self(match host {
            "" => format!("127.0.0.1:{port}"),
            host => format!("{host}:{port}"),
        }))
    }
}

impl fmt::Display for LiveAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whoever steers the run that is shown.
pub trait Steering: Send + Sync {
    /// No hit starts until [`Steering::resume`].
    fn pause(&self) -> Result<(), String>;
    /// The run goes on.
    fn resume(&self) -> Result<(), String>;
    /// The run ends; hits that are running may end.
    fn stop(&self);
    /// Whether it is paused.
    fn is_paused(&self) -> bool;
}

/// A page that is served; nobody sees it any more once this is dropped.
pub struct Live {
    shared: Arc<Shared>,
    address: SocketAddr,
    url: String,
    threads: Vec<JoinHandle<()>>,
}

/// An address that is taken, before there is anything to show.
#[derive(Debug)]
pub struct Bound {
    listener: TcpListener,
    access: Access,
    url: String,
}

impl Bound {
    /// Takes the address.
    pub fn to(address: &LiveAddress) -> io::Result<Self> {
        let known = address.0.to_socket_addrs()?.collect::<Vec<_>>();
        let listener = TcpListener::bind(&known[..])?;
        let (access, url) = Access::of(listener.local_addr()?)?;
        Ok(Self {
            listener,
            access,
            url,
        })
    }

    /// Where a browser finds the page.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Shows this result file from now on. `steering` is who may be told to pause and
    /// to stop; none = nobody.
    pub fn show(
        self,
        file: &Path,
        name: String,
        steering: Option<Box<dyn Steering>>,
    ) -> io::Result<Live> {
        let reading = Reading::open(file, name).map_err(io::Error::other)?;
        let address = self.listener.local_addr()?;
        let shared = Arc::new(Shared::new(State::new(reading), self.access, steering));
        shared.read_on();
        let mut threads = Vec::new();
        let (follower, server) = (Arc::clone(&shared), Arc::clone(&shared));
        let listener = self.listener;
        threads.push(spawn("live-file", move || follow(&follower))?);
        threads.push(spawn("live-page", move || {
            serve::accept(&listener, &server)
        })?);
        Ok(Live {
            shared,
            address,
            url: self.url,
            threads,
        })
    }
}

impl Live {
    /// Where a browser finds the page.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Shows the file until `is_over` says so; also once the run has ended.
    pub fn wait(&self, mut is_over: impl FnMut() -> bool) {
        while !is_over() {
            thread::sleep(PERIOD / 10);
        }
    }

    /// The run is over: those who follow it get its last state, and a moment to take it.
    pub fn end(self) {
        self.shared.read_on();
        self.shared.finish();
        self.shared.wait_told(LAST_LOOK);
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.shared.close();
        // It wakes whoever waits for a connection.
        let _ = std::net::TcpStream::connect_timeout(&self.address, PERIOD);
        for thread in self.threads.drain(..) {
            // What it panicked of was said.
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

#[cfg(test)]
mod tests {
    use super::LiveAddress;

    #[test]
    fn an_address_without_a_host_is_this_machine_s() {
        let parsed = |text: &str| text.parse::<LiveAddress>().map(|address| address.0);
        for text in ["", ":7070", "7070", "127.0.0.1:7070"] {
            assert_eq!(parsed(text), Ok("127.0.0.1:7070".to_owned()), "{text}");
        }
        assert_eq!(parsed("[::]:1"), Ok("[::]:1".to_owned()));
        for text in ["http://host/", "host", ":x", "a b:1", ":70000"] {
            assert!(parsed(text).is_err(), "{text}");
        }
    }
}
