//! The hit generator under a storm.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use encarno_record::code::CANCELLED;
use encarno_record::results::{Block, ResultReader};
use encarno_record::{Hit, Texts};
use encarno_target::{Target, TargetSettings};

use crate::failure::Failure;
use crate::programs::{Program, ours};
use crate::row::{Row, number};

/// The most memory of encarno, whose buffers are for answers of a few hundred KiB.
const MEMORY_MIB: u64 = 200;
/// How long after the run's time and its grace period it may end; later, it hangs.
const LATE: Duration = Duration::from_secs(60);
/// The number of records for the good target, for each one for the hostile target.
const GOOD: usize = 4;

/// A folder for one run.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(encarno_test_peers::scratch("attack"))
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The good target, on a free port.
pub(crate) fn target() -> Result<Target, Failure> {
    let settings = TargetSettings {
        body_bytes: 100,
        ..TargetSettings::default()
    };
    Ok(Target::start(settings)?)
}

/// A hit, and its label.
pub(crate) type Labelled = (Arc<str>, Hit);

/// The hits of a result file, and whether it is complete.
pub(crate) fn hits(file: &Path) -> Result<(Vec<Labelled>, bool), Failure> {
    let mut reader = ResultReader::new(File::open(file)?)?;
    let (mut hits, mut texts) = (Vec::new(), Texts::default());
    while let Some(block) = reader.next_block()? {
        match block {
            Block::Strings(block) => block.iter().for_each(|(id, text)| texts.insert(id, &text)),
            Block::Hits(block) => hits.extend(block.iter()),
            _ => {}
        }
    }
    let whole = reader.summary().is_whole();
    let hits = hits.into_iter().map(|hit| (texts.get(hit.label), hit));
    Ok((hits.collect(), whole))
}

/// Sends hits to a good target and to a hostile one, at `hostile`. All good ones must
/// succeed, and the run must end in time.
pub(crate) async fn beside(
    time: Duration,
    hostile: &str,
    what: &str,
    thrown: &AtomicU64,
) -> Result<Row, Failure> {
    let folder = Folder::new();
    let good = target()?;
    let mut records = "[Host: target]\n".to_owned();
    for number in 0..10 * (GOOD + 1) {
        match number % (GOOD + 1) {
            0 => records.push_str(&format!("{hostile}/{number} hostile\n")),
            _ => records.push_str(&format!("/{number} good\n")),
        }
    }
    std::fs::write(folder.file("records"), records)?;
    let mut command = ours("encarno");
    command.args([
        "hit",
        &format!("http://{}", good.address()),
        "--record-hosts",
        "-k",
    ]);
    command.arg("-i").arg(folder.file("records"));
    command.args(["--connections", "50", "--timeout", "1s", "--grace", "5s"]);
    let (mut row, by_label) = under_watch(time, &folder, command).await?;
    good.stop()?;

    let tally = |label: &str| by_label.get(label).copied().unwrap_or_default();
    let (good, hostile) = (tally("good"), tally("hostile"));
    row.thrown = match thrown.load(Ordering::Relaxed) {
        0 => format!("{} hits", number(hostile.hits)),
        thrown => format!("{} {what} to {} hits", number(thrown), number(hostile.hits)),
    };
    row.neighbours = format!("{} hits, {} failed", number(good.hits), good.failed);
    row.check(good.hits > 0, "no hit of a neighbour ended");
    row.check(hostile.hits > 0, "no hit of the storm ended");
    row.check(good.failed == 0, "hits of neighbours failed");
    Ok(row)
}

/// The results of hits.
#[derive(Clone, Copy, Default)]
pub(crate) struct Tally {
    pub(crate) hits: u64,
    /// Failed hits, without those that the run's end cut off.
    pub(crate) failed: u64,
}

/// Runs it for this time, with its own result file. Returns the hits by label.
pub(crate) async fn under_watch(
    time: Duration,
    folder: &Folder,
    mut command: Command,
) -> Result<(Row, BTreeMap<Arc<str>, Tally>), Failure> {
    let results = folder.file("results");
    command.arg("--quiet").arg("-o").arg(&results);
    command.args(["--for", &format!("{}ms", time.as_millis())]);
    let mut program = Program::start(command)?;
    let (began, mut samples) = (Instant::now(), Vec::new());
    let status = loop {
        let status = program.end(Duration::from_millis(50)).await?;
        if status.is_some() || began.elapsed() > time + LATE {
            break status;
        }
        // A process that has just ended has none.
        match (program.memory(), program.peak()) {
            (0, _) | (_, 0) => {}
            sample => samples.push(sample),
        }
    };
    let before = samples.first().map_or(0, |sample| sample.0);
    let most = samples.last().map_or(0, |sample| sample.1);
    let after = samples.last().map_or(0, |sample| sample.0);
    let mut row = Row {
        memory: Some([before, most, after]),
        ..Row::default()
    };
    // 7 means that every hit failed, which is right if no answer comes in time.
    let code = status.and_then(|status| status.code());
    let ended_well = matches!(code, Some(0 | 7));
    row.check(
        ended_well,
        format!("its end: {status:?}: {}", program.log_end()),
    );
    row.check(
        most <= MEMORY_MIB,
        format!("it took {most} MiB, beyond {MEMORY_MIB}"),
    );
    drop(program);
    let (hits, whole) = hits(&results)?;
    row.check(whole, "its result file isn't whole");
    let mut by_label = BTreeMap::<Arc<str>, Tally>::new();
    for (label, hit) in hits {
        let tally = by_label.entry(label).or_default();
        tally.hits += 1;
        let is_good = hit.net_code == 0 && matches!(hit.protocol_code, 0 | 200);
        tally.failed += u64::from(!is_good && hit.net_code != CANCELLED);
    }
    Ok((row, by_label))
}
