//! `encarno report`: its figures are those of `stats`, whatever the run and the labels;
//! in a browser, too, if there is one.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::print_stdout)]

#[path = "rig/browser.rs"]
mod browser;
#[path = "rig/program.rs"]
mod program;

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use encarno_record::frame::RESULT_MAGIC;
use encarno_record::histogram::Histogram;
use encarno_record::notes::{Account, Notes};
use encarno_record::results::{Block, Ending, ResultReader};
use encarno_record::results::{append_end, append_notes, append_run, append_strings, append_sums};
use encarno_record::samples::{Sample, SampleWriter};
use encarno_record::series::{MetricKind, Series};
use encarno_record::statistics::time_text;
use encarno_record::sums::{LoopState, LoopSums, Summing};
use encarno_record::{Expected, Hit, StringId};
use serde_json::Value;

const HOSTILE: &str = "</script><img/src=x/onerror=alert(1)>";
const FIGURES: [&str; 9] = [
    "min", "mean", "p50", "p75", "p90", "p95", "p99", "p99.9", "max",
];

fn succeeded(output: &Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {error}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A run of some seconds with labels of all kinds, and its report.
fn run(folder: &Path, name: &str, delay: &str) {
    let lines: String = (0..20)
        .map(|number| format!("/p{number} label{}\n", number % 4))
        .collect();
    let records = format!("[Host: target]\n{lines}/x {HOSTILE}\n");
    fs::write(folder.join("records"), records).expect("written");
    let (file, page) = (format!("{name}.enc"), format!("{name}.html"));
    let arguments = [
        "hit",
        "dummy:",
        "-i",
        "records",
        "--format",
        "uri",
        "--rate",
        "400",
        "--for",
        "3s",
        "--delay",
        delay,
        "-q",
        "--value",
        "token=hunter2",
        "-o",
        &file,
        "--report",
        &page,
    ];
    succeeded(&program::run(folder, &arguments));
}

fn page(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join(name)).expect("a page")
}

/// The contents of the cells after that mark, up to the row's end.
fn cells<'a>(page: &'a str, mark: &str) -> Vec<&'a str> {
    let (_, rest) = page.split_once(mark).unwrap_or_else(|| panic!("no {mark}"));
    let (row, _) = rest.split_once("</tr>").expect("a row");
    let mut cells = Vec::new();
    for part in row.split("<td").skip(1) {
        let (_, text) = part.split_once('>').expect("a cell");
        cells.push(text.split_once("</td>").expect("its end").0);
    }
    cells
}

fn figures(times: &Value) -> Vec<String> {
    let text = |&name: &&str| time_text(times[name].as_f64().expect("a number"));
    FIGURES.iter().map(text).collect()
}

/// The page says what `stats` says.
fn assert_as_stats(folder: &Path, file: &str, page: &str) {
    let stats = succeeded(&program::run(folder, &["stats", "--json", file]));
    let stats: Value = serde_json::from_str(&stats).expect("JSON");
    for times in ["service", "response"] {
        let shown = cells(page, &format!("<tr data-times=\"{times}\""));
        assert_eq!(
            shown,
            figures(&stats["total"][format!("{times}_ns")]),
            "{times}"
        );
    }
    for label in stats["labels"].as_array().expect("labels") {
        let name = label["label"].as_str().expect("a name");
        let shown = name.replace('<', "&lt;").replace('>', "&gt;");
        let cells = cells(page, &format!("<bdi>{shown}</bdi></th>"));
        assert_eq!(cells[0], label["hits"].to_string(), "{name}");
        assert_eq!(cells[2..], figures(&label["response_ns"]), "{name}");
    }
}

#[test]
fn the_page_says_what_stats_says_and_asks_nobody() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    run(folder, "run", "exponential:2ms");
    let page = page(folder, "run.html");
    assert_as_stats(folder, "run.enc", &page);
    assert!(page.contains("default-src 'none'"));
    assert!(!page.contains("hunter2") && !page.contains(HOSTILE));
    assert!(!page.contains("<script src") && !page.contains("<link rel=\"stylesheet\""));
    assert!(page.contains("verdict good\"") || page.contains("verdict bad\""));
    assert!(page.contains("<dt>rate</dt><dd><bdi>400</bdi></dd>"));
    assert!(page.contains("<dt>value</dt><dd><bdi>token=***</bdi></dd>"));
    assert!(page.contains("<svg viewBox"), "drawings without the script");
    assert!(page.len() < 150_000, "{} bytes", page.len());
}

#[test]
fn runs_without_hits_cut_files_and_wrong_ones() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let mut empty = RESULT_MAGIC.to_vec();
    append_run(
        &mut empty,
        1_700_000_000_500_000_000,
        1,
        &Expected::default(),
        "",
    );
    let mut ended = empty.clone();
    append_end(&mut ended, 0, Ending::default());
    fs::write(folder.join("cut.enc"), &empty).expect("written");
    fs::write(folder.join("empty.enc"), &ended).expect("written");
    fs::write(folder.join("other"), "something else").expect("written");
    for name in ["cut", "empty"] {
        succeeded(&program::run(folder, &["report", &format!("{name}.enc")]));
        let page = page(folder, &format!("{name}.html"));
        assert!(page.len() <= 150_000, "{} bytes", page.len());
        assert_eq!(page.contains("the file has no end"), name == "cut");
    }
    let wrong = program::run(folder, &["report", "other", "-o", "r.html"]);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(!folder.join("r.html").exists());
    let itself = program::run(folder, &["report", "empty.enc", "-o", "empty.enc"]);
    assert_eq!(itself.status.code(), Some(2));
    assert_eq!(fs::read(folder.join("empty.enc")).expect("a file"), ended);
}

/// A file with sums of so many seconds, labels and hits for each.
fn made(path: &Path, seconds: u64, labels: u32, hits: u64, slower: u64) {
    const STARTED: u64 = 1_700_000_000_000_000_000;
    let mut file = RESULT_MAGIC.to_vec();
    append_run(&mut file, STARTED, 1, &Expected::default(), "");
    let texts: Vec<String> = (0..=labels).map(|label| format!("label {label}")).collect();
    append_strings(&mut file, StringId(0), &texts);
    let mut random = 1_u64;
    for second in 0..seconds {
        let mut summing = Summing::new(STARTED);
        for number in 0..hits * u64::from(labels) {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let spread = (random >> 33) as f64 / (1_u64 << 31) as f64;
            let time_ns = (2e6 * slower as f64 * -(1.0 - spread).max(1e-9).ln()) as u64 / 10;
            let scheduled_ns = second * 1_000_000_000;
            summing.record(&Hit {
                label: StringId(1 + (number % u64::from(labels)) as u32),
                scheduled_ns,
                started_ns: scheduled_ns,
                ended_ns: scheduled_ns + time_ns.min(900_000_000),
                protocol_code: 200,
                ..Hit::default()
            });
        }
        append_sums(
            &mut file,
            &LoopSums {
                until_ns: if second + 1 == seconds {
                    u64::MAX
                } else {
                    (second + 1) * 1_000_000_000
                },
                state: LoopState {
                    scheduled: (second + 1) * hits * u64::from(labels),
                    ..LoopState::default()
                },
                // As many as there are: sums of few hits would be left out.
                hits_covered: hits * u64::from(labels),
                seconds: summing.take(),
                ..LoopSums::default()
            },
        );
    }
    let ending = Ending {
        span_ns: seconds * 1_000_000_000,
        ..Ending::default()
    };
    append_end(&mut file, 0, ending);
    fs::write(path, file).expect("written");
}

#[test]
fn a_run_that_became_slower_fails_and_chance_does_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    made(&folder.join("old.enc"), 20, 2, 100, 10);
    made(&folder.join("new.enc"), 20, 2, 100, 13);
    let slower = [
        "report",
        "old.enc",
        "new.enc",
        "-o",
        "r.html",
        "--fail-if",
        "p99 +10%",
    ];
    let output = program::run(folder, &slower);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(99), "{said}");
    assert!(said.contains("new.enc: FAILED: fail if p99 +10%"), "{said}");
    assert!(page(folder, "r.html").contains("Compared with"));
    let limits = [
        "report",
        "old.enc",
        "old.enc",
        "-o",
        "r.html",
        "--fail-if",
        "p99 +0%",
        "--fail-if",
        "failed > 1%",
    ];
    succeeded(&program::run(folder, &limits));
    let alone = program::run(folder, &["report", "old.enc", "--fail-if", "p99 +10%"]);
    assert_eq!(alone.status.code(), Some(2));
    let nonsense = program::run(folder, &["report", "old.enc", "--fail-if", "p99"]);
    assert_eq!(nonsense.status.code(), Some(2));
}

#[test]
fn an_hour_of_fifty_labels_and_ten_thousand_labels_stay_small() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    made(&folder.join("hour.enc"), 3600, 50, 6, 10);
    succeeded(&program::run(folder, &["report", "hour.enc"]));
    let hour = page(folder, "hour.html");
    assert!(hour.len() <= 3_000_000, "{} bytes", hour.len());
    made(&folder.join("labels.enc"), 2, 10_000, 3, 10);
    succeeded(&program::run(folder, &["report", "labels.enc"]));
    let labels = page(folder, "labels.html");
    assert!(labels.len() <= 3_000_000, "{} bytes", labels.len());
    assert!(labels.contains("100 of 10000 labels"));
}

/// What the page is like once its script has run. Nothing may be said on its console.
fn shown(browser: &Path, folder: &Path, page: &str) -> String {
    let output = Command::new(browser)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--enable-logging=stderr",
        ])
        .arg(format!(
            "--user-data-dir={}",
            folder.join("profile").display()
        ))
        .args(["--virtual-time-budget=20000", "--dump-dom"])
        .arg(format!("file://{}/{page}", folder.display()))
        .stdin(Stdio::null())
        .output()
        .expect("the browser starts");
    let said = String::from_utf8_lossy(&output.stderr);
    let console: Vec<_> = said
        .lines()
        .filter(|line| line.contains("CONSOLE"))
        .collect();
    assert!(console.is_empty(), "{console:?}");
    let page = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        page.contains("data-ready=\"1\""),
        "the script didn't end: {said}"
    );
    page
}

#[test]
fn in_a_browser_figures_zoom_and_sort_are_right() {
    let Some(browser) = browser::installed() else {
        eprintln!("NOT TESTED: the report in a browser, for there is no chromium");
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    run(folder, "run", "exponential:2ms");
    let whole = shown(&browser, folder, "run.html");
    assert_as_stats(folder, "run.enc", &whole);

    // The first two bins, by the hits themselves.
    let (mut response, mut service) = (Histogram::default(), Histogram::default());
    let mut failed = 0;
    let file = fs::File::open(folder.join("run.enc")).expect("a file");
    let mut reader = ResultReader::new(file).expect("results");
    let started = reader.started_unix_ns();
    let end = (started / 1_000_000_000 + 2) * 1_000_000_000 - started;
    while let Some(block) = reader.next_block().expect("no error") {
        let Block::Hits(hits) = block else { continue };
        for hit in hits.iter().filter(|hit| hit.ended_ns < end) {
            response.record(hit.response_ns());
            service.record(hit.service_ns());
            failed += u64::from(hit.error.0 != 0);
        }
    }
    assert_eq!(failed, 0);
    let zoomed = shown(&browser, folder, "run.html#range=0-2&sort=p99,up");
    for (name, times) in [("response", &response), ("service", &service)] {
        // Without p99.9: that is the longest of so few hits, whose exact time the bins of a
        // page don't have.
        assert!((100..1000).contains(&times.count()));
        let expected = [0.5, 0.75, 0.9, 0.95, 0.99];
        let expected = expected.map(|share| time_text(times.quantile(share) as f64));
        let found = cells(&zoomed, &format!("<tr data-times=\"{name}\""));
        assert_eq!(found[2..7], expected, "{name}");
    }
    let hits = zoomed.split_once("id=\"card-hits\">").expect("a card").1;
    assert!(hits.starts_with(&format!("{}<", response.count())));
    let sorted = zoomed.split_once("aria-sort=\"ascending\"><button type=\"button\">");
    assert!(sorted.expect("a sorted column").1.starts_with("p99<"));

    run(folder, "other", "exponential:3ms");
    succeeded(&program::run(
        folder,
        &["report", "run.enc", "other.enc", "-o", "both.html"],
    ));
    let both = shown(&browser, folder, "both.html");
    assert!(both.contains("other.enc p99") && both.contains("Compared with"));
    made(&folder.join("empty.enc"), 0, 1, 1, 1);
    succeeded(&program::run(folder, &["report", "empty.enc"]));
    shown(&browser, folder, "empty.html");
}

/// A file whose hits take 1 ms in its first second and 100 ms in its second one.
fn made_of_two_speeds(path: &Path) {
    const STARTED: u64 = 1_700_000_000_000_000_000;
    let mut file = RESULT_MAGIC.to_vec();
    append_run(&mut file, STARTED, 1, &Expected::default(), "");
    let mut summing = Summing::new(STARTED);
    for (second, time_ns) in [(0, 1_000_000), (1, 100_000_000)] {
        for _ in 0..100 {
            let scheduled_ns = second * 1_000_000_000;
            summing.record(&Hit {
                scheduled_ns,
                started_ns: scheduled_ns,
                ended_ns: scheduled_ns + time_ns,
                protocol_code: 200,
                ..Hit::default()
            });
        }
    }
    // The loop says twice in its first second how many users it has.
    let state = LoopState {
        users: 4,
        ..LoopState::default()
    };
    let early = LoopSums {
        until_ns: 500_000_000,
        state,
        ..LoopSums::default()
    };
    append_sums(&mut file, &early);
    let all = LoopSums {
        until_ns: u64::MAX,
        state,
        hits_covered: 200,
        seconds: summing.take(),
        ..LoopSums::default()
    };
    append_sums(&mut file, &all);
    let ending = Ending {
        span_ns: 2_000_000_000,
        ..Ending::default()
    };
    append_end(&mut file, 0, ending);
    fs::write(path, file).expect("written");
}

#[test]
fn in_a_browser_the_heatmap_is_right_and_nobody_is_asked() {
    let Some(browser) = browser::installed() else {
        eprintln!("NOT TESTED: the heatmap in a browser, for there is no chromium");
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    made_of_two_speeds(&folder.join("two.enc"));
    succeeded(&program::run(folder, &["report", "two.enc"]));
    let url = format!("file://{}/two.html", folder.display());
    let mut page = browser::Page::open(&browser, &folder.join("profile"), &url);
    page.wait("document.documentElement.dataset.ready");
    assert!(page.said.is_empty(), "{:?}", page.said);
    // Where the colour is: the first second below, the second one on top, and nothing else.
    let dark = "(x, y) => { const c = document.querySelector('canvas'), left = 132, right = 20, top = 16, bottom = 48; \
        const at = c.getContext('2d').getImageData(left + (c.width - left - right) * x, top + (c.height - top - bottom) * y, 1, 1); \
        return at.data[3] > 200; }";
    // 46 rows from 0.95 ms to 105 ms, on a logarithmic scale: both lie in the rows at the ends.
    for (x, y, expected) in [
        (0.25, 0.985, true),
        (0.25, 0.5, false),
        (0.25, 0.015, false),
        (0.75, 0.985, false),
        (0.75, 0.5, false),
        (0.75, 0.015, true),
    ] {
        let found = page.value(&format!("({dark})({x}, {y})"));
        assert_eq!(found, expected, "{x} {y}");
    }
    let asked = page.value("performance.getEntriesByType('resource').length");
    assert_eq!(asked, 0);
    assert_eq!(page.value("app.runs[0].users[0]"), 4);
}

/// A file as k6's output writes it: a counter of 5 in its first second and of 7 in its
/// second one, and a trend, each with two sets of tags.
fn made_by_k6(path: &Path) {
    const STARTED: u64 = 1_700_000_000_000_000_000;
    let notes = Notes::default();
    let mut writer = SampleWriter::create(path, STARTED, &notes).expect("a file");
    for tag in ["one", "two"] {
        let series = |metric: &str, kind, contains: &str| Series {
            metric: metric.to_owned(),
            kind,
            contains: contains.to_owned(),
            tags: [("group".to_owned(), tag.to_owned())].into(),
        };
        let counter = writer.series(series("made", MetricKind::Counter, "default"));
        let trend = writer.series(series("took", MetricKind::Trend, "time"));
        let (counter, trend) = (counter.expect("a number"), trend.expect("a number"));
        let values = match tag {
            "one" => [(0, counter, 2.0), (1, counter, 7.0), (0, trend, 10.0)],
            _ => [(0, counter, 3.0), (1, trend, 30.0), (0, trend, 10.0)],
        };
        for (second, series, value) in values {
            let at_unix_ns = STARTED + second * 1_000_000_000 + 1;
            writer.sample(&Sample {
                series,
                at_unix_ns,
                value,
            });
        }
    }
    writer.finish(&notes, 2_000_000_000).expect("written");
}

#[test]
fn in_a_browser_the_metrics_of_k6_are_shown_by_time() {
    let Some(browser) = browser::installed() else {
        eprintln!("NOT TESTED: metrics in a browser, for there is no chromium");
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    made_by_k6(&folder.join("k6.enc"));
    succeeded(&program::run(folder, &["report", "k6.enc"]));
    let url = format!("file://{}/k6.html", folder.display());
    let mut page = browser::Page::open(&browser, &folder.join("profile"), &url);
    page.wait("document.documentElement.dataset.ready");
    let made = "app.runs[0].metrics.find(metric => metric.name === 'made').lines[0].join()";
    assert_eq!(page.value(made), "per second,5,7");
    let took = "app.runs[0].metrics.find(metric => metric.name === 'took').lines[0][1] \
        .map(value => value.toFixed(1)).join()";
    assert_eq!(page.value(took), "10.0,30.0");
    let choose = "(name => { const choice = document.getElementById('metric-choice'); \
        choice.value = name; choice.dispatchEvent(new Event('change')); \
        return document.querySelector('#metric-chart figcaption').textContent; })('took')";
    assert_eq!(page.value(choose), "tookp50p95p99");
    assert!(page.said.is_empty(), "{:?}", page.said);
}

/// What axe says of a page that is open: its rules, each with an element that breaks it.
fn complaints(page: &mut browser::Page, axe: &str) -> String {
    page.value(&format!("{axe}; 0"));
    let run = "axe.run(document).then(found => found.violations.map(rule => \
        `${rule.id}: ${rule.nodes.length} × ${rule.nodes[0].html.slice(0, 200)} ${rule.nodes[0].failureSummary}`).join('\\n'))";
    page.value(run).as_str().expect("a text").to_owned()
}

#[test]
fn in_a_browser_axe_finds_nothing_that_keeps_people_out() {
    let axe = Path::new(env!("CARGO_MANIFEST_DIR"));
    let axe = axe.join("../../bin/axe/node_modules/axe-core/axe.min.js");
    let (Some(browser), Ok(axe)) = (browser::installed(), fs::read_to_string(axe)) else {
        eprintln!(
            "NOT TESTED: accessibility of the report, for there is no chromium, or no bin/axe"
        );
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    run(folder, "run", "exponential:2ms");
    run(folder, "other", "exponential:3ms");
    made_by_k6(&folder.join("k6.enc"));
    made(&folder.join("empty.enc"), 0, 1, 1, 1);
    // The exit status of a capacity says how sure its result is.
    let line = "capacity dummy: --delay fixed:5ms --workers 1..4 --trial 500ms..500ms -o cap.enc";
    let arguments: Vec<&str> = line.split_whitespace().collect();
    assert!(program::run(folder, &arguments).status.code() < Some(4));
    for files in [
        &["cap.enc"][..],
        &["run.enc"],
        &["run.enc", "other.enc", "--fail-if", "p99>1h"],
        &["k6.enc"],
        &["empty.enc"],
    ] {
        let line = [&["report"], files, &["-o", "page.html"]].concat();
        succeeded(&program::run(folder, &line));
        let url = format!("file://{}/page.html", folder.display());
        let mut page = browser::Page::open(&browser, &folder.join("profile"), &url);
        page.wait("document.documentElement.dataset.ready");
        for scheme in ["light", "dark"] {
            page.prefer(scheme);
            assert_eq!(complaints(&mut page, &axe), "", "{files:?} {scheme}");
        }
    }
}

/// Hits that the writer had to leave out are in the sums: conditions are judged by these.
#[test]
fn hits_that_were_not_written_are_judged_all_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let path = folder.join("run.enc");
    made(&path, 2, 1, 50, 1);
    let made = fs::read(&path).expect("a file");
    let ending = |hits_lost| Ending {
        span_ns: 2_000_000_000,
        hits_lost,
    };
    let mut end = Vec::new();
    append_end(&mut end, 0, ending(0));
    for (done, status) in [(100, 0), (103, 99)] {
        let mut file = made[..made.len() - end.len()].to_vec();
        let account = Account {
            scheduled: done,
            done,
            ..Account::default()
        };
        let notes = Notes {
            totals: Some(account),
            ..Notes::default()
        };
        append_notes(&mut file, &notes);
        append_end(&mut file, 0, ending(3));
        fs::write(&path, file).expect("written");
        let line = ["report", "run.enc", "--fail-if", "errors>1%"];
        let output = program::run(folder, &line);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{said}");
        assert_eq!(said.contains("can't be judged"), status == 99, "{said}");
    }
}

/// For `bench/report`: how big the page of an hour of fifty labels is, and how fast.
#[test]
#[ignore = "bench/report runs it: it measures this machine"]
fn measured_in_a_browser() {
    let browser = browser::installed().expect("chromium");
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    made(&folder.join("empty.enc"), 0, 1, 1, 1);
    made(&folder.join("hour.enc"), 3600, 50, 6, 10);
    println!("| page | bytes | first paint | zoom |\n|---|---|---|---|");
    let mut is_fast = true;
    for (name, bytes_max) in [("empty", 150_000), ("hour", 3_000_000)] {
        succeeded(&program::run(folder, &["report", &format!("{name}.enc")]));
        let bytes = page(folder, &format!("{name}.html")).len();
        let url = format!("file://{}/{name}.html", folder.display());
        let (mut paints, mut zooms) = (Vec::new(), Vec::new());
        for number in 0..5 {
            let profile = folder.join(format!("profile{name}{number}"));
            let mut page = browser::Page::open(&browser, &profile, &url);
            page.wait("document.documentElement.dataset.ready");
            page.wait("performance.getEntriesByName('first-contentful-paint').length");
            let mut number = |text: &str| page.value(text).as_f64().expect("a number");
            paints.push(number(
                "performance.getEntriesByName('first-contentful-paint')[0].startTime",
            ));
            for part in 1..=4 {
                zooms.push(number(&format!(
                    "(() => {{ const begun = performance.now(), bins = app.bins(); \
                     app.zoom(Math.floor(bins * {part} / 10), Math.ceil(bins * {part} / 5)); \
                     document.body.offsetHeight; return performance.now() - begun; }})()"
                )));
            }
        }
        let median = |all: &mut Vec<f64>| {
            all.sort_by(f64::total_cmp);
            all[all.len() / 2]
        };
        let (paint, zoom) = (median(&mut paints), median(&mut zooms));
        println!("| {name} | {bytes} | {paint:.0} ms | {zoom:.1} ms |");
        is_fast &= bytes <= bytes_max && paint <= 1000.0 && zoom <= 50.0;
    }
    assert!(
        is_fast,
        "150 kB and 3 MB, 1 s and 50 ms are what a page may take"
    );
}
