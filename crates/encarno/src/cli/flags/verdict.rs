//! What is judged, and what is shown meanwhile.

use clap::Args;

use crate::console::Progress;

/// The verdict and the progress.
#[derive(Debug, Args)]
#[command(next_help_heading = "Verdict and progress")]
pub(crate) struct VerdictArguments {
    /// Exit with 6 if the generator itself was the limit.
    #[arg(long)]
    pub(crate) strict: bool,
    /// Show nothing while it runs.
    #[arg(short, long)]
    quiet: bool,
    /// Log lines even on a terminal.
    #[arg(long, conflicts_with = "quiet")]
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
}
