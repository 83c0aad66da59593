//! Loads that wasm components decide. Without the feature `wasm` there are none.

#![cfg(feature = "wasm")]
#![allow(clippy::expect_used, clippy::unwrap_used)] // a test that fails here says enough

#[path = "rig/componentize.rs"]
mod componentize;
#[path = "rig/guests.rs"]
mod guests;
#[path = "rig/program.rs"]
mod program;
#[path = "rig/recorded.rs"]
mod recorded;

use std::path::Path;

use encarno_record::results::{Block, whole};
use guests::guest;
use serde_json::Value;

struct Ran {
    said: String,
    status: Option<i32>,
    hits: usize,
    /// What the file says of the scenario.
    marks: Vec<Value>,
}

fn run(scenario: &str, settings: &str, more: &[&str]) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    let scenario = guest(scenario);
    let own = [
        "hit",
        "dummy:",
        "--delay",
        "1ms",
        "--threads",
        "2",
        "--quiet",
        "-o",
        "run.enc",
        "--scenario",
        &scenario,
        "--scenario-settings",
        settings,
    ];
    let output = program::run(folder.path(), &[&own, more].concat());
    let file = folder.path().join("run.enc");
    let (hits, marks) = match file.exists() {
        true => (recorded::hits(&file).len(), marks(&file)),
        false => (0, Vec::new()),
    };
    Ran {
        said: recorded::said(&output),
        status: output.status.code(),
        hits,
        marks,
    }
}

fn marks(file: &Path) -> Vec<Value> {
    let mut marks = Vec::new();
    let mut reader = whole::open(file).unwrap();
    while let Some(block) = reader.next_block().unwrap() {
        if let Block::Mark(mark) = block {
            let value: Value = serde_json::from_str(mark.text).unwrap();
            marks.extend(value.get("scenario").cloned());
        }
    }
    marks
}

#[test]
fn a_recorded_rate_is_made_again() {
    let ran = run("replay.wasm", "50 100 20", &[]);
    assert_eq!((ran.status, ran.hits), (Some(0), 170), "{}", ran.said);
    let first = &ran.marks[0]["load"]["rate"];
    assert_eq!(
        first[1],
        serde_json::json!([1e9 as u64, 2e9 as u64, 100.0, 100.0])
    );
    let holds = ran.marks[1..]
        .iter()
        .filter(|mark| mark["verdict"] == "hold");
    assert!(
        holds.count() >= 1,
        "every verdict is recorded: {:?}",
        ran.marks
    );
}

#[test]
fn a_sine_has_as_many_hits_as_its_integral() {
    let settings = "mean=200 swing=100 period=2 for=2";
    let (one, two) = (
        run("sine.wasm", settings, &[]),
        run("sine.wasm", settings, &[]),
    );
    assert_eq!(one.hits, two.hits, "{} {}", one.said, two.said);
    assert!((395..=405).contains(&one.hits), "{}", one.said);
    // A limit of hits, and one of time, hold all the same.
    assert_eq!(run("sine.wasm", settings, &["-n", "30"]).hits, 30);
    let short = run("sine.wasm", "mean=100 swing=0 for=60", &["-z", "1s"]);
    assert_eq!(short.hits, 100, "{}", short.said);
}

/// A day goes from 20 hits/s at midnight to 180 at noon and back, so it has 100 on average.
#[test]
fn a_load_in_python_is_as_one_in_rust() {
    let folder = tempfile::tempdir().unwrap();
    let Some(day) = componentize::of_python(folder.path(), "scenario", "shape", "day") else {
        return;
    };
    let settings = "night=20 noon=180 day=2 for=4";
    let ran = run(&day, settings, &[]);
    assert_eq!(ran.status, Some(0), "{}", ran.said);
    assert!((395..=405).contains(&ran.hits), "{}", ran.said);
    assert!(ran.said.contains("in the busiest second"), "{}", ran.said);
    let lines = ran.marks[0]["load"]["rate"].as_array().unwrap();
    assert_eq!(lines.len(), 2 * 96);
    // Noon.
    assert_eq!(
        lines[48],
        serde_json::json!([1e9 as u64, 1_020_833_333_u64, 180.0, lines[48][3]])
    );
    let refused = run(&day, "moon=1", &[]);
    let says = "'moon=1': write night, noon, day";
    assert_eq!(refused.status, Some(2), "{}", refused.said);
    assert!(refused.said.contains(says), "{}", refused.said);
}

#[test]
fn a_load_in_python_ends_a_run() {
    let folder = tempfile::tempdir().unwrap();
    let Some(day) = componentize::of_python(folder.path(), "scenario", "shape", "day") else {
        return;
    };
    let failing = run(&day, "for=60", &["-O", "errorrate=0.5"]);
    assert!(failing.said.contains("hits failed"), "{}", failing.said);
}

#[test]
fn workers_become_more_until_the_limit() {
    let ran = run("aimd.wasm", "limit=10000 for=4", &[]);
    assert_eq!(ran.status, Some(0), "{}", ran.said);
    assert!(ran.said.contains("workers at most"), "{}", ran.said);
    let loads = ran.marks.iter().filter(|mark| mark["verdict"] == "load");
    let workers: Vec<_> = loads
        .map(|mark| mark["load"]["workers"][0][2].as_f64().unwrap())
        .collect();
    assert!(workers.is_sorted() && workers.len() >= 2, "{workers:?}");
    let capped = run("aimd.wasm", "limit=10000 for=60", &["-c", "2"]);
    assert_eq!(capped.status, Some(5), "{}", capped.said);
    assert!(capped.said.contains("2 workers at most"), "{}", capped.said);
    // What takes longer than the limit makes them fewer: one stays.
    let slow = run("aimd.wasm", "limit=0.1 for=3", &[]);
    assert!(slow.said.contains("1 workers at most"), "{}", slow.said);
}

#[test]
fn a_scenario_ends_a_run() {
    let ran = run("hostile-shape.wasm", "", &[]);
    assert_eq!(ran.status, Some(0), "{}", ran.said);
    let says = "scenario: ended by the scenario: enough [2J; said at the end";
    assert!(ran.said.contains(says), "{}", ran.said);
    let last = ran.marks.last().unwrap();
    assert_eq!(last["verdict"], "stop");
}

#[test]
fn what_a_scenario_must_not_do_is_told() {
    for (mode, status, says) in [
        ("refuse", 2, "the guest says: no"),
        ("seed", 2, "the guest says: seed 7"),
        ("empty", 2, "a load has 0 segments"),
        ("many", 2, "a load has 20000 segments"),
        ("late", 2, "doesn't begin at 0"),
        (
            "gap",
            2,
            "a segment ends at 5 ns, and the next one begins at 6 ns",
        ),
        ("backwards", 2, "a segment goes from 5 ns to 5 ns"),
        ("nothing", 2, "a segment goes from NaN"),
        ("crowd", 2, "1000000 workers"),
        ("trap-in-configure", 2, "wasm trap"),
        ("trap", 5, "the scenario broke down: wasm trap"),
        ("loop", 5, "ran for more than 5s"),
        ("other", 5, "the other kind of load"),
        ("negative", 5, "a segment goes from -1 to -1"),
        ("trap-in-report", 5, "the scenario broke down: wasm trap"),
        // Its load is over: the last level holds, and then the run ends.
        ("past", 0, "said at the end"),
    ] {
        let ran = run("hostile-shape.wasm", mode, &["--seed", "7"]);
        assert!(ran.said.contains(says), "{mode}: {}", ran.said);
        assert_eq!(ran.status, Some(status), "{mode}: {}", ran.said);
    }
    for (more, says) in [
        (&["--rate", "5"][..], "cannot be used with it"),
        (&["--part", "1/2"], "leave --agents and --part out"),
    ] {
        let ran = run("replay.wasm", "5", more);
        assert_eq!(ran.status, Some(2), "{}", ran.said);
        assert!(ran.said.contains(says), "{}", ran.said);
    }
    let ran = run("resp.wasm", "", &[]);
    assert_eq!(ran.status, Some(2), "{}", ran.said);
    assert!(ran.said.contains("it isn't a scenario"), "{}", ran.said);
}

#[test]
fn a_configuration_names_the_scenario() {
    let folder = tempfile::tempdir().unwrap();
    let scenario = guest("replay.wasm");
    std::fs::write(folder.path().join("records"), "1 n\nx\n").unwrap();
    let text = |more: &str| {
        format!(
            "input: {{payloadfile: records, format: raw}}\n\
             output: {{nativefile: run.enc}}\n\
             protocol: {{driver: dummy}}\n\
             scenario: {{wasm: {scenario}, settings: '30 40'}}\n{more}"
        )
    };
    let run = |more: &str| {
        std::fs::write(folder.path().join("run.yml"), text(more)).unwrap();
        program::run(folder.path(), &["run", "run.yml"])
    };
    let ran = run("");
    recorded::assert_ended(&ran, &["run"], 0, "");
    assert_eq!(recorded::hits(&folder.path().join("run.enc")).len(), 70);
    let refused = run("workers: {mode: open}\n");
    assert!(recorded::said(&refused).contains("leave workers.mode out"));
}
