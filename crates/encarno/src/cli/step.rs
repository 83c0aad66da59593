//! `encarno step`: writes stpd files.

use std::io::{BufWriter, Write};
use std::num::NonZeroU64;
use std::path::PathBuf;

use clap::Args;
use encarno_engine::schedule::{HitInstants, Randomness, Schedule, write_stpd};
use encarno_input::{InputFormat, InputSettings};
use encarno_record::Strings;
use encarno_record::files::{self, Contents};
use encarno_record::statistics::counted;

use super::Failure;
use crate::exit;
use crate::files::Files;

/// The arguments of `encarno step`.
#[derive(Debug, Args)]
pub(super) struct StepArguments {
    /// The file of records.
    input: PathBuf,
    /// The schedule by which records are sent, such as 'line(1,100,30s)'.
    #[arg(long, value_name = "SCHEDULE", value_parser = Schedule::read)]
    rate: Schedule,
    /// The stpd file to write. - is the standard output.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// The format of the records, if it isn't recognised.
    #[arg(long, value_name = "FORMAT")]
    format: Option<InputFormat>,
    /// Read the records N times [default: as often as the schedule needs].
    #[arg(long = "loop", value_name = "N")]
    passes: Option<NonZeroU64>,
    /// The Host header of records that have none.
    #[arg(long, default_value = "localhost")]
    host: String,
    /// Spread records as a Poisson process with this seed, instead of evenly.
    #[arg(long, value_name = "SEED")]
    poisson: Option<u64>,
}

impl StepArguments {
    pub(super) fn run(&self) -> Result<u8, Failure> {
        let mut claimed = Files::default();
        claimed
            .reads("the input", &self.input)
            .writes("the stpd file", &self.output);
        for file in self.rate.files() {
            claimed.reads("the schedule's file", file);
        }
        claimed.check()?;
        let settings = InputSettings {
            format: self.format,
            passes: self.passes,
            host: self.host.clone(),
            ..InputSettings::of_file(&self.input)
        };
        let strings = Strings::default();
        let records = encarno_input::open(&settings, &strings).map_err(Failure::setup)?;
        let records = records.map(|record| {
            record.map(|record| {
                let label = strings.get(record.label).unwrap_or_default();
                (record, label)
            })
        });
        let seed = self.poisson.or(self.rate.is_poisson().then_some(0));
        let randomness = seed.map_or(Randomness::None, |seed| Randomness::Poisson { seed });
        let instants = HitInstants::new(&self.rate, randomness, 0, 1);
        let failed = |error: std::io::Error| {
            Failure::output(format!("can't write {}: {error}", self.output.display()))
        };
        let file = files::create(&self.output, Contents::Requests).map_err(failed)?;
        let mut output = BufWriter::with_capacity(1 << 20, file);
        let written = write_stpd(instants, records, &mut output)
            .and_then(|count| output.flush().map(|()| count));
        let count = match written {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(exit::OK),
            written => written.map_err(failed)?.map_err(Failure::setup)?,
        };
        super::complain(&format!("{} written", counted(count, "record")));
        Ok(exit::OK)
    }
}
