//! `encarno run`: a configuration file, and what flags say otherwise.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use rustix::process::Pid;

use super::flags::watch::WatchArguments;
use super::watched::Watched;
use super::{Failure, carry_out, complain, habits, parent, process};
use crate::console::Progress;
use crate::{config, exit, protocols};

/// What `encarno run` understands.
#[derive(Debug, Args)]
pub(super) struct RunArguments {
    /// The file: Go-encarno's YAML, with keys of ours; or Yandex.Tank's load.yaml or load.ini.
    file: PathBuf,
    /// Read the file and its input, and send nothing: is everything right?
    #[arg(long)]
    check: bool,
    /// Another value of a key, such as workers.latelimit=500ms.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Write all hits to this file, whatever the configuration says.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Show nothing while it runs.
    #[arg(short, long)]
    quiet: bool,
    /// Print the summary as JSON.
    #[arg(short, long)]
    json: bool,
    /// End when that process has ended, as after SIGTERM.
    #[arg(long, value_name = "PID", value_parser = process)]
    parent: Option<Pid>,
    #[command(flatten)]
    watch: WatchArguments,
}

impl RunArguments {
    /// Of a file alone.
    pub(super) fn of(file: PathBuf) -> Self {
        Self {
            file,
            check: false,
            set: Vec::new(),
            output: None,
            quiet: false,
            json: false,
            parent: None,
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
                "{records} records: all of them can be sent"
            );
            return Ok(exit::OK);
        }
        parent::end_with(self.parent)?;
        let mut files = run.files();
        files.reads("the configuration", &self.file);
        let watched = Watched::new(&self.watch, &mut run, &mut files)?;
        carry_out(&run, &files, watched)
    }
}

/// Scripts and plans of other tools, by the ends of their names.
const OTHERS: [(&str, &str); 6] = [
    ("js", "k6 runs JavaScript, also with encarno's extension"),
    ("ts", "k6 runs TypeScript, also with encarno's extension"),
    (
        "lua",
        "write records with scripts instead, see docs/scripting.md",
    ),
    (
        "py",
        "write records with scripts instead, see docs/scripting.md",
    ),
    ("jmx", "Taurus reads JMeter's plans"),
    ("enc", "encarno stats FILE sums up a result file"),
];

fn check_exists(file: &Path) -> Result<(), Failure> {
    let end = file.extension().and_then(|end| end.to_str());
    let other = OTHERS.iter().find(|(known, _)| end == Some(*known));
    if let Some((_, instead)) = other {
        let text = format!("{}: this is no configuration: {instead}", file.display());
        return Err(Failure::usage(text));
    }
    let Some(command) = habits::meant(file) else {
        return Ok(());
    };
    let text = format!(
        "there is no command and no file {:?}: did you mean `encarno {command}`?",
        file.display().to_string()
    );
    Err(Failure::usage(text))
}
