//! `encarno calibrate`: measures what this machine can make on time.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Args, Command, FromArgMatches};
use encarno_engine::meter::Window;
use encarno_record::statistics::time_text;
use encarno_target::{Target, TargetSettings};
use signal_hook::flag;

use super::hit::HitArguments;
use super::{Failure, complain, print};
use crate::calibration::machine::Machine;
use crate::calibration::measured::{self, MEASURED, Measured, Point, Shown};
use crate::calibration::{Calibration, Entry, VERSION, file};
use crate::capacity::text::grouped;
use crate::exit;
use crate::protocols::{self, Run};

/// The numbers of hits that may run at a time.
const WORKERS: [usize; 3] = [1, 16, 256];
/// The same with `--quick`.
const WORKERS_QUICK: [usize; 1] = [16];
/// The length of an answer's body, for protocols that have one.
const BODY_BYTES: usize = 1024;
/// The length of a run.
const SECONDS: f64 = 0.4;
const SECONDS_QUICK: f64 = 0.25;

/// The arguments of `encarno calibrate`.
#[derive(Debug, Args)]
pub(super) struct CalibrateArguments {
    /// Measure fewer points: 15 seconds instead of two minutes.
    #[arg(long)]
    quick: bool,
    /// Only these protocols, separated by commas.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = MEASURED.map(|it| it.name))]
    protocols: Vec<String>,
    /// Keep it in this file instead; other runs don't read it.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Measure nothing: show what was measured before.
    #[arg(long, conflicts_with_all = ["quick", "protocols", "output"])]
    show: bool,
}

impl CalibrateArguments {
    pub(super) fn run(&self) -> Result<u8, Failure> {
        if self.show {
            return show();
        }
        let kept = self.output.clone().or_else(file::place);
        let kept = kept.ok_or_else(|| {
            Failure::setup("there is no home directory to keep it in (HOME): name a file with -o")
        })?;
        let stop = Arc::new(AtomicBool::new(false));
        for signal in super::ending_signals() {
            flag::register(signal, Arc::clone(&stop)).map_err(Failure::setup)?;
        }
        let machine = Machine::this();
        heading(&machine)?;
        let calibrating = Calibrating {
            quick: self.quick,
            cores: machine.cores,
            seconds: if self.quick { SECONDS_QUICK } else { SECONDS },
            stop: &stop,
        };
        let mut entries = Vec::new();
        for measured in MEASURED {
            if !self.protocols.is_empty() && !self.protocols.iter().any(|it| it == measured.name) {
                continue;
            }
            let target = Target::start(TargetSettings {
                udp: measured.protocol == "udp",
                tls: measured.is_tls(),
                // The answer to bytes is a head alone, which shows where it ends.
                body_bytes: if measured.protocol == "tcp" {
                    0
                } else {
                    BODY_BYTES
                },
                ..TargetSettings::default()
            });
            let target = target.map_err(Failure::setup)?;
            let of_protocol = calibrating.measure(measured, target.address());
            target.stop().map_err(Failure::setup)?;
            match of_protocol? {
                Some(of_protocol) => entries.extend(of_protocol),
                None => {
                    complain("stopped: nothing is kept");
                    return Ok(exit::INTERRUPTED);
                }
            }
        }
        let measured = SystemTime::now().duration_since(UNIX_EPOCH);
        let calibration = Calibration {
            version: VERSION,
            machine,
            measured_unix_s: measured.map_or(0, |since| since.as_secs()),
            run_seconds: calibrating.seconds,
            entries,
        };
        let is_late = |entry: &Entry| entry.open_rate.is_none();
        if calibration.entries.iter().any(is_late) {
            complain(
                "hits weren't on time at some points, whatever the rate: other programs are in the way; \
                 calibrate when the machine has nothing else to do",
            );
        }
        file::write(&kept, &calibration)
            .map_err(|error| Failure::output(format!("can't write {}: {error}", kept.display())))?;
        complain(&format!("kept in {}", kept.display()));
        Ok(exit::OK)
    }
}

/// Prints the calibration of this machine.
fn show() -> Result<u8, Failure> {
    let calibration = file::read().map_err(Failure::setup)?;
    let calibration = calibration
        .ok_or_else(|| Failure::setup("this machine wasn't calibrated: run `encarno calibrate`"))?;
    heading(&calibration.machine)?;
    print(|out| {
        let mut lines = calibration.entries.iter().map(line);
        lines.try_for_each(|line| writeln!(out, "{line}"))
    })?;
    Ok(exit::OK)
}

/// The state of a calibration.
struct Calibrating<'a> {
    quick: bool,
    cores: usize,
    seconds: f64,
    stop: &'a AtomicBool,
}

impl Calibrating<'_> {
    /// Measures a point; `None` if the user stopped it.
    fn measure(
        &self,
        measured: Measured,
        address: SocketAddr,
    ) -> Result<Option<Vec<Entry>>, Failure> {
        let loops: &[usize] = match self.cores {
            1 => &[1],
            cores if self.quick => &[cores],
            cores => &[1, cores],
        };
        let workers: &[usize] = if self.quick { &WORKERS_QUICK } else { &WORKERS };
        let mut entries = Vec::new();
        for &loops in loops {
            for &workers in workers {
                let point = Point {
                    measured,
                    loops,
                    workers,
                };
                let entry = measured::measure(&point, |rate| {
                    shown(&run_of(&point, address, rate, self.seconds)?, self.seconds)
                })?;
                if self.stop.load(Ordering::Relaxed) {
                    return Ok(None);
                }
                print(|out| writeln!(out, "{}", line(&entry)))?;
                entries.push(entry);
            }
        }
        Ok(Some(entries))
    }
}

/// A run of the point, as `encarno hit` makes it: closed, or at a rate.
fn run_of(
    point: &Point,
    address: SocketAddr,
    rate: Option<f64>,
    seconds: f64,
) -> Result<Run, Failure> {
    let mut line = vec!["hit".to_owned()];
    line.extend(point.arguments(address));
    line.extend(["--for".to_owned(), format!("{seconds}s")]);
    if let Some(rate) = rate {
        line.extend(["--rate".to_owned(), format!("{rate:.0}")]);
    }
    for flag in ["--quiet", "--timeout=5s", "--grace=2s"] {
        line.push(flag.to_owned());
    }
    let command = HitArguments::augment_args(Command::new("hit"));
    let matches = command.try_get_matches_from(line);
    let hit = matches.and_then(|matches| HitArguments::from_arg_matches(&matches));
    hit.map_err(Failure::setup)?.settings(&[])
}

/// The result of a run.
fn shown(run: &Run, seconds: f64) -> Result<Shown, Failure> {
    let (mut cpu_ns, mut busy) = (0, 0.0_f64);
    let mut observe = |window: &Window| {
        cpu_ns = window.state.cpu_ns;
        // The busy share of a window of few ms isn't reliable.
        if window.seconds() > seconds / 4.0 {
            busy = window.busy.iter().copied().fold(busy, f64::max);
        }
    };
    let summary = protocols::run_observed(run, &mut observe, |_control| {});
    let summary = summary.map_err(|error| Failure::run(&error))?;
    Ok(Shown::of(&summary, cpu_ns, busy))
}

fn heading(machine: &Machine) -> Result<(), Failure> {
    print(|out| {
        writeln!(out, "{machine}")?;
        writeln!(
            out,
            "protocol   loops  at a time    closed/s   on time/s   lag p50      p99    p99.9   CPU a hit  busy"
        )
    })
}

fn line(entry: &Entry) -> String {
    let time = |seconds: f64| time_text(seconds * 1e9);
    let open = entry
        .open_rate
        .map_or("none".to_owned(), |rate| grouped(rate, 3));
    format!(
        "{:<9}  {:>5}  {:>9}  {:>10}  {open:>10}  {:>8} {:>8} {:>8}  {:>10}  {:>3.0} %",
        entry.protocol,
        entry.loops,
        entry.workers,
        grouped(entry.closed_rate, 3),
        time(entry.lag_s.p50),
        time(entry.lag_s.p99),
        time(entry.lag_s.p999),
        time(entry.cpu_s),
        entry.busy * 100.0
    )
}
