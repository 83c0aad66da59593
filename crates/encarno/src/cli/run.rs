//! `encarno run`: runs a configuration file, with flags that override it.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use encarno_record::statistics::counted;
use rustix::process::Pid;

use super::flags::bounds::BoundArguments;
use super::flags::fleet::FleetArguments;
use super::flags::part::PartArguments;
use super::flags::watch::WatchArguments;
use super::watched::Watched;
use super::{Failure, capacity, carry_out, complain, fleet, habits, parent, process};
use crate::capacity::{Asked, Settings};
use crate::console::Progress;
use crate::criteria::Judging;
use crate::files::Files;
use crate::protocols::Run;
use crate::{config, exit, protocols};

/// The arguments of `encarno run`.
#[derive(Debug, Args)]
pub(super) struct RunArguments {
    /// The configuration: YAML, as for the Go tool, with more keys; or load.yaml or load.ini of
    /// Yandex.Tank.
    file: PathBuf,
    /// Check the file and its input, and send nothing.
    #[arg(long)]
    check: bool,
    /// Give a key another value, such as workers.latelimit=500ms.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Write every hit to this file, whatever the configuration says.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Show nothing while the run goes on.
    #[arg(short, long)]
    quiet: bool,
    /// Print the summary as JSON.
    #[arg(short, long)]
    json: bool,
    /// End when this process has ended, in the same way as after SIGTERM.
    #[arg(long, value_name = "PID", value_parser = process)]
    parent: Option<Pid>,
    #[command(flatten)]
    part: PartArguments,
    #[command(flatten)]
    bounds: BoundArguments,
    #[command(flatten)]
    pub(super) fleet: FleetArguments,
    #[command(flatten)]
    watch: WatchArguments,
}

impl RunArguments {
    /// The arguments for a file without further flags.
    pub(super) fn of(file: PathBuf) -> Self {
        Self {
            file,
            check: false,
            set: Vec::new(),
            output: None,
            quiet: false,
            json: false,
            parent: None,
            part: PartArguments::default(),
            bounds: BoundArguments::default(),
            fleet: FleetArguments::default(),
            watch: WatchArguments::default(),
        }
    }

    pub(super) fn run(&self) -> Result<u8, Failure> {
        check_exists(&self.file)?;
        let read = config::read_with(&self.file, &self.set).map_err(Failure::setup)?;
        for note in &read.notes {
            complain(note);
        }
        let mut run = read.run;
        if let Some(output) = &self.output {
            run.settings.output.native = Some(output.clone());
        }
        if self.quiet {
            run.progress = Progress::Quiet;
        }
        run.judging.json |= self.json;
        if self.check {
            let records = protocols::read_through(&run).map_err(|error| Failure::run(&error))?;
            let _shown = writeln!(
                std::io::stdout(),
                "{}: the whole input can be sent",
                counted(records, "record")
            );
            return Ok(exit::OK);
        }
        if self.part.is_of_agent() {
            // The coordinator judges the figures of all agents.
            run.judging = Judging::default();
        }
        run.settings.part = self.part.part()?;
        parent::end_with(self.parent)?;
        let mut files = run.files();
        files.reads("the configuration", &self.file);
        self.fleet.note_files(&mut files);
        self.bounds.check(&run, &files)?;
        let watched = Watched::new(&self.watch, &mut run, &mut files)?;
        if let Some(asked) = run.capacity.clone() {
            return self.measure(&run, asked, &files, watched);
        }
        match self.fleet.agents {
            Some(_) => fleet::carry_out(&self.fleet, &run, &files, watched),
            None => carry_out(&run, &files, watched),
        }
    }
}

impl RunArguments {
    /// Measures a capacity, as the file asks.
    fn measure(
        &self,
        run: &Run,
        asked: Asked,
        files: &Files,
        watched: Watched,
    ) -> Result<u8, Failure> {
        if self.fleet.agents.is_some() || run.settings.part.count > 1 {
            let text =
                "a capacity is measured by one process: each trial depends on the ones before";
            return Err(Failure::usage(text));
        }
        let settings = Settings {
            generator_max: capacity::generator_max(run),
            ..asked.settings
        };
        let stdout = self.json.then(|| PathBuf::from("-"));
        let json = stdout.or(asked.json_file);
        capacity::measure(run, settings, files, json.as_deref(), watched)
    }
}

/// Fails if the name isn't a file, with a hint if it resembles a command.
pub(super) fn check_exists(file: &Path) -> Result<(), Failure> {
    let name = file.display().to_string();
    if file.exists() || file.extension().is_some() || name.contains('/') {
        return Ok(());
    }
    let instead = match habits::meant(file) {
        None if ["completion", "completions", "man"].contains(&&*name) => {
            "`make dist` writes completions and manual pages, see docs/install.md".to_owned()
        }
        Some(command) => format!("did you mean `encarno {command}`?"),
        None => "see encarno --help".to_owned(),
    };
    let text = format!("there is no command and no file {name:?}: {instead}");
    Err(Failure::usage(text))
}
