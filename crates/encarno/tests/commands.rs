//! `encarno hit` as a user types it: its flags, and its exit codes.

#![allow(clippy::expect_used)] // a test that can't go on says why

#[path = "rig/program.rs"]
mod program;

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Output};
use std::time::{Duration, Instant};

use encarno_target::{Target, TargetSettings};
use program::{command, run};
use rustix::process::{Pid, Signal, kill_process};

/// The exit code, and all that it said.
fn outcome(output: &Output) -> (Option<i32>, String) {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let said = text(&output.stdout) + &text(&output.stderr);
    (output.status.code(), said)
}

fn assert_ends(folder: &Path, arguments: &[&str], code: i32, says: &str) {
    let (ended, said) = outcome(&run(folder, arguments));
    assert!(said.contains(says), "{arguments:?} said: {said}");
    assert_eq!(ended, Some(code), "{arguments:?} said: {said}");
}

/// The total of a result file.
fn total(folder: &Path, file: &str) -> serde_json::Value {
    let stats = run(folder, &["stats", "--json", file]);
    let json: serde_json::Value = serde_json::from_slice(&stats.stdout).expect("JSON");
    assert_eq!(json["whole"], true, "{json}");
    json["total"].clone()
}

#[test]
fn exit_codes() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    std::fs::write(folder.join("broken"), "5 a\nhello\n\n999 b\nshort\n").expect("written");
    std::fs::write(folder.join("words"), "no number\n".repeat(9)).expect("written");

    assert_ends(folder, &["hit", "dummy:", "-n", "9"], 0, "done 9");
    // Hits that fail are results, and no failure of the run unless every one of them fails.
    let failing = ["hit", "dummy:", "-n", "9", "--error-rate", "1"];
    assert_ends(folder, &failing, 7, "failed 9");
    let failing = ["hit", "dummy:", "-n", "99", "--error-rate", "0.5"];
    assert_ends(folder, &failing, 0, "scheduled 99");
    assert_ends(
        folder,
        &["hit", "dummy:", "-n", "9", "-i", "none"],
        1,
        "none",
    );
    assert_ends(folder, &["hit", "http://::1/", "-n", "9"], 2, "brackets");
    assert_ends(folder, &["hit", "dummy:"], 2, "for how long?");
    let broken = [
        "hit", "dummy:", "-i", "words", "--format", "raw", "--loop", "1",
    ];
    assert_ends(
        folder,
        &[&broken[..], &["--max-bad", "0"]].concat(),
        3,
        "words",
    );
    let full = ["hit", "dummy:", "-n", "100000", "-o", "/dev/full"];
    assert_ends(folder, &full, 4, "/dev/full");
    let nowhere = ["hit", "dummy:", "-n", "9", "-o", "no/folder"];
    assert_ends(folder, &nowhere, 4, "no/folder");
    let late = [
        "hit",
        "dummy:",
        "--rate",
        "const(1000,300ms)",
        "--connections",
        "1",
        "--delay",
        "fixed:50ms",
        "--late-limit",
        "10ms",
    ];
    assert_ends(folder, &late, 0, "THE GENERATOR WAS A LIMIT");
    assert_ends(folder, &[&late[..], &["--strict"]].concat(), 6, "dropped");
}

#[test]
fn file_descriptors_that_run_out_end_the_run_by_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let target = Target::start(TargetSettings {
        listen: Some(SocketAddr::from(([0, 0, 0, 0], 0))),
        ..TargetSettings::default()
    })
    .expect("a target");
    let port = target.address().port();
    // A worker keeps a connection to each of sixteen addresses; 40 workers have
    // 640 then, where one for each was reckoned with.
    let urls: String = (1..=16)
        .map(|host| format!("http://127.0.0.{host}:{port}/\n"))
        .collect();
    std::fs::write(folder.path().join("urls"), urls).expect("written");
    let arguments = [
        "hit",
        "http://127.0.0.1/",
        "-i",
        "urls",
        "--record-hosts",
        "--per-worker",
        "--connections",
        "40",
        "--for",
        "20s",
        "-q",
        "-o",
        "run.enc",
    ];
    let hit = command(folder.path(), &arguments);
    let output = Command::new("sh")
        .args(["-c", "ulimit -n 160 && exec \"$0\" \"$@\""])
        .arg(hit.get_program())
        .args(arguments)
        .current_dir(folder.path())
        .output()
        .expect("a shell");
    let (code, said) = outcome(&output);
    assert!(said.contains("no file descriptors left"), "{said}");
    assert_eq!(code, Some(5), "{said}");
    let hits = total(folder.path(), "run.enc")["hits"].as_u64();
    assert!(hits > Some(0), "what was hit before is in the file");
    target.stop().expect("it served");
}

/// A run that would take an hour, once it has begun.
fn long_run(folder: &Path) -> Child {
    let arguments = [
        "hit",
        "dummy:",
        "--rate",
        "const(100,1h)",
        "--delay",
        "fixed:20s",
        "--grace",
        "1m",
        "-q",
        "-o",
        "run.enc",
    ];
    let child = command(folder, &arguments).spawn().expect("it starts");
    let deadline = Instant::now() + Duration::from_secs(20);
    while !folder.join("run.enc").exists() {
        assert!(Instant::now() < deadline, "no result file");
        std::thread::sleep(Duration::from_millis(10));
    }
    std::thread::sleep(Duration::from_millis(300));
    child
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let child = long_run(folder.path());
    let pid = Pid::from_child(&child);
    kill_process(pid, Signal::TERM).expect("it runs");
    std::thread::sleep(Duration::from_millis(300));
    kill_process(pid, Signal::INT).expect("it waits for running hits");
    let (code, said) = outcome(&child.wait_with_output().expect("it ends"));
    assert!(said.contains("once more to stop at once"), "{said}");
    assert!(said.contains("running hits were cancelled"), "{said}");
    assert_eq!(code, Some(130), "{said}");
    let total = total(folder.path(), "run.enc");
    assert!(total["failed"].as_u64() > Some(10), "{total}");
    assert_eq!(total["hits"], total["net_codes"]["1007"], "{total}");
}

#[test]
fn records_labels_and_formats_from_flags() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let records = concat!(
        "{\"plen\": 9, \"label\": \"one\", \"replaces\": [\"who\"]}\nhi ${who}\n",
        "{\"plen\": 2, \"label\": \"two\"}\nxy\n",
    );
    std::fs::write(folder.join("payload"), records).expect("written");
    std::fs::write(folder.join("paths"), "[Host: here]\n/a/b/c\n/a/x\n/d\n").expect("written");

    let values = [
        "hit",
        "dummy:",
        "-i",
        "payload",
        "--loop",
        "2",
        "--value",
        "who=world",
        "--trace",
        "trace",
        "--trace-show",
        "body",
    ];
    assert_ends(folder, &values, 0, "done 4");
    let trace = std::fs::read_to_string(folder.join("trace")).expect("written");
    assert_eq!(trace.matches("hi world").count(), 2, "{trace}");
    let chosen = [
        "hit", "dummy:", "-i", "payload", "--loop", "3", "--value", "who=x", "--choose", "two",
        "-o", "two.enc",
    ];
    assert_ends(folder, &chosen, 0, "done 3");
    let labelled = [
        "hit",
        "dummy:",
        "-i",
        "paths",
        "--format",
        "uri",
        "--loop",
        "1",
        "--auto-label",
        "1",
        "-o",
        "paths.enc",
        "--go-binary",
        "paths.bin",
    ];
    assert_ends(folder, &labelled, 0, "done 3");
    let stats = run(folder, &["stats", "--json", "paths.enc"]);
    let json: serde_json::Value = serde_json::from_slice(&stats.stdout).expect("JSON");
    let labels: Vec<_> = json["labels"]
        .as_array()
        .expect("labels")
        .iter()
        .map(|label| {
            (
                label["label"].as_str().expect("text"),
                label["hits"].as_u64().expect("a number"),
            )
        })
        .collect();
    // Named as Yandex.Tank's autocases are.
    assert_eq!(labels, [("_a", 2), ("_d", 1)]);
    // Three records of 74 bytes, and their labels beside them.
    assert_eq!(
        std::fs::metadata(folder.join("paths.bin"))
            .expect("written")
            .len(),
        3 * 74
    );
    let strings = std::fs::read_to_string(folder.join("paths.ostr")).expect("written");
    assert!(strings.lines().any(|line| line == "_a"), "{strings}");
    assert_ends(
        folder,
        &["hit", "dummy:", "-n", "1", "--value", "a=b"],
        2,
        "--input",
    );
    assert_ends(
        folder,
        &["hit", "dummy:", "-i", "paths", "--auto-label", "many"],
        2,
        "uri or uniq",
    );
}

/// Ends, or the test fails.
fn end_of(mut child: Child) -> (Option<i32>, String) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while child.try_wait().expect("it can be asked").is_none() {
        if Instant::now() > deadline {
            child.kill().expect("it runs");
            panic!("it goes on");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    outcome(&child.wait_with_output().expect("it has ended"))
}

#[test]
fn a_stop_does_not_wait_for_an_input_that_says_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let arguments = [
        "hit", "dummy:", "-i", "-", "--format", "raw", "--loop", "1", "-o", "run.enc", "-q",
    ];
    let mut child = command(folder.path(), &arguments)
        .stdin(std::process::Stdio::piped())
        .spawn()
        .expect("it starts");
    let input = child.stdin.take();
    while !folder.path().join("run.enc").exists() {
        std::thread::sleep(Duration::from_millis(10));
    }
    std::thread::sleep(Duration::from_millis(300));
    kill_process(Pid::from_child(&child), Signal::TERM).expect("it runs");
    let (code, said) = end_of(child);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("stopped before the end"), "{said}");
    drop(input);
}

#[test]
fn a_second_signal_ends_the_process_whatever_holds_it_up() {
    let (code, said) = held_up_and_told(2);
    assert_eq!(code, Some(130), "{said}");
    assert!(said.contains("the run hasn't ended"), "{said}");
}

#[test]
fn a_third_signal_ends_it_without_a_wait() {
    let (code, said) = held_up_and_told(3);
    assert_eq!(code, Some(130), "{said}");
}

/// A run that can't go on, and so many signals.
fn held_up_and_told(signals: u32) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().expect("a folder");
    // An output that nobody takes anything from.
    let fifo = folder.path().join("fifo");
    let made = Command::new("mkfifo").arg(&fifo).status().expect("mkfifo");
    assert!(made.success());
    let reader = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(&fifo)
        .expect("both ends");
    let arguments = [
        "hit", "dummy:", "--for", "1h", "-c", "4", "--ldjson", "fifo", "-q",
    ];
    let child = command(folder.path(), &arguments)
        .spawn()
        .expect("it starts");
    let pid = Pid::from_child(&child);
    std::thread::sleep(Duration::from_secs(1));
    for _ in 0..signals {
        kill_process(pid, Signal::TERM).expect("it runs");
        std::thread::sleep(Duration::from_millis(300));
    }
    let ended = end_of(child);
    drop(reader);
    ended
}

#[test]
fn instants_of_records_count_or_it_is_said_that_they_do_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let records = "3 0 a\none\n3 1000 b\ntwo\n0\n";
    std::fs::write(folder.path().join("x.stpd"), records).expect("a file");
    let hit = |more: &[&str]| {
        let arguments = [
            &["hit", "dummy:", "-i", "x.stpd", "--loop", "1", "-q"],
            more,
        ]
        .concat();
        let started = Instant::now();
        let (code, said) = outcome(&run(folder.path(), &arguments));
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("scheduled 2 = done 2"), "{said}");
        (started.elapsed(), said)
    };
    let (took, said) = hit(&["-c", "1"]);
    assert!(took >= Duration::from_secs(1), "{took:?}");
    assert!(!said.contains("aren't used"), "{said}");
    let (_, said) = hit(&["--workers", "start(1)"]);
    assert!(said.contains("instants in x.stpd aren't used"), "{said}");
}

#[test]
fn what_a_protocol_does_not_have_is_said_at_the_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let cases: [(&[&str], &str); 6] = [
        (
            &["udp://127.0.0.1:9", "--ca-file", "x"],
            "udp doesn't support TLS",
        ),
        (
            &["http://127.0.0.1:9", "--delay", "1ms"],
            "--delay: http doesn't have it",
        ),
        (
            &["udp://127.0.0.1:9", "-O", "streams=4"],
            "streams: udp doesn't have it; it has answer",
        ),
        (
            &["echo://127.0.0.1:9", "-O", "streams=0"],
            "streams: write a number",
        ),
        (
            &["dummy:", "--error-rate", "2"],
            "--error-rate: write a part",
        ),
        (
            &["ftp://127.0.0.1:9"],
            "write http, https, http+unix, unix, grpc,",
        ),
    ];
    for (arguments, expected) in cases {
        let arguments = [&["hit", "-n", "1"], arguments].concat();
        assert_ends(folder.path(), &arguments, 2, expected);
    }
    // A redirect is an HTTP message's.
    for (name, own) in [
        ("udp", "answer=true"),
        ("tcp", "answer=false"),
        ("echo", "streams=1"),
    ] {
        let url = format!("{name}://127.0.0.1:9");
        let arguments = ["hit", "-n", "1", "-L", &url, "-d", "x", "-O", own];
        let expected = format!("only HTTP has redirects, not {name}");
        assert_ends(folder.path(), &arguments, 1, &expected);
    }
    assert_ends(
        folder.path(),
        &["hit", "dummy:", "-n", "3", "-O", "delay=1ms"],
        0,
        "done 3",
    );
    let configured = |protocol: &str| {
        let workers = "{mode: closed, maxworkers: 1, duration: 1s}";
        let input = "{payloadfile: run.yml, format: raw}";
        let text = format!("input: {input}\nworkers: {workers}\nprotocol: {protocol}\n");
        std::fs::write(folder.path().join("run.yml"), text).expect("a file");
    };
    for (protocol, expected) in [
        (
            "{driver: gopher}",
            "write one of http, http2, http3, grpc, udp, tcp, ",
        ),
        (
            "{driver: dummy, options: {streams: '3'}}",
            "it has delay, errorrate, seed",
        ),
        (
            "{driver: udp, address: 'http://h:1'}",
            "udp has no URLs that begin with http://",
        ),
        (
            "{driver: udp, address: 'udp://h:1', tlsconf: {insecureskipverify: true}}",
            "TLS",
        ),
    ] {
        configured(protocol);
        assert_ends(folder.path(), &["run", "run.yml"], 1, expected);
    }
}

/// A configuration that runs until it is ended.
fn endless(folder: &Path) -> String {
    let hit = "{\"plen\": 1, \"label\": \"a\"}\nx\n";
    let wrong = "{\"plen\": 1, \"label\": \"b\", \"asserts\": [{\"re\": \"(\"}]}\nx\n";
    std::fs::write(folder.join("right"), hit.repeat(3)).expect("written");
    std::fs::write(folder.join("wrong"), format!("{hit}{wrong}")).expect("written");
    let config = |input: &str, maxbad: &str| {
        format!(
            "{{input: {{payloadfile: {input}, sharing: per-worker{maxbad}}}, protocol: {{driver: dummy, delay: 1ms}}, \
             output: {{nativefile: run.enc}}, workers: {{mode: closed, maxworkers: 1, \
             workloadschedule: [{{levelstart: 1, levelend: 1, duration: 1h}}]}}, run: {{quiet: true}}}}"
        )
    };
    for (name, text) in [
        ("right.yml", config("right", "")),
        ("wrong.yml", config("wrong", ", maxbad: 0")),
    ] {
        std::fs::write(folder.join(name), text).expect("written");
    }
    "right.yml".to_owned()
}

#[test]
fn a_configuration_is_checked_and_nothing_is_sent() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    endless(folder);
    assert_ends(folder, &["run", "--check", "right.yml"], 0, "3 records");
    assert_ends(folder, &["run", "--check", "wrong.yml"], 3, "request \"b\"");
    assert!(!folder.join("run.enc").exists());
}

#[test]
fn it_ends_with_the_process_that_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let config = endless(folder);
    for (arguments, code) in [
        (vec!["run", &*config], 0),
        (vec!["target", "127.0.0.1:0"], 0),
    ] {
        let mut parent = Command::new("sleep").arg("600").spawn().expect("it starts");
        let pid = parent.id().to_string();
        let arguments = [&arguments[..], &["--parent", &pid]].concat();
        let mut child = command(folder, &arguments).spawn().expect("it starts");
        std::thread::sleep(Duration::from_millis(300));
        assert!(child.try_wait().expect("it can be asked").is_none());
        parent.kill().expect("it lives");
        parent.wait().expect("it ends");
        let output = child.wait_with_output().expect("it ends");
        let (ended, said) = outcome(&output);
        assert!(said.contains("is gone (--parent)"), "{said}");
        assert_eq!(ended, Some(code), "{said}");
        // One that isn't there ends it before it starts.
        assert_ends(folder, &arguments, 1, "there is no such process");
    }
    assert!(total(folder, "run.enc")["hits"].as_u64() > Some(0));
}
