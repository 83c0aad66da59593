//! `encarno tail`: a file while it grows, until it ends or can't any more.

#![allow(clippy::expect_used)] // a test that can't go on says why

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use encarno::read::convert;
use encarno::read::tail::{TailEnd, TailSettings, tail};
use encarno_record::formats::ResultFormat;
use encarno_record::frame::RESULT_MAGIC;
use encarno_record::results::{self, Ending, ResultSummary};
use encarno_record::sums::{LoopState, LoopSums, Summing};
use encarno_record::{Expected, Hit, StringId};
use rustix::process::Pid;

const STARTED_UNIX_NS: u64 = 1_700_000_000_000_000_000;
const LONG: Duration = Duration::from_secs(60);

/// A result file that is written piece by piece.
struct Growing {
    folder: tempfile::TempDir,
    hits: u64,
}

impl Growing {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self { folder, hits: 0 }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn append(&self, piece: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = Vec::new();
        piece(&mut bytes);
        let mut file = OpenOptions::new();
        let file = file.create(true).append(true).open(self.path("run.enc"));
        file.and_then(|mut file| file.write_all(&bytes))
            .expect("written");
    }

    fn start(&self) {
        self.append(|out| {
            out.extend_from_slice(&RESULT_MAGIC);
            results::append_run(out, STARTED_UNIX_NS, 1, &Expected::default(), "");
            results::append_strings(out, StringId(0), &["", "one", "two", "wrong"]);
        });
    }

    fn hits(&mut self, hits: &[Hit]) {
        self.append(|out| results::append_hits(out, self.hits, 0, hits));
        self.hits += hits.len() as u64;
    }

    /// Hits, and the sums that stand for them up to that instant.
    fn summed(&mut self, hits: &[Hit], until_ms: u64) {
        self.hits(hits);
        let mut summing = Summing::new(STARTED_UNIX_NS);
        hits.iter().for_each(|hit| summing.record(hit));
        let sums = LoopSums {
            until_ns: until_ms * 1_000_000,
            hits_covered: hits.len() as u64,
            state: LoopState {
                users: 10,
                ..LoopState::default()
            },
            seconds: summing.take(),
            ..LoopSums::default()
        };
        self.append(|out| results::append_sums(out, &sums));
    }

    fn end(&self) {
        self.append(|out| results::append_end(out, self.hits, Ending::default()));
    }

    /// Follows the file on a thread of its own, into the file `out`.
    fn follow(
        &self,
        format: ResultFormat,
        writer: Option<Pid>,
        idle_max: Duration,
    ) -> JoinHandle<(TailEnd, ResultSummary)> {
        let settings = TailSettings {
            file: self.path("run.enc"),
            format,
            writer,
            idle_max,
        };
        let to = self.path("out");
        let watched = File::open("/dev/null").expect("it is everywhere");
        thread::spawn(move || tail(&settings, &to, watched.as_fd()).expect("it can be read"))
    }
}

fn hit(label: u32, ended_ms: u64, response_ms: u64) -> Hit {
    let ended_ns = ended_ms * 1_000_000;
    let started_ns = ended_ns - response_ms * 1_000_000;
    Hit {
        scheduled_ns: started_ns,
        started_ns,
        connected_ns: started_ns,
        sent_ns: started_ns,
        first_byte_ns: ended_ns,
        ended_ns,
        received_bytes: 10,
        label: StringId(label),
        concurrency: 1,
        protocol_code: 200,
        ..Hit::default()
    }
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).expect("it was written")
}

#[test]
fn what_is_followed_is_what_is_converted() {
    for format in [ResultFormat::Csv, ResultFormat::Seconds] {
        let mut file = Growing::new();
        // Not even there yet.
        let following = file.follow(format, None, LONG);
        file.start();
        for second in 0..5 {
            let hits = [
                hit(1, second * 1000 + 900, 30),
                hit(2, second * 1000 + 950, 40),
            ];
            file.summed(&hits, second * 1000 + 960);
            thread::sleep(Duration::from_millis(30));
        }
        file.end();
        let (end, summary) = following.join().expect("no panic");
        assert_eq!((end, summary.hits), (TailEnd::Whole, 10));
        assert!(summary.is_whole());
        convert::results(&file.path("run.enc"), &file.path("whole"), format).expect("whole");
        assert_eq!(text(&file.path("out")), text(&file.path("whole")));
    }
}

#[test]
fn sums_by_second_are_known_and_complete() {
    let mut file = Growing::new();
    file.start();
    let refused = Hit {
        error: StringId(3),
        net_code: 111,
        protocol_code: 0,
        first_byte_ns: 0,
        received_bytes: 0,
        ..hit(2, 1500, 7)
    };
    let all = [
        hit(1, 999, 20),
        hit(1, 1000, 20),
        hit(1, 1200, 30),
        refused,
        hit(2, 9000, 1),
    ];
    file.summed(&all, 9100);
    // One comes when its second is written already, one has no sums.
    file.summed(&[hit(1, 1300, 20)], 9200);
    let not_found = Hit {
        protocol_code: 404,
        ..hit(1, 9300, 20)
    };
    file.hits(&[not_found]);
    file.end();
    let following = file.follow(ResultFormat::Seconds, None, LONG);
    assert_eq!(following.join().expect("no panic").0, TailEnd::Whole);
    let out = text(&file.path("out"));
    let lines: Vec<serde_json::Value> = out
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let sums = |line: usize, kind: usize, key: &str| lines[line]["kinds"][kind][key].clone();
    let seconds: Vec<_> = lines.iter().map(|line| &line["second"]).collect();
    assert_eq!(
        seconds,
        [
            1_700_000_000_u64,
            1_700_000_001,
            1_700_000_001,
            1_700_000_009
        ]
    );
    assert_eq!(sums(0, 0, "hits"), 1);
    assert_eq!(sums(1, 0, "hits"), 2);
    assert_eq!(sums(1, 0, "label"), "one");
    assert_eq!(sums(1, 0, "response_ns"), 50_000_000);
    assert_eq!(
        sums(1, 0, "response_ms"),
        serde_json::json!([[20, 1], [30, 1]])
    );
    assert_eq!(sums(1, 0, "received_bytes"), 20);
    assert_eq!(sums(1, 1, "status"), 999);
    assert_eq!(sums(1, 1, "error"), "wrong");
    assert_eq!(sums(1, 1, "answered"), false);
    assert_eq!(sums(1, 1, "first_byte_ns"), 0);
    assert_eq!(sums(1, 1, "failed"), true);
    assert_eq!(sums(2, 0, "hits"), 1);
    let users: Vec<_> = lines.iter().map(|line| &line["users"]).collect();
    assert_eq!(users, [10; 4]);
    assert_eq!(lines[3]["kinds"].as_array().map(Vec::len), Some(2));
    let failed = [0, 1].map(|kind| sums(3, kind, "failed"));
    assert_eq!(failed, [false, true]);
}

#[test]
fn it_ends_with_the_process_that_writes() {
    let mut file = Growing::new();
    file.start();
    file.hits(&[hit(1, 100, 1)]);
    let mut writer = Command::new("sleep").arg("600").spawn().expect("a process");
    let pid = Pid::from_child(&writer);
    let following = file.follow(ResultFormat::Csv, Some(pid), Duration::ZERO);
    thread::sleep(Duration::from_millis(50));
    // As long as it lives, silence is no end.
    assert!(!following.is_finished());
    file.hits(&[hit(1, 200, 1)]);
    writer.kill().expect("it runs");
    writer.wait().expect("it was killed");
    let (end, summary) = following.join().expect("no panic");
    assert_eq!((end, summary.hits), (TailEnd::WriterGone, 2));
    assert_eq!(text(&file.path("out")).lines().count(), 3);
    // And one that ended before is gone, too.
    let following = file.follow(ResultFormat::Csv, Some(pid), LONG);
    assert_eq!(following.join().expect("no panic").0, TailEnd::WriterGone);
}

#[test]
fn it_ends_when_nothing_comes() {
    let mut file = Growing::new();
    file.start();
    file.hits(&[hit(1, 100, 1)]);
    let following = file.follow(ResultFormat::Csv, None, Duration::from_millis(20));
    let (end, summary) = following.join().expect("no panic");
    assert_eq!((end, summary.hits), (TailEnd::Idle, 1));
}

#[test]
fn it_ends_when_nobody_reads() {
    let mut file = Growing::new();
    file.start();
    file.hits(&[hit(1, 100, 1)]);
    let (reader, writer) = rustix::pipe::pipe().expect("a pipe");
    drop(reader);
    let settings = TailSettings {
        file: file.path("run.enc"),
        format: ResultFormat::Csv,
        writer: None,
        idle_max: LONG,
    };
    let (end, _) = tail(&settings, &file.path("out"), writer.as_fd()).expect("it can be read");
    assert_eq!(end, TailEnd::ReaderGone);
}

#[test]
fn what_is_no_result_file_is_an_error_at_once() {
    let file = Growing::new();
    file.append(|out| out.extend_from_slice(b"something else"));
    let settings = TailSettings {
        file: file.path("run.enc"),
        format: ResultFormat::Csv,
        writer: None,
        idle_max: LONG,
    };
    let null = File::open("/dev/null").expect("it is everywhere");
    let error = tail(&settings, &file.path("out"), null.as_fd()).expect_err("another kind of file");
    assert!(
        error.to_string().contains("isn't a native result file"),
        "{error}"
    );
}
