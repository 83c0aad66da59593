//! The part of a run that this process makes.

use std::io::{BufRead, Read, Write};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use crossbeam_channel::{Sender, bounded};
use encarno_engine::settings::{Part, Start, StartAt};
use encarno_nib::clock::monotonic_ns;

use crate::cli::{Failure, parent};

/// Which part of a run this process makes, and when it starts.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "A part of a run")]
pub(crate) struct PartArguments {
    /// Make part K of N of a run. All parts together make the hits that one run would make.
    /// `encarno merge` merges their results.
    #[arg(long, value_name = "K/N", value_parser = part)]
    part: Option<(usize, usize)>,
    /// Start at this instant, as `date +%s` writes it. With -, the program prints `ready`, and
    /// then reads the instant from the standard input: CLOCK_MONOTONIC and Unix time, in ns.
    #[arg(long, value_name = "INSTANT", value_parser = instant, allow_hyphen_values = true)]
    start_at: Option<Instant>,
}

/// An instant that you name.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Instant {
    /// Unix time in ns.
    Unix(u64),
    /// Read from the standard input.
    Told,
}

impl PartArguments {
    /// Whether this process makes a part.
    pub(crate) fn is_given(&self) -> bool {
        self.part.is_some()
    }

    /// Whether an agent started this process, and tells it when to start.
    pub(crate) fn is_of_agent(&self) -> bool {
        matches!(self.start_at, Some(Instant::Told))
    }

    /// Which part, from 0, of how many.
    pub(crate) fn numbers(&self) -> (usize, usize) {
        self.part
            .map_or((0, 1), |(number, count)| (number - 1, count))
    }

    /// The part, for the engine.
    pub(crate) fn part(&self) -> Result<Part, Failure> {
        let (number, count) = self.numbers();
        let start = match self.start_at {
            None => Start::Now,
            Some(Instant::Unix(unix_ns)) => Start::At(at(unix_ns)?),
            Some(Instant::Told) => told()?,
        };
        Ok(Part {
            number,
            count,
            start,
        })
    }
}

fn part(text: &str) -> Result<(usize, usize), String> {
    let numbers = text.split_once('/').and_then(|(number, count)| {
        Some((number.trim().parse().ok()?, count.trim().parse().ok()?))
    });
    match numbers {
        Some((number, count)) if number >= 1 && number <= count && count <= PARTS_MAX => {
            Ok((number, count))
        }
        _ => Err(format!(
            "expected a part such as 2/4, of at most {PARTS_MAX} parts"
        )),
    }
}

const PARTS_MAX: usize = 10_000;

fn instant(text: &str) -> Result<Instant, String> {
    if text == "-" {
        return Ok(Instant::Told);
    }
    let bad = || "expected seconds since 1970, such as $(date -d '+10 sec' +%s)".to_owned();
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(decimals) || decimals.len() > 9 {
        return Err(bad());
    }
    let seconds: u64 = whole.parse().map_err(|_| bad())?;
    let ns: u64 = format!("{decimals:0<9}").parse().map_err(|_| bad())?;
    let unix_ns = seconds
        .checked_mul(1_000_000_000)
        .and_then(|seconds_ns| seconds_ns.checked_add(ns));
    unix_ns.map(Instant::Unix).ok_or_else(bad)
}

/// An instant of Unix time, converted with this machine's present clocks.
fn at(unix_ns: u64) -> Result<StartAt, Failure> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now_unix_ns = now.unwrap_or_default().as_nanos() as u64;
    let (monotonic_ns, ahead_ns) = (monotonic_ns(), unix_ns.checked_sub(now_unix_ns));
    let Some(ahead_ns) = ahead_ns else {
        let text = "--start-at: that instant has passed, so all hits would be late";
        return Err(Failure::usage(text));
    };
    if ahead_ns > AHEAD_NS_MAX {
        return Err(Failure::usage("--start-at: that is more than a day ahead"));
    }
    Ok(StartAt {
        monotonic_ns: monotonic_ns.saturating_add(ahead_ns),
        unix_ns,
    })
}

const AHEAD_NS_MAX: u64 = 24 * 3600 * 1_000_000_000;

/// Prints `ready`, and waits for the start from the standard input.
fn told() -> Result<Start, Failure> {
    let (ready, is_ready) = bounded::<()>(1);
    let (tell, start) = bounded(1);
    let body = move || {
        if is_ready.recv().is_ok() {
            let mut out = std::io::stdout();
            // If `ready` can't be printed, there is also no one who would send the start.
            if writeln!(out, "ready").and_then(|()| out.flush()).is_ok() {
                listen(&tell);
            }
        }
    };
    let thread = thread::Builder::new().name("start".to_owned()).spawn(body);
    thread.map_err(|error| Failure::setup(format!("--start-at: {error}")))?;
    Ok(Start::Told { ready, start })
}

fn listen(tell: &Sender<StartAt>) {
    let mut line = String::new();
    if std::io::stdin().lock().read_line(&mut line).is_err() {
        return;
    }
    let mut numbers = line.split_ascii_whitespace().map(str::parse);
    let (Some(Ok(monotonic_ns)), Some(Ok(unix_ns))) = (numbers.next(), numbers.next()) else {
        return;
    };
    // The run may have ended.
    let _taken = tell.send(StartAt {
        monotonic_ns,
        unix_ns,
    });
    // While the standard input is open, its writer runs. When it closes, nobody could end
    // this process any more, so it ends.
    let mut rest = Vec::new();
    let _end = std::io::stdin().lock().take(1 << 20).read_to_end(&mut rest);
    parent::end_this();
}
