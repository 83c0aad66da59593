//! Hits that begin a trace: the header that a server gets, and the exemplars that lead
//! from an exported figure to it.

#![allow(clippy::expect_used, clippy::unwrap_used)]

#[path = "rig/program.rs"]
mod program;
#[allow(dead_code, reason = "others use the rest")]
#[path = "rig/site.rs"]
mod site;

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use encarno_record::exemplar::Exemplar;
use encarno_record::results::{Block, ResultReader, SumsReader};
use encarno_record::{Hit, Texts};
use encarno_target::{Target, TargetSettings};
use site::Site;

/// The exemplars in a result file.
fn exemplars(file: &Path) -> Vec<Exemplar> {
    let mut reader = SumsReader::new(fs::File::open(file).unwrap()).expect("results");
    let mut texts = Texts::default();
    while reader.next_sums(&mut texts).expect("sums").is_some() {}
    reader.take_exemplars()
}

fn hits(file: &Path) -> Vec<Hit> {
    let mut reader = ResultReader::new(fs::File::open(file).unwrap()).expect("results");
    let mut all = Vec::new();
    while let Some(block) = reader.next_block().expect("a block") {
        if let Block::Hits(hits) = block {
            all.extend(hits.iter());
        }
    }
    all
}

#[test]
fn a_share_of_hits_begins_traces_that_the_file_names() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let site = Site::start("127.0.0.1:0");
    let url = format!("{}/echo", site.url());
    let file = folder.join("run.enc");
    let line = [
        "hit",
        &url,
        "-n",
        "400",
        "-c",
        "2",
        "-q",
        "-o",
        "run.enc",
        "--traceparent",
        "5%",
    ];
    let output = program::run(folder, &line);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    let asked = site.asked();
    assert_eq!(asked.len(), 400);
    let sent: Vec<_> = asked
        .iter()
        .filter_map(|asked| asked.headers.get("traceparent"))
        .collect();
    // Nine standard deviations above 20. A recorder keeps 64 exemplars of a buffer, and
    // one loop may send nearly all hits.
    assert!((1..60).contains(&sent.len()), "{}", sent.len());
    let known = exemplars(&file);
    let mut names: Vec<_> = known.iter().map(|one| one.trace.traceparent()).collect();
    let mut sent: Vec<_> = sent.into_iter().cloned().collect();
    names.sort_unstable();
    sent.sort_unstable();
    assert_eq!(names, sent);
    names.dedup();
    assert_eq!(names.len(), sent.len(), "no trace has two hits");
    // Each is one of the hits.
    let hits = hits(&file);
    let times: HashMap<u64, u64> = hits
        .iter()
        .map(|hit| (hit.ended_ns, hit.response_ns()))
        .collect();
    for exemplar in &known {
        assert_eq!(times.get(&exemplar.ended_ns), Some(&exemplar.response_ns));
    }
}

#[test]
fn over_http2_too_and_not_where_there_are_no_headers() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let target = Target::start(TargetSettings::default()).expect("a target");
    let url = format!("http://{}/", target.address());
    let line = [
        "hit",
        &url,
        "--http2",
        "-n",
        "60",
        "-q",
        "-o",
        "run.enc",
        "--traceparent",
        "1",
    ];
    let output = program::run(folder, &line);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    let hits = hits(&folder.join("run.enc"));
    assert!(hits.iter().all(|hit| hit.protocol_code == 200));
    assert_eq!(
        (hits.len(), exemplars(&folder.join("run.enc")).len()),
        (60, 60)
    );

    let call = format!("grpc://{}/encarno.Echo/Say", target.address());
    let line = [
        "hit",
        &call,
        "-d",
        "{\"text\": \"hello\"}",
        "-n",
        "40",
        "-q",
        "-o",
        "calls.enc",
        "--traceparent",
        "1",
    ];
    let output = program::run(folder, &line);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert_eq!(exemplars(&folder.join("calls.enc")).len(), 40);

    let line = ["hit", "dummy:", "-n", "1", "--traceparent", "1%"];
    let output = program::run(folder, &line);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_ne!(output.status.code(), Some(0));
    assert!(said.contains("dummy has no headers"), "{said}");
    let line = ["hit", &url, "-n", "1", "--traceparent", "2"];
    let output = program::run(folder, &line);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("expected a share, such as 1%"), "{said}");
}
