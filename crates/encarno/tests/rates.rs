//! Rates divide by how long a run lasts: the gap after its last hit belongs to it.

#![allow(clippy::expect_used, clippy::unwrap_used)] // a test that fails here says enough

#[path = "rig/program.rs"]
mod program;

use std::path::Path;

use serde_json::Value;

/// What the summary of a run says, and what `stats` says of its file.
fn summaries(folder: &Path, arguments: &[&str]) -> [String; 2] {
    let arguments = [&["hit", "dummy:", "--quiet", "-o", "run.enc"], arguments].concat();
    let run = program::run(folder, &arguments);
    assert!(run.status.success(), "{run:?}");
    let stats = program::run(folder, &["stats", "run.enc"]);
    [run.stdout, stats.stdout].map(|text| {
        let text = String::from_utf8(text).unwrap();
        let total = text.lines().find(|line| line.starts_with("total: "));
        total.unwrap().to_owned()
    })
}

fn stats_json(folder: &Path) -> Value {
    let stats = program::run(folder, &["stats", "--json", "run.enc"]);
    serde_json::from_slice(&stats.stdout).unwrap()
}

/// The hits of each second, as `tail` tells them to Taurus.
fn hits_by_second(folder: &Path) -> Vec<u64> {
    let tail = program::run(folder, &["tail", "--format", "seconds", "run.enc"]);
    let lines = String::from_utf8(tail.stdout).unwrap();
    let hits = |line: &str| -> u64 {
        let second: Value = serde_json::from_str(line).unwrap();
        let sums = second["kinds"].as_array().unwrap().iter();
        sums.map(|sums| sums["hits"].as_u64().unwrap()).sum()
    };
    lines.lines().map(hits).collect()
}

#[test]
fn ten_hits_at_ten_a_second_take_a_second() {
    let folder = tempfile::tempdir().unwrap();
    for total in summaries(folder.path(), &["--rate", "const(10,1s)"]) {
        // On a machine that is held up it takes longer, and never less.
        let rate = total.split(", ").find_map(|part| part.strip_suffix("/s"));
        let rate: f64 = rate.unwrap().parse().unwrap();
        assert!(
            total.starts_with("total: 10 hits in ") && rate <= 10.0,
            "{total}"
        );
        assert!(rate > 2.0, "{total}");
    }
    let total = &stats_json(folder.path())["total"];
    let [rate, duration] = ["rate", "duration_s"].map(|key| total[key].as_f64().unwrap());
    assert!(
        duration >= 1.0 && (rate - 10.0 / duration).abs() < 1e-6,
        "{total}"
    );
    let seconds = hits_by_second(folder.path());
    assert_eq!(seconds.iter().sum::<u64>(), 10, "{seconds:?}");
    assert!(seconds.iter().all(|&hits| hits <= 10), "{seconds:?}");
}

#[test]
fn one_hit_has_no_rate() {
    let folder = tempfile::tempdir().unwrap();
    for total in summaries(folder.path(), &["-n", "1"]) {
        assert!(!total.contains("/s"), "{total}");
    }
    assert_eq!(stats_json(folder.path())["total"]["rate"], Value::Null);
    assert_eq!(hits_by_second(folder.path()), [1]);
}

/// What was recorded of a run is a rate, too: the second run has the hits of the first.
#[test]
fn a_run_is_replayed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let due = || -> Vec<u64> {
        let file = encarno_record::results::whole::open(&folder.join("run.enc"));
        let mut file = file.unwrap();
        let mut seconds = vec![0; 3];
        while let Some(block) = file.next_block().unwrap() {
            if let encarno_record::results::Block::Hits(hits) = block {
                for hit in hits.iter() {
                    seconds[(hit.scheduled_ns / 1_000_000_000) as usize] += 1;
                }
            }
        }
        seconds
    };
    let shape = "sine(100,100,2s,2s) spike(10,90,200ms,500ms,300ms)";
    summaries(folder, &["--rate", shape]);
    // 100 + 2·100/π, 100 − 2·100/π; a spike of 10 + 45 + 5 + 10 …
    let first = due();
    assert_eq!(first, [164, 36, 70]);
    std::fs::rename(folder.join("run.enc"), folder.join("first.enc")).unwrap();
    summaries(folder, &["--rate", "replay(first.enc)"]);
    assert_eq!(due(), first);
    summaries(folder, &["--rate", "replay(first.enc,0.5)"]);
    assert_eq!(due(), [82, 18, 35]);
    let over = ["--rate", "replay(first.enc)", "-o", "first.enc"];
    let refused = program::run(folder, &[&["hit", "dummy:"], &over[..]].concat());
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(
        said.contains("would be written over the schedule's file"),
        "{said}"
    );
}

#[test]
fn senseless_shapes_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("rates"), "1\nmany\n").unwrap();
    for (flags, word) in [
        (["--rate", "sine(10,20,1s,9s)"], "not above the mean"),
        (["--rate", "spike(5,1,1s,1s,1s)"], "a peak above the base"),
        (["--rate", "replay(none)"], "replay(none): No such file"),
        (["--rate", "replay(rates)"], "line 2: write RATE"),
        (["--rate", "poisson 500"], "for how long?"),
        (
            ["--workers", "poisson const(5,1s)"],
            "a number of workers isn't one",
        ),
    ] {
        let refused = program::run(folder.path(), &[&["hit", "dummy:"], &flags[..]].concat());
        let said = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(2), "{flags:?}: {said}");
        assert!(said.contains(word), "{flags:?}: {said}");
    }
}
