//! What is served to this machine, or to those who have a token: a small HTTP server. Each
//! connection has a thread, and one request; there are few viewers.
//!
//! - access: who may see it
//! - request: what is asked
//! - silent: connections that have asked nothing yet

mod access;
mod request;
mod silent;

use std::fmt;
use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs as _};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use access::Access;
pub(crate) use request::Request;
use silent::{Place, Silent};

/// The port when none is named.
const PORT: u16 = 7070;
/// Requests at a time.
const VIEWERS_MAX: usize = 32;
/// A viewer takes what it gets by then.
const TIME_MAX: Duration = Duration::from_secs(5);
/// A connection that wakes whoever waits for one is there by then.
const WAKE_TIME_MAX: Duration = Duration::from_secs(1);

/// Where something is served: `:7070`, `7070` and nothing are on this machine alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address(String);

impl FromStr for Address {
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

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An address that is taken, before there is anything to serve.
#[derive(Debug)]
pub struct Bound {
    pub(crate) listener: TcpListener,
    pub(crate) access: Access,
    url: String,
}

impl Bound {
    /// Takes the address, for what stands at that path there.
    pub fn to(address: &Address, path: &str) -> io::Result<Self> {
        let known = address.0.to_socket_addrs()?.collect::<Vec<_>>();
        let listener = TcpListener::bind(&known[..])?;
        let (access, url) = Access::of(listener.local_addr()?, path)?;
        Ok(Self {
            listener,
            access,
            url,
        })
    }

    /// Where a browser finds it.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Serves a document from now on.
    pub fn serve(self, document: Arc<dyn Document>) -> io::Result<Served> {
        let address = self.listener.local_addr()?;
        let site = Arc::new(Single {
            document,
            closed: AtomicBool::new(false),
        });
        let known = Arc::clone(&site);
        let thread = thread::Builder::new().name("served".to_owned());
        let thread =
            thread.spawn(move || accept(&self.listener, &Arc::new(self.access), &known))?;
        Ok(Served {
            site,
            address,
            thread: Some(thread),
        })
    }
}

/// A document that is made for whoever asks.
pub trait Document: Send + Sync {
    /// Where it stands.
    fn path(&self) -> &str;
    /// It as it is now, for whoever accepts these types (the header `Accept`).
    fn make(&self, accept: &str) -> Made;
    /// Somebody took this version of it.
    fn taken(&self, version: u64);
}

/// A document as it was at an instant.
#[derive(Debug)]
pub struct Made {
    /// Its type.
    pub content_type: &'static str,
    /// Itself.
    pub body: Vec<u8>,
    /// Which one it is.
    pub version: u64,
}

/// A document that is served; nobody gets it any more once this is dropped.
pub struct Served {
    site: Arc<Single>,
    address: SocketAddr,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.site.closed.store(true, Ordering::Release);
        wake(self.address);
        if let Some(thread) = self.thread.take() {
            // What it panicked of was said.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Served")
            .field("address", &self.address)
            .finish()
    }
}

struct Single {
    document: Arc<dyn Document>,
    closed: AtomicBool,
}

impl Site for Single {
    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    fn serve(&self, stream: &TcpStream, request: &Request) -> io::Result<()> {
        match (&*request.method, &*request.path) {
            ("GET", path) if path == self.document.path() => {
                let made = self.document.make(&request.accept);
                answer(stream, "200 OK", made.content_type, &made.body)?;
                self.document.taken(made.version);
                Ok(())
            }
            _ => {
                let path = self.document.path();
                say(stream, "404 Not Found", &format!("try {path}\n"))
            }
        }
    }
}

/// What is served at an address.
pub(crate) trait Site: Send + Sync + 'static {
    /// Nothing is served any more.
    fn is_closed(&self) -> bool;
    /// Answers whoever may ask.
    fn serve(&self, stream: &TcpStream, request: &Request) -> io::Result<()>;
}

/// Takes connections until the site is closed.
pub(crate) fn accept<S: Site>(listener: &TcpListener, access: &Arc<Access>, site: &Arc<S>) {
    let (silent, viewers) = (Arc::<Silent>::default(), Arc::<AtomicUsize>::default());
    for stream in listener.incoming() {
        if site.is_closed() {
            return;
        }
        let Ok(stream) = stream else {
            // No descriptors left: the run has them.
            thread::sleep(Duration::from_millis(100));
            continue;
        };
        let Ok(place) = silent.enter(&stream) else {
            continue;
        };
        let (viewers, access, site) = (Arc::clone(&viewers), Arc::clone(access), Arc::clone(site));
        let body = move || {
            // A viewer that went away is no fault.
            let _ = meet(stream, place, &viewers, &access, &*site);
        };
        let _ = thread::Builder::new().name("viewer".to_owned()).spawn(body);
    }
}

/// Wakes whoever waits for a connection at this address.
pub(crate) fn wake(address: SocketAddr) {
    let _ = TcpStream::connect_timeout(&address, WAKE_TIME_MAX);
}

fn meet(
    mut stream: TcpStream,
    place: Place,
    viewers: &AtomicUsize,
    access: &Access,
    site: &impl Site,
) -> io::Result<()> {
    stream.set_read_timeout(Some(TIME_MAX))?;
    stream.set_write_timeout(Some(TIME_MAX))?;
    let request = Request::read(&mut stream);
    drop(place);
    let Some(request) = request? else {
        return say(&stream, "400 Bad Request", "no request\n");
    };
    if !access.allows(&request) {
        let text = "this page needs the URL that encarno printed\n";
        return say(&stream, "403 Forbidden", text);
    }
    let viewer = Viewer::of(viewers);
    if viewer.number > VIEWERS_MAX {
        return say(&stream, "503 Service Unavailable", "too many viewers\n");
    }
    site.serve(&stream, &request)
}

/// A request that is answered.
struct Viewer<'a> {
    all: &'a AtomicUsize,
    /// How many there are with it.
    number: usize,
}

impl<'a> Viewer<'a> {
    fn of(all: &'a AtomicUsize) -> Self {
        let number = all.fetch_add(1, Ordering::Relaxed) + 1;
        Self { all, number }
    }
}

impl Drop for Viewer<'_> {
    fn drop(&mut self) {
        self.all.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Headers of every answer.
pub(crate) const HEADERS: &str = "Cache-Control: no-store\r\nReferrer-Policy: no-referrer\r\n\
                                  X-Content-Type-Options: nosniff\r\nX-Frame-Options: DENY\r\nConnection: close\r\n";

pub(crate) fn say(stream: &TcpStream, status: &str, text: &str) -> io::Result<()> {
    answer(stream, status, "text/plain; charset=utf-8", text.as_bytes())
}

pub(crate) fn answer(
    mut stream: &TcpStream,
    status: &str,
    kind: &str,
    body: &[u8],
) -> io::Result<()> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n{HEADERS}\r\n"
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)
}

#[cfg(test)]
mod tests {
    use super::Address;

    #[test]
    fn an_address_without_a_host_is_this_machine_s() {
        let parsed = |text: &str| text.parse::<Address>().map(|address| address.0);
        for text in ["", ":7070", "7070", "127.0.0.1:7070"] {
            assert_eq!(parsed(text), Ok("127.0.0.1:7070".to_owned()), "{text}");
        }
        assert_eq!(parsed("[::]:1"), Ok("[::]:1".to_owned()));
        for text in ["http://host/", "host", ":x", "a b:1", ":70000"] {
            assert!(parsed(text).is_err(), "{text}");
        }
    }
}
