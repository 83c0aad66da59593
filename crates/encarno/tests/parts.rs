//! A run in parts, and parts merged: together they are what one run is.

#![allow(clippy::expect_used, clippy::unwrap_used)] // a test that can't go on says why

#[path = "rig/program.rs"]
mod program;
#[path = "rig/recorded.rs"]
mod recorded;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::Stdio;

use encarno_nib::clock::monotonic_ns;
use encarno_record::Hit;
use encarno_record::results::whole;
use program::{command, run};
use recorded::{assert_ended, hits, said};

fn assert_ends(folder: &Path, arguments: &[&str], code: i32, says: &str) {
    let output = run(folder, arguments);
    assert_ended(&output, arguments, code, says);
}

fn records(folder: &Path, count: usize) {
    let records: String = (0..count).map(|n| format!("5 r{n}\nhello\n")).collect();
    std::fs::write(folder.join("records"), records).unwrap();
}

/// Runs parts at the same time, with different numbers of event loops: their files.
fn run_parts(folder: &Path, arguments: &[&str], count: usize) -> Vec<String> {
    let name = |number: usize| format!("part{number}.enc");
    let children = (1..=count).map(|number| {
        let (part, threads, file) = (
            format!("{number}/{count}"),
            number.to_string(),
            name(number),
        );
        let own = ["--part", &part, "-o", &file];
        let threads = ["--threads", &threads];
        let threads = if arguments[0] == "hit" {
            &threads[..]
        } else {
            &[]
        };
        command(folder, &[arguments, &own, threads].concat())
            .spawn()
            .unwrap()
    });
    for child in children.collect::<Vec<_>>() {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
    }
    (1..=count).map(name).collect()
}

#[test]
fn the_parts_of_an_open_run_make_its_hits_at_its_instants() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    records(folder, 70);
    std::fs::write(folder.join("rates"), "0 700\n0.1 0\n0.2 900\n").unwrap();
    for (count, load) in [
        (3, &["--rate", "line(100,900,400ms)"][..]),
        (2, &["--rate", "700", "--for", "300ms"]),
        (
            4,
            &[
                "--rate",
                "line(900,1,300ms) const(300,100ms)",
                "--arrivals",
                "poisson",
                "--seed",
                "7",
            ],
        ),
        (3, &["--rate", "1000", "--for", "1m", "-n", "101"]),
        (3, &["--rate", "sine(500,500,100ms,310ms)"]),
        (
            2,
            &[
                "--rate",
                "poisson spike(100,900,100ms,0s,200ms) replay(rates,0.5)",
                "--seed",
                "3",
            ],
        ),
    ] {
        let what = [
            &["hit", "dummy:", "-q", "-i", "records", "--format", "raw"],
            load,
        ]
        .concat();
        let alone = [&what[..], &["--threads", "2", "-o", "alone.enc"]].concat();
        assert_ends(folder, &alone, 0, "dropped 0");
        let key = |(hit, label): &(Hit, String)| (hit.scheduled_ns, label.clone());
        let mut expected: Vec<_> = hits(&folder.join("alone.enc")).iter().map(key).collect();
        let mut made = Vec::new();
        for file in run_parts(folder, &what, count) {
            let part = hits(&folder.join(file));
            assert!(!part.is_empty());
            made.extend(part.iter().map(key));
        }
        expected.sort();
        made.sort();
        assert_eq!(made, expected, "{load:?} in {count} parts");
    }
}

#[test]
fn the_parts_of_a_closed_run_have_its_workers_and_records() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    records(folder, 90);
    let shared = ["-i", "records", "--format", "raw", "--loop", "2"];
    for (source, expected) in [(&shared[..], 180), (&["-n", "101"], 101)] {
        let what = [
            &["hit", "dummy:", "-q", "-c", "7", "--delay", "2ms"],
            source,
        ]
        .concat();
        let mut made: Vec<(Hit, String)> = Vec::new();
        let mut last_workers = 0;
        for file in run_parts(folder, &what, 3) {
            let part = hits(&folder.join(file));
            // Worker w belongs to part w mod 3.
            let of = part[0].0.worker % 3;
            assert!(
                part.iter()
                    .all(|(hit, _)| hit.worker < 7 && hit.worker % 3 == of)
            );
            last_workers += of;
            made.extend(part);
        }
        assert_eq!((made.len(), last_workers), (expected, 3));
        if source == shared {
            let mut labels: Vec<_> = made.into_iter().map(|(_, label)| label).collect();
            labels.sort();
            let mut all: Vec<_> = (0..180).map(|n| format!("r{}", n % 90)).collect();
            all.sort();
            assert_eq!(labels, all, "each record once a pass");
        }
    }
    let idle = ["hit", "dummy:", "-n", "9", "-c", "2", "--part", "3/3"];
    assert_ends(folder, &idle, 1, "part 3 of 3 has nothing to do");
    for bad in ["0/3", "4/3", "x", "1/0", "1/99999"] {
        let bad = ["hit", "dummy:", "-n", "9", "--part", bad];
        assert_ends(folder, &bad, 2, "expected a part such as 2/4");
    }
}

#[test]
fn each_row_that_is_used_once_is_used_in_one_part() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let rows: String = (0..50).map(|n| format!("user{n}\n")).collect();
    std::fs::write(folder.join("users.csv"), format!("name\n{rows}")).unwrap();
    let record = r#"{"plen":5,"label":"${name}","replaces":["name"]}"#;
    std::fs::write(folder.join("records"), format!("{record}\nhello\n")).unwrap();
    let configuration = "protocol: {driver: dummy}\n\
         input: {payloadfile: records}\n\
         workers: {mode: closed, schedule: 'const(6,1m)', data: [{file: users.csv, order: once}]}\n";
    std::fs::write(folder.join("run.yml"), configuration).unwrap();
    let mut users = Vec::new();
    for file in run_parts(folder, &["run", "run.yml", "-q"], 3) {
        users.extend(hits(&folder.join(file)).into_iter().map(|(_, label)| label));
    }
    users.sort();
    let mut all: Vec<_> = (0..50).map(|n| format!("user{n}")).collect();
    all.sort();
    assert_eq!(users, all);
}

#[test]
fn a_part_starts_when_it_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let arguments = [
        "hit",
        "dummy:",
        "-q",
        "-n",
        "9",
        "--start-at",
        "-",
        "-o",
        "told.enc",
    ];
    let mut child = command(folder, &arguments)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    out.read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    let (at_ns, named_ns) = (monotonic_ns() + 200_000_000, 1_234_567_890_000_000_000_u64);
    let mut told = child.stdin.take().unwrap();
    writeln!(told, "{at_ns} {named_ns}").unwrap();
    assert!(child.wait().unwrap().success());
    assert!(monotonic_ns() > at_ns);
    let reader = whole::open(&folder.join("told.enc")).unwrap();
    assert_eq!(reader.started_unix_ns(), named_ns);
    // The first hit starts no earlier than the run.
    assert_eq!(hits(&folder.join("told.enc")).len(), 9);

    let past = ["hit", "dummy:", "-n", "9", "--start-at", "1700000000"];
    assert_ends(folder, &past, 2, "that instant has passed");
    let nobody = ["hit", "dummy:", "-q", "-n", "9", "--start-at", "-"];
    assert_ends(
        folder,
        &nobody,
        1,
        "the standard input ended before the instant of the start",
    );
    assert_ends(
        folder,
        &["hit", "dummy:", "-n", "9", "--start-at", "soon"],
        2,
        "seconds since 1970",
    );
}

#[test]
fn merged_files_are_one_in_any_order() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    records(folder, 40);
    let what = ["hit", "dummy:", "-q", "-i", "records", "--format", "raw"];
    let load = [
        "--rate",
        "1000",
        "--for",
        "300ms",
        "--error-rate",
        "0.3",
        "--delay",
        "exponential:3ms",
    ];
    let files = run_parts(folder, &[&what[..], &load].concat(), 3);
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let merge = |files: &[&str], out: &str| {
        let arguments = [&["merge"], files, &["-o", out]].concat();
        assert_ends(folder, &arguments, 0, "files merged");
        std::fs::read(folder.join(out)).unwrap()
    };
    let all = merge(&files, "all.enc");
    assert_eq!(all, merge(&[files[2], files[0], files[1]], "again.enc"));
    // Part by part is as exact; only the loops have other numbers.
    merge(&files[..2], "two.enc");
    merge(&["two.enc", files[2]], "three.enc");

    let stats = |files: &[&str]| {
        let output = run(folder, &[&["stats", "--json"], files].concat());
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()
    };
    let (expected, merged) = (stats(&files), stats(&["all.enc"]));
    assert_eq!(merged["whole"], true);
    assert_eq!(merged["total"]["hits"], 300);
    for key in ["total", "labels", "started_unix_ns"] {
        assert_eq!(merged[key], expected[key], "{key}");
        assert_eq!(stats(&["three.enc"])[key], expected[key], "{key}");
    }
    assert_ends(folder, &["stats", "all.enc"], 0, "scheduled 300 = done ");
    let started = |file: &str| whole::open(&folder.join(file)).unwrap().started_unix_ns();
    let instants = |file: &str| {
        let started_ns = started(file);
        let hits = hits(&folder.join(file));
        let hit = |(hit, label): &(Hit, String)| {
            (
                started_ns + hit.scheduled_ns,
                started_ns + hit.ended_ns,
                hit.worker,
                label.clone(),
            )
        };
        hits.iter().map(hit).collect::<Vec<_>>()
    };
    let mut own: Vec<_> = files.iter().flat_map(|file| instants(file)).collect();
    let mut of_merged = instants("all.enc");
    own.sort();
    of_merged.sort();
    assert_eq!(of_merged, own, "each hit at its instant");

    // A file whose writer was killed: what is there counts, and the new file has no end, too.
    let part = std::fs::read(folder.join(files[1])).unwrap();
    std::fs::write(folder.join("cut.enc"), &part[..part.len() * 2 / 3]).unwrap();
    let cut = [files[0], "cut.enc"];
    assert_ends(
        folder,
        &["merge", files[0], "cut.enc", "-o", "c.enc"],
        0,
        "cut.enc: ",
    );
    let (of_parts, of_merged) = (stats(&cut), stats(&["c.enc"]));
    // How long it was is known of the parts alone.
    for key in [
        "hits",
        "failed",
        "service_ns",
        "response_ns",
        "lag_ns",
        "errors",
    ] {
        assert_eq!(of_merged["total"][key], of_parts["total"][key], "{key}");
    }
    assert_eq!(of_merged["ended"], false);
}

#[test]
fn what_is_no_one_result_is_not_merged() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let hit = ["hit", "dummy:", "-q", "-n", "5"];
    for (file, more) in [("a.enc", &[][..]), ("b.enc", &["--expect", "200-299,404"])] {
        assert_ends(
            folder,
            &[&hit[..], more, &["-o", file]].concat(),
            0,
            "done 5",
        );
    }
    std::fs::copy(folder.join("a.enc"), folder.join("copy.enc")).unwrap();
    std::fs::write(folder.join("text.enc"), "hello").unwrap();
    for (files, code, says) in [
        (
            &["a.enc", "copy.enc", "-o", "m.enc"][..],
            1,
            "are the same file",
        ),
        (
            &["a.enc", "b.enc", "-o", "m.enc"],
            1,
            "expected the statuses",
        ),
        (
            &["a.enc", "text.enc", "-o", "m.enc"],
            1,
            "text.enc: this isn't a native result file",
        ),
        (&["a.enc", "none.enc", "-o", "m.enc"], 1, "none.enc"),
        (&["a.enc", "-o", "a.enc"], 2, "would be written over"),
        (
            &["a.enc", "-", "-o", "m.enc"],
            2,
            "doesn't read the standard input",
        ),
    ] {
        assert_ends(folder, &[&["merge"], files].concat(), code, says);
        assert!(!folder.join("m.enc").exists(), "{files:?}");
    }
}
