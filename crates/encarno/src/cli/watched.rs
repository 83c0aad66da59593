//! A run with its pages: one that is served while it goes on, and the report at its end.
//! Both are made of the result file; a run without one has one for so long. So is what
//! systems that keep metrics get:
//!
//! - follower: reads the file on
//! - pushed: points that are sent to them
//! - scraped: points that they fetch

mod follower;
mod pushed;
mod scraped;

pub(super) use scraped::{Scraped, bound_for_metrics};

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use encarno_engine::control::{Control, Stop};
use encarno_record::condition::Condition;
use encarno_record::notes::{Notes, Verdict};
use encarno_record::results::add_notes;
use encarno_report::demand::Demand;
use encarno_report::live::{Live, Steering};
use encarno_report::served::Bound;
use tempfile::TempDir;

use super::export::{self, Protocol};
use super::flags::watch::WatchArguments;
use super::{Failure, complain, page, report};
use crate::files::Files;
use crate::messages;
use crate::protocols::Run;
use crate::url_text::{HeaderText, UrlText};

/// Points are sent of so many seconds each, unless somebody says otherwise.
const EXPORT_PERIOD: Duration = Duration::from_secs(10);
/// What can't be delivered is tried again for so long.
const EXPORT_PATIENCE: Duration = Duration::from_secs(120);

/// The pages of a run.
pub(super) struct Watched {
    arguments: WatchArguments,
    /// The result file; `None` if no page is wanted.
    native: Option<PathBuf>,
    bound: Option<Bound>,
    live: Option<Live>,
    metrics: Option<Bound>,
    exports: Vec<Box<dyn Export>>,
    temporary: Option<TempDir>,
}

impl Watched {
    /// Notes the files, and makes the run write a result file if it writes none.
    pub(super) fn new(
        arguments: &WatchArguments,
        run: &mut Run,
        files: &mut Files,
    ) -> Result<Self, Failure> {
        if let Some(share) = arguments.traceparent {
            run.settings.script.traced_share = share;
        }
        let mut watched = Self {
            arguments: arguments.clone(),
            native: None,
            bound: None,
            live: None,
            metrics: None,
            exports: Vec::new(),
            temporary: None,
        };
        let option = match arguments {
            WatchArguments {
                report: Some(report),
                ..
            } => {
                files.writes("the report", report);
                "--report"
            }
            WatchArguments { live: Some(_), .. } => "--live",
            WatchArguments { otlp: Some(_), .. } => "--otlp",
            WatchArguments {
                remote_write: Some(_),
                ..
            } => "--remote-write",
            WatchArguments {
                metrics: Some(_), ..
            } => "--metrics",
            _ => return Ok(watched),
        };
        let native = match &run.settings.output.native {
            Some(native) => native.clone(),
            None => {
                files.check()?;
                let folder = tempfile::tempdir().map_err(Failure::output)?;
                let file = folder.path().join("run.enc");
                watched.temporary = Some(folder);
                run.settings.output.native = Some(file.clone());
                file
            }
        };
        let folder = native.parent();
        if encarno_record::files::is_stdout(&native)
            || !folder.is_none_or(|folder| folder == Path::new("") || folder.is_dir())
        {
            return Err(Failure::usage(format!(
                "{option} needs the result file: write the results to a file, not to the \
                 standard output"
            )));
        }
        watched.native = Some(native);
        Ok(watched)
    }

    /// What was asked for.
    pub(super) fn arguments(&self) -> &WatchArguments {
        &self.arguments
    }

    /// Takes the addresses, before the run begins.
    pub(super) fn open(&mut self) -> Result<(), Failure> {
        for (_, _, url, _) in pushes(&self.arguments) {
            export::parsed(url.exposed())?;
        }
        self.period()?;
        if let Some(address) = &self.arguments.metrics {
            self.metrics = Some(bound_for_metrics(address)?);
        }
        let Some(address) = &self.arguments.live else {
            return Ok(());
        };
        self.bound = Some(page::of_run(address)?);
        Ok(())
    }

    /// Starts the pages at the start of the run.
    pub(super) fn begin(&mut self, control: &Arc<Control>) {
        if let Some(native) = &self.native {
            // The run is worth more than what is told of it.
            for (option, protocol, url, headers) in pushes(&self.arguments) {
                let push = pushed::Push {
                    protocol,
                    url: url.exposed(),
                    headers,
                    seconds: self.period().unwrap_or(EXPORT_PERIOD.as_secs()),
                    patience: self.arguments.export_patience.unwrap_or(EXPORT_PATIENCE),
                };
                match push.start(native, control) {
                    Ok(pushed) => self.exports.push(Box::new(pushed)),
                    Err(failure) => complain(&format!("{option}: {}", failure.text)),
                }
            }
            if let Some(bound) = self.metrics.take() {
                let control = Arc::clone(control);
                match Scraped::start(bound, native, Arc::new(move || control.stop())) {
                    Ok(scraped) => self.exports.push(Box::new(scraped)),
                    Err(failure) => complain(&format!("--metrics: {}", failure.text)),
                }
            }
        }
        let (Some(bound), Some(native)) = (self.bound.take(), &self.native) else {
            return;
        };
        let steering: Option<Box<dyn Steering>> = match self.arguments.control {
            true => Some(Box::new(Steered(Arc::clone(control)))),
            false => None,
        };
        let name = match &self.temporary {
            Some(_) => "run".to_owned(),
            None => report::names(std::slice::from_ref(native)).concat(),
        };
        match bound.show(native, name, steering) {
            Ok(live) => self.live = Some(live),
            // The run goes on without its page.
            Err(error) => complain(&format!("--live: the page can't be shown: {error}")),
        }
    }

    /// The run is over, and was judged so: whoever gets its points gets the last ones.
    /// What they didn't get is said in the verdict, also in that of the result file.
    pub(super) fn deliver(&mut self, verdict: &mut Verdict) {
        // All of them are told first: the patience of one is that of all.
        self.exports.iter().for_each(|export| export.tell());
        // A signal gives all of them up.
        let stops: Vec<_> = self.exports.iter().map(|it| it.stop()).collect();
        let exports = self.exports.drain(..).zip(stops);
        let lost: Vec<_> = exports
            .filter_map(|(export, stop)| export.end(stop))
            .collect();
        if lost.is_empty() {
            return;
        }
        verdict.reasons.extend(lost);
        let Some(native) = &self.native else {
            return;
        };
        let notes = Notes {
            verdict: Some(verdict.clone()),
            ..Notes::default()
        };
        if let Err(error) = add_notes(native, &notes) {
            complain(&format!(
                "{}: its verdict doesn't tell of the points that are missing: {error}",
                native.display()
            ));
        }
    }

    /// The run is over, and its points were delivered. The report says whether these
    /// conditions hold, as the summary does.
    pub(super) fn end(self, fail_if: &[Condition]) -> Result<(), Failure> {
        if let Some(live) = self.live {
            live.end();
        }
        if let (Some(report), Some(native)) = (&self.arguments.report, &self.native) {
            let demands: Vec<_> = fail_if.iter().cloned().map(Demand::Condition).collect();
            report::write(std::slice::from_ref(native), report, &demands)?;
            complain(&format!("the report is in {}", report.display()));
        }
        drop(self.temporary);
        Ok(())
    }

    /// How many seconds a point covers.
    fn period(&self) -> Result<u64, Failure> {
        let period = self.arguments.export_period.unwrap_or(EXPORT_PERIOD);
        export::whole_seconds("--export-period", period)
    }
}

/// Says what the run was told up to now.
pub(super) type Told = Arc<dyn Fn() -> Stop + Send + Sync>;

/// Somebody who gets the run's points while it goes on, by a thread of its own.
pub(super) trait Export {
    /// The run is over.
    fn tell(&self);
    /// What the run was told up to now.
    fn stop(&self) -> Stop;
    /// Waits until they have the last points, or somebody told the run more than `stop`:
    /// what they don't have.
    fn end(self: Box<Self>, stop: Stop) -> Option<String>;
}

/// Who is sent the run's points while it goes on, and by which option.
fn pushes(
    arguments: &WatchArguments,
) -> impl Iterator<Item = (&'static str, Protocol, &UrlText, &[HeaderText])> {
    let otlp = arguments.otlp.as_ref();
    let otlp = otlp.map(|url| ("--otlp", Protocol::Otlp, url, &*arguments.otlp_header));
    let remote_write = arguments.remote_write.as_ref();
    let remote_write = remote_write.map(|url| {
        let headers = &*arguments.remote_write_header;
        ("--remote-write", Protocol::RemoteWrite, url, headers)
    });
    otlp.into_iter().chain(remote_write)
}

/// A run that the page can pause and stop.
struct Steered(Arc<Control>);

impl Steering for Steered {
    fn pause(&self) -> Result<(), String> {
        let paused = self.0.pause().map(|_| ());
        paused.map_err(|error| error.to_string())
    }

    fn resume(&self) -> Result<(), String> {
        let resumed = self.0.resume().map(|_| ());
        resumed.map_err(|error| error.to_string())
    }

    fn stop(&self) {
        if self.0.stop() == Stop::No {
            messages::say_stop(self.0.stop_harder());
        }
    }

    fn is_paused(&self) -> bool {
        self.0.is_paused()
    }
}
