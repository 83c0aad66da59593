//! A server that breaks the rules of NATS itself. What it says is in the files of
//! `tests/corpus/nats-server`, with `{reply}` and `{sid}` for those of the call it
//! answers. A file named `ok-…` is a right answer; every other one must end its
//! call with an error, and none may hang or end anything else.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use encarno_wrpc::ErrorCode;
use encarno_wrpc::nats::{Connection, Options};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::rig::{call, code, list, within};

/// Serves every connection by the same text, until the test's process ends.
fn raw_server(answer: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = Arc::clone(&answer);
            // A connection that the client closes in the middle is no news.
            std::thread::spawn(move || converse(stream, &answer));
        }
    });
    format!("nats://{address}")
}

fn converse(stream: TcpStream, answer: &[u8]) -> std::io::Result<()> {
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    writer.write_all(
        b"INFO {\"server_id\":\"x\",\"version\":\"2.10.0\",\"proto\":1,\"headers\":true,\"max_payload\":1048576}\r\n",
    )?;
    let mut sid = String::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["PING"] => writer.write_all(b"PONG\r\n")?,
            ["SUB", _, own] => sid = (*own).to_owned(),
            ["PUB", _, reply, length] => {
                let mut payload = vec![0; length.parse::<usize>().unwrap_or(0) + 2];
                reader.read_exact(&mut payload)?;
                let mut text = replaced(answer, b"{reply}", reply.as_bytes());
                text = replaced(&text, b"{sid}", sid.as_bytes());
                writer.write_all(&text)?;
            }
            _ => {}
        }
    }
}

fn replaced(text: &[u8], what: &[u8], by: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.windows(what.len()).position(|part| part == what) {
        all.extend_from_slice(&rest[..at]);
        all.extend_from_slice(by);
        rest = &rest[at + what.len()..];
    }
    all.extend_from_slice(rest);
    all
}

/// Whether a call to a server that answers so has a result.
async fn has_result(answer: Vec<u8>, timeout_ms: u64) -> bool {
    let mut options = Options::new(&raw_server(answer)).unwrap();
    options.connect_timeout = Duration::from_secs(10);
    let connection = within(20, Connection::connect(&options)).await.unwrap();
    let outcome = within(20, call(&connection, list(b"x"), timeout_ms)).await;
    if let Ok(result) = &outcome.result {
        assert_eq!(*result, Bytes::from_static(b"result"));
    }
    outcome.result.is_ok()
}

fn corpus() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/nats-server");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let name = |file: &Path| file.file_name().unwrap().to_string_lossy().into_owned();
    let read = |file: &Path| (name(file), std::fs::read(file).unwrap());
    files.iter().map(|file| read(file)).collect()
}

#[tokio::test]
async fn the_corpus() {
    let files = corpus();
    assert!(files.len() > 20);
    let mut wrong = String::new();
    let answers = files.into_iter().map(|(name, answer)| {
        tokio::spawn(async move {
            let is_right = name.starts_with("ok-");
            // A wrong one may have to wait for the deadline.
            let timeout_ms = if is_right { 10_000 } else { 300 };
            (is_right == has_result(answer, timeout_ms).await, name)
        })
    });
    for answer in answers.collect::<Vec<_>>() {
        let (is_right, name) = answer.await.unwrap();
        if !is_right {
            let _ = writeln!(wrong, "{name}");
        }
    }
    assert_eq!(wrong, "");
}

/// A server that breaks the rules itself ends a connection, which comes back, and a length
/// that no message has is never waited for.
#[tokio::test]
async fn a_server_that_breaks_the_rules_is_left_and_tried_again() {
    let is_fatal = |name: &str| name.contains("wrap") || name.starts_with("unknown-op");
    let files: Vec<_> = corpus()
        .into_iter()
        .filter(|(name, _)| is_fatal(name))
        .collect();
    assert_eq!(files.len(), 3);
    for (name, answer) in files {
        let options = Options::new(&raw_server(answer)).unwrap();
        let connection = within(20, Connection::connect(&options)).await.unwrap();
        for _ in 0..2 {
            let outcome = within(20, call(&connection, list(b"x"), 60_000)).await;
            assert_eq!(code(&outcome), ErrorCode::ConnectionLost, "{name}");
            let error = outcome.result.expect_err("lost").message;
            assert!(
                error.contains("breaks the rules of NATS"),
                "{name}: {error}"
            );
            assert!(!connection.is_closed(), "{name}");
        }
    }
}

/// Files of the corpus, with a byte changed, left out or put in here and there.
#[test]
fn the_corpus_mutated() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let files: Vec<Vec<u8>> = corpus().into_iter().map(|(_, text)| text).collect();
    let change = (any::<prop::sample::Index>(), 0..3u8, any::<u8>());
    let mutated = (
        prop::sample::select(files),
        prop::collection::vec(change, 1..4),
    )
        .prop_map(|(mut text, changes)| {
            for (at, kind, byte) in changes {
                if text.is_empty() {
                    text.push(byte);
                }
                let at = at.index(text.len());
                match kind {
                    0 => text[at] = byte,
                    1 => drop(text.remove(at)),
                    _ => text.insert(at, byte),
                }
            }
            text
        });
    // Several at once: most wait for their deadline.
    TestRunner::new(ProptestConfig::with_cases(6))
        .run(&prop::collection::vec(mutated, 40), |texts| {
            runtime.block_on(async {
                let calls: Vec<_> = texts
                    .into_iter()
                    .map(|text| tokio::spawn(survives(text)))
                    .collect();
                for call in calls {
                    call.await.unwrap();
                }
            });
            Ok(())
        })
        .unwrap();
}

/// The call ends in time; a mutated result is a result.
async fn survives(answer: Vec<u8>) {
    let options = Options::new(&raw_server(answer)).unwrap();
    let connection = within(20, Connection::connect(&options)).await.unwrap();
    let began = Instant::now();
    let _ = within(20, call(&connection, list(b"x"), 200)).await;
    assert!(began.elapsed() < Duration::from_secs(5));
}
