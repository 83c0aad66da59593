//! Results: what is recorded comes back, from each format and from broken files.

#![allow(clippy::expect_used)] // a test that can't go on says why

use std::path::{Path, PathBuf};

use encarno::read::convert::{self, ResultFormat};
use encarno::read::show::{self, Showing};
use encarno::read::stats;
use encarno_engine::output;
use encarno_engine::settings::OutputSettings;
use encarno_input::InputSettings;
use encarno_record::formats::{GoBinarySettings, TraceSettings};
use encarno_record::mask::Shown;
use encarno_record::results::HIT_BYTES;
use encarno_record::{Hit, StringId, Strings};
use proptest::prelude::*;

const STARTED_UNIX_NS: u64 = 1_700_000_000_123_000_000;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).expect("it was written")
    }

    fn text(&self, name: &str) -> String {
        String::from_utf8(self.bytes(name)).expect("it is text")
    }
}

/// Two hits whose every field differs, and their texts.
fn two_hits(strings: &Strings) -> [Hit; 2] {
    let good = Hit {
        scheduled_ns: 1_000_000_000,
        started_ns: 1_000_500_000,
        connected_ns: 1_001_000_000,
        sent_ns: 1_003_000_000,
        first_byte_ns: 1_010_000_000,
        ended_ns: 1_010_500_999,
        sent_bytes: 31,
        received_bytes: 62,
        label: strings.intern("label, \"one\"\nof\ttwo"),
        error: StringId(0),
        concurrency: 3,
        worker: 7,
        net_code: 0,
        protocol_code: 404,
        dns_us: 11,
        tls_us: 12,
    };
    let refused = Hit {
        scheduled_ns: 2_000_000_000,
        started_ns: 2_000_000_001,
        ended_ns: 2_001_000_001,
        label: StringId(0),
        error: strings.intern("connection refused"),
        net_code: 111,
        ..Hit::default()
    };
    [good, refused]
}

fn record(settings: &OutputSettings, strings: &Strings, hits: &[Hit]) -> output::WriteSummary {
    let (mut recorders, writer) =
        output::open(settings, 1, strings, STARTED_UNIX_NS).expect("it opens");
    hits.iter().for_each(|hit| recorders[0].record(hit));
    drop(recorders);
    writer.finish().expect("it is written")
}

fn native(path: PathBuf) -> OutputSettings {
    OutputSettings {
        native: Some(path),
        settings_text: "settings: of the run".into(),
        ..OutputSettings::default()
    }
}

#[test]
fn a_run_writes_all_formats_at_once() {
    let (folder, strings) = (Folder::new(), Strings::default());
    let settings = OutputSettings {
        go_binary: Some(GoBinarySettings {
            file: folder.path("go.bin"),
            strings_file: folder.path("go.ostr"),
            input_strings_file: None,
        }),
        ldjson: Some(folder.path("ldjson")),
        phout: Some(folder.path("phout")),
        ..native(folder.path("native"))
    };
    let hits = two_hits(&strings);
    let summary = record(&settings, &strings, &hits);
    assert_eq!(
        (summary.hits, summary.hits_lost, summary.warnings.len()),
        (2, 0, 0)
    );

    let go = folder.bytes("go.bin");
    assert_eq!(go.len(), 2 * 74);
    let expected = [
        &1_700_000_001_u32.to_le_bytes()[..],
        &404_u16.to_le_bytes(),
        &0_u16.to_le_bytes(),
        &3_u32.to_le_bytes(),
        &0.010_000_999_f64.to_le_bytes(),
        &0.0005_f64.to_le_bytes(),
        &0.002_f64.to_le_bytes(),
        &0.007_f64.to_le_bytes(),
        &0.000_500_999_f64.to_le_bytes(),
        &7_u32.to_le_bytes(),
        &1_u16.to_le_bytes(),
        &31_u64.to_le_bytes(),
        &62_u64.to_le_bytes(),
    ];
    assert_eq!(go[..74], expected.concat());
    assert_eq!(
        go[74 + 4..74 + 8],
        [999_u16.to_le_bytes(), 2_u16.to_le_bytes()].concat()
    );
    assert_eq!(
        folder.text("go.ostr"),
        "label, \"one\" of\ttwo\nconnection refused\n"
    );

    assert_eq!(
        folder.text("ldjson"),
        "{\"StartTS\":1700000001,\"Status\":404,\"ErrorStr\":\"\",\"Concurrency\":3,\"Elapsed\":10000999,\
         \"ConnectTime\":500000,\"SentTime\":2000000,\"FirstByteTime\":7000000,\"ReadTime\":500999,\"Worker\":7,\
         \"Label\":\"label, \\\"one\\\"\\nof\\ttwo\",\"SentBytesCount\":31,\"RespBytesCount\":62}\r\n\
         {\"StartTS\":1700000002,\"Status\":999,\"ErrorStr\":\"connection refused\",\"Concurrency\":0,\
         \"Elapsed\":1000000,\"ConnectTime\":1000000,\"SentTime\":0,\"FirstByteTime\":0,\"ReadTime\":0,\"Worker\":0,\
         \"Label\":\"\",\"SentBytesCount\":0,\"RespBytesCount\":0}\r\n"
    );
    let phout = "1700000001.123\tlabel, \"one\" of two\t10000\t500\t2000\t7000\t500\t10000\t31\t62\t0\t404\n\
                 1700000002.123\t\t1000\t1000\t0\t0\t0\t1000\t0\t0\t111\t0\n";
    assert_eq!(folder.text("phout"), phout);

    // What is converted later is the same.
    for (format, name) in [
        (ResultFormat::GoBinary, "go.bin"),
        (ResultFormat::Ldjson, "ldjson"),
        (ResultFormat::Phout, "phout"),
    ] {
        let converted = convert::results(&folder.path("native"), &folder.path("converted"), format)
            .expect("it converts");
        assert_eq!(converted.count, 2);
        assert_eq!(folder.bytes("converted"), folder.bytes(name), "{format:?}");
    }
    assert_eq!(folder.text("converted.ostr"), folder.text("go.ostr"));

    convert::results(
        &folder.path("native"),
        &folder.path("csv"),
        ResultFormat::Csv,
    )
    .expect("it converts");
    let csv = folder.text("csv");
    let (header, rows) = csv.split_once('\n').expect("a header");
    assert!(header.starts_with("scheduled_unix_ns,") && header.ends_with(",label,error"));
    assert!(rows.starts_with(
        "1700000001123000000,1700000001123500000,500000,10500999,10000999,11000,12000,500000,2000000,7000000,500999,\
         31,62,0,404,3,7,1000000000,1000500000,\"label, \"\"one\"\"\nof\ttwo\",\n"
    ), "{rows}");

    let mut shown = Vec::new();
    show::show(
        &InputSettings::of_file(folder.path("native")),
        &Showing::default(),
        &mut shown,
    )
    .expect("it is shown");
    let shown = String::from_utf8(shown).expect("text");
    assert!(
        shown.contains("# settings: of the run") && shown.contains("connection refused"),
        "{shown}"
    );
    assert!(shown.ends_with("# 2 hits read\n"), "{shown}");
}

#[cfg(feature = "parquet")]
#[test]
fn parquet_is_read_by_its_own_reader() {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::RowAccessor;

    let (folder, strings) = (Folder::new(), Strings::default());
    record(
        &native(folder.path("native")),
        &strings,
        &two_hits(&strings),
    );
    convert::results(
        &folder.path("native"),
        &folder.path("parquet"),
        ResultFormat::Parquet,
    )
    .expect("it converts");
    let file = std::fs::File::open(folder.path("parquet")).expect("there");
    let reader = SerializedFileReader::new(file).expect("it is Parquet");
    let rows: Vec<_> = reader
        .get_row_iter(None)
        .expect("rows")
        .map(|row| row.expect("a row"))
        .collect();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0].get_ulong(4).expect("service_ns"), 10_000_999);
    assert_eq!(
        rows[0].get_string(19).expect("label"),
        "label, \"one\"\nof\ttwo"
    );
    assert_eq!(rows[1].get_string(20).expect("error"), "connection refused");
}

#[test]
fn the_trace_has_what_its_level_asks_for() {
    let (folder, strings) = (Folder::new(), Strings::default());
    let trace = TraceSettings {
        file: folder.path("trace"),
        level: 500,
        shown: Shown::default(),
    };
    let settings = OutputSettings {
        trace: Some(trace),
        ..OutputSettings::default()
    };
    let (mut recorders, writer) =
        output::open(&settings, 1, &strings, STARTED_UNIX_NS).expect("it opens");
    let [good, refused] = two_hits(&strings);
    assert!(
        recorders[0].has_trace() && !recorders[0].traces(&good) && recorders[0].traces(&refused)
    );
    recorders[0].trace(&good, b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 404 No\r\n\r\n");
    recorders[0].trace(&refused, b"GET / HTTP/1.1\r\nCookie: secret\r\n\r\n", b"");
    drop(recorders);
    assert_eq!(writer.finish().expect("it is written").traces, 1);
    let text = folder.text("trace");
    let (line, rest) = text.split_once("\r\n").expect("a line");
    assert!(line.contains("\"Status\":999"));
    assert_eq!(rest, "GET / HTTP/1.1\r\nCookie: ******\r\n\r\n\r\n\r\n");
}

#[test]
fn past_the_last_number_the_go_format_says_so() {
    let (folder, strings) = (Folder::new(), Strings::default());
    let hits: Vec<Hit> = (0..70_000)
        .map(|n| Hit {
            label: strings.intern(&format!("label {n}")),
            ..Hit::default()
        })
        .collect();
    let settings = OutputSettings {
        go_binary: Some(GoBinarySettings {
            file: folder.path("go.bin"),
            strings_file: folder.path("go.ostr"),
            input_strings_file: None,
        }),
        ..OutputSettings::default()
    };
    let summary = record(&settings, &strings, &hits);
    assert!(
        summary.warnings[0].contains("4466 further labels"),
        "{:?}",
        summary.warnings
    );
    let (records, lines) = (folder.bytes("go.bin"), folder.text("go.ostr"));
    let lines: Vec<_> = lines.lines().collect();
    assert_eq!(lines.len(), 65_535);
    for (number, record) in records.as_chunks::<74>().0.iter().enumerate() {
        let index = usize::from(u16::from_le_bytes([record[56], record[57]]));
        let label = format!("label {number}");
        assert_eq!(
            lines[index - 1],
            if number < 65_534 {
                &*label
            } else {
                encarno_record::formats::CATCH_ALL
            }
        );
    }
}

#[test]
fn the_input_strings_come_first_in_the_output_strings() {
    let (folder, strings) = (Folder::new(), Strings::default());
    std::fs::write(folder.path("istr"), "one\n\ntwo\n").expect("written");
    let settings = OutputSettings {
        go_binary: Some(GoBinarySettings {
            file: folder.path("go.bin"),
            strings_file: folder.path("go.ostr"),
            input_strings_file: Some(folder.path("istr")),
        }),
        ..OutputSettings::default()
    };
    let hits = ["two", "new"].map(|label| Hit {
        label: strings.intern(label),
        ..Hit::default()
    });
    record(&settings, &strings, &hits);
    assert_eq!(folder.text("go.ostr"), "one\n\ntwo\nnew\n");
    let records = folder.bytes("go.bin");
    assert_eq!((records[56], records[74 + 56]), (3, 4));
}

fn read(path: &Path) -> (u64, stats::FileStatistics) {
    let file = stats::read(path).expect("it is readable");
    (file.statistics.total().hits, file)
}

#[test]
fn a_file_cut_anywhere_gives_every_complete_block() {
    let (folder, strings) = (Folder::new(), Strings::default());
    let path = folder.path("native");
    let settings = native(path.clone());
    let (mut recorders, writer) =
        output::open(&settings, 1, &strings, STARTED_UNIX_NS).expect("it opens");
    for (number, hit) in two_hits(&strings).iter().enumerate() {
        recorders[0].record(hit);
        recorders[0].record(&Hit {
            label: strings.intern(&format!("{number}")),
            ..*hit
        });
        recorders[0].flush();
    }
    drop(recorders);
    writer.finish().expect("it is written");
    let whole = folder.bytes("native");
    let (hits, file) = read(&path);
    assert!(hits == 4 && file.summary.is_whole());

    // Where each block ends, and the hits in it.
    let mut frames = encarno_record::frame::FrameReader::new(&whole[8..]);
    let mut ends = Vec::new();
    while let Some(frame) = frames.next_frame().expect("slices don't fail") {
        let hits = if frame.kind == 3 {
            (frame.payload.len() - 8) / HIT_BYTES
        } else {
            0
        };
        let end = frame.offset as usize + 16 + frame.payload.len();
        ends.push((end, hits as u64));
    }
    let run_end = ends[0].0;
    assert_eq!(ends.iter().filter(|(_, hits)| *hits > 0).count(), 4);
    for cut in 0..whole.len() {
        std::fs::write(&path, &whole[..cut]).expect("written");
        match stats::read(&path) {
            Err(_) => assert!(cut < run_end, "cut at {cut}"),
            Ok(file) => {
                assert!(cut >= run_end);
                let expected: u64 = ends
                    .iter()
                    .filter(|(end, _)| *end <= cut)
                    .map(|(_, hits)| hits)
                    .sum();
                assert_eq!(file.statistics.total().hits, expected, "cut at {cut}");
                assert!(!file.summary.ended && !file.summary.is_whole());
                assert!(file.summary.to_string().contains("the file has no end"));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn damage_costs_its_block_and_is_told(
        flips in prop::collection::vec((any::<prop::sample::Index>(), 1..=255_u8), 1..5),
    ) {
        let (folder, strings) = (Folder::new(), Strings::default());
        let path = folder.path("native");
        let hits: Vec<Hit> = (0..5000).map(|n| Hit { ended_ns: n, ..Hit::default() }).collect();
        record(&native(path.clone()), &strings, &hits);
        let mut bytes = folder.bytes("native");
        for (place, change) in &flips {
            let place = place.index(bytes.len());
            bytes[place] ^= change;
        }
        std::fs::write(&path, &bytes).expect("written");
        if let Ok(file) = stats::read(&path) {
            let summary = file.summary;
            prop_assert_eq!(file.statistics.total().hits, summary.hits);
            // An undamaged file can come out: two flips of one byte.
            prop_assert!(summary.is_whole() == (summary.hits == 5000 && summary.ended && summary.damage.places == 0));
            if summary.ended {
                prop_assert_eq!(summary.hits + summary.hits_damaged, 5000);
            }
        }
        let mut shown = Vec::new();
        let _ = show::show(&InputSettings::of_file(&path), &Showing::default(), &mut shown);
    }

    #[test]
    fn hits_come_back_as_they_were(
        times in prop::collection::vec(any::<[u64; 8]>(), 0..50),
        rest in any::<([u32; 4], [u16; 2])>(),
    ) {
        let (folder, strings) = (Folder::new(), Strings::default());
        let hits: Vec<Hit> = times.iter().map(|t| Hit {
            scheduled_ns: t[0], started_ns: t[1], connected_ns: t[2], sent_ns: t[3], first_byte_ns: t[4],
            ended_ns: t[5] >> 1, sent_bytes: t[6], received_bytes: t[7], concurrency: rest.0[0], worker: rest.0[1],
            dns_us: rest.0[2], tls_us: rest.0[3], net_code: rest.1[0], protocol_code: rest.1[1],
            label: StringId(0), error: StringId(0),
        }).collect();
        record(&native(folder.path("native")), &strings, &hits);
        let mut reader = stats::open(&folder.path("native")).expect("it opens");
        prop_assert_eq!(reader.started_unix_ns(), STARTED_UNIX_NS);
        let mut found = Vec::new();
        while let Some(block) = reader.next_block().expect("readable") {
            if let encarno_record::results::Block::Hits(hits) = block {
                found.extend(hits.iter());
            }
        }
        prop_assert_eq!(found, hits);
    }
}

#[test]
fn a_full_disk_is_an_error_and_nobody_waits() {
    let strings = Strings::default();
    let settings = native("/dev/full".into());
    let error = output::open(&settings, 1, &strings, 0).expect_err("the header can't be written");
    assert!(
        error.to_string().starts_with("can't write /dev/full: "),
        "{error}"
    );
    // phout writes nothing at first: the run meets the full disk.
    let settings = OutputSettings {
        phout: Some("/dev/full".into()),
        ..OutputSettings::default()
    };
    let (mut recorders, writer) = output::open(&settings, 1, &strings, 0).expect("it opens");
    (0..100_000).for_each(|_| recorders[0].record(&Hit::default()));
    drop(recorders);
    let error = writer.finish().expect_err("nothing was written");
    assert!(error.to_string().contains("No space left"), "{error}");
    let nowhere = native("/nonexistent/folder/run.enc".into());
    let error = output::open(&nowhere, 1, &strings, 0).expect_err("no such folder");
    assert!(
        error
            .to_string()
            .starts_with("can't create /nonexistent/folder/run.enc: "),
        "{error}"
    );
}

#[test]
fn statistics_as_json() {
    let (folder, strings) = (Folder::new(), Strings::default());
    let hits: Vec<Hit> = (1..=1000_u64)
        .map(|n| Hit {
            scheduled_ns: n * 1_000_000,
            started_ns: n * 1_000_000 + 5,
            ended_ns: n * 1_000_000 + n * 1000,
            label: strings.intern(if n % 2 == 0 { "even" } else { "odd" }),
            protocol_code: 200,
            sent_bytes: 2,
            ..Hit::default()
        })
        .collect();
    record(&native(folder.path("native")), &strings, &hits);
    let (_, mut file) = read(&folder.path("native"));
    let mut json = Vec::new();
    stats::print_json(&mut file, &mut json).expect("memory");
    let json: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
    assert_eq!(json["whole"], true);
    let total = &json["total"];
    assert_eq!(
        (&total["hits"], &total["sent_bytes"]),
        (&1000.into(), &2000.into())
    );
    assert_eq!(total["protocol_codes"]["200"], 1000);
    assert_eq!(total["response_ns"]["min"], 1000);
    assert_eq!(total["response_ns"]["max"], 1_000_000);
    let median = total["response_ns"]["p50"].as_f64().expect("a number");
    assert!((median / 500_000.0 - 1.0).abs() < 0.001, "{median}");
    assert_eq!(total["lag_ns"]["p99.9"], 5);
    assert_eq!(json["labels"][0]["label"], "odd");
    assert_eq!(json["labels"][1]["hits"], 500);
    let mut table = Vec::new();
    stats::print_table(&file.statistics, &mut file.texts, &mut table).expect("memory");
    let table = String::from_utf8(table).expect("text");
    assert!(table.starts_with("total: 1000 hits in 1.000 s"), "{table}");
    assert!(table.contains("\neven: 500 hits"), "{table}");
}
