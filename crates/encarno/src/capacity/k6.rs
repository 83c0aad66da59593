//! Measures a script of k6: each trial is a run of k6 with a number of virtual users.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use encarno_record::Texts;
use encarno_record::results::whole;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::trial::{Threshold, Trial, TrialLoad, Verdict};

/// k6's exit status after a failed threshold.
const THRESHOLDS_FAILED: i32 = 99;
/// The time that k6 may take in addition to the run itself: it compiles, sets up, lets
/// iterations end, and tears down.
pub const BESIDE: Duration = Duration::from_secs(120);
/// The time that k6 may take to stop.
const PATIENCE: Duration = Duration::from_secs(35);
/// It says its version within that.
const VERSION_PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(20);
/// The most bytes of k6's output that are shown.
const SAID_BYTES_MAX: u64 = 4096;
const SUMMARY_BYTES_MAX: u64 = 16 << 20;
/// The lowest relative error of a throughput that comes from one number.
const ERROR_MIN: f64 = 0.01;
/// With a larger busy share than this, k6 itself is the limit.
const BUSY_PART_MAX: f64 = 0.9;
/// The fewest whole seconds that show how much the throughput varies.
const SECONDS_MIN: usize = 4;

/// Why k6 can't measure.
#[derive(Debug, thiserror::Error)]
pub enum K6Error {
    /// k6 wasn't found.
    #[error(
        "there is no k6 in the PATH, no ./k6, and none beside encarno: name it with --k6-binary"
    )]
    NotFound,
    /// k6 can't be started, or its output can't be read.
    #[error("{program}: {source}", program = program.display())]
    Start {
        /// Its path.
        program: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// k6 ended without a complete run.
    #[error("k6 ended with {status}: {said}")]
    Ended {
        /// Its exit status, in words.
        status: String,
        /// The end of its output.
        said: String,
    },
    /// k6 didn't end in time.
    #[error("k6 doesn't end: {after:?} after its start it was killed")]
    Endless {
        /// The time since its start.
        after: Duration,
    },
    /// k6's summary can't be parsed.
    #[error("k6's summary can't be used: {0}")]
    Summary(String),
}

/// k6 with a script.
#[derive(Debug)]
pub struct K6 {
    program: PathBuf,
    script: PathBuf,
    /// The user's arguments of `k6 run`.
    arguments: Vec<String>,
    /// Whether this k6 has the output `encarno`.
    records: bool,
    folder: TempDir,
}

/// The result of one run.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    /// Iterations per second.
    pub throughput: f64,
    /// The relative standard error of the throughput.
    pub relative_error: f64,
    /// The number of iterations.
    pub iterations: u64,
    /// The mean duration of an iteration, s.
    pub iteration_s: f64,
    /// The share of all cores that k6 used.
    pub busy: f64,
    /// The script's thresholds.
    pub thresholds: Vec<Threshold>,
}

/// k6's path: that one, or the one of the `PATH`, or `./k6`, or one beside encarno.
pub fn find(named: Option<&Path>) -> Result<PathBuf, K6Error> {
    if let Some(named) = named {
        // Without a slash the system would look for it in the PATH.
        return Ok(Path::new(".").join(named));
    }
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let in_path = std::env::split_paths(&paths).map(|folder| folder.join("k6"));
    let mut known = in_path.chain([PathBuf::from("./k6")]).chain(beside());
    known.find(|file| file.is_file()).ok_or(K6Error::NotFound)
}

/// The k6 of an archive lies beside encarno; that of a checkout, above `target/release`.
/// Nobody else's folder is looked into.
fn beside() -> Vec<PathBuf> {
    let own = std::env::current_exe().unwrap_or_default();
    let Some(folder) = own.parent() else {
        return Vec::new();
    };
    let target = folder.parent().filter(|above| above.ends_with("target"));
    let checkout = target.and_then(Path::parent);
    let folders = [Some(folder), checkout].into_iter().flatten();
    folders.map(|folder| folder.join("k6")).collect()
}

/// Runs k6 for what it prints on its standard output, for so long at most.
pub fn said(
    program: &Path,
    patience: Duration,
    arguments: impl FnOnce(&mut Command) -> &mut Command,
) -> Result<Vec<u8>, K6Error> {
    let failed = |source| K6Error::Start {
        program: program.to_owned(),
        source,
    };
    let folder = tempfile::tempdir().map_err(failed)?;
    let (output, errors) = (folder.path().join("output"), folder.path().join("errors"));
    let mut command = Command::new(program);
    arguments(&mut command);
    let mut child = start(&mut command, &output, Some(&errors)).map_err(failed)?;
    let never = AtomicBool::new(false);
    let status = wait(&mut child, patience, &never, &mut |_| {})?;
    if !status.success() {
        return Err(ended(status, end_of(&output) + &end_of(&errors)));
    }
    let mut text = Vec::new();
    let open = File::open(&output).map_err(failed)?;
    let read = open.take(SUMMARY_BYTES_MAX).read_to_end(&mut text);
    read.map(|_| text).map_err(failed)
}

/// Runs k6, which prints where this process prints, for so long at most.
pub fn run(
    program: &Path,
    patience: Duration,
    arguments: impl FnOnce(&mut Command) -> &mut Command,
) -> Result<ExitStatus, K6Error> {
    let mut command = Command::new(program);
    let started = arguments(&mut command).stdin(Stdio::null()).spawn();
    let mut child = started.map_err(|source| K6Error::Start {
        program: program.to_owned(),
        source,
    })?;
    let never = AtomicBool::new(false);
    wait(&mut child, patience, &never, &mut |_| {})
}

impl K6 {
    /// Asks k6 for its version and outputs.
    pub fn new(program: PathBuf, script: PathBuf, arguments: Vec<String>) -> Result<Self, K6Error> {
        let failed = |source| K6Error::Start {
            program: program.clone(),
            source,
        };
        let folder = tempfile::tempdir().map_err(failed)?;
        let version = said(&program, VERSION_PATIENCE, |command| command.arg("version"))?;
        let version = String::from_utf8_lossy(&version);
        let is_output = |line: &str| line.contains("encarno") && line.contains("[output]");
        Ok(Self {
            records: version.lines().any(is_output),
            program,
            script,
            arguments,
            folder,
        })
    }

    /// Whether k6 can write result files of encarno.
    pub fn records(&self) -> bool {
        self.records
    }

    /// Makes a run with this number of virtual users; `None` if the run was stopped.
    pub fn trial(
        &self,
        users: u32,
        duration: Duration,
        stop: &AtomicBool,
    ) -> Result<Option<Shown>, K6Error> {
        let failed = |source| K6Error::Start {
            program: self.program.clone(),
            source,
        };
        let file = |name: &str| self.folder.path().join(name);
        let (summary, results, said) = (file("summary.json"), file("run.enc"), file("said"));
        for old in [&summary, &results] {
            match std::fs::remove_file(old) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(failed(error));
                }
                _ => {}
            }
        }
        let mut command = Command::new(&self.program);
        command
            .args(["run", "--quiet", "--no-color", "--no-usage-report"])
            .args(["--vus", &users.to_string()])
            .args(["--duration", &format!("{}ms", duration.as_millis())])
            .arg("--summary-export")
            .arg(&summary);
        if self.records {
            command.args(["--out", &format!("encarno={}", results.display())]);
        }
        command.args(&self.arguments).arg(&self.script);
        let started = Instant::now();
        let mut child = start(&mut command, &said, None).map_err(failed)?;
        let mut cpu_s = 0.0_f64;
        let mut look = |pid: u32| cpu_s = cpu_s.max(cpu_of(pid));
        let status = wait(&mut child, duration + BESIDE, stop, &mut look)?;
        if stop.load(Ordering::Relaxed) {
            return Ok(None);
        }
        if !status.success() && status.code() != Some(THRESHOLDS_FAILED) {
            return Err(ended(status, end_of(&said)));
        }
        let took_s = started.elapsed().as_secs_f64().max(1e-3);
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let shown = shown(&read_summary(&summary)?)?;
        let by_seconds = match self.records {
            true => by_seconds(&results).map_err(K6Error::Summary)?,
            false => None,
        };
        let (throughput, relative_error) =
            by_seconds.unwrap_or((shown.throughput, shown.relative_error));
        Ok(Some(Shown {
            throughput,
            relative_error,
            busy: cpu_s / took_s / cores as f64,
            ..shown
        }))
    }
}

/// A trial from a run of k6. `window` is its start and end, in ns since the start of the
/// first run.
pub fn trial_of(number: usize, load: TrialLoad, window: (u64, u64), shown: Shown) -> Trial {
    let users = match load {
        TrialLoad::Workers(users) | TrialLoad::Users(users) => f64::from(users),
        TrialLoad::Rate(_) => 0.0,
    };
    let met = shown.thresholds.iter().all(|one| one.met);
    let (verdict, reason) = if shown.iterations == 0 {
        let text = "no iteration ended: give --trial more time".to_owned();
        (Verdict::Errors, Some(text))
    } else if shown.busy > BUSY_PART_MAX {
        let text = format!("k6 used {:.0} % of all cores", shown.busy * 100.0);
        (Verdict::GeneratorLimit, Some(text))
    } else if matches!(load, TrialLoad::Workers(_)) {
        (Verdict::Steady, None)
    } else if met {
        (Verdict::Holds, None)
    } else {
        (Verdict::Fails, None)
    };
    Trial {
        number,
        load,
        from_ns: window.0,
        to_ns: window.1,
        warm_up_ns: 0,
        verdict,
        reason,
        hits: shown.iterations,
        failed: 0,
        dropped: 0,
        throughput: shown.throughput,
        half_width: Some(2.0 * shown.relative_error),
        relative_error: shown.relative_error,
        in_flight: users,
        service_s: shown.iteration_s,
        littles_error: 0.0,
        busy: shown.busy,
        lag_p99_s: 0.0,
        conditions: Vec::new(),
        thresholds: shown.thresholds,
    }
}

/// Starts k6 with its output going to the file `said`, and its errors to `errors` or, if
/// there is none, to the same file.
fn start(command: &mut Command, said: &Path, errors: Option<&Path>) -> std::io::Result<Child> {
    let output = File::create(said)?;
    let errors = match errors {
        Some(errors) => File::create(errors)?,
        None => output.try_clone()?,
    };
    command
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors)
        .spawn()
}

/// Waits for the end of k6, and watches it meanwhile.
fn wait(
    child: &mut Child,
    patience: Duration,
    stop: &AtomicBool,
    look: &mut dyn FnMut(u32),
) -> Result<ExitStatus, K6Error> {
    let started = Instant::now();
    let mut asked: Option<Instant> = None;
    loop {
        let waited = child.try_wait();
        if let Ok(Some(status)) = waited {
            return Ok(status);
        }
        let now = Instant::now();
        if stop.load(Ordering::Relaxed) && asked.is_none() {
            asked = Some(now);
            // On a terminal, k6 has received the signal already, and a second one does no
            // harm.
            let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
            let _gone = pid.map(|pid| kill_process(pid, Signal::TERM));
        }
        let is_over = now.duration_since(started) > patience
            || asked.is_some_and(|asked| now.duration_since(asked) > PATIENCE);
        if is_over || waited.is_err() {
            // The child hasn't been waited for, so its process id can't belong to another
            // process.
            let _gone = child.kill();
            let _status = child.wait();
            let after = now.duration_since(started);
            return Err(K6Error::Endless { after });
        }
        look(child.id());
        thread::sleep(LOOK);
    }
}

/// The CPU time that a process has used, s; 0 if the process has ended.
fn cpu_of(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // A process name may contain any character, also parentheses.
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let mut fields = fields.split_whitespace().skip(11);
    let mut ticks = || fields.next().and_then(|text| text.parse::<f64>().ok());
    let per_second = rustix::param::clock_ticks_per_second().max(1) as f64;
    (ticks().unwrap_or(0.0) + ticks().unwrap_or(0.0)) / per_second
}

fn ended(status: ExitStatus, said: String) -> K6Error {
    let said = match said.trim() {
        "" => "it printed nothing".to_owned(),
        said => said.to_owned(),
    };
    K6Error::Ended {
        status: status.to_string(),
        said: crate::texts::printable_lines(&said),
    }
}

fn end_of(file: &Path) -> String {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut open = File::open(file)?;
        let length = open.metadata()?.len();
        open.seek(SeekFrom::Start(length.saturating_sub(SAID_BYTES_MAX)))?;
        let mut bytes = Vec::new();
        open.take(SAID_BYTES_MAX).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    String::from_utf8_lossy(&read().unwrap_or_default()).into_owned()
}

fn read_summary(file: &Path) -> Result<Value, K6Error> {
    let bad = |reason: String| K6Error::Summary(reason);
    let open = File::open(file).map_err(|error| bad(format!("it wasn't written ({error})")))?;
    let mut text = Vec::new();
    open.take(SUMMARY_BYTES_MAX)
        .read_to_end(&mut text)
        .map_err(|error| bad(error.to_string()))?;
    serde_json::from_slice(&text).map_err(|error| bad(error.to_string()))
}

fn shown(summary: &Value) -> Result<Shown, K6Error> {
    let metrics = summary.get("metrics").and_then(Value::as_object);
    let metrics = metrics.ok_or_else(|| K6Error::Summary("it has no metrics".to_owned()))?;
    // Newer versions of k6 nest the values one level deeper.
    let number = |metric: &str, value: &str| {
        let metric = metrics.get(metric)?;
        let found = metric
            .get(value)
            .or_else(|| metric.get("values")?.get(value));
        found.and_then(Value::as_f64)
    };
    let iterations = number("iterations", "count").unwrap_or(0.0);
    let throughput = number("iterations", "rate").unwrap_or(0.0);
    let mut thresholds = Vec::new();
    for (metric, about) in metrics {
        let of_metric = about.get("thresholds").and_then(Value::as_object);
        for (condition, result) in of_metric.into_iter().flatten() {
            // The older form says whether the threshold failed, the newer form whether it
            // is ok.
            let met = match (result.as_bool(), result.get("ok").and_then(Value::as_bool)) {
                (Some(failed), _) => !failed,
                (None, Some(ok)) => ok,
                (None, None) => {
                    return Err(K6Error::Summary(format!(
                        "a threshold of {metric} is neither met nor failed"
                    )));
                }
            };
            thresholds.push(Threshold {
                name: format!("{metric}: {condition}"),
                met,
            });
        }
    }
    Ok(Shown {
        throughput,
        relative_error: (1.0 / iterations.max(1.0).sqrt()).max(ERROR_MIN),
        iterations: iterations as u64,
        iteration_s: number("iteration_duration", "avg").unwrap_or(0.0) * 1e-3,
        busy: 0.0,
        thresholds,
    })
}

/// The throughput in iterations per second and its relative error, from the whole seconds
/// of a run without its warm-up; `None` if the run has too few seconds.
fn by_seconds(results: &Path) -> Result<Option<(f64, f64)>, String> {
    let reader = whole::open_sums(results).map_err(|error| error.to_string())?;
    let Some(mut reader) = reader else {
        return Ok(None);
    };
    reader.keep_seconds();
    let mut texts = Texts::default();
    let mut seconds: BTreeMap<u64, f64> = BTreeMap::new();
    loop {
        let sums = reader.next_sums(&mut texts);
        let is_over = sums.map_err(|error| error.to_string())?.is_none();
        for (second, series, points) in reader.take_seconds() {
            if series.metric == "iterations" {
                *seconds.entry(second).or_default() += points.sum;
            }
        }
        if is_over {
            break;
        }
    }
    let (Some(first), Some(last)) = (seconds.keys().next(), seconds.keys().next_back()) else {
        return Ok(None);
    };
    let rates: Vec<f64> = (first + 1..*last)
        .map(|second| seconds.get(&second).copied().unwrap_or(0.0))
        // The first whole second still belongs to the warm-up.
        .skip(1)
        .collect();
    Ok(mean_and_error(&rates))
}

fn mean_and_error(rates: &[f64]) -> Option<(f64, f64)> {
    let count = rates.len() as f64;
    let mean = rates.iter().sum::<f64>() / count;
    if rates.len() < SECONDS_MIN || mean <= 0.0 {
        return None;
    }
    let squares: f64 = rates.iter().map(|rate| (rate - mean).powi(2)).sum();
    let error = (squares / (count - 1.0) / count).sqrt() / mean;
    Some((mean, error.max(ERROR_MIN / 2.0)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used)] // a test that can't go on says why

    use serde_json::json;

    use super::{mean_and_error, shown};

    #[test]
    fn both_forms_of_the_summary_are_read() {
        let older = json!({"metrics": {
            "iterations": {"count": 432, "rate": 143.5},
            "iteration_duration": {"avg": 20.5, "thresholds": {"p(95)<50": false}},
            "checks": {"thresholds": {"rate>0.9": true}},
        }});
        let newer = json!({"metrics": {
            "iterations": {"type": "counter", "values": {"count": 432, "rate": 143.5}},
            "iteration_duration": {"values": {"avg": 20.5}, "thresholds": {"p(95)<50": {"ok": true}}},
            "checks": {"values": {}, "thresholds": {"rate>0.9": {"ok": false}}},
        }});
        let (older, newer) = (shown(&older).expect("older"), shown(&newer).expect("newer"));
        assert_eq!(older, newer);
        assert_eq!((older.throughput, older.iterations), (143.5, 432));
        assert!((older.iteration_s - 0.0205).abs() < 1e-9);
        let met: Vec<_> = older
            .thresholds
            .iter()
            .map(|one| (&*one.name, one.met))
            .collect();
        assert_eq!(
            met,
            [
                ("checks: rate>0.9", false),
                ("iteration_duration: p(95)<50", true)
            ]
        );
        assert!(
            shown(&json!({"metrics": {}}))
                .expect("no iteration")
                .throughput
                == 0.0
        );
        for bad in [
            json!({}),
            json!([]),
            json!({"metrics": {"a": {"thresholds": {"b": 7}}}}),
        ] {
            assert!(shown(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn seconds_say_how_exactly_a_rate_is_known() {
        let (mean, error) = mean_and_error(&[90.0, 110.0, 95.0, 105.0]).expect("enough");
        assert!(
            (mean - 100.0).abs() < 1e-9 && (error - 0.04564).abs() < 1e-4,
            "{error}"
        );
        assert_eq!(mean_and_error(&[100.0; 3]), None);
        assert_eq!(mean_and_error(&[0.0; 9]), None);
        assert_eq!(mean_and_error(&[100.0; 9]), Some((100.0, 0.005)));
    }
}
