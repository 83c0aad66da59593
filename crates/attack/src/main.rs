//! `attack`: storms against real parts, and what they hold.
//!
//! Each storm starts the part that it attacks, on free ports, and neighbours that use it as
//! they should. It goes on for a given time. Then a line says what was thrown, how the
//! neighbours fared, how much memory the part took, and whether all of it held: nothing
//! that depends on how fast the machine is. Exit status 1 if something didn't.
//!
//! - failure: why a storm can't be made
//! - programs: the parts, and their memory
//! - neighbours: who calls as one should meanwhile
//! - row: what came of a storm, and the table
//! - siege: a receiver under a storm
//! - run: the hit generator under a storm
//! - storms: what is thrown

mod failure;
mod neighbours;
mod programs;
mod row;
mod run;
mod siege;
mod storms;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use crate::failure::Failure;
use crate::storms::STORMS;

/// Storms against the receiver, k6 and the hit generator, and what they hold.
#[derive(Parser)]
#[command(name = "attack")]
struct Arguments {
    /// The storms, by name; all of them if there is none
    storms: Vec<String>,

    /// How long each of them goes on
    #[arg(long, default_value = "60s", value_parser = duration)]
    time: Duration,

    /// Only those that are quick, and half a second of each
    #[arg(long)]
    short: bool,

    /// Print the table as Markdown
    #[arg(long)]
    markdown: bool,

    /// Print the names
    #[arg(long)]
    list: bool,
}

fn duration(text: &str) -> Result<Duration, String> {
    match encarno_record::parse_duration(text) {
        Some(ns) if ns > 0 => Ok(Duration::from_nanos(ns)),
        _ => Err("write a duration such as 60s or 5m".to_owned()),
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match attack(&Arguments::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("attack: {failure}");
            ExitCode::from(2)
        }
    }
}

/// Whether everything held.
#[allow(clippy::print_stdout, reason = "the table is what it is for")]
async fn attack(arguments: &Arguments) -> Result<bool, Failure> {
    for name in &arguments.storms {
        if !STORMS.iter().any(|storm| storm.name == name) {
            return Err(Failure::new(format!(
                "there is no storm {name}: see --list"
            )));
        }
    }
    let chosen = STORMS
        .iter()
        .filter(|storm| match arguments.storms.is_empty() {
            true => storm.short || !arguments.short,
            false => arguments.storms.iter().any(|name| name == storm.name),
        });
    if arguments.list {
        chosen.for_each(|storm| println!("{:20} {}", storm.name, storm.about));
        return Ok(true);
    }
    let time = match arguments.short {
        true => Duration::from_millis(500),
        false => arguments.time,
    };
    println!("{}", row::head(arguments.markdown));
    let mut held = true;
    for storm in chosen {
        let row = (storm.run)(time).await;
        let row = row.map_err(|failure| failure.within(storm.name))?;
        println!("{}", row.text(storm, arguments.markdown));
        held &= row.broken.is_empty();
    }
    Ok(held)
}
