//! `encarno calibrate`, and what later runs make of it.

#![allow(clippy::expect_used, clippy::unwrap_used)] // a test that fails here says enough

#[path = "rig/program.rs"]
mod program;

use std::path::Path;
use std::process::Output;

use encarno::calibration::machine::Machine;
use encarno::calibration::{Calibration, Entry, Quantiles, VERSION, file};
use encarno_target::{Target, TargetSettings};
use serde_json::Value;

const FILE: &str = "state/encarno/calibration.json";

fn said(output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8(both).unwrap()
}

/// This machine, as if it had been calibrated to that rate of HTTP.
fn calibrated(folder: &Path, rate: f64, cores_more: usize) {
    let this = Machine::this();
    let entry = Entry {
        protocol: "http".to_owned(),
        loops: this.cores,
        workers: 16,
        closed_rate: rate,
        open_rate: Some(rate),
        lag_s: Quantiles::default(),
        cpu_s: 1e-5,
        busy: 0.5,
    };
    let calibration = Calibration {
        version: VERSION,
        machine: Machine {
            cores: this.cores + cores_more,
            ..this
        },
        measured_unix_s: 0,
        run_seconds: 1.0,
        entries: vec![entry],
    };
    file::write(&folder.join(FILE), &calibration).unwrap();
}

fn target() -> (Target, String) {
    let settings = TargetSettings {
        delay: "fixed:5ms".parse().unwrap(),
        ..TargetSettings::default()
    };
    let target = Target::start(settings).unwrap();
    let url = format!("http://{}/", target.address());
    (target, url)
}

#[test]
fn a_machine_is_calibrated_and_the_figures_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let none = program::run(folder, &["calibrate", "--show"]);
    assert_eq!(none.status.code(), Some(1));
    assert!(said(&none).contains("wasn't calibrated"), "{}", said(&none));
    let made = program::run(folder, &["calibrate", "--quick"]);
    assert!(made.status.success(), "{}", said(&made));
    let text = std::fs::read(folder.join(FILE)).unwrap();
    let calibration: Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(calibration["version"], 1);
    let machine = &calibration["machine"];
    assert_eq!(machine["encarno"], env!("CARGO_PKG_VERSION"));
    let cores = std::thread::available_parallelism().unwrap().get() as u64;
    assert_eq!(machine["cores"], cores);
    let entries = calibration["entries"].as_array().unwrap();
    let protocols: Vec<_> = entries.iter().map(|entry| &entry["protocol"]).collect();
    assert_eq!(
        protocols,
        [
            "http",
            "https",
            "http2",
            "http2-tls",
            "tcp",
            "tls",
            "ws",
            "wss",
            "udp"
        ]
    );
    for entry in entries {
        let number = |name: &str| entry[name].as_f64().unwrap();
        assert_eq!((number("loops"), number("workers")), (cores as f64, 16.0));
        // However slow the machine is, a hit takes less than that.
        assert!(number("closed_rate") > 16.0, "{entry}");
        assert!(number("cpu_s") > 0.0 && number("cpu_s") < 0.1, "{entry}");
        let lag = |name: &str| entry["lag_s"][name].as_f64().unwrap();
        assert!(
            lag("p50") <= lag("p99") && lag("p99") <= lag("p999"),
            "{entry}"
        );
        if let Some(rate) = entry["open_rate"].as_f64() {
            assert!(rate < number("closed_rate"), "{entry}");
        }
    }
    let shown = program::run(folder, &["calibrate", "--show"]);
    assert_eq!(shown.stdout, made.stdout);
    // Elsewhere it is kept for whoever named the place.
    let flags = [
        "calibrate",
        "--quick",
        "--protocols",
        "udp",
        "-o",
        "mine.json",
    ];
    let elsewhere = program::run(folder, &flags);
    assert!(elsewhere.status.success(), "{}", said(&elsewhere));
    assert_eq!(std::fs::read(folder.join(FILE)).unwrap(), text);
    assert!(folder.join("mine.json").is_file());
}

#[test]
fn a_run_beyond_the_calibration_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (target, url) = target();
    calibrated(folder, 50.0, 0);
    let run = |rate: &str| {
        let flags = [
            "hit", &url, "--rate", rate, "--for", "1500ms", "-q", "-o", "run.enc",
        ];
        let run = program::run(folder, &flags);
        assert!(run.status.success(), "{}", said(&run));
        said(&run)
    };
    let beyond = run("200");
    assert!(beyond.contains("calibrated to 50 hits/s"), "{beyond}");
    let stats = said(&program::run(folder, &["stats", "run.enc"]));
    assert!(stats.contains("calibrated to 50 hits/s"), "{stats}");
    // So few that no burst after a pause of this machine is beyond it.
    let within = run("2");
    assert!(!within.contains("calibrated"), "{within}");
    // It says nothing about other machines.
    calibrated(folder, 50.0, 1);
    let other = run("200");
    assert!(!other.contains("calibrated"), "{other}");
    let shown = program::run(folder, &["calibrate", "--show"]);
    assert!(said(&shown).contains("makes a new one"), "{}", said(&shown));
    std::fs::write(folder.join(FILE), "{").unwrap();
    let broken = run("200");
    assert!(!broken.contains("calibrated"), "{broken}");
    target.stop().unwrap();
}

#[test]
fn a_run_through_a_proxy_says_that_it_is_not_calibrated() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    // It answers whatever it is asked, as a proxy would.
    let (target, url) = target();
    let says = "this machine's calibration doesn't cover that";
    let proxied = ["http://shop.test/", "--proxy", &url];
    let hit = [&["hit"], &proxied[..], &["-n", "20", "-q"]].concat();
    let run = said(&program::run(folder, &hit));
    assert!(run.contains("done 20") && !run.contains(says), "{run}");
    calibrated(folder, 1.0, 0);
    let run = said(&program::run(folder, &hit));
    assert!(
        run.contains(says) && !run.contains("calibrated to"),
        "{run}"
    );
    let trials = [
        "--trial",
        "500ms..1s",
        "--precision",
        "20%",
        "--workers",
        "1..2",
    ];
    let capacity = [&["capacity"], &proxied[..], &trials].concat();
    let measured = program::run(folder, &capacity);
    assert_ne!(measured.status.code(), Some(3), "{}", said(&measured));
    assert!(said(&measured).contains(says), "{}", said(&measured));
    target.stop().unwrap();
}

/// The generator is the limit, whatever the machine: it was calibrated to less than one
/// worker makes, or its input is slower than its workers.
#[test]
fn a_capacity_ends_where_the_generator_does() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (target, url) = target();
    calibrated(folder, 20.0, 0);
    let quick = [
        "--trial",
        "500ms..1s",
        "--precision",
        "20%",
        "--workers",
        "1..2",
    ];
    let flags = [&["capacity", &*url, "--json", "cap.json"], &quick[..]].concat();
    let measured = program::run(folder, &flags);
    assert_eq!(measured.status.code(), Some(3), "{}", said(&measured));
    assert!(
        said(&measured).contains("calibrated to 20 hits/s"),
        "{}",
        said(&measured)
    );
    let json: Value =
        serde_json::from_slice(&std::fs::read(folder.join("cap.json")).unwrap()).unwrap();
    assert_eq!(json["status"], "generator_limit");
    assert_eq!(json["top"], "the generator was the limit");

    // Of another machine it is told, and not used.
    calibrated(folder, 20.0, 1);
    let measured = program::run(folder, &[&["capacity", &*url], &quick[..]].concat());
    assert_ne!(measured.status.code(), Some(3), "{}", said(&measured));
    assert!(
        said(&measured).contains("calibration isn't used"),
        "{}",
        said(&measured)
    );
    target.stop().unwrap();

    let quick = ["--trial", "500ms..1s", "--workers", "1..8", "-o", "cap.enc"];
    let records = ["capacity", "dummy:", "-i", "/dev/stdin", "--format", "raw"];
    let mut child = program::command(folder, &[&records, &quick[..]].concat())
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || {
        use std::io::Write;
        // It ends when nobody reads any more.
        while input.write_all(b"5 r\nhello\n").is_ok() {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    });
    let measured = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert_eq!(measured.status.code(), Some(3), "{}", said(&measured));
    assert!(
        said(&measured).contains("waited for the input"),
        "{}",
        said(&measured)
    );
    let again = program::run(folder, &["capacity", "--from", "cap.enc"]);
    assert_eq!(
        (again.status.code(), again.stdout),
        (Some(3), measured.stdout)
    );
}
