//! Flags for pages and metrics, during the run and after it.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use encarno_report::served::Address;

use super::{duration, share};
use crate::url_text::{HeaderText, UrlText};

/// The pages and exports of a run.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Pages")]
pub(crate) struct WatchArguments {
    /// At the end, write a report of the run: one self-contained page of HTML.
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    /// Serve the same page while the run goes on [default: port 7070, for this machine alone].
    /// An address that other machines reach is protected by a token, which is part of the
    /// printed URL.
    #[arg(
        long,
        value_name = "ADDRESS",
        num_args = 0..=1,
        default_missing_value = ":7070"
    )]
    pub(crate) live: Option<Address>,
    /// Add buttons to the live page that pause and stop the run.
    #[arg(long, requires = "live")]
    pub(crate) control: bool,
    /// Send metrics every ten seconds (--export-period), by OTLP over HTTP, to this URL, such as
    /// http://collector:4318. No hit waits for that. What couldn't be delivered is reported at
    /// the end.
    #[arg(long, value_name = "URL")]
    pub(crate) otlp: Option<UrlText>,
    /// Add a header to these requests, 'Name: value'.
    #[arg(long, value_name = "HEADER", requires = "otlp")]
    pub(crate) otlp_header: Vec<HeaderText>,
    /// Send them by Prometheus's remote write to this URL, such as http://prometheus:9090.
    #[arg(long, value_name = "URL")]
    pub(crate) remote_write: Option<UrlText>,
    /// Add a header to these requests, 'Name: value'.
    #[arg(long, value_name = "HEADER", requires = "remote_write")]
    pub(crate) remote_write_header: Vec<HeaderText>,
    /// Serve metrics for Prometheus to fetch, at /metrics [default: port 9464, for this machine
    /// alone]. An address that other machines reach is protected by a token, which is part of
    /// the printed URL.
    #[arg(
        long,
        value_name = "ADDRESS",
        num_args = 0..=1,
        default_missing_value = ":9464"
    )]
    pub(crate) metrics: Option<Address>,
    /// Begin a trace with this share of hits, such as 1%: they get a header traceparent (W3C Trace
    /// Context), and exports link to them.
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub(crate) traceparent: Option<f64>,
    /// The time that each point of --otlp and --remote-write covers, in whole seconds
    /// [default: 10s].
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) export_period: Option<Duration>,
    /// Try again for this long to deliver what --otlp or --remote-write couldn't deliver
    /// [default: 2m].
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) export_patience: Option<Duration>,
}
