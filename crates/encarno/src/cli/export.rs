//! `encarno export`: a result file to a system that keeps metrics.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use encarno_export::deliver::Target;
use encarno_export::steps::{Step, Steps};
use encarno_export::{Body, Origin, influx, otlp, remote_write};
use encarno_record::files::{self, Contents};
use encarno_record::mask::masked_url;
use encarno_secret::Secret;
use url::Url;

use super::flags::duration;
use super::read::Local;
use super::{Failure, complain};
use crate::exit;
use crate::files::Files;
use crate::url_text::HeaderText;

/// What `encarno export` understands.
#[derive(Debug, Args)]
pub(super) struct ExportArguments {
    /// A native result file. - is the standard input.
    file: PathBuf,
    /// Send by OTLP over HTTP to this URL, such as http://collector:4318: a collector of
    /// OpenTelemetry, Prometheus, or any other receiver that takes exponential histograms.
    #[arg(long, value_name = "URL", required_unless_present_any = ["remote_write", "influx"])]
    otlp: Option<String>,
    /// Send by Prometheus's remote write to this URL, such as http://prometheus:9090. Its native
    /// histograms must be switched on.
    #[arg(long, value_name = "URL", conflicts_with = "otlp")]
    remote_write: Option<String>,
    /// Send as Influx line protocol to this URL, or write the lines to this file. - is the
    /// standard output.
    #[arg(long, value_name = "URL|FILE", conflicts_with_all = ["otlp", "remote_write"])]
    influx: Option<String>,
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

/// Where points go, and what became of them.
pub(super) struct Delivery {
    target: Target,
    url: String,
    form: Form,
    delivered: u64,
    lost: u64,
    /// Why the first ones were lost. Nothing more is tried then.
    reason: Option<String>,
}

enum Form {
    Otlp(otlp::Exporter),
    RemoteWrite(remote_write::Exporter),
    Influx,
}

/// A form that tells of a run as a whole.
#[derive(Clone, Copy, Debug)]
pub(super) enum Protocol {
    /// OTLP over HTTP.
    Otlp,
    /// Prometheus's remote write.
    RemoteWrite,
}

impl Delivery {
    /// By that protocol, of the run in that file.
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
        let name = file.file_name().unwrap_or(file.as_os_str());
        let started_unix_ns = steps.started_unix_ns();
        let origin = Origin {
            started_unix_ns,
            run: format!("{}-{started_unix_ns}", name.to_string_lossy()),
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
        })
    }

    /// Delivers a period, or counts it as lost.
    pub(super) fn take(&mut self, step: &Step) {
        let (content_type, Body { bytes, points }) = match &mut self.form {
            Form::Otlp(exporter) => (otlp::CONTENT_TYPE, exporter.take(step)),
            Form::RemoteWrite(exporter) => (remote_write::CONTENT_TYPE, exporter.take(step)),
            Form::Influx => (influx::CONTENT_TYPE, influx::lines(step)),
        };
        if self.reason.is_some() {
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
                    self.reason = Some(why);
                }
            }
            Err(reason) => {
                self.lost += points;
                self.reason = Some(reason.to_string());
            }
        }
    }

    /// Says what became of the points: the exit status.
    pub(super) fn say(&self) -> u8 {
        let Self {
            delivered,
            lost,
            url,
            ..
        } = self;
        match &self.reason {
            None => {
                complain(&format!("{delivered} points were delivered to {url}"));
                exit::OK
            }
            Some(reason) => {
                let all = delivered + lost;
                complain(&format!(
                    "{lost} of {all} points were NOT delivered to {url}: {reason}"
                ));
                exit::OUTPUT
            }
        }
    }
}

impl ExportArguments {
    pub(super) fn run(&self) -> Result<u8, Failure> {
        let period = whole_seconds(self.period)?;
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
            delivery.take(&step);
            Ok(())
        })?;
        Ok(delivery.say())
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
                // Whoever reads it has seen enough.
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

fn whole_seconds(period: Duration) -> Result<u64, Failure> {
    let seconds = period.as_secs();
    match (seconds, period.subsec_nanos()) {
        (1..=3600, 0) => Ok(seconds),
        _ => Err(Failure::usage(
            "--period takes whole seconds, from 1s to 1h: the file has sums of seconds",
        )),
    }
}
