//! `--live`: the page of a run while it goes on. What it says at the end is what `stats`
//! says, strangers are refused, and only `--control` lets anybody steer.

#![allow(clippy::expect_used, clippy::unwrap_used)]

#[path = "rig/browser.rs"]
mod browser;
#[path = "rig/program.rs"]
mod program;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Duration;

use encarno_record::statistics::time_text;
use serde_json::Value;

/// A run that is shown, and where.
struct Shown {
    run: Child,
    port: u16,
    query: String,
    url: String,
    said: BufReader<ChildStderr>,
}

impl Shown {
    fn start(folder: &Path, address: &str, more: &[&str]) -> Self {
        let hits = [
            "hit",
            "dummy:",
            "--delay",
            "exponential:2ms",
            "-q",
            "-o",
            "run.enc",
        ];
        Self::run(folder, address, &[&hits[..], more].concat())
    }

    fn run(folder: &Path, address: &str, arguments: &[&str]) -> Self {
        let mut run = Command::new(env!("CARGO_BIN_EXE_encarno"))
            .current_dir(folder)
            .args(arguments)
            .args(["--live", address])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program");
        let mut said = BufReader::new(run.stderr.take().expect("its messages"));
        let url = loop {
            let mut line = String::new();
            assert!(said.read_line(&mut line).unwrap() > 0, "it ended");
            if let Some((_, url)) = line.split_once(" is shown at ") {
                break url.trim().to_owned();
            }
        };
        let (_, rest) = url.rsplit_once(':').expect("a port");
        let (port, query) = rest.split_once('/').expect("a path");
        Self {
            port: port.parse().expect("a port"),
            query: query.to_owned(),
            url: url.clone(),
            run,
            said,
        }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).expect("a connection");
        let patience = Some(Duration::from_secs(60));
        stream.set_read_timeout(patience).expect("set");
        stream
    }

    /// The status and the body of an answer.
    fn ask(&self, request: &str, headers: &str) -> (u16, String) {
        let mut stream = self.connect();
        // At once: what isn't a request is answered before its end.
        let request = format!("{request} HTTP/1.1\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        let status = head.split(' ').nth(1).expect("a status");
        (status.parse().expect("a number"), body.to_owned())
    }

    fn host(&self) -> String {
        format!("Host: 127.0.0.1:{}\r\n", self.port)
    }

    /// The names and data of all events up to the last.
    fn events(&self) -> Vec<(String, Value)> {
        let mut stream = self.connect();
        write!(stream, "GET /events HTTP/1.1\r\n{}\r\n", self.host()).expect("sent");
        let (mut events, mut name) = (Vec::new(), String::new());
        for line in BufReader::new(stream).lines() {
            let line = line.expect("a line");
            if let Some(known) = line.strip_prefix("event: ") {
                name = known.to_owned();
            }
            if let Some(data) = line.strip_prefix("data: ") {
                events.push((name.clone(), serde_json::from_str(data).expect("JSON")));
            }
        }
        events
    }

    fn end(mut self) -> Option<i32> {
        let mut rest = String::new();
        self.said.read_to_string(&mut rest).expect("its messages");
        self.run.wait().expect("its status").code()
    }
}

fn stats(folder: &Path) -> Value {
    let output = program::run(folder, &["stats", "--json", "run.enc"]);
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn a_reader_of_events_ends_with_the_figures_of_stats() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let shown = Shown::start(folder, "127.0.0.1:0", &["--rate", "300", "--for", "3s"]);
    let events = shown.events();
    assert_eq!(shown.end(), Some(0));
    let (name, last) = events.last().expect("events");
    assert_eq!((&**name, &last["state"]), ("end", &"ended".into()));
    let stats = stats(folder);
    assert_eq!(last["hits"], stats["total"]["hits"]);
    assert_eq!(last["failed"], stats["total"]["failed"]);
    let shown = last["response_ns"].as_object().expect("figures");
    for (name, value) in shown {
        assert_eq!(value, &stats["total"]["response_ns"][name], "{name}");
    }
}

/// The page of a run that agents make has what came in from all of them.
#[test]
fn agents_are_shown_together() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let agents = ["--rate", "300", "--for", "3s", "--agents", "local:2"];
    let shown = Shown::start(folder, "127.0.0.1:0", &agents);
    let events = shown.events();
    assert_eq!(shown.end(), Some(0));
    let (name, last) = events.last().expect("events");
    assert_eq!((&**name, &last["state"]), ("end", &"ended".into()));
    assert_eq!(last["hits"], 900);
    let stats = stats(folder);
    let figures = last["response_ns"].as_object().expect("figures");
    for (name, value) in figures {
        assert_eq!(value, &stats["total"]["response_ns"][name], "{name}");
    }
    let control = [
        "hit",
        "dummy:",
        "-n",
        "1",
        "--agents",
        "local:1",
        "--live",
        "--control",
    ];
    let output = program::run(folder, &control);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn who_reads_on_after_the_run_still_gets_its_last_page() {
    let folder = tempfile::tempdir().expect("a folder");
    let long = ["--rate", "300", "--for", "120s", "--control"];
    let shown = Shown::start(folder.path(), "127.0.0.1:0", &long);
    let mut stream = shown.connect();
    write!(
        stream,
        "GET /events?page=1 HTTP/1.1\r\n{}\r\n",
        shown.host()
    )
    .expect("sent");
    let mut stream = BufReader::new(stream);
    let mut status = String::new();
    stream.read_line(&mut status).expect("a line");
    assert_eq!(status, "HTTP/1.1 200 OK\r\n");
    let ours = format!("{}X-Encarno: 1\r\n", shown.host());
    assert_eq!(shown.ask("POST /stop", &ours).0, 200);
    assert_eq!(shown.end(), Some(0));

    let mut rest = String::new();
    stream.read_to_string(&mut rest).expect("the rest");
    let (_, end) = rest.split_once("event: end\n").expect("an end");
    let data = end.lines().find_map(|line| line.strip_prefix("data: "));
    let figures: Value = serde_json::from_str(data.expect("data")).expect("JSON");
    assert_eq!(figures["hits"], stats(folder.path())["total"]["hits"]);
    let page = figures["page"].as_str().expect("a page");
    assert!(page.contains("data-live=\"ended\"") && page.ends_with("</html>\n"));
}

#[test]
fn a_file_is_shown_while_another_program_writes_it_and_when_it_has_ended() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let arguments = ["hit", "dummy:", "-q", "-n", "50", "-o", "run.enc"];
    assert!(program::run(folder, &arguments).status.success());
    let file = folder.join("run.enc");
    let whole = std::fs::read(&file).expect("a file");
    std::fs::write(&file, &whole[..whole.len() / 2]).expect("cut");
    let shown = Shown::run(folder, "127.0.0.1:0", &["report", "run.enc"]);
    let (_, page) = shown.ask("GET /", &shown.host());
    assert!(page.contains("data-live=\"on\"") && page.contains("The run goes on"));
    let grown = std::fs::File::options().append(true).open(&file);
    let mut grown = grown.expect("the file");
    grown.write_all(&whole[whole.len() / 2..]).expect("grown");
    let events = shown.events();
    assert_eq!(events.last().expect("events").1["hits"], 50);
    let (_, page) = shown.ask("GET /", &shown.host());
    assert!(page.contains("data-live=\"ended\""), "it stays");
    let pid = rustix::process::Pid::from_child(&shown.run);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("told");
    assert_eq!(shown.end(), Some(0));
}

#[test]
fn strangers_are_refused_and_nobody_steers() {
    let folder = tempfile::tempdir().expect("a folder");
    let long = ["--rate", "100", "--for", "60s"];
    let mut shown = Shown::start(folder.path(), "127.0.0.1:0", &long);
    let ours = shown.host();
    let (status, page) = shown.ask("GET /", &ours);
    assert_eq!(status, 200);
    assert!(page.contains("data-live=\"on\"") && !page.contains("data-control"));
    // A page of others whose name was made to mean this machine.
    let rebound = format!("Host: evil.example:{}\r\n", shown.port);
    assert_eq!(shown.ask("GET /", &rebound).0, 403);
    assert_eq!(
        shown
            .ask("POST /stop", &format!("{ours}X-Encarno: 1\r\n"))
            .0,
        403
    );
    assert_eq!(shown.ask("GET /other", &ours).0, 404);
    assert_eq!(shown.ask("\0\0", &ours).0, 400);
    shown.run.kill().expect("ended");

    let shown_to_all = Shown::start(folder.path(), "0.0.0.0:0", &long);
    let query = shown_to_all.query.clone();
    assert_eq!(query.len(), "?token=".len() + 32, "{query}");
    assert_eq!(shown_to_all.ask("GET /", "").0, 403);
    assert_eq!(shown_to_all.ask("GET /?token=1", "").0, 403);
    assert_eq!(shown_to_all.ask(&format!("GET /{query}"), "").0, 200);
    let mut run = shown_to_all.run;
    run.kill().expect("ended");
}

#[test]
fn connections_that_ask_nothing_keep_nobody_out() {
    let folder = tempfile::tempdir().expect("a folder");
    let long = ["--rate", "100", "--for", "60s"];
    let mut shown = Shown::start(folder.path(), "127.0.0.1:0", &long);
    let silent = (0..100).map(|_| shown.connect()).collect::<Vec<_>>();
    assert_eq!(shown.ask("GET /", &shown.host()).0, 200);
    // The oldest made room.
    let mut text = String::new();
    let _ = (&silent[0]).read_to_string(&mut text);
    assert_eq!(text, "");
    shown.run.kill().expect("ended");
}

#[test]
fn with_control_the_page_pauses_and_stops() {
    let folder = tempfile::tempdir().expect("a folder");
    let long = ["--rate", "100", "--for", "60s", "--control"];
    let shown = Shown::start(folder.path(), "127.0.0.1:0", &long);
    let ours = shown.host();
    // The run begins after the address was said.
    while shown.ask("GET /", &ours).0 != 200 {}
    assert!(shown.ask("GET /", &ours).1.contains("data-control=\"1\""));
    assert_eq!(shown.ask("POST /stop", &ours).0, 403, "another page asks");
    let asked = |path: &str| shown.ask(&format!("POST {path}"), &format!("{ours}X-Encarno: 1\r\n"));
    assert_eq!(asked("/pause"), (200, "done\n".to_owned()));
    assert_eq!(asked("/resume"), (200, "done\n".to_owned()));
    assert_eq!(asked("/stop"), (200, "done\n".to_owned()));
    assert!(matches!(asked("/pause").0, 200 | 409));
    assert_eq!(shown.end(), Some(0));
}

#[test]
fn an_address_that_is_taken_is_told_before_the_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("an address");
    let address = taken.local_addr().expect("it").to_string();
    let arguments = [
        "hit", "dummy:", "-n", "1", "-o", "run.enc", "--live", &address,
    ];
    let output = program::run(folder.path(), &arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains(&format!("--live can't listen on {address}")),
        "{said}"
    );
    assert!(!folder.path().join("run.enc").exists());
}

#[test]
fn in_a_browser_the_page_follows_the_run_and_stays() {
    let Some(browser) = browser::installed() else {
        eprintln!("NOT TESTED: the live page in a browser, for there is no chromium");
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let long = ["--rate", "300", "--for", "120s", "--control"];
    let shown = Shown::start(folder, "127.0.0.1:0", &long);
    let mut page = browser::Page::open(&browser, &folder.join("profile"), &shown.url);
    page.wait("document.documentElement.dataset.ready");
    page.wait("(window.first ??= +document.getElementById('card-hits').textContent) >= 0");
    page.wait("+document.getElementById('card-hits').textContent > window.first");
    page.value("document.getElementById('live-pause').click()");
    page.wait("document.getElementById('live-pause')?.textContent === 'Resume'");
    page.value("document.getElementById('live-pause').click()");
    page.wait("document.getElementById('live-pause')?.textContent === 'Pause'");
    page.value("document.getElementById('live-stop').click()");
    page.wait("document.documentElement.dataset.live === 'ended'");
    assert_eq!(shown.end(), Some(0));

    // The run is gone, and its page stays.
    let stats = stats(folder);
    let text = |id: &str| format!("document.getElementById('{id}').textContent");
    let hits = stats["total"]["hits"].to_string();
    assert_eq!(page.value(&text("card-hits")), hits);
    let p99 = stats["total"]["response_ns"]["p99"]
        .as_f64()
        .expect("a time");
    assert_eq!(page.value(&text("card-p99")), time_text(p99));
    let state = page.value(&text("live-state"));
    assert!(
        state
            .as_str()
            .is_some_and(|state| state.contains("has ended")),
        "{state}"
    );
    assert!(page.said.is_empty(), "{:?}", page.said);
}
