//! Known answers for every input format, and what becomes of broken files.

#![allow(clippy::expect_used)] // a test that can't go on says why

use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use encarno::read::convert::{self, InputTarget};
use encarno_input::{AutoLabel, BadLimit, BadRecord, InputFormat, InputSettings, Scripts, Sharing};
use encarno_record::{Payload, Record, Strings};
use encarno_secret::Secret;
use proptest::prelude::*;

const FIRST: &[u8] = b"GET /a?x=1 HTTP/1.1\r\nHost: h\r\n\r\n";
const SECOND: &[u8] = b"POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\n\x00\xff\r\n12";

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name)
}

fn settings(file: PathBuf) -> InputSettings {
    InputSettings {
        passes: NonZeroU64::new(1),
        host: "default".into(),
        ..InputSettings::of_file(file)
    }
}

/// A record as one can compare it: label, address, instant, bytes.
type Seen = (String, String, Option<u64>, Vec<u8>);

fn bytes_of(payload: &Payload) -> Vec<u8> {
    match payload {
        Payload::Memory(bytes) => bytes.to_vec(),
        Payload::File { file, range } => {
            let mut bytes = vec![0; (range.end - range.start) as usize];
            std::os::unix::fs::FileExt::read_exact_at(&**file, &mut bytes, range.start)
                .expect("the range is in the file");
            bytes
        }
    }
}

fn read(settings: &InputSettings) -> (InputFormat, Vec<Seen>, Vec<BadRecord>) {
    let strings = Strings::default();
    let mut input = encarno_input::open(settings, &strings).expect("it opens");
    let text = |id| strings.get(id).expect("a text").to_string();
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for record in input.by_ref() {
        match record {
            Ok(Record {
                label,
                address,
                scheduled_ns,
                payload,
                ..
            }) => {
                good.push((text(label), text(address), scheduled_ns, bytes_of(&payload)));
            }
            Err(record) => bad.push(record),
        }
    }
    (input.format(), good, bad)
}

fn seen(label: &str, address: &str, bytes: &[u8]) -> Seen {
    (label.into(), address.into(), None, bytes.into())
}

fn assert_reads(name: &str, format: InputFormat, expected: &[Seen]) {
    assert_settings_read(&settings(data(name)), format, expected);
}

fn assert_settings_read(settings: &InputSettings, format: InputFormat, expected: &[Seen]) {
    let (found, good, bad) = read(settings);
    assert_eq!(found, format);
    assert_eq!(bad, []);
    assert_eq!(good, expected);
}

fn temporary(bytes: &[u8]) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), bytes).expect("it is writable");
    file
}

#[test]
fn raw() {
    assert_reads(
        "raw.ammo",
        InputFormat::Raw,
        &[seen("first tag", "", FIRST), seen("", "", SECOND)],
    );
}

#[test]
fn stpd() {
    let at = |ms: u64, seen: Seen| (seen.0, seen.1, Some(ms * 1_000_000), seen.3);
    let expected = [
        at(0, seen("first", "", FIRST)),
        at(1500, seen("second", "", SECOND)),
    ];
    assert_reads("stpd.ammo", InputFormat::Stpd, &expected);
    // It holds its own times, so it is read once unless more is asked for.
    let once = InputSettings {
        passes: None,
        ..settings(data("stpd.ammo"))
    };
    assert_eq!(read(&once).1.len(), 2);
    let twice = InputSettings {
        passes: NonZeroU64::new(2),
        ..once
    };
    let times: Vec<_> = read(&twice)
        .1
        .iter()
        .map(|record| record.2.expect("a time") / 1_000_000)
        .collect();
    assert_eq!(times, [0, 1500, 1500, 3000]);
}

#[test]
fn go_payload() {
    let expected = [
        seen("first", "http://[::1]:8070", FIRST),
        seen("second", "", SECOND),
    ];
    assert_reads("payload.enc-go", InputFormat::Payload, &expected);
}

#[test]
fn go_payload_indexed_with_values() {
    let mut settings = settings(data("indexed.enc-go"));
    settings.strings_file = Some(data("indexed.istr"));
    settings.values.insert("name".into(), Secret::new("Jürgen"));
    // In a URL it is percent-encoded, in a body it isn't.
    let bytes = "GET /J%C3%BCrgen HTTP/1.1\r\nX: 8\r\n\r\nJürgen!".as_bytes();
    assert_settings_read(
        &settings,
        InputFormat::Payload,
        &[seen("first", "http://localhost:8070", bytes)],
    );
    settings.values.clear();
    let bytes = b"GET /NO_VALUE HTTP/1.1\r\nX: 9\r\n\r\nNO_VALUE!";
    assert_settings_read(
        &settings,
        InputFormat::Payload,
        &[seen("first", "http://localhost:8070", bytes)],
    );
    settings.strings_file = None;
    let (_, good, bad) = read(&settings);
    assert_eq!(good, []);
    assert!(bad[0].reason.contains("no strings file"), "{}", bad[0]);
}

#[test]
fn scripts_are_kept_or_refused() {
    let mut settings = settings(data("scripted.enc-go"));
    settings.strings_file = Some(data("indexed.istr"));
    let (_, good, bad) = read(&settings);
    assert!(good.is_empty() && bad.len() == 1 && bad[0].fatal);
    settings.scripts = Scripts::Keep;
    let input = encarno_input::open(&settings, &Strings::default()).expect("it opens");
    let scripts: Vec<_> = input
        .map(|record| record.expect("a record").script.expect("a script"))
        .collect();
    let [indexed, plain] = &scripts[..] else {
        panic!("two records")
    };
    assert_eq!(
        (&*indexed.extracts[0].name, &*indexed.extracts[0].regex),
        ("token", "T=(\\w+)")
    );
    assert_eq!(
        (
            indexed.extracts[0].match_number,
            indexed.extracts[0].group_number
        ),
        (0, 1)
    );
    assert_eq!(
        (&*indexed.asserts[0].regex, indexed.asserts[0].invert),
        ("\\d+", true)
    );
    assert_eq!(
        (&*plain.extracts[0].name, plain.extracts[0].match_number),
        ("etag", -1)
    );
    assert_eq!(
        plain
            .asserts
            .iter()
            .map(|assert| assert.invert)
            .collect::<Vec<_>>(),
        [false, true]
    );
}

#[test]
fn uri() {
    let expected = [
        seen("tag", "", b"GET /a HTTP/1.1\r\nHost: one\r\nX: 1\r\n\r\n"),
        seen("", "", b"GET /b?c=d HTTP/1.1\r\nHost: one\r\nX: 2\r\n\r\n"),
    ];
    assert_reads("uri.ammo", InputFormat::Uri, &expected);
}

#[test]
fn uripost() {
    let expected = [
        seen(
            "tag",
            "",
            b"POST /a HTTP/1.1\r\nHost: one\r\nContent-Length: 5\r\n\r\nhello",
        ),
        seen(
            "",
            "",
            b"POST /b HTTP/1.1\r\nHost: one\r\nContent-Length: 0\r\n\r\n",
        ),
        seen(
            "",
            "",
            b"POST /c HTTP/1.1\r\nHost: one\r\nContent-Length: 6\r\n\r\n12\n\n56",
        ),
    ];
    assert_reads("uripost.ammo", InputFormat::UriPost, &expected);
    // A body that isn't kept in memory is put behind its head in a file.
    let small = InputSettings {
        memory_payload_bytes_max: 4,
        ..settings(data("uripost.ammo"))
    };
    assert_settings_read(&small, InputFormat::UriPost, &expected);
}

#[test]
fn access_log() {
    let expected = [
        seen("", "", b"GET /a?b HTTP/1.1\r\nHost: default\r\n\r\n"),
        seen("", "", b"GET /c HTTP/1.1\r\nHost: default\r\n\r\n"),
    ];
    assert_reads("access.log", InputFormat::Access, &expected);
}

#[test]
fn jsonline() {
    let body = "POST /a HTTP/1.1\r\nHost: one\r\nX: 1\r\nContent-Length: 3\r\n\r\né\n";
    let expected = [
        seen("t", "", body.as_bytes()),
        seen("", "", b"GET /b HTTP/1.1\r\nHost: default\r\n\r\n"),
    ];
    assert_reads("jsonline.ammo", InputFormat::JsonLine, &expected);
}

#[test]
fn urls_plain_and_gzip() {
    let expected = [
        seen("", "", b"GET / HTTP/1.1\r\nHost: default\r\n\r\n"),
        seen("", "", b"GET /x?y HTTP/1.1\r\nHost: 127.0.0.1:8070\r\n\r\n"),
        seen("", "", b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"),
        seen(
            "my label",
            "",
            b"GET /404 HTTP/1.1\r\nHost: default\r\n\r\n",
        ),
    ];
    assert_reads("urls.txt", InputFormat::Urls, &expected);
    assert_reads("urls.txt.gz", InputFormat::Urls, &expected);
}

#[test]
fn large_payloads_stay_in_the_file() {
    for name in ["raw.ammo", "stpd.ammo", "payload.enc-go"] {
        let settings = InputSettings {
            memory_payload_bytes_max: 40,
            ..settings(data(name))
        };
        let records: Vec<_> = encarno_input::open(&settings, &Strings::default())
            .expect("it opens")
            .collect();
        let payloads: Vec<_> = records
            .iter()
            .map(|record| &record.as_ref().expect("good").payload)
            .collect();
        assert!(
            matches!(payloads[..], [Payload::Memory(_), Payload::File { .. }]),
            "{name}"
        );
        assert_eq!(
            (bytes_of(payloads[0]), bytes_of(payloads[1])),
            (FIRST.to_vec(), SECOND.to_vec())
        );
    }
}

#[test]
fn a_large_payload_in_a_compressed_file() {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gzip, &std::fs::read(data("raw.ammo")).expect("there"))
        .expect("memory");
    let file = temporary(&gzip.finish().expect("memory"));
    let settings = InputSettings {
        memory_payload_bytes_max: 40,
        ..settings(file.path().into())
    };
    assert_settings_read(
        &settings,
        InputFormat::Raw,
        &[seen("first tag", "", FIRST), seen("", "", SECOND)],
    );
}

#[test]
fn passes_and_limits() {
    let file = data("uri.ammo");
    let count = |settings: InputSettings| read(&settings).1.len();
    assert_eq!(
        count(InputSettings {
            passes: NonZeroU64::new(3),
            ..settings(file.clone())
        }),
        6
    );
    assert_eq!(
        count(InputSettings {
            passes: NonZeroU64::new(3),
            records_max: NonZeroU64::new(5),
            ..settings(file.clone())
        }),
        5
    );
    assert_eq!(
        count(InputSettings {
            passes: None,
            records_max: NonZeroU64::new(7),
            ..settings(file.clone())
        }),
        7
    );
    let per_worker = InputSettings {
        sharing: Sharing::PerWorker,
        ..settings(file)
    };
    assert_eq!(count(per_worker), 2);
}

#[test]
fn labels_made_and_chosen() {
    let labels = |auto_label, chosen: &[&str]| {
        let chosen_labels = chosen.iter().map(|label| label.to_string()).collect();
        let settings = InputSettings {
            auto_label,
            chosen_labels,
            ..settings(data("raw.ammo"))
        };
        read(&settings)
            .1
            .into_iter()
            .map(|record| record.0)
            .collect::<Vec<_>>()
    };
    assert_eq!(labels(AutoLabel::Segments(2), &[]), ["first tag", "_b"]);
    assert_eq!(labels(AutoLabel::Uri, &[]), ["first tag", "_b"]);
    assert_eq!(labels(AutoLabel::Uri, &["_b"]), ["_b"]);
    let unique = labels(AutoLabel::Unique, &[]);
    assert!(unique[1].len() == 32 && unique[1].bytes().all(|byte| byte.is_ascii_hexdigit()));
    assert_ne!(labels(AutoLabel::Unique, &[])[1], unique[1]);

    let file = temporary(b"/a/b/c?d=/e\n/\nhttp://host/x/y\n");
    let made = |auto_label| {
        let settings = InputSettings {
            auto_label,
            ..settings(file.path().into())
        };
        let records = read(&settings).1.into_iter();
        records.map(|record| record.0).collect::<Vec<_>>()
    };
    assert_eq!(made(AutoLabel::Uri), ["_a_b_c", "_", "_x_y"]);
    assert_eq!(made(AutoLabel::Segments(2)), ["_a_b", "_", "_x_y"]);
    let unique: std::collections::HashSet<_> = made(AutoLabel::Unique).into_iter().collect();
    assert_eq!(unique.len(), 3);
}

#[test]
fn broken_records_are_told_and_left_out() {
    let cases: [(InputFormat, &[u8], &[u64], usize); 7] = [
        (
            InputFormat::Raw,
            b"3 a\nabc\nnonsense\nmore\n3 b\nxyz\n",
            &[8],
            2,
        ),
        (
            InputFormat::Raw,
            b"3 a\nabc\n18446744073709551615 b\n3 c\nxyz\n",
            &[8],
            2,
        ),
        (
            InputFormat::Raw,
            b"3 a\nabc\n99999999999999999999999 b\n3 c\nxyz\n",
            &[8],
            2,
        ),
        (
            InputFormat::Payload,
            b"{\"plen\": 3}\nabc\n{\"plen\": 3, oops}\nabc\n{\"plen\": 3}\nxyz",
            &[16],
            2,
        ),
        (
            InputFormat::Payload,
            b"{\"plen\": 3}\nabc\n{\"plen\": -3}\nabc\n{\"plen\": 3}\nxyz",
            &[16],
            2,
        ),
        (
            InputFormat::UriPost,
            b"3 /a\nabc\n3 nowhere\nabc\n3 /b\nxyz",
            &[9],
            2,
        ),
        (
            InputFormat::JsonLine,
            b"{\"uri\": \"/\"}\n{\"uri\": \"/\", \"headers\": {\"a\": \"b\\r\\nc\"}}\n{}\n",
            &[13, 54],
            1,
        ),
    ];
    for (format, bytes, offsets, good) in cases {
        let file = temporary(bytes);
        let mut settings = settings(file.path().into());
        settings.format = Some(format);
        settings.bad_limit = BadLimit::Share(1.0);
        let (_, records, bad) = read(&settings);
        let found: Vec<_> = bad.iter().map(|bad| bad.offset).collect();
        assert_eq!(found, offsets, "{bad:?}");
        assert_eq!(records.len(), good);
        // Told once, however often the file is read.
        settings.passes = NonZeroU64::new(5);
        let (_, records, bad) = read(&settings);
        assert_eq!((records.len(), bad.len()), (5 * good, offsets.len()));
    }
}

#[test]
fn too_many_broken_records_end_the_input() {
    let file = temporary(b"/a\nb\nc\nd\n/e\n");
    let settings = InputSettings {
        format: Some(InputFormat::Urls),
        bad_limit: BadLimit::Records(2),
        ..settings(file.path().into())
    };
    let (_, good, bad) = read(&settings);
    assert_eq!((good.len(), bad.len()), (1, 3));
    assert!(
        bad[2].fatal && bad[2].reason.contains("more than 2 broken records"),
        "{}",
        bad[2]
    );
}

#[test]
fn a_file_without_records_ends_and_says_so() {
    for bytes in [&b"\n\n"[..], b"[A: b]\n"] {
        let file = temporary(bytes);
        let mut settings = settings(file.path().into());
        (settings.format, settings.passes) = (Some(InputFormat::Uri), None);
        let (_, good, bad) = read(&settings);
        assert!(good.is_empty() && bad.len() == 1 && bad[0].fatal, "{bad:?}");
    }
    let refused = encarno_input::open(&settings(temporary(b"").path().into()), &Strings::default());
    assert!(refused.is_err());
    let unknown = temporary(b"what is this\n");
    let error = encarno_input::open(&settings(unknown.path().into()), &Strings::default())
        .expect_err("not known");
    assert!(error.to_string().contains("--format"), "{error}");
}

const FORMATS: [(InputFormat, &str); 10] = [
    (InputFormat::Payload, "payload.enc-go"),
    (InputFormat::Raw, "raw.ammo"),
    (InputFormat::Stpd, "stpd.ammo"),
    (InputFormat::Uri, "uri.ammo"),
    (InputFormat::UriPost, "uripost.ammo"),
    (InputFormat::Access, "access.log"),
    (InputFormat::JsonLine, "jsonline.ammo"),
    (InputFormat::Urls, "urls.txt.gz"),
    (InputFormat::Vegeta, "urls.txt"),
    (InputFormat::Payload, "scripted.enc-go"),
];

/// Reads whatever it is to its end: it must end, and never panic.
fn survive(format: Option<InputFormat>, bytes: &[u8]) -> (usize, usize) {
    let file = temporary(bytes);
    let settings = InputSettings {
        format,
        bad_limit: BadLimit::Share(1.0),
        memory_payload_bytes_max: 64,
        ..settings(file.path().into())
    };
    let Ok(input) = encarno_input::open(&settings, &Strings::default()) else {
        return (0, 0);
    };
    let (mut good, mut bad) = (0, 0);
    for record in input {
        match record {
            Ok(_) => good += 1,
            Err(_) => bad += 1,
        }
        // Packed bytes can be a thousand times more when unpacked.
        assert!(
            good + bad <= bytes.len() * 1100 + 2,
            "more records than the bytes can make"
        );
    }
    (good, bad)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..400), which in 0..9_usize) {
        survive(Some(FORMATS[which].0), &bytes);
        survive(Some(InputFormat::Native), &bytes);
        survive(None, &bytes);
    }

    #[test]
    fn damaged_files_are_survived(
        which in 0..9_usize,
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = std::fs::read(data(FORMATS[which].1)).expect("there");
        for (place, byte) in flips {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        bytes.truncate(cut.index(bytes.len() + 1));
        survive(Some(FORMATS[which].0), &bytes);
        survive(None, &bytes);
    }

    #[test]
    fn raw_records_come_back(payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..200), 1..20)) {
        let mut bytes = Vec::new();
        for payload in &payloads {
            bytes.extend_from_slice(format!("{} tag\n", payload.len()).as_bytes());
            bytes.extend_from_slice(payload);
            bytes.push(b'\n');
        }
        let file = temporary(&bytes);
        // Blocks and limits smaller than the file must make no difference.
        for (sharing, limit) in [(Sharing::Shared, 1 << 20), (Sharing::PerWorker, 50)] {
            let mut settings = settings(file.path().into());
            (settings.format, settings.sharing, settings.memory_payload_bytes_max) = (Some(InputFormat::Raw), sharing, limit);
            let (_, good, bad) = read(&settings);
            prop_assert!(bad.is_empty(), "{bad:?}");
            prop_assert!(good.iter().map(|record| &record.3).eq(&payloads));
        }
    }
}

#[test]
fn every_format_becomes_our_own_and_comes_back() {
    let folder = tempfile::tempdir().expect("a folder");
    for (format, name) in FORMATS {
        let mut settings = settings(data(name));
        settings.strings_file = Some(data("indexed.istr"));
        settings.scripts = Scripts::Keep;
        let (_, expected, _) = read(&settings);
        for target in [InputTarget::Native, InputTarget::GoPayload] {
            let to = folder.path().join("converted");
            let converted = convert::input(&settings, &to, target).expect("it converts");
            assert_eq!(
                (converted.count, converted.bad_count),
                (expected.len() as u64, 0)
            );
            let again = InputSettings {
                file: to,
                format: None,
                strings_file: None,
                ..settings.clone()
            };
            let (found, mut records, bad) = read(&again);
            assert_eq!(
                found,
                if target == InputTarget::Native {
                    InputFormat::Native
                } else {
                    InputFormat::Payload
                }
            );
            assert!(bad.is_empty(), "{bad:?}");
            if target == InputTarget::GoPayload && format == InputFormat::Stpd {
                assert!(
                    converted
                        .warning
                        .is_some_and(|warning| warning.contains("instants"))
                );
                records
                    .iter_mut()
                    .zip(&expected)
                    .for_each(|(record, expected)| record.2 = expected.2);
            }
            assert_eq!(records, expected, "{name}");
        }
    }
}

#[test]
fn our_own_format_keeps_scripts_and_large_payloads() {
    let folder = tempfile::tempdir().expect("a folder");
    let to = folder.path().join("converted");
    let mut from = settings(data("scripted.enc-go"));
    from.strings_file = Some(data("indexed.istr"));
    convert::input(&from, &to, InputTarget::Native).expect("it converts");
    let scripts = |settings: &InputSettings| -> Vec<_> {
        let settings = InputSettings {
            scripts: Scripts::Keep,
            ..settings.clone()
        };
        let input = encarno_input::open(&settings, &Strings::default()).expect("it opens");
        input.map(|record| record.expect("good").script).collect()
    };
    assert_eq!(scripts(&settings(to.clone())), scripts(&from));
    // Refusing them is not left to the format.
    assert!(read(&settings(to.clone())).2[0].fatal);

    let small = InputSettings {
        memory_payload_bytes_max: 40,
        ..settings(data("raw.ammo"))
    };
    convert::input(&small, &to, InputTarget::Native).expect("it converts");
    let again = InputSettings {
        memory_payload_bytes_max: 40,
        ..settings(to)
    };
    assert_settings_read(
        &again,
        InputFormat::Native,
        &[seen("first tag", "", FIRST), seen("", "", SECOND)],
    );
}

#[test]
fn a_damaged_block_of_our_own_format_costs_its_records() {
    let folder = tempfile::tempdir().expect("a folder");
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    let lines: String = (0..5000).map(|n| format!("/{n} label{n}\n")).collect();
    std::fs::write(&from, lines).expect("written");
    convert::input(&settings(from), &to, InputTarget::Native).expect("it converts");
    let whole = std::fs::read(&to).expect("there");
    let (_, all, _) = read(&settings(to.clone()));
    assert_eq!(all.len(), 5000);
    for place in (0..whole.len()).step_by(whole.len() / 200) {
        let mut bytes = whole.clone();
        bytes[place] ^= 0x55;
        std::fs::write(&to, bytes).expect("written");
        let settings = InputSettings {
            format: Some(InputFormat::Native),
            bad_limit: BadLimit::Share(1.0),
            ..settings(to.clone())
        };
        let (_, good, bad) = read(&settings);
        assert!(!bad.is_empty(), "byte {place}");
        // Never a wrong record: each one that comes was there.
        assert!(
            good.iter().all(|record| all.contains(record)),
            "byte {place}"
        );
    }
}

#[test]
fn the_host_header_is_the_address_when_there_is_no_other() {
    let settings = InputSettings {
        address_from_host: true,
        ..settings(data("raw.ammo"))
    };
    assert_settings_read(
        &settings,
        InputFormat::Raw,
        &[seen("first tag", "h", FIRST), seen("", "h", SECOND)],
    );
}

#[test]
fn workers_that_read_for_themselves_share_the_open_file() {
    for name in ["raw.ammo", "urls.txt.gz"] {
        let settings = InputSettings {
            sharing: Sharing::PerWorker,
            ..settings(data(name))
        };
        let strings = Strings::default();
        let mut first = encarno_input::open(&settings, &strings).expect("it opens");
        let mut second = first.again().expect("once more");
        let label =
            |record: Option<Result<Record, BadRecord>>| record.expect("one").expect("good").label;
        let (one, two) = (label(first.next()), label(second.next()));
        assert_eq!(one, two);
        assert_eq!(
            second.count(),
            first.again().expect("once more").count() - 1
        );
    }
}
