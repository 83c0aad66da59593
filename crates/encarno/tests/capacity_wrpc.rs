//! The capacity of a real receiver with the blaster component, over NATS and over TCP.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that fails here says enough

#[path = "rig/process.rs"]
mod process;
#[path = "rig/program.rs"]
mod program;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use encarno_test_peers::{NatsServer, root};
use process::Process;
use serde_json::Value;

/// The receiver runs so many calls at a time, and four times as many wait.
const AT_A_TIME: &str = "4";

/// A receiver with these arguments before the component, and the line that it prints.
fn receiver(program: &str, arguments: &[&str]) -> (Process, String) {
    let program = Path::new(env!("CARGO_BIN_EXE_encarno")).with_file_name(program);
    let component = root().join("blaster-component/blaster-component.wasm");
    assert!(component.exists(), "run make component");
    let mut child = Command::new(&program)
        .args(["serve", "--max-concurrency", AT_A_TIME])
        .args(arguments)
        .arg(component)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}: run make", program.display()));
    let mut line = String::new();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    output.read_line(&mut line).unwrap();
    // Whoever reads no more would end it by a broken pipe.
    std::thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
    (Process(child), line)
}

/// Calls that wait for 20 ms, four at a time, are at most 200 a second, and 50 of one worker.
/// More than 20 callers are refused.
fn assert_capacity(url: &str) {
    let folder = tempfile::tempdir().unwrap();
    let flags = "--wait-ms 20 --workers 1..32 --precision 10% --trial 500ms..600ms --json cap.json";
    let flags = flags.split(' ').collect::<Vec<_>>();
    let output = program::run(folder.path(), &[&["capacity", url], &flags[..]].concat());
    let shown = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    let json = std::fs::read(folder.path().join("cap.json")).expect(&shown);
    let json: Value = serde_json::from_slice(&json).unwrap();
    // Short trials of a queue may look like the law or not; and a busy machine is slower.
    let status = output.status.code().unwrap();
    assert!([0, 2, 3].contains(&status), "{shown}");
    assert_eq!(json["exit_status"], status, "{shown}");
    let highest = json["highest"]["throughput"].as_f64().unwrap();
    assert!((20.0..202.0).contains(&highest), "{shown}");
    assert!(json["measured"]["end"].as_u64().unwrap() <= 20, "{shown}");
    let one = &json["trials"][0];
    assert_eq!(one["load"]["workers"], 1, "{shown}");
    assert!(one["throughput"].as_f64().unwrap() < 51.0, "{shown}");
}

#[test]
fn the_capacity_of_a_component_over_nats() {
    let nats = NatsServer::start();
    let (_receiver, _) = receiver("wrpc-wasmtime-nats", &["-n", &nats.url(), "load", "load"]);
    assert_capacity(&format!("wrpc+{}/load", nats.url()));
}

#[test]
fn the_capacity_of_a_component_over_tcp() {
    let (_receiver, said) = receiver("wrpc-wasmtime-tcp", &["127.0.0.1:0"]);
    let (_, address) = said.split_once(" at ").expect(&said);
    let address = address.split_whitespace().next().unwrap();
    assert_capacity(&format!("wrpc+tcp://{address}"));
}
