//! One agent's part: this process becomes k6, and a child of it steers that k6.
//!
//! The agent started this process, and may end it at any time. If k6 were a child of it, k6
//! would then go on alone. So k6 replaces this process, and the child, which makes no load,
//! waits for the start and for the agent's end.

use std::ffi::OsString;
use std::io::{BufRead as _, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use encarno_nib::clock::monotonic_ns;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::surface::{self, Surface};
use crate::cli::parent::has_ended;
use crate::cli::{Failure, process};
use crate::exit;

/// How long k6 may take to compile the script and to make its VUs.
const READY: Duration = Duration::from_secs(600);
const LOOK: Duration = Duration::from_millis(20);
/// How long iterations may go on after the agent is gone.
const PATIENCE: Duration = Duration::from_secs(5);

/// The part that one k6 runs.
pub(super) struct Segment {
    pub(super) program: PathBuf,
    pub(super) script: PathBuf,
    /// The arguments of `k6 run`.
    pub(super) arguments: Vec<String>,
    pub(super) output: PathBuf,
    /// The part's number, from 0, and the number of parts.
    pub(super) part: (usize, usize),
}

/// Becomes k6. Returns only if that fails.
pub(super) fn make(segment: &Segment) -> Result<u8, Failure> {
    let port = surface::free_port()?;
    let (number, count) = segment.part;
    let own = std::env::current_exe().map_err(Failure::setup)?;
    let steering = Command::new(own)
        .args(["k6", "steer", "--port", &port.to_string()])
        .args(["--process", &std::process::id().to_string()])
        .args((number == 0).then_some("--first"))
        .spawn();
    steering.map_err(Failure::setup)?;
    let failed = Command::new(&segment.program)
        .arg("run")
        .arg(&segment.script)
        .args(&segment.arguments)
        .args(arguments(port, number, count))
        .arg("--out")
        .arg({
            let mut output = OsString::from("encarno=");
            output.push(&segment.output);
            output
        })
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .exec();
    Err(Failure::setup(format!(
        "{}: {failed}",
        segment.program.display()
    )))
}

/// The arguments of k6, which waits for its start at a port of the loopback interface.
fn arguments(port: u16, number: usize, count: usize) -> Vec<String> {
    let place = |at: usize| match at {
        0 => "0".to_owned(),
        at if at == count => "1".to_owned(),
        at => format!("{at}/{count}"),
    };
    let sequence: Vec<_> = (0..=count).map(place).collect();
    let mut arguments = vec![
        "--paused".to_owned(),
        format!("--address=127.0.0.1:{port}"),
        format!(
            "--execution-segment={}:{}",
            place(number),
            place(number + 1)
        ),
        format!("--execution-segment-sequence={}", sequence.join(",")),
        // The coordinator judges them once, by the metrics of all agents.
        "--no-thresholds".to_owned(),
        "--summary-mode=disabled".to_owned(),
        "--no-usage-report".to_owned(),
        "--quiet".to_owned(),
        // The first agent runs it through the API.
        "--no-setup".to_owned(),
    ];
    if number > 0 {
        arguments.push("--no-teardown".to_owned());
    }
    arguments
}

/// The arguments of `encarno k6 steer`, which only this program runs.
#[derive(Debug, Args)]
pub(super) struct SteerArguments {
    /// The port of k6's API.
    #[arg(long)]
    port: u16,
    /// The process that is k6, or will be.
    #[arg(long, value_parser = process)]
    process: Pid,
    /// It makes the first part: it sets the script up.
    #[arg(long)]
    first: bool,
}

impl SteerArguments {
    /// Starts k6 when its agent asks for it, and ends k6 when the agent is gone.
    pub(super) fn run(&self) -> Result<u8, Failure> {
        let k6 = pidfd_open(self.process, PidfdFlags::empty()).map_err(Failure::setup)?;
        let steered = self.start(&k6);
        if steered.is_err() {
            end(&k6);
        }
        steered?;
        let watched = k6.try_clone().map_err(Failure::setup)?;
        let body = move || {
            let mut rest = Vec::new();
            // The agent runs as long as it is open.
            let _end = std::io::stdin().lock().take(1 << 20).read_to_end(&mut rest);
            end(&watched);
        };
        let thread = thread::Builder::new().name("agent".to_owned()).spawn(body);
        thread.map_err(Failure::setup)?;
        while !has_ended(&k6, None) {}
        Ok(exit::OK)
    }

    fn start(&self, k6: &OwnedFd) -> Result<(), Failure> {
        let surface = Surface::at(self.port);
        let deadline = Instant::now() + READY;
        while !surface.is_waiting() {
            if has_ended(k6, Some(LOOK)) {
                // It has printed the reason.
                return Err(Failure::setup("k6 ended before it was ready"));
            }
            if Instant::now() > deadline {
                return Err(Failure::setup("k6 isn't ready after 10 minutes"));
            }
        }
        let mut data = None;
        if self.first {
            data = surface.set_up().map_err(Failure::setup)?;
        }
        let mut out = std::io::stdout();
        let said = match data {
            Some(data) => writeln!(out, "ready {data}"),
            None => writeln!(out, "ready"),
        };
        said.and_then(|()| out.flush()).map_err(Failure::setup)?;
        let mut line = String::new();
        std::io::stdin()
            .lock()
            .read_line(&mut line)
            .map_err(Failure::setup)?;
        let mut words = line.trim_end().splitn(3, ' ');
        let instant_ns = words.next().and_then(|word| word.parse::<u64>().ok());
        let instant_ns = instant_ns.ok_or_else(|| Failure::setup("nobody said when to start"))?;
        if let Some(data) = words.nth(1).filter(|data| !data.is_empty() && !self.first) {
            surface.take_data(data).map_err(Failure::setup)?;
        }
        thread::sleep(Duration::from_nanos(
            instant_ns.saturating_sub(monotonic_ns()),
        ));
        surface.resume().map_err(Failure::setup)
    }
}

/// Ends k6. Running iterations get a short time to end.
fn end(k6: &OwnedFd) {
    for signal in [Signal::TERM, Signal::TERM, Signal::KILL] {
        // It may have ended.
        let _sent = pidfd_send_signal(k6, signal);
        if has_ended(k6, Some(PATIENCE)) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::arguments;

    #[test]
    fn segments_are_whole_together() {
        let of = |number, count| {
            let mut arguments = arguments(1, number, count).into_iter();
            let found = arguments.find_map(|argument| {
                Some(argument.strip_prefix("--execution-segment=")?.to_owned())
            });
            found.unwrap()
        };
        assert_eq!(of(0, 1), "0:1");
        assert_eq!(
            [of(0, 3), of(1, 3), of(2, 3)],
            ["0:1/3", "1/3:2/3", "2/3:1"]
        );
        let all = arguments(1, 1, 3);
        assert!(all.contains(&"--execution-segment-sequence=0,1/3,2/3,1".to_owned()));
    }
}
