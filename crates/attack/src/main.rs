//! `attack`: storms against real programs, and checks that these withstand them.
//!
//! Each storm starts the program that it attacks, on free ports, and neighbours that use
//! it correctly. It goes on for a given time. Then a line reports the attacks, the
//! results of the neighbours, the memory of the program, and whether all checks held. No
//! check depends on the speed of the machine. The exit status is 1 if a check failed.
//!
//! - failure: why a storm can't be made
//! - programs: the attacked programs, and their memory
//! - neighbours: correct callers during a storm
//! - row: the result of a storm, and the table
//! - siege: a receiver under a storm
//! - run: the hit generator under a storm
//! - storms: the storms

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

/// Runs the storms; true if all checks held.
#[allow(clippy::print_stdout, reason = "the program prints a table")]
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
