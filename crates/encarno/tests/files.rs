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
