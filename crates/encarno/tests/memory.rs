//! Files of any size are read at constant memory, and no declared length is
//! believed: the process's own high-water mark says so. One test, for other
//! tests in this process would count too.

#![allow(clippy::expect_used)] // a test that can't go on says why

use std::fs::File;
use std::io::{BufWriter, Write};
use std::num::NonZeroU64;
use std::os::unix::fs::FileExt;
use std::path::Path;

use encarno_engine::output;
use encarno_engine::settings::OutputSettings;
use encarno_input::{InputFormat, InputSettings};
use encarno_record::{Expected, Hit, Payload, Strings};

const MIB: u64 = 1 << 20;

fn memory_bytes_max() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .expect("a high-water mark");
    let kib: u64 = line
        .split_whitespace()
        .nth(1)
        .and_then(|kib| kib.parse().ok())
        .expect("a number");
    kib * 1024
}

fn count(file: &Path, format: InputFormat, passes: u64) -> (u64, u64, u64) {
    let settings = InputSettings {
        format: Some(format),
        passes: NonZeroU64::new(passes),
        bad_limit: encarno_input::BadLimit::Share(1.0),
        ..InputSettings::of_file(file)
    };
    let (mut good, mut bytes, mut bad) = (0, 0, 0);
    for record in encarno_input::open(&settings, &Strings::default()).expect("it opens") {
        match record {
            Ok(record) => {
                good += 1;
                bytes += record.payload.len();
                if let Payload::File { file, range } = record.payload {
                    let mut last = [0; 3];
                    file.read_exact_at(&mut last, range.end - 3)
                        .expect("it is there");
                    assert_eq!(&last, b"end");
                }
            }
            Err(_) => bad += 1,
        }
    }
    (good, bytes, bad)
}

#[test]
fn memory_does_not_grow_with_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let before = memory_bytes_max();

    // 10 GiB in ten records; the file has holes where nothing was written.
    let huge = folder.path().join("huge");
    let file = File::create(&huge).expect("created");
    let mut at = 0;
    for _ in 0..10 {
        let length = 1024 * MIB;
        let header = format!("{length} huge\n");
        file.write_all_at(header.as_bytes(), at).expect("written");
        at += header.len() as u64 + length;
        file.write_all_at(b"end\n", at - 3).expect("written");
        at += 1;
    }
    assert_eq!(count(&huge, InputFormat::Raw, 3), (30, 30 * 1024 * MIB, 0));

    // Many small ones, read several times: 300 MB.
    let small = folder.path().join("small");
    let mut out = BufWriter::new(File::create(&small).expect("created"));
    for number in 0..500_000 {
        let payload = format!("GET /{number} HTTP/1.1\r\nHost: somewhere\r\n\r\n");
        write!(out, "{} tag\n{payload}\n", payload.len()).expect("written");
    }
    out.flush().expect("written");
    assert_eq!(count(&small, InputFormat::Raw, 10).0, 5_000_000);
    let read = memory_bytes_max();
    assert!(
        read - before < 16 * MIB,
        "{} bytes more for reading",
        read - before
    );

    // Lengths that aren't there, up to the largest number.
    for length in [2 * MIB, 1 << 40, i64::MAX as u64, u64::MAX] {
        let lie = folder.path().join("lie");
        for (format, text) in [
            (InputFormat::Raw, format!("{length} tag\nabc")),
            (InputFormat::Stpd, format!("{length} 0 tag\nabc")),
            (InputFormat::UriPost, format!("{length} /tag\nabc")),
            (InputFormat::Payload, format!("{{\"plen\": {length}}}\nabc")),
        ] {
            std::fs::write(&lie, &text).expect("written");
            // The file is without a good record: that is told too.
            assert_eq!(count(&lie, format, 1), (0, 0, 2), "{text}");
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            gzip.write_all(text.as_bytes()).expect("memory");
            std::fs::write(&lie, gzip.finish().expect("memory")).expect("written");
            assert_eq!(count(&lie, format, 1), (0, 0, 2), "{text}, packed");
        }
    }

    // A line without an end, 1 GiB of zeros packed into 1 MB.
    let bomb = folder.path().join("bomb");
    let mut gzip = flate2::write::GzEncoder::new(
        File::create(&bomb).expect("created"),
        flate2::Compression::fast(),
    );
    (0..1024).for_each(|_| gzip.write_all(&[0; MIB as usize]).expect("written"));
    gzip.finish().expect("written");
    assert_eq!(count(&bomb, InputFormat::Raw, 1), (0, 0, 2));
    let lied = memory_bytes_max();
    assert!(
        lied - before < 24 * MIB,
        "{} bytes more for lies",
        lied - before
    );

    // Three million hits written and read back: 276 MB.
    let results = folder.path().join("results");
    let strings = Strings::default();
    let settings = OutputSettings {
        native: Some(results.clone()),
        ..OutputSettings::default()
    };
    let (meter, _) = crossbeam_channel::unbounded();
    let (mut recorders, writer) =
        output::open(&settings, 1, &strings, 0, &Expected::default(), meter, None)
            .expect("it opens");
    let mut slept = 0;
    for number in 0..3_000_000_u64 {
        recorders[0].record(&Hit {
            ended_ns: number % 1_000_000,
            scheduled_ns: 0,
            ..Hit::default()
        });
        // The writer may be slower: what it hasn't written would be counted here.
        if recorders[0].queue_full_count() > slept {
            slept = recorders[0].queue_full_count();
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }
    drop(recorders);
    let summary = writer.finish(0).expect("written");
    assert_eq!((summary.hits, summary.hits_lost), (3_000_000, 0));
    let file = encarno_record::results::whole::read(&results).expect("readable");
    assert_eq!(file.statistics.total().hits, 3_000_000);
    let all = memory_bytes_max();
    assert!(
        all - before < 48 * MIB,
        "{} bytes more for results",
        all - before
    );
}
