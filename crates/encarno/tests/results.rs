//! Results: what is recorded comes back, from each format and from broken files.

#![allow(clippy::expect_used)] // a test that can't go on says why

use std::path::{Path, PathBuf};

use encarno::read::convert;
use encarno::read::show::{self, Showing};
use encarno::read::stats;
use encarno_engine::output;
use encarno_engine::settings::OutputSettings;
use encarno_input::InputSettings;
use encarno_record::formats::{GoBinarySettings, OutputError, ResultFormat, TraceSettings};
use encarno_record::mask::Shown;
use encarno_record::results::HIT_BYTES;
use encarno_record::results::whole;
use encarno_record::statistics::LabelStatistics;
use encarno_record::sums::LoopState;
use encarno_record::{Expected, Hit, StringId, Strings, Texts};
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

fn open(
    settings: &OutputSettings,
    recorders: usize,
    strings: &Strings,
) -> Result<(Vec<output::Recorder>, output::WriterThread), OutputError> {
    let (meter, _) = crossbeam_channel::unbounded();
    let expected = Expected::default();
    output::open(
        settings,
        recorders,
        strings,
        STARTED_UNIX_NS,
        &expected,
        meter,
        None,
    )
}

fn record(settings: &OutputSettings, strings: &Strings, hits: &[Hit]) -> output::WriteSummary {
    let (mut recorders, writer) = open(settings, 1, strings).expect("it opens");
    hits.iter().for_each(|hit| recorders[0].record(hit));
    drop(recorders);
    writer.finish(0).expect("it is written")
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

#[cfg(feature = "parquet")]
#[test]
fn parquet_in_folders_has_each_hit_in_its_second_once() {
    use std::collections::BTreeMap;

    use encarno::read::convert::ResultsTarget;
    use encarno_record::formats::Partition;
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::RowAccessor;

    let (folder, strings) = (Folder::new(), Strings::default());
    // More hits than are kept until they are written, and a straggler of the first second.
    let mut hits: Vec<Hit> = (0..300_000)
        .map(|number| Hit {
            scheduled_ns: number * 10_000,
            ended_ns: number * 10_000,
            sent_bytes: number,
            label: strings.intern("page"),
            ..Hit::default()
        })
        .collect();
    hits.push(Hit {
        sent_bytes: 300_000,
        ..hits[7]
    });
    record(&native(folder.path("native")), &strings, &hits);
    let target = |partition| ResultsTarget::Folders("a-run".into(), partition);
    let (from, to) = (folder.path("native"), folder.path("runs"));
    convert::results(&from, &to, target(Partition::Second)).expect("it converts");
    let mut counts = BTreeMap::new();
    let mut seen = vec![false; hits.len()];
    for second in std::fs::read_dir(to.join("run=a-run")).expect("a folder") {
        let second = second.expect("a folder").path();
        let name = second.file_name().and_then(|name| name.to_str());
        let unix: u64 = name
            .and_then(|name| name.strip_prefix("second=")?.parse().ok())
            .expect("a second");
        for file in std::fs::read_dir(&second).expect("a folder") {
            let file = std::fs::File::open(file.expect("a file").path()).expect("there");
            let reader = SerializedFileReader::new(file).expect("it is Parquet");
            for row in reader.get_row_iter(None).expect("rows") {
                let row = row.expect("a row");
                let ended =
                    row.get_ulong(0).expect("scheduled") + row.get_ulong(3).expect("response");
                assert_eq!(ended / 1_000_000_000, unix);
                let number = row.get_ulong(11).expect("sent_bytes");
                assert!(
                    !std::mem::replace(&mut seen[number as usize], true),
                    "{number}"
                );
                assert_eq!(row.get_string(19).expect("label"), "page");
                *counts.entry(unix).or_insert(0) += 1;
            }
        }
    }
    assert!(seen.iter().all(|seen| *seen));
    // The run began at .123 of a second.
    let first = STARTED_UNIX_NS / 1_000_000_000;
    let known = [
        (first, 87_701),
        (first + 1, 100_000),
        (first + 2, 100_000),
        (first + 3, 12_300),
    ];
    assert_eq!(counts, known.into());
    let again = convert::results(&from, &to, target(Partition::Second)).expect_err("it is there");
    assert!(again.to_string().contains("run=a-run"), "{again}");
    let minutes = folder.path("minutes");
    convert::results(&from, &minutes, target(Partition::Minute)).expect("it converts");
    let minute = format!("run=a-run/minute={}", first / 60);
    assert!(minutes.join(minute).join("0.parquet").exists());
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
    let (mut recorders, writer) = open(&settings, 1, &strings).expect("it opens");
    let [good, refused] = two_hits(&strings);
    assert!(
        recorders[0].has_trace() && !recorders[0].traces(&good) && recorders[0].traces(&refused)
    );
    recorders[0].trace(&good, b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 404 No\r\n\r\n");
    recorders[0].trace(&refused, b"GET / HTTP/1.1\r\nCookie: secret\r\n\r\n", b"");
    drop(recorders);
    assert_eq!(writer.finish(0).expect("it is written").traces, 1);
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

fn read(path: &Path) -> (u64, whole::FileStatistics) {
    let file = whole::read(path).expect("it is readable");
    (file.statistics.total().hits, file)
}

#[test]
fn a_file_cut_anywhere_gives_every_complete_block() {
    let (folder, strings) = (Folder::new(), Strings::default());
    let path = folder.path("native");
    let settings = native(path.clone());
    let (mut recorders, writer) = open(&settings, 1, &strings).expect("it opens");
    for (number, hit) in two_hits(&strings).iter().enumerate() {
        recorders[0].record(hit);
        recorders[0].record(&Hit {
            label: strings.intern(&format!("{number}")),
            ..*hit
        });
        recorders[0].look(0, LoopState::default());
    }
    drop(recorders);
    writer.finish(0).expect("it is written");
    let whole = folder.bytes("native");
    let (hits, file) = read(&path);
    assert!(hits == 4 && file.summary.is_whole());

    // Where each block ends, and the hits in it.
    let mut frames = encarno_record::frame::FrameReader::new(&whole[8..]);
    let mut ends = Vec::new();
    while let Some(frame) = frames.next_frame().expect("slices don't fail") {
        let hits = if frame.kind == 3 {
            (frame.payload.len() - 12) / HIT_BYTES
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
        match whole::read(&path) {
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
        if let Ok(file) = whole::read(&path) {
            let summary = file.summary;
            prop_assert_eq!(file.statistics.total().hits, summary.hits);
            // An undamaged file can come out: two flips of one byte.
            let undamaged = summary.damage.places == 0 && summary.hits_damaged == 0;
            prop_assert_eq!(
                summary.is_whole(),
                summary.hits == 5000 && summary.ended && undamaged,
                "{:?}", summary
            );
            // Where sums stand for hits, the number in their block is read without the
            // block's checksum: a flip in it is told as damage, though nothing is lost.
            if summary.ended && summary.hits != 5000 {
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
        let mut reader = whole::open(&folder.path("native")).expect("it opens");
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

/// Hits of a run, as several event loops record them: each looks around when
/// time has passed, so that the file has sums as a run's has.
fn record_as_loops(path: &Path, strings: &Strings, loops: usize, hits: &[Hit]) {
    let (mut recorders, writer) = open(&native(path.into()), loops, strings).expect("it opens");
    for (number, hit) in hits.iter().enumerate() {
        let recorder = &mut recorders[number % loops];
        if recorder.is_due(hit.ended_ns) {
            recorder.look(hit.ended_ns, LoopState::default());
        }
        recorder.record(hit);
    }
    drop(recorders);
    writer.finish(0).expect("it is written");
}

/// What a hit of the properties below is made of.
type Seed = (usize, u64, u64, u16, u16);

fn seeds(count: usize) -> impl Strategy<Value = Vec<Seed>> {
    let codes = prop_oneof![Just(200_u16), Just(404), Just(0)];
    let net = prop_oneof![4 => Just(0_u16), 1 => Just(111)];
    let seed = (
        0..5_usize,
        0..4_000_000_000_u64,
        0..50_000_000_u64,
        codes,
        net,
    );
    prop::collection::vec(seed, 0..count)
}

fn hits_of(seeds: &[Seed], strings: &Strings) -> Vec<Hit> {
    let mut hits: Vec<Hit> = seeds
        .iter()
        .map(
            |&(label, ended_ns, lasted_ns, protocol_code, net_code)| Hit {
                scheduled_ns: ended_ns.saturating_sub(lasted_ns),
                started_ns: ended_ns.saturating_sub(lasted_ns / 2),
                ended_ns,
                received_bytes: lasted_ns,
                label: strings.intern(["", "a", "b", "c", "d"][label]),
                error: strings.intern(if net_code == 0 { "" } else { "refused" }),
                protocol_code,
                net_code,
                concurrency: label as u32,
                ..Hit::default()
            },
        )
        .collect();
    hits.sort_by_key(|hit| hit.ended_ns);
    hits
}

fn table(file: &whole::FileStatistics) -> (String, Vec<(String, LabelStatistics)>) {
    let mut table = Vec::new();
    stats::print_table(file, &mut table).expect("memory");
    let labels = file.statistics.labels();
    let labels = labels.map(|(label, statistics)| (label.to_owned(), statistics.clone()));
    (String::from_utf8(table).expect("text"), labels.collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn files_merge_to_what_one_file_with_all_hits_says(
        one in seeds(300), other in seeds(300), loops in 1..4_usize,
    ) {
        let folder = Folder::new();
        let paths = ["one", "other", "all"].map(|name| folder.path(name));
        // The same label has another number in each file.
        let strings = [Strings::default(), Strings::default(), Strings::default()];
        for text in ["d", "refused", "b"] {
            strings[1].intern(text);
        }
        record_as_loops(&paths[0], &strings[0], loops, &hits_of(&one, &strings[0]));
        record_as_loops(&paths[1], &strings[1], 1, &hits_of(&other, &strings[1]));
        let all = [&one[..], &other].concat();
        record_as_loops(&paths[2], &strings[2], 2, &hits_of(&all, &strings[2]));
        let mut merged = whole::read(&paths[0]).expect("readable");
        merged.merge(&whole::read(&paths[1]).expect("readable"));
        let whole = whole::read(&paths[2]).expect("readable");
        let hits = whole.statistics.total().hits;
        prop_assert_eq!(hits, all.len() as u64);
        prop_assert_eq!(table(&merged), table(&whole));
        prop_assert!(merged.summary.is_whole());
        // And what the sums say is what the hits say.
        let by_hit = whole::read_hits(&paths[2]).expect("readable");
        prop_assert_eq!(table(&by_hit).1, table(&whole).1);
        prop_assert_eq!(by_hit.summary, whole.summary);
    }

    #[test]
    fn a_file_cut_or_damaged_anywhere_says_what_its_hits_say(
        seeds in seeds(200), loops in 1..4_usize, cut: prop::sample::Index,
        damage in prop::option::of((any::<prop::sample::Index>(), 1..=255_u8)),
    ) {
        let (folder, strings) = (Folder::new(), Strings::default());
        let path = folder.path("native");
        let hits = hits_of(&seeds, &strings);
        record_as_loops(&path, &strings, loops, &hits);
        let mut bytes = folder.bytes("native");
        match damage {
            None => bytes.truncate(cut.index(bytes.len() + 1)),
            Some((place, change)) => {
                let place = place.index(bytes.len());
                bytes[place] ^= change;
            }
        }
        std::fs::write(&path, &bytes).expect("written");
        let Ok(by_sums) = whole::read(&path) else {
            prop_assert!(whole::read_hits(&path).is_err());
            return Ok(());
        };
        let by_hit = whole::read_hits(&path).expect("its start is readable");
        if damage.is_none() {
            prop_assert_eq!(table(&by_sums).1, table(&by_hit).1);
            prop_assert_eq!(by_sums.summary.ended, by_hit.summary.ended);
        } else {
            // Sums outlive hits that are damaged; damaged sums are made up for by hits.
            prop_assert!(by_sums.summary.hits >= by_hit.summary.hits);
            prop_assert!(by_sums.summary.hits <= hits.len() as u64);
            if by_sums.summary.hits == hits.len() as u64 && by_sums.summary.damage.places == 0 {
                let total = by_sums.statistics.total();
                prop_assert_eq!(total.response_ns.count(), hits.len() as u64);
            }
        }
        // The seconds that are said to be whole are.
        let mut reader = whole::open_sums(&path).expect("readable").expect("a file");
        let mut texts = Texts::default();
        while let Some(_sums) = reader.next_sums(&mut texts).expect("readable") {}
        let until_ns = reader.whole_until_ns();
        if damage.is_none() && until_ns < u64::MAX {
            let whole = hits.iter().filter(|hit| hit.ended_ns < until_ns).count();
            prop_assert!(by_sums.summary.hits >= whole as u64);
        }
    }
}

#[test]
fn many_labels_are_kept_as_hits_and_summed_up_all_the_same() {
    let (folder, strings) = (Folder::new(), Strings::default());
    let hits: Vec<Hit> = (0..20_000_u64)
        .map(|number| Hit {
            ended_ns: number * 100_000,
            label: strings.intern(&number.to_string()),
            protocol_code: 200,
            ..Hit::default()
        })
        .collect();
    let path = folder.path("native");
    record_as_loops(&path, &strings, 2, &hits);
    let bytes = folder.bytes("native").len();
    assert!(bytes < 20_000 * (HIT_BYTES + 20), "{bytes} bytes");
    let file = whole::read(&path).expect("readable");
    assert!(file.summary.is_whole());
    assert_eq!(
        (file.summary.hits, file.statistics.labels().count()),
        (20_000, 10_001)
    );
    convert::results(&path, &folder.path("seconds"), ResultFormat::Seconds).expect("converted");
    let lines = folder.text("seconds");
    let hits = lines.matches("\"hits\":1,").count();
    assert_eq!((lines.lines().count(), hits), (3, 20_000));
}

#[test]
fn files_of_the_first_schema_are_read() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/schema1.results");
    let file = whole::read(&path).expect("readable");
    assert!(file.summary.is_whole());
    let (table, labels) = table(&file);
    assert!(
        table.starts_with("total: 60 hits in 28.4 ms, 4 failed (6.67 %)\n"),
        "{table}"
    );
    let words: Vec<_> = table.split_whitespace().collect();
    let figures = "service 103 µs 1.41 ms 252 µs 2.93 ms 4.00 ms 4.02 ms 5.39 ms 5.39 ms 5.39 ms";
    assert!(words.join(" ").contains(figures), "{table}");
    let known: Vec<_> = labels
        .iter()
        .map(|(label, sums)| (&**label, sums.hits, sums.failed, sums.sent_bytes))
        .collect();
    assert_eq!(known, [("one", 40, 3, 1120), ("two", 20, 1, 560)]);
    assert_eq!(labels[0].1.errors[&(1011, "dummy error".into())], 3);
    let by_hit = whole::read_hits(&path).expect("readable");
    assert_eq!(by_hit.summary, file.summary);
    let folder = Folder::new();
    let converted = convert::results(&path, &folder.path("csv"), ResultFormat::Csv);
    assert_eq!(converted.expect("converted").count, 60);
}

#[test]
fn phout_comes_in_the_order_of_completion_and_calls_timeouts_110() {
    let (folder, strings) = (Folder::new(), Strings::default());
    let settings = OutputSettings {
        phout: Some(folder.path("phout")),
        ..OutputSettings::default()
    };
    let (mut recorders, writer) = open(&settings, 2, &strings).expect("it opens");
    // Each loop is ahead of the other in turn.
    for step in 0..40_u64 {
        let number = (step / 5 % 2) as usize;
        let ended_ns = (step + if number == 0 { 7 } else { 0 }) * 100_000_000;
        recorders[number].look(ended_ns, LoopState::default());
        recorders[number].record(&Hit {
            started_ns: ended_ns,
            ended_ns,
            net_code: if step == 3 { 1001 } else { 0 },
            ..Hit::default()
        });
    }
    drop(recorders);
    writer.finish(0).expect("it is written");
    let text = folder.text("phout");
    let starts = starts_of_phout(&text);
    assert_eq!(starts.len(), 40);
    assert!(starts.is_sorted(), "{starts:?}");
    assert_eq!(text.matches("\t110\t0\n").count(), 1, "{text}");
}

/// However long a loop hands nothing over, the hits of the others wait for its own.
#[test]
fn phout_is_in_order_also_when_a_loop_stood_still() {
    let (folder, strings) = (Folder::new(), Strings::default());
    let settings = OutputSettings {
        phout: Some(folder.path("phout")),
        ..OutputSettings::default()
    };
    let (mut recorders, writer) = open(&settings, 2, &strings).expect("it opens");
    for number in 0..2 {
        for step in 0..100_u64 {
            let ended_ns = (2 * step + number) * 50_000_000;
            recorders[number as usize].record(&Hit {
                started_ns: ended_ns,
                ended_ns,
                ..Hit::default()
            });
            recorders[number as usize].look(ended_ns, LoopState::default());
        }
    }
    drop(recorders);
    writer.finish(0).expect("it is written");
    let starts = starts_of_phout(&folder.text("phout"));
    assert_eq!(starts.len(), 200);
    assert!(starts.is_sorted(), "{starts:?}");
}

fn starts_of_phout(text: &str) -> Vec<f64> {
    let start = |line: &str| {
        let column = line.split('\t').next().expect("a column");
        column.parse().expect("a number")
    };
    text.lines().map(start).collect()
}

#[test]
fn a_full_disk_is_an_error_and_nobody_waits() {
    let strings = Strings::default();
    let settings = native("/dev/full".into());
    let error = open(&settings, 1, &strings).expect_err("the header can't be written");
    assert!(
        error.to_string().starts_with("can't write /dev/full: "),
        "{error}"
    );
    // phout writes nothing at first: the run meets the full disk.
    let settings = OutputSettings {
        phout: Some("/dev/full".into()),
        ..OutputSettings::default()
    };
    let (mut recorders, writer) = open(&settings, 1, &strings).expect("it opens");
    (0..100_000).for_each(|_| recorders[0].record(&Hit::default()));
    drop(recorders);
    let error = writer.finish(0).expect_err("nothing was written");
    assert!(error.to_string().contains("No space left"), "{error}");
    let nowhere = native("/nonexistent/folder/run.enc".into());
    let error = open(&nowhere, 1, &strings).expect_err("no such folder");
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
    let (_, file) = read(&folder.path("native"));
    let mut json = Vec::new();
    stats::print_json(&file, &mut json).expect("memory");
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
    assert_eq!(json["labels"][1]["label"], "odd");
    assert_eq!(json["labels"][0]["hits"], 500);
    let mut table = Vec::new();
    stats::print_table(&file, &mut table).expect("memory");
    let table = String::from_utf8(table).expect("text");
    assert!(
        table.starts_with("total: 1000 hits in 1.001 s, 999.0/s"),
        "{table}"
    );
    assert!(table.contains("\neven: 500 hits"), "{table}");
}
