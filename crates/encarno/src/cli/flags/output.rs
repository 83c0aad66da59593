//! Flags for the files of a run.

use std::path::PathBuf;

use clap::Args;
use encarno_engine::settings::OutputSettings;
use encarno_record::formats::{GoBinarySettings, TraceSettings};
use encarno_record::mask::Shown;
use encarno_record::notes::Notes;

/// The most bytes of an answer that a trace shows.
const TRACED_ANSWER_BYTES_MAX: usize = 1 << 20;

/// The files that a run writes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputArguments {
    /// Write every hit to this file.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Also write every hit as phout, Yandex.Tank's format.
    #[arg(long, value_name = "FILE")]
    phout: Option<PathBuf>,
    /// Also write every hit as a line of JSON.
    #[arg(long, value_name = "FILE")]
    ldjson: Option<PathBuf>,
    /// Also write the binary format of the Go tool. Its strings go to a file beside it (.ostr).
    #[arg(long, value_name = "FILE")]
    go_binary: Option<PathBuf>,
    /// Write requests and responses to this file.
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Trace only hits whose status is at least this: 0, 400, 500, or 600 for network errors
    /// alone.
    #[arg(long, value_name = "STATUS", default_value_t = 0, requires = "trace")]
    trace_level: u16,
    /// Show the value of this header in the trace. The words query and body show those. The
    /// trace always shows paths, names, and the values of headers such as Host, Content-Type
    /// and User-Agent.
    #[arg(long = "trace-show", value_name = "NAME", requires = "trace")]
    trace_shown: Vec<String>,
    /// Show everything in the trace, also passwords and cookies.
    #[arg(long, requires = "trace")]
    trace_secrets: bool,
}

/// Ends of file names that mean another format than that of `-o`.
const OTHER_FORMATS: [&str; 5] = ["csv", "json", "ldjson", "html", "phout"];

impl OutputArguments {
    /// A hint if `-o` was probably meant for something else.
    pub(crate) fn hint(&self) -> Option<String> {
        let file = self.output.as_ref()?;
        let end = file.extension().or(file.file_name())?.to_str()?;
        OTHER_FORMATS.contains(&end).then(|| {
            let file = file.display();
            match end {
                "html" => format!(
                    "-o {file} holds every hit, in encarno's own format: --report {file} writes \
                     a page"
                ),
                _ => format!(
                    "-o {file} holds every hit, in encarno's own format: for another format write \
                     -o run.enc, and then `encarno convert run.enc -o run.{end}`"
                ),
            }
        })
    }

    /// The number of bytes of each answer that the outputs need.
    pub(crate) fn keep_answer_bytes_max(&self) -> usize {
        match self.trace {
            Some(_) => TRACED_ANSWER_BYTES_MAX,
            None => 0,
        }
    }

    /// The outputs. `given` is the command line, for the result file;
    /// `input_strings_file` is the strings file of the records.
    pub(crate) fn settings(
        &self,
        given: &[(String, String)],
        input_strings_file: Option<PathBuf>,
    ) -> OutputSettings {
        OutputSettings {
            native: self.output.clone(),
            go_binary: self.go_binary.clone().map(|file| GoBinarySettings {
                strings_file: file.with_extension("ostr"),
                file,
                input_strings_file,
            }),
            ldjson: self.ldjson.clone(),
            phout: self.phout.clone(),
            trace: self.trace.clone().map(|file| TraceSettings {
                file,
                level: self.trace_level,
                shown: if self.trace_secrets {
                    Shown::all()
                } else {
                    Shown::of(&self.trace_shown)
                },
            }),
            settings_text: lines(given),
            notes: Notes {
                settings: given.to_vec(),
                ..Notes::default()
            },
        }
    }
}

fn lines(given: &[(String, String)]) -> String {
    let lines = given.iter();
    let lines: Vec<_> = lines
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    lines.join("\n")
}
