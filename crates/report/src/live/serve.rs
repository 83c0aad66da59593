//! The answers. Each connection has a thread, and one request; there are few viewers.

use std::io::{self, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::request::Request;
use super::silent::Place;
use super::state::Shared;

/// Requests at a time.
const VIEWERS_MAX: usize = 32;
/// A viewer takes what it gets by then.
const TIME_MAX: Duration = Duration::from_secs(5);
/// A viewer hears something at least that often.
const SILENCE_MAX: Duration = Duration::from_secs(10);

pub(super) fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.is_closed() {
            return;
        }
        let Ok(stream) = stream else {
            // No descriptors left: the run has them.
            thread::sleep(Duration::from_millis(100));
            continue;
        };
        let Ok(place) = shared.silent().enter(&stream) else {
            continue;
        };
        let known = Arc::clone(shared);
        let body = move || {
            // A viewer that went away is no fault.
            let _ = serve(stream, place, &known);
        };
        let _ = thread::Builder::new()
            .name("live-viewer".to_owned())
            .spawn(body);
    }
}

fn serve(mut stream: TcpStream, place: Place, shared: &Shared) -> io::Result<()> {
    stream.set_read_timeout(Some(TIME_MAX))?;
    stream.set_write_timeout(Some(TIME_MAX))?;
    let request = Request::read(&mut stream);
    drop(place);
    let Some(request) = request? else {
        return say(&stream, "400 Bad Request", "no request\n");
    };
    if !shared.access().allows(&request) {
        let text = "this page needs the URL that encarno printed\n";
        return say(&stream, "403 Forbidden", text);
    }
    let viewer = shared.viewer();
    if viewer.count() > VIEWERS_MAX {
        return say(&stream, "503 Service Unavailable", "too many viewers\n");
    }
    match (&*request.method, &*request.path) {
        ("GET", "/") => {
            let page = shared.page()?;
            answer(&stream, "200 OK", "text/html; charset=utf-8", &page)
        }
        ("GET", "/events") => {
            let with_page = request.query("page").is_some();
            let _follower = shared.follower();
            events(&stream, shared, with_page)
        }
        ("POST", "/pause" | "/resume" | "/stop") => steer(&stream, &request, shared),
        _ => say(&stream, "404 Not Found", "there is no such page\n"),
    }
}

fn steer(stream: &TcpStream, request: &Request, shared: &Shared) -> io::Result<()> {
    let Some(steering) = shared.steering() else {
        let text = "this page cannot change the run: start the run with --control\n";
        return say(stream, "403 Forbidden", text);
    };
    if !request.is_ours {
        let text = "only the page itself steers a run\n";
        return say(stream, "403 Forbidden", text);
    }
    let done = match &*request.path {
        "/pause" => steering.pause(),
        "/resume" => steering.resume(),
        _ => {
            steering.stop();
            Ok(())
        }
    };
    match done {
        Ok(()) => say(stream, "200 OK", "done\n"),
        Err(reason) => say(stream, "409 Conflict", &format!("{reason}\n")),
    }
}

/// What the run came to, whenever there is more. The page gets itself along with it: at
/// the run's end there may be nobody left to ask for it.
fn events(mut stream: &TcpStream, shared: &Shared, with_page: bool) -> io::Result<()> {
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n{HEADERS}\r\nretry: 2000\n\n"
    )?;
    let mut seen = None;
    loop {
        match shared.next_event(seen, SILENCE_MAX) {
            Some((version, mut figures, ended)) => {
                let name = if ended { "end" } else { "second" };
                if with_page {
                    figures["page"] = String::from_utf8_lossy(&shared.page()?).into();
                }
                let event = format!("event: {name}\nid: {version}\ndata: {figures}\n\n");
                stream.write_all(event.as_bytes())?;
                if ended {
                    return stream.flush();
                }
                seen = Some(version);
            }
            None if shared.is_closed() => return Ok(()),
            None => write!(stream, ": still here\n\n")?,
        }
    }
}

const HEADERS: &str = "Cache-Control: no-store\r\nReferrer-Policy: no-referrer\r\n\
                       X-Content-Type-Options: nosniff\r\nX-Frame-Options: DENY\r\nConnection: close\r\n";

fn say(stream: &TcpStream, status: &str, text: &str) -> io::Result<()> {
    answer(stream, status, "text/plain; charset=utf-8", text.as_bytes())
}

fn answer(mut stream: &TcpStream, status: &str, kind: &str, body: &[u8]) -> io::Result<()> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n{HEADERS}\r\n"
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)
}
