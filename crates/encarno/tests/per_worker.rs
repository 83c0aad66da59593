//! Inputs that each of many workers reads for itself, and that are too large to be
//! held: what they take doesn't grow by a file or a decompressor with each worker.

#![allow(clippy::expect_used)] // a test that can't go on says why

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;

/// One more than are held.
const RECORDS: usize = 100_001;
const WORKERS: u64 = 2000;
/// What a worker may take: a block of the file, and some records ahead.
const WORKER_BYTES_MAX: u64 = 64 << 10;
/// What the program takes anyway.
const BASE_BYTES_MAX: u64 = 64 << 20;
/// Open files: far fewer than workers.
const FILES_MAX: u32 = 128;

#[test]
fn many_workers_share_one_file_and_no_decompressor() {
    let folder = tempfile::tempdir().expect("a folder");
    let (plain, packed) = (folder.path().join("ammo"), folder.path().join("ammo.gz"));
    let records = "/a tag\n".repeat(RECORDS);
    std::fs::write(&plain, &records).expect("written");
    let file = File::create(&packed).expect("created");
    let mut encoder = GzEncoder::new(file, Compression::fast());
    encoder.write_all(records.as_bytes()).expect("written");
    encoder.finish().expect("written");
    for file in [plain, packed] {
        let (bytes_max, output) = run(folder.path(), &file);
        assert!(output.contains("+ failed 0"), "{output}");
        let bound = BASE_BYTES_MAX + WORKERS * WORKER_BYTES_MAX;
        assert!(
            bytes_max > 0 && bytes_max < bound,
            "{bytes_max} of {bound} bytes"
        );
    }
}

/// The most memory that was seen, and what the program printed.
fn run(folder: &Path, file: &Path) -> (u64, String) {
    let configuration = folder.join("run.yml");
    let text = format!(
        "input: {{payloadfile: {}, format: uri, sharing: per-worker}}\n\
         workers: {{mode: open, maxworkers: {WORKERS}, startingworkers: {WORKERS}, \
           workloadschedule: [{{levelstart: {WORKERS}, levelend: {WORKERS}, duration: 1s}}]}}\n\
         protocol: {{driver: dummy, options: {{delay: 'fixed:300ms'}}}}\n",
        file.display()
    );
    std::fs::write(&configuration, text).expect("written");
    let limited = format!("ulimit -n {FILES_MAX}; exec \"$0\" run \"$1\"");
    let mut child = Command::new("sh")
        .args(["-c", &limited, env!("CARGO_BIN_EXE_encarno")])
        .arg(&configuration)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("started");
    let status = format!("/proc/{}/status", child.id());
    let mut bytes_max = 0;
    while child.try_wait().expect("a child").is_none() {
        bytes_max = bytes_max.max(most_bytes(&status).unwrap_or(0));
        thread::sleep(Duration::from_millis(5));
    }
    let output = child.wait_with_output().expect("ended");
    let text = [output.stdout, output.stderr].concat();
    (bytes_max, String::from_utf8_lossy(&text).into_owned())
}

fn most_bytes(status: &str) -> Option<u64> {
    let text = std::fs::read_to_string(status).ok()?;
    let kib = text.split("VmHWM:").nth(1)?.split_whitespace().next()?;
    kib.parse().ok().map(|kib: u64| kib * 1024)
}
