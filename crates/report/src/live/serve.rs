//! The answers.

use std::io::{self, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use super::state::Shared;
use crate::served::{HEADERS, Request, Site, answer, say};

/// A viewer hears something at least that often.
const SILENCE_MAX: Duration = Duration::from_secs(10);

impl Site for Shared {
    fn is_closed(&self) -> bool {
        Self::is_closed(self)
    }

    fn serve(&self, stream: &TcpStream, request: &Request) -> io::Result<()> {
        serve(stream, request, self)
    }
}

fn serve(stream: &TcpStream, request: &Request, shared: &Shared) -> io::Result<()> {
    match (&*request.method, &*request.path) {
        ("GET", "/") => {
            let page = shared.page()?;
            answer(stream, "200 OK", "text/html; charset=utf-8", &page)
        }
        ("GET", "/events") => {
            let with_page = request.query("page").is_some();
            let _follower = shared.follower();
            events(stream, shared, with_page)
        }
        ("POST", "/pause" | "/resume" | "/stop") => steer(stream, request, shared),
        _ => say(stream, "404 Not Found", "there is no such page\n"),
    }
}

fn steer(stream: &TcpStream, request: &Request, shared: &Shared) -> io::Result<()> {
    let Some(steering) = shared.steering() else {
        let text = "this page cannot change the run: start the run with --control\n";
        return say(stream, "403 Forbidden", text);
    };
    if !request.is_ours {
        let text = "only the page itself can steer a run\n";
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

/// Sends the figures of the run whenever there are new ones. The page can get its own new
/// version along with them, because at the run's end the server may be gone before it
/// could ask.
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
