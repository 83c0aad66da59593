//! Configuration files: Go-encarno's as they are, ours, and wrong ones.

#![allow(clippy::expect_used)] // a test that can't go on says why

use std::path::Path;
use std::time::Duration;

use encarno::config;
use encarno::protocols::Run;
use encarno_engine::schedule::Level;
use encarno_engine::settings::{Arrivals, Source, Workload};
use encarno_input::{BadLimit, InputFormat, Sharing};
use encarno_record::mask::Shown;
use proptest::prelude::*;

fn data(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name)
}

fn go() -> String {
    std::fs::read_to_string(data("go.yml")).expect("there")
}

fn parse(text: &str) -> Result<Run, String> {
    config::parse(text, Path::new("test.yml")).map_err(|error| error.to_string())
}

#[test]
fn what_is_nested_too_deep_is_refused() {
    for count in [100, 10_000, 200_000] {
        let flow = format!(
            "input: {{payloadfile: {}{}}}",
            "[".repeat(count),
            "]".repeat(count)
        );
        let maps = format!("input: {}", "{a: ".repeat(count));
        let ignored = format!("nobody: {}{}", "[".repeat(count), "]".repeat(count));
        let sequences = format!("input:\n  {}x", "- ".repeat(count));
        for text in [flow, maps, ignored, sequences] {
            assert!(parse(&text).is_err(), "{count}");
        }
    }
}

#[test]
fn a_go_configuration() {
    let settings = config::read(&data("go.yml")).expect("it is right");
    let Source::File(input) = &settings.settings.source else {
        panic!("a file")
    };
    assert_eq!(input.file, Path::new("payload.enc-go"));
    assert_eq!(
        (input.strings_file.as_ref(), input.passes, input.sharing),
        (None, None, Sharing::Shared)
    );
    assert_eq!(input.values["name"].expose(), "text");
    assert_eq!(input.values["number"].expose(), "5");
    let trace = settings.settings.output.trace.expect("a trace");
    assert_eq!(
        (trace.file.as_path(), trace.level, trace.shown),
        (Path::new("trace.txt"), 500, Shown::default())
    );
    let binary = settings.settings.output.go_binary.expect("a binary file");
    assert_eq!(
        (binary.file.as_path(), binary.strings_file.as_path()),
        (Path::new("results.bin"), Path::new("results.ostr"))
    );
    assert_eq!(
        (
            settings.settings.output.ldjson,
            settings.settings.output.native
        ),
        (None, None)
    );
    let Workload::Open(open) = &settings.settings.workload else {
        panic!("open")
    };
    assert_eq!((open.workers_start, open.workers_max), (2, 50));
    let Arrivals::Uniform(schedule) = &open.arrivals else {
        panic!("uniform")
    };
    assert_eq!(schedule.duration_ns(), 90_500_000_000);
    assert_eq!(schedule.pieces()[1].from, Level(10_500_000));
    let network = settings.protocol.network().expect("http");
    assert_eq!(
        (network.timeout, network.address.as_ref()),
        (Duration::from_secs(2), None)
    );
    assert!(network.tls.insecure);
    assert_eq!(
        (network.tls.version_min, network.tls.version_max),
        (771, 772)
    );
    assert_eq!(network.tls.cipher_suites, ["TLS_AES_128_GCM_SHA256"]);
}

#[test]
fn a_byte_order_mark_is_no_part_of_a_configuration() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("run.yml");
    std::fs::write(&file, format!("\u{feff}{}", go())).expect("written");
    config::read(&file).expect("read");
}

#[test]
fn defaults_and_closed() {
    let text = "{input: {payloadfile: a, iterationlimit: 3, enableregexes: true}, workers: {mode: closed, maxworkers: 4}, protocol: {driver: dummy}}";
    let settings = parse(text).expect("it is right");
    let Source::File(input) = &settings.settings.source else {
        panic!("a file")
    };
    assert_eq!(
        (input.passes.map(|passes| passes.get()), input.sharing),
        (Some(3), Sharing::PerWorker)
    );
    let Workload::Closed(closed) = &settings.settings.workload else {
        panic!("closed")
    };
    assert_eq!(
        (closed.workers.level_max(), closed.workers.duration_ns()),
        (Level::whole(4), 0)
    );
}

#[test]
fn keys_of_ours() {
    let text = "
input: {payloadfile: a.stpd, format: stpd, maxbad: 0, headers: {X-A: b}}
output: {nativefile: run.enc, phoutfile: run.phout}
workers: {mode: open, schedule: 'line(1,10,30s) const(10,1m)', arrivals: poisson, seed: 4, latelimit: 200ms, spin: true}
protocol: {driver: https, address: 'https://[::1]:8443/', tlsconf: {cafile: ca.pem}}
run: {threads: 2, grace: 3s, strict: true, quiet: true}
";
    let settings = parse(text).expect("it is right");
    let Source::File(input) = &settings.settings.source else {
        panic!("a file")
    };
    assert_eq!(
        (input.format, input.bad_limit, &*input.host),
        (Some(InputFormat::Stpd), BadLimit::Records(0), "[::1]:8443")
    );
    assert!(settings.judging.strict && settings.settings.grace == Duration::from_secs(3));
    assert_eq!(
        settings.settings.output.native.as_deref(),
        Some(Path::new("run.enc"))
    );
    let Workload::Open(open) = &settings.settings.workload else {
        panic!("open")
    };
    assert!(matches!(open.arrivals, Arrivals::Poisson { seed: 4, .. }));
    assert_eq!(open.late_limit, Some(Duration::from_millis(200)));
    let swinging = "poisson sine(5,5,1s,9s) spike(1,9,1s,1s,1s)";
    let text = text
        .replace("line(1,10,30s) const(10,1m)", swinging)
        .replace("arrivals: poisson, ", "");
    let Workload::Open(open) = parse(&text).expect("it is right").settings.workload else {
        panic!("open")
    };
    assert!(matches!(open.arrivals, Arrivals::Poisson { seed: 4, .. }));
    let schedule = open.schedule().expect("one");
    assert_eq!(
        (schedule.pieces().len(), schedule.hits_before(u64::MAX)),
        (4, 64)
    );
}

#[test]
fn wrong_files_name_line_and_key() {
    let cases = [
        (
            "  mode: open\n",
            "  mode: opened\n",
            "test.yml, line 13: workers.mode: \"opened\" isn't known",
        ),
        (
            "1m30s",
            "90",
            "test.yml, line 17: workers.workloadschedule.duration: \"90\" has no unit",
        ),
        (
            "1m30s",
            "1m30q",
            "test.yml, line 17: workers.workloadschedule.duration: \"1m30q\" isn't a duration",
        ),
        (
            "levelend: 10\n",
            "levelend: -1\n",
            "test.yml, line 16: workers.workloadschedule.levelend",
        ),
        ("maxworkers", "maxworker", "test.yml, line 20: "),
        (
            "771",
            "768",
            "test.yml, line 30: protocol.tlsconf.minversion",
        ),
        (
            "driver: http",
            "driver: gopher",
            "test.yml, line 25: protocol.driver: \"gopher\" isn't known",
        ),
        (
            "timeout: 2s",
            "timeout: soon",
            "test.yml, line 27: protocol.timeout: \"soon\" isn't a duration",
        ),
        (
            "payloadfile: payload.enc-go",
            "payloadfile: ''",
            "input.payloadfile: name the file",
        ),
        (
            "  stringsfile: results.ostr\n",
            "",
            "output.stringsfile: binaryfile needs it",
        ),
        ("  mode: open\n", "", "workers.mode: write open"),
        ("input:", "input: [", "test.yml, line "),
    ];
    for (from, to, message) in cases {
        let text = go();
        assert!(text.contains(from));
        let error = parse(&text.replacen(from, to, 1)).expect_err(message);
        assert!(error.contains(message), "{error}");
    }
    let unknown = parse(&go().replacen("maxworkers", "maxworker", 1)).expect_err("unknown key");
    assert!(
        unknown.contains("maxworker") && unknown.contains("maxworkers"),
        "{unknown}"
    );
}

#[test]
fn a_schedule_of_no_length() {
    let text = go().replacen("1m30s", "0s", 1).replacen("0.500s", "0s", 1);
    let error = parse(&text).expect_err("no length");
    assert!(
        error.contains("workers.workloadschedule: the schedule has no length")
            && error.contains("line 15"),
        "{error}"
    );
    let error = parse(&text.replacen("mode: open", "mode: closed", 1)).expect_err("no length");
    assert!(error.contains("no length"), "{error}");
    let error =
        parse("{input: {payloadfile: a}, workers: {mode: open}, protocol: {driver: dummy}}")
            .expect_err("none");
    assert!(
        error.contains("workers.workloadschedule: the schedule is empty"),
        "{error}"
    );
}

#[test]
fn a_file_with_instants_needs_no_schedule() {
    let text = format!(
        "{{input: {{payloadfile: {:?}}}, workers: {{mode: open}}, protocol: {{driver: dummy}}}}",
        data("stpd.ammo")
    );
    let Workload::Open(open) = parse(&text).expect("it is right").settings.workload else {
        panic!("open")
    };
    assert!(matches!(open.arrivals, Arrivals::Recorded));
    let error = parse(&text.replace("stpd.ammo", "raw.ammo")).expect_err("no instants");
    assert!(error.contains("the schedule is empty"), "{error}");
}

proptest! {
    #[test]
    fn damaged_files_are_errors_and_no_more(
        cuts in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), "[ -~\n]{0,6}"), 1..5),
    ) {
        let mut text = go();
        for (from, to, new) in cuts {
            let (from, to) = (from.index(text.len() + 1), to.index(text.len() + 1));
            text.replace_range(from.min(to)..from.max(to).min(from.min(to) + 20), &new);
        }
        let _ = parse(&text);
    }

    #[test]
    fn any_text_is_survived(text in any::<String>()) {
        let _ = parse(&text);
    }
}
