//! Who sees a run beside the terminal, while it goes on and afterwards.

use std::path::PathBuf;

use clap::Args;
use encarno_report::live::LiveAddress;

use crate::url_text::{HeaderText, UrlText};

/// Pages of a run.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Pages")]
pub(crate) struct WatchArguments {
    /// Write a report of the run at its end: one page of HTML that needs nothing else.
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    /// Serve the same page while the run goes on: at :7070 of this machine alone, unless another
    /// address is given; one that others reach needs a token, which the printed URL has.
    #[arg(
        long,
        value_name = "ADDRESS",
        num_args = 0..=1,
        default_missing_value = ":7070"
    )]
    pub(crate) live: Option<LiveAddress>,
    /// … with buttons that pause and stop the run.
    #[arg(long, requires = "live")]
    pub(crate) control: bool,
    /// Send what happened each ten seconds by OTLP over HTTP to this URL, such as
    /// http://collector:4318. No hit waits for it; what isn't delivered is told at the end.
    #[arg(long, value_name = "URL")]
    pub(crate) otlp: Option<UrlText>,
    /// … with this header, 'Name: value'.
    #[arg(long, value_name = "HEADER", requires = "otlp")]
    pub(crate) otlp_header: Vec<HeaderText>,
}
