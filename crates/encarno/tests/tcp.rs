//! Streams of bytes: every hit once, whatever its answer's end, and peers that lie.

#![allow(clippy::expect_used, clippy::unwrap_used)] // a test that fails here says enough

#[path = "rig/peer.rs"]
mod peer;
#[path = "rig/program.rs"]
mod program;

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use peer::peer;

fn hit(arguments: &[&str]) -> (bool, String) {
    let folder = tempfile::tempdir().unwrap();
    let arguments = [&["hit"], arguments, &["--quiet", "--threads", "2"]].concat();
    let output = program::run(folder.path(), &arguments);
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

#[test]
fn every_line_is_sent_once_and_answered() {
    let lines = Arc::new(Mutex::new(HashMap::new()));
    let seen = Arc::clone(&lines);
    let address = peer(move |mut stream| {
        for line in BufReader::new(stream.try_clone()?).lines() {
            let line = line?;
            *seen.lock().unwrap().entry(line.clone()).or_insert(0) += 1;
            stream.write_all(format!("+{line}\r\n").as_bytes())?;
        }
        Ok(())
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("records");
    let records: String = (0..2000)
        .map(|n| format!("{} n\nline {n}\r\n\n", 7 + n.to_string().len()))
        .collect();
    std::fs::write(&file, records).unwrap();
    let url = format!("tcp://{address}");
    for streams in ["streams=1", "streams=8"] {
        lines.lock().unwrap().clear();
        let file = file.to_str().unwrap();
        let arguments = [
            &url,
            "-i",
            file,
            "--format",
            "raw",
            "--loop",
            "1",
            "-c",
            "4",
            "-O",
            streams,
            "--answer-until",
            r"\r\n",
        ];
        let (ok, text) = hit(&arguments);
        assert!(ok, "{text}");
        let lines = lines.lock().unwrap();
        assert_eq!(lines.len(), 2000, "{streams}: {text}");
        assert!(lines.values().all(|&times| times == 1));
    }
}

#[test]
fn answers_end_as_they_are_told_to() {
    let address = peer(|mut stream| {
        let mut buffer = [0; 6];
        stream.read_exact(&mut buffer)?;
        stream.write_all(b"\0\x04PONG")
    });
    let url = format!("tcp://{address}");
    for ending in [
        &["--answer-close"][..],
        &["--answer-silence", "20ms"],
        &["--answer-length", "2"],
        &["--answer-bytes", "6"],
        &["--answer-match", "PO.G"],
        &["--answer-until", "ONG"],
        &["--no-answer"],
    ] {
        let arguments = [&[&*url, "-d", r"PING\r\n", "-n", "1", "-c", "1"], ending].concat();
        let (ok, text) = hit(&arguments);
        assert!(ok && text.contains('1'), "{ending:?}: {text}");
    }
    let (ok, text) = hit(&[&url, "-d", "x", "-n", "1"]);
    assert!(!ok && text.contains("answer-until"), "{text}");
    let (ok, text) = hit(&[&url, "-d", r"\q", "-n", "1", "--no-answer"]);
    assert!(!ok && text.contains("backslash"), "{text}");
}

#[test]
fn a_bomb_a_flood_and_silence_are_failures_in_time() {
    let bomb = peer(|mut stream| {
        stream.read_exact(&mut [0; 4])?;
        stream.write_all(b"\xff\xff\xff\xff")?;
        stream.read_to_end(&mut Vec::new()).map(drop)
    });
    let flood = peer(|mut stream| {
        stream.read_exact(&mut [0; 4])?;
        loop {
            stream.write_all(&[b'x'; 65536])?;
        }
    });
    let silent = peer(|_stream| {
        thread::sleep(Duration::from_secs(60));
        Ok(())
    });
    for (address, ending, says) in [
        (bomb, ["--answer-length", "4"], "length is 4294967295"),
        (
            flood,
            ["--answer-until", "end"],
            "no end within 1000000 bytes",
        ),
        (silent, ["--answer-until", "end"], "timeout"),
    ] {
        let url = format!("tcp://{address}");
        let arguments = [
            &[&*url, "-d", "PING", "-n", "2", "-c", "1", "--timeout", "2s"][..],
            &["-O", "answer-max=1000000"],
            &ending,
        ];
        let (_, text) = hit(&arguments.concat());
        assert!(text.contains(says), "{text}");
    }
}
