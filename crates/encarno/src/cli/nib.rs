//! `encarno nib`: components that are protocols.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Failure;

/// What `encarno nib` understands.
#[derive(Debug, Args)]
pub(super) struct NibArguments {
    #[command(subcommand)]
    command: NibCommand,
}

#[derive(Debug, Subcommand)]
enum NibCommand {
    /// Say what a component is, and replay answers to it: whole, byte by byte, cut and mutated.
    Check(CheckArguments),
}

#[derive(Debug, Args)]
struct CheckArguments {
    /// The component.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Records with their answers, one JSON object a line: record, sent, answer, status, failed.
    /// [default: the component's name with .vectors, if there is such a file]
    #[arg(long, value_name = "FILE")]
    vectors: Option<PathBuf>,
    /// The settings that the component gets.
    #[arg(long, value_name = "TEXT", default_value = "")]
    settings: String,
    /// Mutate the answers by other random numbers.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}

impl NibArguments {
    pub(super) fn run(self) -> Result<u8, Failure> {
        match self.command {
            NibCommand::Check(arguments) => arguments.run(),
        }
    }
}

#[cfg(feature = "wasm")]
impl CheckArguments {
    fn run(self) -> Result<u8, Failure> {
        use std::io::Write as _;

        let check = encarno_guest::check::Check {
            file: self.file,
            settings: self.settings,
            vectors: self.vectors,
            seed: self.seed,
        };
        let findings = check.run().map_err(Failure::setup)?;
        super::print(|out| {
            for line in &findings.lines {
                writeln!(out, "{line}")?;
            }
            match findings.broken {
                0 => writeln!(out, "ok"),
                broken => writeln!(out, "{broken} times it isn't as it should be"),
            }
        })?;
        Ok(match findings.broken {
            0 => crate::exit::OK,
            _ => crate::exit::SETUP,
        })
    }
}

#[cfg(not(feature = "wasm"))]
impl CheckArguments {
    fn run(self) -> Result<u8, Failure> {
        Err(Failure::usage(crate::protocols::WITHOUT_WASM))
    }
}
