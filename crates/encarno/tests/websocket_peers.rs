//! WebSocket with compressed messages, at servers and from clients of other implementations.

#![allow(clippy::expect_used, clippy::unwrap_used)] // a test that fails here says enough

#[path = "rig/go_peer.rs"]
mod go_peer;
#[path = "rig/logged.rs"]
mod logged;
#[path = "rig/process.rs"]
mod process;
#[path = "rig/program.rs"]
mod program;
#[path = "rig/said.rs"]
mod said;

use std::io::{Read, Write};
use std::thread;

use encarno_target::TargetSettings;
use go_peer::{GoServer, go_peer};
use logged::logged;
use process::Process;
use said::said;

/// The kinds of peers: with windows that go on, without, and with small windows.
const KINDS: [&str; 4] = ["takeover", "alone", "10", "15"];

/// Numbered messages. Parts of them are in earlier ones, near and far.
fn messages(count: usize) -> Vec<String> {
    let message = |number: usize| {
        let times = [0, 1, 30, 700][number % 4];
        let text = format!("ä{} ", number / 8 * 7919 % 1000).repeat(times);
        format!("{{\"text\": \"{text}\", \"n\": {number}}}")
    };
    (0..count).map(message).collect()
}

#[test]
fn servers_get_every_message_once() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let messages = messages(400);
    let records: String = messages
        .iter()
        .map(|message| format!("{} n\n{message}\n", message.len()))
        .collect();
    std::fs::write(folder.join("records"), records).unwrap();
    for kind in KINDS {
        let GoServer {
            address,
            stdout: mut lines,
            mut process,
        } = GoServer::start("websocket-peer", &[kind]);
        let url = format!("ws://{address}/");
        let printed = thread::spawn(move || {
            let mut rest = String::new();
            lines.read_to_string(&mut rest).unwrap();
            rest
        });
        let flags = [
            "hit", &url, "-i", "records", "--format", "raw", "--loop", "1", "-c", "3", "--quiet",
        ];
        let more = [
            "-O",
            "compression=deflate",
            "--answer-match",
            "\"n\": [0-9]+}$",
        ];
        let (status, said) = said(folder, &[&flags[..], &more].concat());
        let is_whole = said.contains("done 400 + failed 0");
        assert!(status == Some(0) && is_whole, "{kind}: {said}");
        // It ends with its input.
        drop(process.0.stdin.take());
        let printed = printed.join().unwrap();
        let mut came: Vec<_> = printed.lines().collect();
        let mut sent: Vec<_> = messages.iter().map(String::as_str).collect();
        came.sort_unstable();
        sent.sort_unstable();
        assert!(came == sent, "{kind}: {} came", came.len());
    }
}

#[test]
fn clients_are_answered_by_the_target() {
    let messages = messages(200);
    for kind in KINDS {
        let (echoes, log) = logged(TargetSettings::default(), |_, address| {
            let url = format!("ws://{address}/");
            let client = go_peer("websocket-peer").args(["call", kind, &url]).spawn();
            let mut client = Process(client.unwrap());
            let mut stdin = client.0.stdin.take().unwrap();
            let lines = messages.join("\n");
            let sent = thread::spawn(move || stdin.write_all(lines.as_bytes()).unwrap());
            let mut echoes = String::new();
            let mut stdout = client.0.stdout.take().unwrap();
            stdout.read_to_string(&mut echoes).unwrap();
            sent.join().unwrap();
            assert!(client.0.wait().unwrap().success(), "{kind}");
            echoes
        });
        assert!(echoes.lines().eq(&messages), "{kind}");
        assert_eq!(log.len(), 200, "{kind}");
        for entries in log.values() {
            assert!(entries.len() == 1 && entries[0].sent_ns > 0, "{kind}");
        }
    }
}
