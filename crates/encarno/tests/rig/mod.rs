//! A run against the project's own target, with both sides' accounts of it.

#![allow(dead_code, unreachable_pub)] // each test file uses its part of it

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use encarno::console::Progress;
use encarno::criteria::Judging;
use encarno::protocols::{self, Protocol, Run};
use encarno_engine::meter::Summary;
use encarno_engine::schedule::{Level, Schedule};
use encarno_engine::settings::{
    Arrivals, ClosedSettings, OpenSettings, OutputSettings, Part, RunSettings, ScriptSettings,
    Source, Workload,
};
use encarno_input::{InputFormat, InputSettings, Sharing};
use encarno_nib::NetworkSettings;
use encarno_record::results::Block;
use encarno_record::results::whole;
use encarno_record::{Expected, Hit, StringId};
use encarno_target::{LogEntry, Target, TargetSettings, TargetSummary, read_log};

/// One run at a time: they would only measure each other.
pub fn machine() -> MutexGuard<'static, ()> {
    static MACHINE: Mutex<()> = Mutex::new(());
    MACHINE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What both sides say.
pub struct Account {
    pub summary: Summary,
    /// The hits as they were recorded.
    pub hits: Vec<Hit>,
    pub texts: HashMap<StringId, String>,
    /// What the file says beside its hits, and when.
    pub marks: Vec<(u64, String)>,
    pub log: Vec<LogEntry>,
    pub target: TargetSummary,
}

impl Account {
    /// The number that a hit was labelled with.
    pub fn sequence(&self, hit: &Hit) -> u64 {
        self.texts[&hit.label].parse().unwrap()
    }

    pub fn log_by_sequence(&self) -> HashMap<u64, LogEntry> {
        let map: HashMap<_, _> = self
            .log
            .iter()
            .map(|entry| (entry.sequence, *entry))
            .collect();
        assert_eq!(map.len(), self.log.len(), "the target got a hit twice");
        map
    }

    pub fn codes(&self) -> HashMap<(u16, u16), usize> {
        let mut codes = HashMap::new();
        for hit in &self.hits {
            *codes.entry((hit.net_code, hit.protocol_code)).or_default() += 1;
        }
        codes
    }
}

/// An open workload over HTTP.
pub fn open(schedule: &str, workers_max: usize) -> Run {
    let open = OpenSettings {
        arrivals: Arrivals::Uniform(schedule.parse().unwrap()),
        workers_start: 0,
        workers_max,
        late_limit: None,
        duration_max: None,
        spin: false,
        keep_backlog: true,
    };
    settings(Workload::Open(open))
}

/// A closed workload over HTTP.
pub fn closed(workers: u32) -> Run {
    let workers = Schedule::constant(Level::whole(workers), 0);
    settings(Workload::Closed(ClosedSettings {
        workers,
        duration: None,
        workers_max: 0,
    }))
}

fn settings(workload: Workload) -> Run {
    let settings = RunSettings {
        source: Source::Request {
            payload: Bytes::new(),
            label: String::new(),
            hits_max: None,
        },
        workload,
        script: ScriptSettings::default(),
        output: OutputSettings::default(),
        expected: Expected::default(),
        threads: NonZeroUsize::new(2),
        grace: Duration::from_secs(5),
        part: Part::default(),
        calibrated_rate: None,
    };
    Run {
        settings,
        protocol: Protocol::Http(NetworkSettings::default().into()),
        judging: Judging::default(),
        progress: Progress::Quiet,
        scenario: None,
        capacity: None,
    }
}

/// Sends numbered hits, `/0`, `/1`, …, labelled with their numbers.
pub fn numbered(count: u64) -> Vec<u8> {
    let lines: String = (0..count)
        .map(|number| format!("/{number} {number}\n"))
        .collect();
    format!("[Host: target]\n{lines}").into_bytes()
}

/// Runs against a target of its own.
pub fn run(settings: Run, target: TargetSettings, records: Option<Vec<u8>>) -> Account {
    run_with(settings, target, records, |_| {})
}

/// The same, with a hand on the run's control.
pub fn run_with(
    mut settings: Run,
    target: TargetSettings,
    records: Option<Vec<u8>>,
    stop: impl FnOnce(std::sync::Arc<encarno_engine::control::Control>),
) -> Account {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| -> PathBuf { directory.path().join(name) };
    let log = path("target.log");
    let udp = target.udp;
    let target = Target::start(TargetSettings {
        log: Some(log.clone()),
        ..target
    })
    .unwrap();
    let address = target.address();
    match &mut settings.protocol {
        Protocol::Http(http) => http.network.address = Some(format!("http://{address}")),
        Protocol::Udp(udp) => udp.network.address = Some(format!("udp://{address}")),
        Protocol::Http2(http) => http.network.address = Some(format!("http://{address}")),
        // Which others there are depends on the features.
        _ => {}
    }
    if let Some(records) = records {
        std::fs::write(path("records"), records).unwrap();
        let sharing = match &settings.settings.source {
            Source::File(input) => input.sharing,
            _ => Sharing::Shared,
        };
        settings.settings.source = Source::File(InputSettings {
            sharing,
            format: Some(InputFormat::Uri),
            passes: std::num::NonZeroU64::new(1),
            host: "target".to_owned(),
            record_hosts: true,
            ..InputSettings::of_file(path("records"))
        });
    } else if let Source::Request { payload, .. } = &mut settings.settings.source
        && payload.is_empty()
    {
        *payload = Bytes::from_static(if udp {
            b"7"
        } else {
            b"GET / HTTP/1.1\r\nHost: target\r\n\r\n"
        });
    }
    settings.settings.output.native = Some(path("run.enc"));
    let summary = protocols::run(&settings, stop).unwrap();
    let target = target.stop().unwrap();
    let (hits, texts) = read_results(&path("run.enc"));
    let totals = summary.totals;
    assert_eq!(
        totals.scheduled,
        totals.done + totals.failed + totals.dropped
    );
    assert_eq!(
        hits.len() as u64,
        totals.done + totals.failed,
        "every hit that was started is recorded"
    );
    Account {
        marks: read_marks(&path("run.enc")),
        summary,
        hits,
        texts,
        log: read_log(&log).unwrap(),
        target,
    }
}

pub fn read_results(path: &std::path::Path) -> (Vec<Hit>, HashMap<StringId, String>) {
    let (mut hits, mut texts) = (Vec::new(), HashMap::new());
    let mut reader = whole::open(path).unwrap();
    while let Some(block) = reader.next_block().unwrap() {
        match block {
            Block::Strings(strings) => texts.extend(strings.iter()),
            Block::Hits(block) => hits.extend(block.iter()),
            Block::Mark(_) | Block::Other | Block::End => {}
        }
    }
    assert!(reader.summary().is_whole());
    (hits, texts)
}

fn read_marks(path: &std::path::Path) -> Vec<(u64, String)> {
    let mut marks = Vec::new();
    let mut reader = whole::open(path).unwrap();
    while let Some(block) = reader.next_block().unwrap() {
        if let Block::Mark(mark) = block {
            marks.push((mark.at_ns, mark.text.to_owned()));
        }
    }
    marks
}

/// The value that this part (0 … 1) of all doesn't exceed.
pub fn quantile(mut values: Vec<u64>, part: f64) -> f64 {
    values.sort_unstable();
    values[((values.len() as f64 * part).ceil() as usize).max(1) - 1] as f64
}
