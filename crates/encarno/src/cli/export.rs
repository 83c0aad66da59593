//! `encarno export`: sends a result file to a system that keeps metrics.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use clap::Args;
use encarno_export::deliver::{Target, Undelivered};
use encarno_export::steps::{Step, Steps};
use encarno_export::{Body, Origin, influx, otlp, remote_write, run_name, scrape};
use encarno_record::files::{self, Contents};
use encarno_record::mask::masked_url;
use encarno_record::statistics::{counted, was};
use encarno_report::served::{Address, Bound, Document};
use encarno_secret::Secret;
use url::Url;

use super::fetched::Fetched;
use super::flags::duration;
use super::read::Local;
use super::{Failure, complain};
use crate::exit;
use crate::files::Files;
use crate::url_text::HeaderText;

/// A file that is served is looked at that often.
const LOOK: Duration = Duration::from_millis(200);

/// What `encarno export` understands.
#[derive(Debug, Args)]
pub(super) struct ExportArguments {
    /// A native result file. - is the standard input.
    file: PathBuf,
    /// Send by OTLP over HTTP to this URL, such as http://collector:4318: a collector of
    /// OpenTelemetry, Prometheus, or any other receiver that takes exponential histograms.
    #[arg(long, value_name = "URL", required_unless_present_any = ["remote_write", "influx", "metrics"])]
    otlp: Option<String>,
    /// Send by Prometheus's remote write to this URL, such as http://prometheus:9090. Its native
    /// histograms must be switched on.
    #[arg(long, value_name = "URL", conflicts_with = "otlp")]
    remote_write: Option<String>,
    /// Send as Influx line protocol to this URL, or write the lines to this file. - is the
    /// standard output.
    #[arg(long, value_name = "URL|FILE", conflicts_with_all = ["otlp", "remote_write"])]
    influx: Option<String>,
    /// Serve metrics for Prometheus to fetch, at /metrics, also while the file grows, until you
    /// stop this command [default: port 9464, for this machine alone].
    #[arg(
        long,
        value_name = "ADDRESS",
        num_args = 0..=1,
        default_missing_value = ":9464",
        conflicts_with_all = ["otlp", "remote_write", "influx", "headers"]
    )]
    metrics: Option<Address>,
    /// Add a header to each request, 'Name: value', such as one with a token.
    #[arg(short = 'H', long = "header", value_name = "HEADER")]
    headers: Vec<HeaderText>,
    /// The time that each point covers, in whole seconds.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    period: Duration,
    /// Try again for this long to deliver what couldn't be delivered.
    #[arg(long, value_name = "DURATION", default_value = "2m", value_parser = duration)]
    patience: Duration,
}

/// The destination of points, and a count of delivered and lost points.
pub(super) struct Delivery {
    target: Target,
    url: String,
    form: Form,
    delivered: u64,
    lost: u64,
    /// Why the first ones were lost.
    reason: Option<String>,
    /// Nothing more is tried.
    is_over: bool,
}

/// How often a receiver that takes nothing is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// For each period anew.
    Anew,
    /// Once: nothing more is tried then.
    Once,
}

enum Form {
    Otlp(otlp::Exporter),
    RemoteWrite(remote_write::Exporter),
    Influx,
}

/// A protocol that sends a run as a whole.
#[derive(Clone, Copy, Debug)]
pub(super) enum Protocol {
    /// OTLP over HTTP.
    Otlp,
    /// Prometheus's remote write.
    RemoteWrite,
}

impl Delivery {
    /// A delivery by this protocol, of the run in this file.
    pub(super) fn of_run(
        protocol: Protocol,
        text: &str,
        headers: &[HeaderText],
        patience: Duration,
        file: &Path,
        steps: &Steps,
    ) -> Result<Self, Failure> {
        let mut url = parsed(text)?;
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let origin = Origin {
            started_unix_ns: steps.started_unix_ns(),
            run: run_name(file, steps.started_unix_ns()),
            instance: host.trim().to_owned(),
            program: steps.program().unwrap_or("encarno").to_owned(),
        };
        let (path, form) = match protocol {
            Protocol::Otlp => (otlp::PATH, Form::Otlp(otlp::Exporter::new(&origin))),
            Protocol::RemoteWrite => {
                let exporter = remote_write::Exporter::new(&origin);
                (remote_write::PATH, Form::RemoteWrite(exporter))
            }
        };
        if url.path() == "/" {
            url.set_path(path);
        }
        Self::new(&url, headers, patience, form)
    }

    fn new(
        url: &Url,
        headers: &[HeaderText],
        patience: Duration,
        form: Form,
    ) -> Result<Self, Failure> {
        let headers = headers.iter().map(HeaderText::parts);
        let headers: Result<Vec<(String, Secret)>, String> = headers.collect();
        let mut headers = headers.map_err(Failure::usage)?;
        if let Form::RemoteWrite(_) = form {
            let own =
                remote_write::HEADERS.map(|(name, value)| (name.to_owned(), Secret::new(value)));
            headers.extend(own);
        }
        Ok(Self {
            target: Target::new(url.as_str(), headers, patience),
            url: masked_url(url.as_str()),
            form,
            delivered: 0,
            lost: 0,
            reason: None,
            is_over: false,
        })
    }

    /// Delivers a period, or counts it as lost.
    pub(super) fn take(&mut self, step: &Step, patience: Patience) {
        let (content_type, Body { bytes, points }) = match &mut self.form {
            Form::Otlp(exporter) => (otlp::CONTENT_TYPE, exporter.take(step)),
            Form::RemoteWrite(exporter) => (remote_write::CONTENT_TYPE, exporter.take(step)),
            Form::Influx => (influx::CONTENT_TYPE, influx::lines(step)),
        };
        if self.is_over {
            self.lost += points;
            return;
        }
        match self.target.deliver(content_type, &bytes) {
            Ok(answer) => {
                let rejected = match self.form {
                    Form::Otlp(_) => otlp::rejected(&answer),
                    Form::RemoteWrite(_) | Form::Influx => None,
                };
                let (rejected, why) = rejected.unwrap_or_default();
                self.delivered += points.saturating_sub(rejected);
                self.lost += rejected;
                if rejected > 0 {
                    self.is_over = true;
                    self.reason.get_or_insert(why);
                }
            }
            Err(reason) => {
                self.lost += points;
                self.is_over =
                    patience == Patience::Once || matches!(reason, Undelivered::Refused(_));
                self.reason.get_or_insert(reason.to_string());
            }
        }
    }

    /// Whether all points were delivered.
    pub(super) fn is_whole(&self) -> bool {
        self.reason.is_none()
    }

    /// What became of the points.
    pub(super) fn text(&self) -> String {
        let Self {
            delivered,
            lost,
            url,
            ..
        } = self;
        match &self.reason {
            None => {
                let points = counted(*delivered, "point");
                format!("{points} {} delivered to {url}", was(*delivered))
            }
            Some(reason) => {
                let all = delivered + lost;
                let later = match self.is_over {
                    true => "",
                    // Each point has all since the start.
                    false => "; those that came later have their sums",
                };
                let points = counted(all, "point");
                let were = was(*lost);
                format!("{lost} of {points} {were} NOT delivered to {url}: {reason}{later}")
            }
        }
    }
}

impl ExportArguments {
    pub(super) fn run(&self) -> Result<u8, Failure> {
        let period = whole_seconds("--period", self.period)?;
        if let Some(address) = &self.metrics {
            return self.serve(address);
        }
        let local = Local::of(&self.file)?;
        let steps = Steps::open(local.path(), period).map_err(Failure::setup)?;
        let of_run = |protocol, url: &str| {
            Delivery::of_run(
                protocol,
                url,
                &self.headers,
                self.patience,
                &self.file,
                &steps,
            )
        };
        let delivery = match (&self.otlp, &self.remote_write, &self.influx) {
            (Some(url), ..) => of_run(Protocol::Otlp, url),
            (None, Some(url), _) => of_run(Protocol::RemoteWrite, url),
            (None, None, Some(to)) if to.starts_with("http://") || to.starts_with("https://") => {
                Delivery::new(&parsed(to)?, &self.headers, self.patience, Form::Influx)
            }
            (None, None, Some(to)) => return self.influx_file(steps, to),
            (None, None, None) => Err(Failure::usage(
                "where to? Give --otlp URL, --remote-write URL or --influx URL",
            )),
        };
        let mut delivery = delivery?;
        self.each(steps, |step| {
            delivery.take(&step, Patience::Once);
            Ok(())
        })?;
        complain(&delivery.text());
        Ok(match delivery.is_whole() {
            true => exit::OK,
            false => exit::OUTPUT,
        })
    }

    fn serve(&self, address: &Address) -> Result<u8, Failure> {
        let is_over = Arc::new(AtomicBool::new(false));
        for signal in super::ending_signals() {
            signal_hook::flag::register(signal, Arc::clone(&is_over)).map_err(Failure::setup)?;
        }
        let mut steps = Steps::open(&self.file, 1).map_err(Failure::setup)?;
        let fetched = Fetched::of(&self.file, &steps);
        let bound = Bound::to(address, scrape::PATH).map_err(|error| {
            Failure::setup(format!("--metrics can't listen on {address}: {error}"))
        })?;
        let url = bound.url().to_owned();
        let document: Arc<dyn Document> = Arc::<Fetched>::clone(&fetched);
        let _served = bound.serve(document).map_err(Failure::setup)?;
        complain(&format!("metrics can be fetched at {url}"));
        let failed = |error| Failure::setup(format!("{}: {error}", self.file.display()));
        while !is_over.load(Ordering::Relaxed) {
            while let Some(step) = match steps.has_ended() {
                true => steps.next_step(),
                false => steps.next_whole(),
            }
            .map_err(failed)?
            {
                fetched.take(&step);
            }
            thread::sleep(LOOK);
        }
        Ok(exit::OK)
    }

    fn influx_file(&self, steps: Steps, to: &str) -> Result<u8, Failure> {
        let path = PathBuf::from(to);
        let mut uses = Files::default();
        uses.reads("the result file", &self.file);
        uses.writes("the lines", &path);
        uses.check()?;
        let failed = |error| Failure::output(format!("can't write {to}: {error}"));
        let mut out = files::create(&path, Contents::Results).map_err(failed)?;
        let mut is_enough = false;
        self.each(steps, |step| {
            match out.write_all(&influx::lines(&step).bytes) {
                // The reader has closed the pipe.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => is_enough = true,
                Err(error) if !is_enough => return Err(failed(error)),
                _ => {}
            }
            Ok(())
        })?;
        Ok(exit::OK)
    }

    fn each(
        &self,
        mut steps: Steps,
        mut take: impl FnMut(Step) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let failed = |error| Failure::setup(format!("{}: {error}", self.file.display()));
        while let Some(step) = steps.next_step().map_err(failed)? {
            take(step)?;
        }
        if !steps.has_ended() {
            complain(&format!(
                "{}: the file has no end: what it has up to here was exported",
                self.file.display()
            ));
        }
        Ok(())
    }
}

pub(super) fn parsed(text: &str) -> Result<Url, Failure> {
    let url = Url::parse(text).ok();
    url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .ok_or_else(|| {
            let shown = masked_url(text);
            Failure::usage(format!(
                "{shown}: expected a URL such as http://collector:4318"
            ))
        })
}

/// A period that an option names.
pub(super) fn whole_seconds(option: &str, period: Duration) -> Result<u64, Failure> {
    let seconds = period.as_secs();
    match (seconds, period.subsec_nanos()) {
        (1..=3600, 0) => Ok(seconds),
        _ => Err(Failure::usage(format!(
            "{option} takes whole seconds, from 1s to 1h: the file has sums of seconds"
        ))),
    }
}
