//! Measures how fast an input is read: `input_speed FILE [RECORDS]`.

#![allow(clippy::print_stdout)]

use std::num::NonZeroU64;
use std::time::Instant;

use encarno_input::InputSettings;
use encarno_record::Strings;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let file = std::env::args().nth(1).ok_or("which file?")?;
    let records: u64 = std::env::args()
        .nth(2)
        .map_or(Ok(5_000_000), |text| text.parse())?;
    let settings = InputSettings {
        records_max: NonZeroU64::new(records),
        ..InputSettings::of_file(file)
    };
    let start = Instant::now();
    let mut bytes = 0;
    let mut input = encarno_input::open(&settings, &Strings::default())?;
    let format = input.format();
    for record in input.by_ref() {
        bytes += record?.payload.len();
    }
    let time_s = start.elapsed().as_secs_f64();
    println!(
        "{format:?}: {:.2} M records/s, {:.0} MB/s",
        records as f64 / time_s / 1e6,
        bytes as f64 / time_s / 1e6
    );
    Ok(())
}
