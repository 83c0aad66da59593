//! Flags for the verdict and the display.

use std::path::PathBuf;

use clap::Args;

use crate::console::Progress;
use crate::criteria::{Condition, Criteria, Judging, StopRules};

/// Conditions, reports and progress.
#[derive(Debug, Args)]
#[command(next_help_heading = "Verdict and progress")]
pub(crate) struct VerdictArguments {
    /// Fail the run (exit status 99) if this is true at its end, such as 'p99>200ms',
    /// 'errors>1%', 'rate<950/s', '5xx>10' or 'p95{label=login}>300ms'. You can give several.
    #[arg(long = "fail-if", value_name = "CONDITION")]
    fail_if: Vec<Condition>,
    /// End the run (exit status 99) as soon as this is true, such as 'p99>1s for 10s', or
    /// Tank's 'time(1s,10s) http(5xx,10%,5s) net(xx,1,30) quantile(95,1s,10s)
    /// instances(80%,1m)'.
    #[arg(long = "stop-if", value_name = "CONDITION")]
    stop_if: Vec<StopRules>,
    /// Exit with status 6 if the generator itself was the limit.
    #[arg(long)]
    strict: bool,
    /// Write the summary to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    summary: Option<PathBuf>,
    /// Write the outcome of each condition to this file, as JUnit XML.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Print the summary as JSON.
    #[arg(short, long)]
    json: bool,
    /// Show nothing while the run goes on.
    #[arg(short, long)]
    quiet: bool,
    /// Print a line each second, also on a terminal, instead of the dashboard.
    ///
    /// Keys of the dashboard: p pauses the run, or resumes it; l shows labels; q stops the run,
    /// and a second q stops it at once; Ctrl-L redraws.
    #[arg(long, visible_alias = "no-tui", conflicts_with = "quiet")]
    lines: bool,
}

impl VerdictArguments {
    /// What is shown while the run goes on.
    pub(crate) fn progress(&self) -> Progress {
        match (self.quiet, self.lines) {
            (true, _) => Progress::Quiet,
            (_, true) => Progress::Lines,
            _ => Progress::Auto,
        }
    }

    /// The conditions, and the file of the summary.
    pub(crate) fn judging(&self) -> Judging {
        let rules = self.stop_if.iter().flat_map(|rules| rules.0.clone());
        Judging {
            criteria: Criteria {
                fail_if: self.fail_if.clone(),
                stop_if: StopRules(rules.collect()),
            },
            strict: self.strict,
            summary_file: self.summary.clone(),
            junit_file: self.junit.clone(),
            json: self.json,
            silent: false,
        }
    }
}
