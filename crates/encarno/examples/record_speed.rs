//! Measures recording and reading back, with everything on disk:
//! `record_speed [FILE [HITS [HITS_PER_S]]]`.

#![allow(clippy::print_stdout)]

use std::time::Instant;

use encarno_engine::settings::OutputSettings;
use encarno_record::sums::LoopState;
use encarno_record::{Expected, Hit, Strings};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "/tmp/record_speed.enc".into());
    let hits: u64 = std::env::args()
        .nth(2)
        .map_or(Ok(10_000_000), |text| text.parse())?;
    let rate: f64 = std::env::args()
        .nth(3)
        .map_or(Ok(4e6), |text| text.parse())?;
    let strings = Strings::default();
    let labels = ["one", "two", "three"].map(|label| strings.intern(label));
    let settings = OutputSettings {
        native: Some((&path).into()),
        ..OutputSettings::default()
    };
    let (mut recorders, writer) = encarno_engine::output::open(
        &settings,
        1,
        &strings,
        0,
        &Expected::default(),
        crossbeam_channel::unbounded().0,
        None,
    )?;
    let start = Instant::now();
    let mut random = 88_172_645_463_325_252_u64;
    for number in 0..hits {
        while number % 1024 == 0 && start.elapsed().as_secs_f64() * rate < number as f64 {
            std::thread::sleep(std::time::Duration::from_micros(100));
        }
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let started_ns = number * 300 + random % 100;
        let hit = Hit {
            scheduled_ns: number * 300,
            started_ns,
            connected_ns: started_ns,
            sent_ns: started_ns + 2_000,
            first_byte_ns: started_ns + 50_000,
            ended_ns: started_ns + 60_000 + (random >> 8) % 1_000_000,
            label: labels[(random % 3) as usize],
            protocol_code: 200,
            ..Hit::default()
        };
        recorders[0].record(&hit);
        if recorders[0].is_due(started_ns) {
            recorders[0].look(started_ns, LoopState::default());
        }
    }
    let recorded_s = start.elapsed().as_secs_f64();
    recorders.clear();
    let summary = writer.finish(0)?;
    let written_s = start.elapsed().as_secs_f64();
    println!(
        "recorded {:.1} M/s, written {:.1} M/s, {summary:?}",
        hits as f64 / recorded_s / 1e6,
        hits as f64 / written_s / 1e6
    );
    let start = Instant::now();
    let file = encarno_record::results::whole::read(path.as_ref())?;
    let read_s = start.elapsed().as_secs_f64();
    println!(
        "read {:.1} M/s: {}",
        file.summary.hits as f64 / read_s / 1e6,
        file.summary
    );
    let start = Instant::now();
    let by_hit = encarno_record::results::whole::read_hits(path.as_ref())?;
    let read_s = start.elapsed().as_secs_f64();
    let rate = by_hit.summary.hits as f64 / read_s / 1e6;
    println!("read hit by hit {rate:.1} M/s");
    encarno::read::stats::print_table(&file, &mut std::io::stdout())?;
    Ok(())
}
