//! The commands for files that are there already, as a user types them.

#![allow(clippy::expect_used)] // a test that can't go on says why

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name)
}

fn encarno(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_encarno"));
    command
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .expect("it starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_run_from_a_log_to_every_format() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let log = data("access.log");
    let converted = encarno(
        folder,
        &[
            "convert",
            &log.to_string_lossy(),
            "-o",
            "hits.enc-input",
            "--host",
            "there",
        ],
    );
    assert_eq!(
        text(&converted.stderr),
        "encarno: 2 records, 0 broken, 1 left out (1 POST)\n"
    );
    let shown = text(&encarno(folder, &["show", "hits.enc-input"]).stdout);
    assert!(
        shown.starts_with("# record 0: 34 bytes\nGET /a?* HTTP/1.1\nHost: there\n"),
        "{shown}"
    );

    let config = "
input: {payloadfile: hits.enc-input, iterationlimit: 5}
output: {nativefile: run.enc}
workers: {mode: closed, maxworkers: 2, values: {password: hunter2}}
protocol: {driver: dummy}
run: {quiet: true}
";
    std::fs::write(folder.join("test.yml"), config).expect("written");
    for arguments in [&["test.yml"][..], &["run", "test.yml"]] {
        let run = encarno(folder, arguments);
        assert!(run.status.success(), "{}", text(&run.stderr));
        let stats = encarno(folder, &["stats", "run.enc", "--json"]);
        let json: serde_json::Value = serde_json::from_slice(&stats.stdout).expect("JSON");
        assert_eq!(
            (&json["whole"], &json["total"]["hits"]),
            (&true.into(), &10.into())
        );
        assert_eq!(text(&stats.stderr), "");
    }
    let shown = text(&encarno(folder, &["show", "run.enc"]).stdout);
    assert!(
        shown.contains("\"password\": \"***\"") && !shown.contains("hunter2"),
        "{shown}"
    );
    for (name, least) in [
        ("run.phout", 10 * 30),
        ("run.csv", 10 * 30),
        ("run.ldjson", 10 * 100),
        ("run.bin", 740),
    ] {
        let converted = encarno(folder, &["convert", "run.enc", "-o", name]);
        assert_eq!(text(&converted.stderr), "encarno: 10 hits read\n");
        assert!(
            std::fs::metadata(folder.join(name)).expect("there").len() >= least,
            "{name}"
        );
    }
}

#[test]
fn what_cannot_be_done_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    std::fs::write(folder.join("words"), "no format has this\n").expect("written");
    std::fs::write(
        folder.join("bad.yml"),
        "input: {payloadfile: a}\nworkers: {mod: open}\n",
    )
    .expect("written");
    for (arguments, code, message) in [
        (
            &["stats", "nothing"][..],
            1,
            "nothing: can't read the results: No such file",
        ),
        (
            &["stats", "words"],
            1,
            "words: this isn't a native result file",
        ),
        (
            &["show", "words"],
            1,
            "can't recognise words: its content is of no format that is known",
        ),
        (
            &["convert", "words", "-o", "words"],
            2,
            "the new file would be written over the old file",
        ),
        (
            &["convert", "words", "-o", "nowhere/x", "--format", "urls"],
            4,
            "can't create nowhere/x",
        ),
        (&["run", "nothing.yml"], 1, "nothing.yml: No such file"),
        (&["bad.yml"], 1, "bad.yml, line 2: "),
    ] {
        let output = encarno(folder, arguments);
        let said = text(&output.stderr);
        assert!(said.contains(message), "{arguments:?}: {said}");
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let file = data("raw.ammo");
    let mut show = Command::new(env!("CARGO_BIN_EXE_encarno"))
        .args(["show", &file.to_string_lossy()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    drop(show.stdout.take());
    let output = show.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{}", text(&output.stderr));
}

/// Anyone who reaches a server can write a URL of another host into its log.
#[test]
fn a_log_without_a_target_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let line =
        "1.2.3.4 - - [28/Nov/2026:10:00:00 +0000] \"GET http://127.0.0.1:1/ HTTP/1.1\" 200 5\n";
    std::fs::write(folder.join("access.log"), line).expect("written");
    let flags = ["hit", "-i", "access.log", "--loop", "1", "-q"];
    let refused = encarno(folder, &flags);
    let said = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(3), "{said}");
    assert!(said.contains("--record-hosts"), "{said}");
    // With a word of the user's it goes there, where nothing listens.
    let sent = encarno(folder, &[&flags[..], &["--record-hosts"]].concat());
    assert_eq!(sent.status.code(), Some(7), "{}", text(&sent.stderr));
}

#[test]
fn a_short_input_has_as_many_broken_records_as_are_allowed() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let lines = |broken: usize| {
        let lines = (0..20).map(|number| if number < broken { "x\n" } else { "/good\n" });
        lines.collect::<String>()
    };
    for (broken, flags, status) in [
        (2, &[][..], 0),
        (3, &[], 3),
        (3, &["--max-bad", "15%"], 0),
        (3, &["--max-bad", "2"], 3),
    ] {
        std::fs::write(folder.join("uris"), lines(broken)).expect("written");
        let line = [
            "hit", "dummy:", "-i", "uris", "--format", "uri", "--loop", "1",
        ];
        let output = encarno(folder, &[&line, flags].concat());
        let said = text(&output.stderr);
        assert_eq!(
            output.status.code(),
            Some(status),
            "{broken} {flags:?}: {said}"
        );
    }
}

#[test]
fn sums_are_no_hits() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    // Agents send their sums.
    let line = "hit dummy: -n 50 --agents local:1 -o run.enc";
    let arguments: Vec<&str> = line.split_whitespace().collect();
    let server = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../bin/nats-server");
    if !server.exists() {
        eprintln!("NOT TESTED: a file of sums, for there is no bin/nats-server");
        return;
    }
    let output = encarno(folder, &arguments);
    assert!(output.status.success(), "{}", text(&output.stderr));
    std::fs::write(folder.join("run.csv"), "old").expect("written");
    for new in ["run.csv", "run.phout", "run.ldjson"] {
        let output = encarno(folder, &["convert", "run.enc", "-o", new]);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("sums by second, and no hits"), "{said}");
    }
    let kept = std::fs::read_to_string(folder.join("run.csv")).expect("there");
    assert_eq!(kept, "old");
    let seconds = encarno(folder, &["convert", "run.enc", "-o", "run.seconds"]);
    assert!(seconds.status.success());
}

#[test]
fn a_file_counts_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let run = encarno(folder, &["hit", "dummy:", "-n", "5", "-q", "-o", "run.enc"]);
    assert!(run.status.success(), "{}", text(&run.stderr));
    std::os::unix::fs::symlink("run.enc", folder.join("link.enc")).expect("a link");
    let stats = encarno(folder, &["stats", "run.enc", "./link.enc"]);
    assert_eq!(stats.status.code(), Some(2));
    assert!(text(&stats.stderr).contains("are the same file"));
}

/// `ulimit -f`: the write fails, and is told.
#[test]
fn a_limit_for_files_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let line = format!(
        "ulimit -f 8; exec {} hit dummy: -n 200000 -q -o run.enc",
        env!("CARGO_BIN_EXE_encarno")
    );
    let output = Command::new("bash")
        .args(["-c", &line])
        .current_dir(&folder)
        .output()
        .expect("it starts");
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(said.contains("run.enc"), "{said}");
}

/// Nobody can say of hits that are gone whether they kept a condition.
#[test]
fn a_damaged_file_fails_its_conditions() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let run = encarno(
        folder,
        &["hit", "dummy:", "-n", "5000", "-q", "-o", "run.enc"],
    );
    assert!(run.status.success(), "{}", text(&run.stderr));
    let report = ["report", "run.enc", "--fail-if", "errors>1%"];
    let judged = encarno(folder, &report);
    assert_eq!(judged.status.code(), Some(0), "{}", text(&judged.stderr));
    let whole = std::fs::read(folder.join("run.enc")).expect("a file");
    let mut unjudged = 0;
    for part in 1..30 {
        let mut bytes = whole.clone();
        bytes[whole.len() * part / 30] ^= 0xff;
        std::fs::write(folder.join("run.enc"), &bytes).expect("written");
        let stats = encarno(folder, &["stats", "--json", "run.enc"]);
        let stats: serde_json::Value = serde_json::from_slice(&stats.stdout).expect("JSON");
        let judged = encarno(folder, &report);
        let said = text(&judged.stderr);
        // Sums cover hits that are damaged. If sums are damaged themselves, hits are missing.
        let is_whole = stats["whole"] == true;
        let expected = if is_whole { 0 } else { 99 };
        assert_eq!(judged.status.code(), Some(expected), "{said}");
        assert_eq!(said.contains("can't be judged"), !is_whole, "{said}");
        unjudged += usize::from(!is_whole);
    }
    // The end of a file says that it is whole.
    std::fs::write(folder.join("run.enc"), &whole[..whole.len() - 20]).expect("written");
    let judged = encarno(folder, &report);
    assert_eq!(judged.status.code(), Some(99), "{}", text(&judged.stderr));
    assert!(unjudged < 29, "hits are covered by sums");
}

/// The report of a run says what its summary says of conditions.
#[test]
fn the_report_of_a_run_has_its_conditions() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let line = "hit dummy: -n 50 -q --report run.html --fail-if rate>1/s --fail-if errors>1%";
    let run = encarno(folder, &line.split(' ').collect::<Vec<_>>());
    assert_eq!(run.status.code(), Some(99), "{}", text(&run.stderr));
    let page = std::fs::read_to_string(folder.join("run.html")).expect("a page");
    assert!(
        page.contains("FAILED: fail if rate&gt;1/s") && page.contains("kept: fail if errors&gt;1%")
    );
}

#[test]
fn a_run_without_a_hit_is_no_success() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = encarno(
        folder.path(),
        &["hit", "dummy:", "--rate", "const(0,10ms)", "-q"],
    );
    assert_eq!(run.status.code(), Some(7), "{}", text(&run.stderr));
}

/// A setting that names results isn't the file to run.
#[test]
fn a_setting_may_name_results() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let config = "protocol: {driver: dummy}\nworkers: {mode: closed, maxworkers: 1}\n\
                  input: {payloadfile: uris, format: uri, iterationlimit: 1}\nrun: {quiet: true}\n";
    std::fs::write(folder.join("test.yml"), config).expect("written");
    std::fs::write(folder.join("uris"), "/\n").expect("written");
    std::fs::write(folder.join("old.enc"), "").expect("written");
    let run = encarno(
        folder,
        &["run", "test.yml", "--set", "output.nativefile=old.enc"],
    );
    assert!(
        !text(&run.stderr).contains("holds results"),
        "{}",
        text(&run.stderr)
    );
}
