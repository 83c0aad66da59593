//! The dashboard in a real terminal: what one sees, keys, and that the terminal is
//! given back whatever happens.

#![allow(clippy::expect_used, clippy::unwrap_used)] // a test that can't go on says why

#[path = "rig/svg.rs"]
mod svg;

#[path = "rig/terminal.rs"]
mod terminal;

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use encarno_target::{Target, TargetSettings};
use rustix::process::Signal;
use rustix::termios::tcgetattr;
use terminal::{PATIENCE, Terminal};

const DUMMY: [&str; 6] = ["hit", "dummy:", "--rate", "200", "--for", "1h"];

#[test]
fn a_run_is_seen_paused_and_stopped_and_its_summary_stays() {
    let target = Target::start(TargetSettings::default()).unwrap();
    let url = format!("http://{}/", target.address());
    let mut terminal = Terminal::start(80, 24, &[], &["hit", &url, "--rate", "200", "--for", "1h"]);
    let screen = terminal.wait("codes", |screen| {
        screen.contains("codes       200: ") && screen.contains("lag ")
    });
    assert!(terminal.parser.screen().alternate_screen());
    assert!(terminal.parser.screen().hide_cursor());
    let lines: Vec<&str> = screen.lines().collect();
    assert_eq!(lines.len(), 24, "{screen}");
    assert!(lines[0].starts_with(&format!("encarno http://{}", target.address())));
    assert!(lines[0].ends_with("running"), "{screen}");
    for text in [
        " left",
        "/s of 200.0/s asked",
        "0 failed (0.00 %)",
        "in flight",
        "bytes ",
        "last second",
        "response",
        "service",
        "response time, all hits",
        "response p99 by second",
        "generator   busy ",
        "so far",
        "p pause   l labels   q stop",
    ] {
        assert!(screen.contains(text), "{text}:\n{screen}");
    }
    assert!(lines.iter().all(|line| line.chars().count() <= 80));
    // Labels, and back by Escape.
    terminal.press(b"l");
    let labels = terminal.wait_for("(no label)");
    assert!(
        labels.contains("hits") && labels.contains("l back"),
        "{labels}"
    );
    terminal.press(b"\x1b");
    terminal.wait_for("l labels");
    // Within a pause no hit is due.
    terminal.press(b"p");
    terminal.wait_for("PAUSED");
    terminal.wait_for("of 0.0/s asked");
    terminal.press(b"p");
    terminal.wait_for("running");
    terminal.wait_for("of 200.0/s asked");
    // Other sizes.
    for (columns, rows) in [(60, 20), (200, 50), (24, 8), (3, 1), (80, 24)] {
        terminal.resize(columns, rows);
        let screen = terminal.wait("a line that fits", |screen| {
            let fits = |line: &str| line.chars().count() <= usize::from(columns);
            let filled = columns < 40 || screen.contains("q stop");
            !screen.trim().is_empty() && filled && screen.lines().all(fits)
        });
        assert!(screen.lines().count() <= usize::from(rows), "{screen}");
    }
    terminal.wait_for("q stop");
    terminal.press(b"q");
    let (status, screen) = terminal.end();
    assert_eq!(status.code(), Some(0), "{screen}");
    for text in [
        "stopping: running hits may end",
        "scheduled ",
        "paused for ",
        "verdict: ",
    ] {
        assert!(screen.contains(text), "{text}:\n{screen}");
    }
    target.stop().unwrap();
}

/// A measurement shows its trials meanwhile, and leaves them.
#[test]
fn a_capacity_is_seen_while_it_is_measured() {
    let arguments =
        "capacity dummy: --delay fixed:2ms --workers 1..200 --trial 500ms..1s --precision 50%";
    let arguments: Vec<_> = arguments.split(' ').collect();
    let mut terminal = Terminal::start(80, 24, &[], &arguments);
    let screen = terminal.wait_for("  1  1 worker ");
    assert!(terminal.parser.screen().alternate_screen());
    for text in [
        "encarno dummy ",
        " trial",
        "rate  ",
        "generator ",
        "peak ",
        "q stop",
    ] {
        assert!(screen.contains(text), "{text}:\n{screen}");
    }
    terminal.press(b"q");
    let (status, screen) = terminal.end();
    assert!(status.code().is_some(), "{screen}");
    for text in ["  1  1 worker ", "peak "] {
        assert!(screen.contains(text), "{text}:\n{screen}");
    }
    assert!(!screen.contains("q stop"), "{screen}");
}

/// Whatever ends it gives the terminal back.
#[test]
fn signals_and_keys_give_the_terminal_back() {
    type Case = (&'static str, fn(&mut Terminal), Option<i32>);
    let cases: [Case; 5] = [
        ("Ctrl-C", |terminal| terminal.press(b"\x03"), Some(0)),
        ("SIGTERM", |terminal| terminal.signal(Signal::TERM), Some(0)),
        (
            "Ctrl-C three times",
            |terminal| {
                terminal.press(b"\x03");
                terminal.wait_for("once more to stop at once");
                terminal.press(b"\x03");
                // It may have ended by the second one.
                let _sent = terminal.controller.write_all(b"\x03");
            },
            Some(130),
        ),
        ("Ctrl-\\", |terminal| terminal.press(b"\x1c"), None),
        (
            "a stop and going on",
            |terminal| {
                terminal.press(b"\x1a");
                let until = Instant::now() + PATIENCE;
                let stat = format!("/proc/{}/stat", terminal.child.id());
                while !std::fs::read_to_string(&stat).unwrap().contains(") T ") {
                    assert!(Instant::now() < until, "it doesn't stop");
                    thread::sleep(Duration::from_millis(10));
                }
                let modes = tcgetattr(&terminal.terminal).unwrap().local_modes;
                assert_eq!(
                    modes, terminal.before.local_modes,
                    "it is given back meanwhile"
                );
                terminal.signal(Signal::CONT);
                terminal.wait("the dashboard again", |screen| screen.contains("q stop"));
                terminal.press(b"q");
            },
            Some(0),
        ),
    ];
    thread::scope(|scope| {
        for (name, how, code) in cases {
            scope.spawn(move || {
                // A hit that never ends: without a second word it would be waited for.
                let slow = ["hit", "dummy:", "-c", "1", "--for", "1h", "-d", "x"];
                let arguments = if code == Some(130) {
                    &slow[..]
                } else {
                    &DUMMY[..]
                };
                let delay = ["-O", "delay=fixed:1h", "--timeout", "2h", "--grace", "1h"];
                let arguments = match code {
                    Some(130) => [arguments, &delay].concat(),
                    _ => arguments.to_vec(),
                };
                let mut terminal = Terminal::start(80, 24, &[], &arguments);
                terminal.wait_for("q stop");
                how(&mut terminal);
                let (status, screen) = terminal.end();
                assert_eq!(status.code(), code, "{name}:\n{screen}");
            });
        }
    });
}

#[test]
fn without_colours_there_are_none() {
    for no_color in ["1", ""] {
        let mut terminal = Terminal::start(80, 24, &[("NO_COLOR", no_color)], &DUMMY);
        terminal.wait_for("q stop");
        terminal.wait_for("of 200.0/s asked");
        let raw = String::from_utf8_lossy(&terminal.raw).into_owned();
        let has = |from: &str| {
            let numbers = raw.split("\x1b[").skip(1);
            numbers
                .map(|text| text.split('m').next().unwrap())
                .any(|sequence| {
                    sequence
                        .split(';')
                        .any(|number| number.starts_with(from) && number.len() == 2)
                })
        };
        let colours = has("3") && raw.contains("\x1b[38;5;");
        assert_eq!(colours, no_color.is_empty(), "an empty one says nothing");
        terminal.press(b"q");
        terminal.end();
    }
}

/// Elsewhere there is a line a second, without a single escape.
#[test]
fn a_terminal_that_only_prints_gets_lines() {
    let arguments = ["hit", "dummy:", "--rate", "100", "--for", "1100ms"];
    let mut terminal = Terminal::start(80, 24, &[("TERM", "dumb")], &arguments);
    terminal.wait_for("verdict: ");
    let raw = String::from_utf8_lossy(&terminal.raw).into_owned();
    assert!(!raw.contains('\x1b'), "{raw:?}");
    assert!(raw.contains(", response p50"), "{raw}");
    assert_eq!(raw.matches("Workers:").count(), 0, "{raw}");
    terminal.end();
}

/// `make picture-terminal` draws the README's picture of the dashboard with this: the
/// program's own output, as the terminal shows it.
#[test]
#[ignore = "writes a file: make picture-terminal"]
fn picture() {
    let file = std::env::var("PICTURE").expect("PICTURE names the file to write");
    let target = Target::start(TargetSettings {
        delay: "exponential:5ms".parse().unwrap(),
        ..TargetSettings::default()
    })
    .unwrap();
    let url = format!("http://{}/", target.address());
    let rate = ["--rate", "line(100,900,30s)", "--for", "40s"];
    let mut terminal = Terminal::start(80, 24, &[], &[&["hit", url.as_str()][..], &rate].concat());
    terminal.wait_for("0:28 █");
    std::fs::write(file, svg::of(terminal.parser.screen())).unwrap();
    terminal.press(b"q");
    terminal.end();
    target.stop().unwrap();
}
