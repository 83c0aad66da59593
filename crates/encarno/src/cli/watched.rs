//! A run with its pages: one that is served while it goes on, and the report at its end.
//! Both are made of the result file; a run without one has one for so long.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use encarno_engine::control::{Control, Stop};
use encarno_export::steps::Steps;
use encarno_record::mask::masked_url;
use encarno_report::live::{Bound, Live, Steering};
use tempfile::TempDir;

use super::export::{self, Delivery, Protocol};
use super::flags::watch::WatchArguments;
use super::{Failure, complain, report};
use crate::files::Files;
use crate::messages;
use crate::protocols::Run;
use crate::url_text::{HeaderText, UrlText};

/// Points are sent of so many seconds each.
const EXPORT_SECONDS: u64 = 10;
/// What can't be delivered is tried again for so long.
const EXPORT_PATIENCE: Duration = Duration::from_secs(120);
/// The file is looked at that often.
const EXPORT_LOOK: Duration = Duration::from_secs(1);
/// Whoever waits longer than that for the last points is told so.
const EXPORT_QUIET: Duration = Duration::from_secs(2);

/// The pages of a run.
pub(super) struct Watched {
    arguments: WatchArguments,
    /// The result file; none if nobody wants a page.
    native: Option<PathBuf>,
    bound: Option<Bound>,
    live: Option<Live>,
    exported: Vec<Exported>,
    temporary: Option<TempDir>,
}

impl Watched {
    /// Notes the files, and has the run write a result file if it writes none.
    pub(super) fn new(
        arguments: &WatchArguments,
        run: &mut Run,
        files: &mut Files,
    ) -> Result<Self, Failure> {
        let mut watched = Self {
            arguments: arguments.clone(),
            native: None,
            bound: None,
            live: None,
            exported: Vec::new(),
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
                "{option} is made of the result file: write that to a file, not to the standard output"
            )));
        }
        watched.native = Some(native);
        Ok(watched)
    }

    /// Whether the run is to be shown while it goes on.
    pub(super) fn is_live(&self) -> bool {
        self.arguments.live.is_some()
    }

    /// Takes the address, before the run begins.
    pub(super) fn open(&mut self) -> Result<(), Failure> {
        for (_, _, url, _) in exports(&self.arguments) {
            export::parsed(url.exposed())?;
        }
        let Some(address) = &self.arguments.live else {
            return Ok(());
        };
        let bound = Bound::to(address).map_err(|error| {
            Failure::setup(format!("--live can't listen on {address}: {error}"))
        })?;
        complain(&format!("the run is shown at {}", bound.url()));
        self.bound = Some(bound);
        Ok(())
    }

    /// The run is on.
    pub(super) fn begin(&mut self, control: &Arc<Control>) {
        if let Some(native) = &self.native {
            for (option, protocol, url, headers) in exports(&self.arguments) {
                match Exported::start(protocol, url, headers, native, control) {
                    Ok(exported) => self.exported.push(exported),
                    Err(failure) => complain(&format!("{option}: {}", failure.text)),
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
            // The run is worth more than its page.
            Err(error) => complain(&format!("--live: the page can't be shown: {error}")),
        }
    }

    /// The run is over.
    pub(super) fn end(self) -> Result<(), Failure> {
        if let Some(live) = self.live {
            live.end();
        }
        // All of them are told first: the patience of one is that of all.
        self.exported.iter().for_each(Exported::tell);
        // A signal gives all of them up.
        let stops: Vec<_> = self.exported.iter().map(|it| it.control.stop()).collect();
        for (exported, stop) in self.exported.into_iter().zip(stops) {
            exported.end(stop);
        }
        if let (Some(report), Some(native)) = (&self.arguments.report, &self.native) {
            report::write(std::slice::from_ref(native), report, &[])?;
            complain(&format!("the report is in {}", report.display()));
        }
        drop(self.temporary);
        Ok(())
    }
}

/// Who gets the run's points while it goes on, and by which option.
fn exports(
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

/// A run that is steered from its page.
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

/// A run whose points are sent while it goes on, by a thread of its own.
struct Exported {
    thread: JoinHandle<Delivery>,
    over: Arc<AtomicBool>,
    url: String,
    control: Arc<Control>,
}

impl Exported {
    fn start(
        protocol: Protocol,
        url: &UrlText,
        headers: &[HeaderText],
        file: &Path,
        control: &Arc<Control>,
    ) -> Result<Self, Failure> {
        let mut steps = Steps::open(file, EXPORT_SECONDS).map_err(Failure::setup)?;
        let mut delivery = Delivery::of_run(
            protocol,
            url.exposed(),
            headers,
            EXPORT_PATIENCE,
            file,
            &steps,
        )?;
        let over = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&over);
        let body = move || {
            // A file that can't be read any more is told by the run itself.
            loop {
                let was_over = is_over.load(Ordering::Acquire);
                while let Ok(Some(step)) = match was_over {
                    true => steps.next_step(),
                    false => steps.next_whole(),
                } {
                    delivery.take(&step);
                }
                if was_over {
                    return delivery;
                }
                thread::park_timeout(EXPORT_LOOK);
            }
        };
        let thread = thread::Builder::new().name("export".to_owned());
        let thread = thread.spawn(body).map_err(Failure::setup)?;
        Ok(Self {
            thread,
            over,
            url: masked_url(url.exposed()),
            control: Arc::clone(control),
        })
    }

    /// The run is over.
    fn tell(&self) {
        self.over.store(true, Ordering::Release);
        self.thread.thread().unpark();
    }

    /// Waits until the last points are delivered, or a signal says not to: what the run
    /// was told before is `stop`.
    fn end(self, stop: Stop) {
        let began = Instant::now();
        let (url, mut told) = (&self.url, false);
        while !self.thread.is_finished() {
            if self.control.stop() != stop {
                return complain(&format!(
                    "the last points were NOT delivered to {url}: given up"
                ));
            }
            if !told && began.elapsed() > EXPORT_QUIET {
                told = true;
                complain(&format!(
                    "the run has ended; {url} gets {} s to take its last points, unless a signal \
                     (Ctrl-C) gives them up",
                    EXPORT_PATIENCE.as_secs()
                ));
            }
            thread::sleep(EXPORT_QUIET / 100);
        }
        match self.thread.join() {
            Ok(delivery) => {
                delivery.say();
            }
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}
