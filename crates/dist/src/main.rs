//! Makes the files that go into the archives beside the programs.
//!
//! ```sh
//! encarno-dist pages DIR            # DIR/man/man1/*.1 and DIR/completions/*
//! encarno-dist licences PACKAGE...  # licences of what these packages depend on, to stdout
//! ```

mod licences;
mod pages;

use std::io::{self, Write as _};
use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Writes manual pages, completions and licences for archives.
#[derive(Parser)]
#[command(name = "encarno-dist", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Write the manual pages and completions of all programs below a directory.
    Pages {
        /// The directory; it is made if it doesn't exist.
        directory: PathBuf,
    },
    /// Print the licences of all crates that are linked into these packages.
    Licences {
        /// Packages of this workspace.
        #[arg(required = true)]
        packages: Vec<String>,
    },
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Pages { directory } => pages::write(&directory),
        Command::Licences { packages } => {
            let text = licences::of(&packages)?;
            io::stdout().write_all(text.as_bytes())?;
            Ok(())
        }
    }
}
