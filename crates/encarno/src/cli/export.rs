//! `encarno export`: a result file to a system that keeps metrics.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use encarno_export::deliver::Target;
use encarno_export::influx;
use encarno_export::otlp::{self, Exporter};
use encarno_export::steps::{Step, Steps};
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
    #[arg(long, value_name = "URL", required_unless_present = "influx")]
    otlp: Option<String>,
    /// Send as Influx line protocol to this URL, or write the lines to this file. - is the
    /// standard output.
    #[arg(long, value_name = "URL|FILE", conflicts_with = "otlp")]
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
    Otlp(Exporter),
    Influx,
}

impl Delivery {
    /// By OTLP, of the run in that file.
    pub(super) fn otlp(
        text: &str,
        headers: &[HeaderText],
        patience: Duration,
        file: &Path,
        steps: &Steps,
    ) -> Result<Self, Failure> {
        let mut url = parsed(text)?;
        if url.path() == "/" {
            url.set_path(otlp::PATH);
        }
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let name = file.file_name().unwrap_or(file.as_os_str());
        let started_unix_ns = steps.started_unix_ns();
        let run = format!("{}-{started_unix_ns}", name.to_string_lossy());
        let program = steps.program().unwrap_or("encarno");
        let exporter = Exporter::new(started_unix_ns, &run, host.trim(), program);
        Self::new(&url, headers, patience, Form::Otlp(exporter))
    }

    fn new(
        url: &Url,
        headers: &[HeaderText],
        patience: Duration,
        form: Form,
    ) -> Result<Self, Failure> {
        let headers = headers.iter().map(HeaderText::parts);
        let headers: Result<Vec<(String, Secret)>, String> = headers.collect();
        let headers = headers.map_err(Failure::usage)?;
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
        let (content_type, bytes, points) = match &mut self.form {
            Form::Otlp(exporter) => {
                let body = exporter.take(step);
                (otlp::CONTENT_TYPE, body.bytes, body.points)
            }
            Form::Influx => {
                let (lines, points) = influx::lines(step);
                (influx::CONTENT_TYPE, lines.into_bytes(), points)
            }
        };
        if self.reason.is_some() {
            self.lost += points;
            return;
        }
        match self.target.deliver(content_type, &bytes) {
            Ok(answer) => {
                let rejected = match self.form {
                    Form::Otlp(_) => otlp::rejected(&answer),
                    Form::Influx => None,
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
        let delivery = match (&self.otlp, &self.influx) {
            (Some(url), _) => Delivery::otlp(url, &self.headers, self.patience, &self.file, &steps),
            (None, Some(to)) if to.starts_with("http://") || to.starts_with("https://") => {
                Delivery::new(&parsed(to)?, &self.headers, self.patience, Form::Influx)
            }
            (None, Some(to)) => return self.influx_file(steps, to),
            (None, None) => Err(Failure::usage("where to? Give --otlp URL or --influx URL")),
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
            let (lines, _) = influx::lines(&step);
            match out.write_all(lines.as_bytes()) {
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
