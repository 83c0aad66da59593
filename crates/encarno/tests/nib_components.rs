//! Protocols that are wasm components: every hit once, by the peer's own account; guests and
//! peers that lie. Without the feature `wasm` there are none.

#![cfg(feature = "wasm")]
#![allow(clippy::expect_used, clippy::unwrap_used)] // a test that fails here says enough
#![allow(clippy::print_stderr)] // what is skipped is told

#[path = "rig/componentize.rs"]
mod componentize;
#[path = "rig/guests.rs"]
mod guests;
#[path = "rig/peer.rs"]
mod peer;
#[path = "rig/program.rs"]
mod program;
#[path = "rig/recorded.rs"]
mod recorded;

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use encarno_record::code;
use guests::guest;
use peer::peer;

struct Ran {
    said: String,
    status: Option<i32>,
    hits: Vec<encarno_record::Hit>,
}

impl Ran {
    /// How many hits have that code.
    fn count(&self, code: u16) -> usize {
        self.hits.iter().filter(|hit| hit.net_code == code).count()
    }
}

/// A run with its hits; the nib is one of `_examples/guests`.
fn hit(nib: &str, arguments: &[&str]) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    let nib = guest(nib);
    let own = ["--quiet", "--threads", "2", "-o", "run.enc", "--nib", &nib];
    let arguments = [&["hit"], arguments, &own].concat();
    let output = program::run(folder.path(), &arguments);
    let file = folder.path().join("run.enc");
    let hits = match file.exists() {
        true => recorded::hits(&file)
            .into_iter()
            .map(|(hit, _)| hit)
            .collect(),
        false => Vec::new(),
    };
    Ran {
        said: recorded::said(&output),
        status: output.status.code(),
        hits,
    }
}

/// A file with a raw record for each of these.
fn records(folder: &Path, records: impl Iterator<Item = String>) -> PathBuf {
    let file = folder.join("records");
    let text: String = records
        .map(|record| format!("{} n\n{record}\n", record.len()))
        .collect();
    std::fs::write(&file, text).unwrap();
    file
}

/// A peer that speaks RESP, and counts the commands that it gets.
fn redis(counts: &Arc<Mutex<HashMap<String, u32>>>) -> SocketAddr {
    let counts = Arc::clone(counts);
    peer(move |mut stream| {
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut line = String::new();
        loop {
            line.clear();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let count: usize = line.trim_end()[1..].parse().unwrap();
            let mut words = Vec::new();
            for _ in 0..count {
                line.clear();
                reader.read_line(&mut line)?;
                let length: usize = line.trim_end()[1..].parse().unwrap();
                let mut word = vec![0; length + 2];
                reader.read_exact(&mut word)?;
                words.push(String::from_utf8_lossy(&word[..length]).into_owned());
            }
            let answer = match &*words[0] {
                "ECHO" => format!("${}\r\n{}\r\n", words[1].len(), words[1]),
                "LIST" => "*3\r\n:1\r\n*2\r\n$-1\r\n$2\r\nab\r\n+c\r\n".to_owned(),
                "PING" => "+PONG\r\n".to_owned(),
                word => format!("-ERR unknown command '{word}'\r\n"),
            };
            *counts.lock().unwrap().entry(words.join(" ")).or_insert(0) += 1;
            stream.write_all(answer.as_bytes())?;
        }
    })
}

#[test]
fn every_command_is_sent_once_and_answered() {
    let counts = Arc::default();
    let url = format!("tcp://{}", redis(&counts));
    let folder = tempfile::tempdir().unwrap();
    let commands = (0..2000).map(|number| match number % 4 {
        0 => format!("LIST {number}"),
        1 => format!("PING {number}"),
        2 => format!("NONSENSE {number}"),
        _ => format!("ECHO {number}"),
    });
    let file = records(folder.path(), commands);
    let file = file.to_str().unwrap();
    for streams in ["1", "8"] {
        counts.lock().unwrap().clear();
        let arguments = [
            "-i",
            file,
            "--format",
            "raw",
            "--loop",
            "1",
            "-c",
            "4",
            "--streams",
        ];
        let ran = hit(
            "resp.wasm",
            &[&[&*url], &arguments[..], &[streams]].concat(),
        );
        assert_eq!(ran.status, Some(0), "{}", ran.said);
        assert_eq!(ran.hits.len(), 2000, "{}", ran.said);
        assert_eq!(ran.count(0), 2000, "{}", ran.said);
        let failed = ran.hits.iter().filter(|hit| hit.error.0 != 0).count();
        assert_eq!(failed, 500, "those of unknown commands: {}", ran.said);
        assert!(ran.said.contains("ERR"), "{}", ran.said);
        for hit in &ran.hits {
            let times = [
                hit.started_ns,
                hit.connected_ns,
                hit.sent_ns,
                hit.first_byte_ns,
                hit.ended_ns,
            ];
            assert!(times.is_sorted(), "{times:?}");
            assert!(hit.sent_bytes > 20 && hit.received_bytes > 5);
        }
        let counts = counts.lock().unwrap();
        assert_eq!(counts.len(), 2000);
        assert!(counts.values().all(|&times| times == 1));
    }
}

#[test]
fn a_configuration_names_the_component_with_its_checksum() {
    let counts = Arc::default();
    let url = format!("tcp://{}", redis(&counts));
    let folder = tempfile::tempdir().unwrap();
    let file = records(
        folder.path(),
        (0..10).map(|number| format!("ECHO {number}")),
    );
    let configuration = |sha256: &str| {
        let (nib, file) = (guest("resp.wasm"), file.display());
        let text = format!(
            "input: {{payloadfile: {file}, format: raw, iterationlimit: 1}}\n\
             output: {{nativefile: run.enc}}\n\
             protocol: {{address: '{url}'}}\n\
             workers: {{mode: closed, maxworkers: 1}}\n\
             nib:\n  wasm: {nib}\n  sha256: {sha256}\n"
        );
        std::fs::write(folder.path().join("run.yml"), text).unwrap();
        program::run(folder.path(), &["run", "run.yml"])
    };
    let wrong = configuration(&"0".repeat(64));
    recorded::assert_ended(&wrong, &["run"], 1, "nib.wasm: ");
    let said = recorded::said(&wrong);
    let sha256 = said.split("its sha256 is ").nth(1).expect("it is told");
    let right = configuration(&sha256[..64]);
    assert_eq!(right.status.code(), Some(0), "{}", recorded::said(&right));
    assert_eq!(recorded::hits(&folder.path().join("run.enc")).len(), 10);
}

/// A peer that sends lines back.
fn echo() -> SocketAddr {
    peer(|mut stream| {
        for line in BufReader::new(stream.try_clone()?).lines() {
            stream.write_all(format!("{}\n", line?).as_bytes())?;
        }
        Ok(())
    })
}

#[test]
fn a_guest_that_breaks_a_rule_fails_its_hits_and_no_others() {
    let url = format!("tcp://{}", echo());
    let folder = tempfile::tempdir().unwrap();
    // One hit in ten breaks the rule.
    let lines = |number| match number % 10 {
        5 => "break\n".to_owned(),
        _ => format!("line {number}\n"),
    };
    let file = records(folder.path(), (0..60).map(lines));
    let file = file.to_str().unwrap();
    for (mode, says) in [
        ("loop", "ran for more than"),
        ("grow", ""),
        ("trap", "wasm trap"),
        ("lie", "ends hit 4711"),
        ("payload", "sends hit 4711"),
        ("send", ""),
        ("exactly-nothing", "exactly 0 bytes"),
        ("lie-often", ""),
    ] {
        let settings = format!("settings={mode}");
        let arguments = [
            "-i", file, "--format", "raw", "--loop", "1", "-c", "1", "-O",
        ];
        let ran = hit(
            "hostile.wasm",
            &[&[&*url], &arguments[..], &[&*settings]].concat(),
        );
        assert_eq!(ran.hits.len(), 60, "{mode}: {}", ran.said);
        assert_eq!(ran.count(code::PLUGIN), 6, "{mode}: {}", ran.said);
        assert_eq!(ran.count(0), 54, "{mode}: {}", ran.said);
        assert!(ran.said.contains(says), "{mode}: {}", ran.said);
    }
}

#[test]
fn a_guest_that_only_breaks_down_ends_the_run() {
    let url = format!("tcp://{}", echo());
    for mode in ["trap-in-new", "trap-in-opened", "trap"] {
        let settings = format!("settings={mode}");
        let arguments = [
            &*url, "-d", r"break\n", "-n", "1000", "-c", "2", "-O", &settings,
        ];
        let ran = hit("hostile.wasm", &arguments);
        assert_eq!(ran.status, Some(5), "{mode}: {}", ran.said);
        let says = "the guest broke down 10 times in a row";
        assert!(ran.said.contains(says), "{mode}: {}", ran.said);
        assert!(ran.hits.len() < 1000, "{mode}");
    }
}

#[test]
fn a_guest_that_does_nothing_is_waited_for_in_vain() {
    let url = format!("tcp://{}", echo());
    for (mode, code) in [
        ("more", code::TIMEOUT),
        ("hold", code::TIMEOUT),
        ("close-in-opened", code::PROTOCOL),
        ("close", code::TIMEOUT),
        ("wake", 0),
        ("login", 0),
        ("any", 0),
        ("trap-in-drop", 0),
        ("long-error", 0),
        ("many-errors", 0),
        ("log", 0),
    ] {
        let settings = format!("settings={mode}");
        let arguments = [
            &*url,
            "-d",
            r"line\n",
            "-n",
            "4",
            "-c",
            "2",
            "--timeout",
            "500ms",
            "-O",
            &settings,
        ];
        let mut arguments = arguments.to_vec();
        if matches!(mode, "long-error" | "log" | "many-errors") {
            arguments[2] = r"break\n";
        }
        let ran = hit("hostile.wasm", &arguments);
        assert_eq!(ran.count(code), 4, "{mode}: {}", ran.said);
    }
}

#[test]
fn what_cannot_run_is_told_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("broken.wasm");
    std::fs::write(&broken, b"\0asm\x01\0\0\0").unwrap();
    let broken = broken.to_str().unwrap();
    let none = folder.path().join("none.wasm");
    let none = none.to_str().unwrap();
    let (resp, hostile) = (guest("resp.wasm"), guest("hostile.wasm"));
    let blaster = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    for (nib, more, says) in [
        (broken, &[][..], "it is a core module"),
        (none, &[], "No such file"),
        (blaster, &[], "it isn't a file of wasm"),
        (&resp, &["-O", "sha256=abc"], "its sha256 is "),
        (&resp, &["--streams", "2000"], "resp has 1024 at most"),
        (&resp, &["-O", "memory-mb=0"], "memory"),
        (
            &hostile,
            &["-O", "settings=refuse"],
            "the guest says: these settings are no good",
        ),
        (
            &hostile,
            &["-O", "settings=until-nothing"],
            "1 to 64 are possible",
        ),
        (&hostile, &["-O", "settings=trap-in-configure"], "wasm trap"),
        (
            &hostile,
            &["-O", "settings=loop-in-configure"],
            "ran for more than 5s",
        ),
        (&resp, &["-O", "colour=red"], "wasm doesn't have it"),
    ] {
        let arguments = [
            "hit",
            "tcp://127.0.0.1:9",
            "-d",
            "PING",
            "-n",
            "1",
            "--nib",
            nib,
        ];
        let arguments = [&arguments[..], more].concat();
        let output = program::run(folder.path(), &arguments);
        recorded::assert_ended(&output, &arguments, 2, says);
    }
    let arguments = ["hit", "http://127.0.0.1:9/", "-n", "1", "--nib", &resp];
    let output = program::run(folder.path(), &arguments);
    recorded::assert_ended(
        &output,
        &arguments,
        2,
        "--nib is for tcp://, tls://, tcp+unix://",
    );
}

#[test]
fn a_record_that_the_guest_refuses_ends_the_input() {
    let url = format!("tcp://{}", echo());
    let folder = tempfile::tempdir().unwrap();
    let lines = (0..100).map(|number| match number {
        7 => "break\n".to_owned(),
        _ => format!("line {number}\n"),
    });
    let file = records(folder.path(), lines);
    let file = file.to_str().unwrap();
    for (mode, says) in [
        ("refuse-record", "this record is no good"),
        ("trap-in-prepare", "wasm trap"),
    ] {
        let settings = format!("settings={mode}");
        let arguments = [
            &*url, "-i", file, "--format", "raw", "--loop", "1", "-c", "1", "-O", &settings,
        ];
        let ran = hit("hostile.wasm", &arguments);
        assert_eq!(ran.status, Some(3), "{mode}: {}", ran.said);
        assert!(ran.hits.len() <= 7, "{mode}: {}", ran.said);
        assert!(ran.said.contains(says), "{mode}: {}", ran.said);
    }
}

#[test]
fn peers_that_lie_are_failures_in_time() {
    let flood = peer(|mut stream| {
        stream.read_exact(&mut [0; 4])?;
        loop {
            stream.write_all(&[b'x'; 65536])?;
        }
    });
    let bomb = peer(|mut stream| {
        stream.read_exact(&mut [0; 4])?;
        stream.write_all(b"$536870912\r\n")?;
        stream.read_to_end(&mut Vec::new()).map(drop)
    });
    let unasked = peer(|mut stream| {
        stream.write_all(b"+OK\r\n+OK\r\n+OK\r\n+OK\r\n")?;
        stream.read_to_end(&mut Vec::new()).map(drop)
    });
    let other = peer(|mut stream| {
        stream.read_exact(&mut [0; 4])?;
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")?;
        stream.read_to_end(&mut Vec::new()).map(drop)
    });
    let closing = peer(|mut stream| {
        // All of it: what is left unread would be a reset.
        stream.read_exact(&mut [0; 14])?;
        stream.write_all(b"$5\r\nab")
    });
    for (address, code) in [
        (flood, code::PROTOCOL),
        (bomb, code::PROTOCOL),
        // What nobody asked for ends the connection, not the hit that was answered.
        (unasked, 0),
        (other, code::PROTOCOL),
        (closing, code::CLOSED_EARLY),
    ] {
        let url = format!("tcp://{address}");
        let arguments = [
            &*url,
            "-d",
            "PING",
            "-n",
            "2",
            "-c",
            "1",
            "-O",
            "answer-max=1000000",
        ];
        let ran = hit("resp.wasm", &arguments);
        assert!(
            ran.count(code) >= 1,
            "{address} {code}: {} {:?}",
            ran.said,
            ran.hits
        );
    }
}

#[test]
fn components_are_checked() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["resp.wasm", "memcached.wasm"] {
        let file = guest(name);
        let vectors = file.replace(".wasm", "/vectors");
        let arguments = ["nib", "check", &file, "--vectors", &vectors];
        let output = program::run(folder.path(), &arguments);
        recorded::assert_ended(&output, &arguments, 0, "as expected");
        let said = recorded::said(&output);
        assert!(
            said.contains("encarno:nib/protocol@0.1.0") && said.ends_with("ok\n"),
            "{said}"
        );
    }
    let file = guest("hostile.wasm");
    let vectors = folder.path().join("vectors");
    std::fs::write(
        &vectors,
        "{\"record\": \"break\\n\", \"answer\": \"break\\n\"}\n",
    )
    .unwrap();
    let vectors = vectors.to_str().unwrap();
    for (mode, code, says) in [
        ("trap", 1, "wasm trap"),
        ("any", 1, "the hit ended after 1 of 6 bytes"),
        ("more", 1, "no hit has ended after all 6 bytes"),
        ("", 0, "ok"),
    ] {
        let arguments = [
            "nib",
            "check",
            &file,
            "--vectors",
            vectors,
            "--settings",
            mode,
        ];
        let output = program::run(folder.path(), &arguments);
        recorded::assert_ended(&output, &arguments, code, says);
    }
}

#[test]
fn a_nib_in_python_speaks_the_same_interface() {
    let folder = tempfile::tempdir().unwrap();
    let nib = componentize::of_python(folder.path(), "nib", "nib", "line");
    speaks_the_same_interface(folder.path(), nib);
}

#[test]
fn a_nib_in_javascript_speaks_the_same_interface() {
    let arguments = "_examples/guests/javascript/line.js --wit wit/nib --world-name nib \
                     -d stdio -d random -d clocks -d http -d fetch-event -o";
    let install = "npm install --global @bytecodealliance/componentize-js";
    let folder = tempfile::tempdir().unwrap();
    let nib = componentize::made(folder.path(), "componentize-js", install, arguments);
    speaks_the_same_interface(folder.path(), nib);
}

/// A nib of lines, if there is a program that makes it.
fn speaks_the_same_interface(folder: &Path, nib: Option<String>) {
    let Some(nib) = nib else { return };
    let url = format!("tcp://{}", echo());
    let own = [
        "hit",
        &url,
        "-d",
        "line",
        "-n",
        "9",
        "-c",
        "1",
        "--timeout",
        "60s",
    ];
    let ran = program::run(
        folder,
        &[&own[..], &["--nib", &nib, "-o", "run.enc"]].concat(),
    );
    assert_eq!(ran.status.code(), Some(0), "{}", recorded::said(&ran));
    let hits = recorded::hits(&folder.join("run.enc"));
    assert_eq!(hits.len(), 9);
    assert!(hits.iter().all(|(hit, _)| hit.protocol_code == 200));
}

/// A server that is a program of this machine; none where there is no such program.
struct Server(Child, SocketAddr);

impl Server {
    fn start(program: &str, arguments: impl Fn(u16) -> Vec<String>) -> Option<Self> {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let child = Command::new(program)
            .args(arguments(port))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(child) = child else {
            eprintln!("skipped: there is no {program} (Debian: apt-get install {program})");
            return None;
        };
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let server = Self(child, address);
        for _ in 0..600 {
            if TcpStream::connect(address).is_ok() {
                return Some(server);
            }
            thread::sleep(Duration::from_millis(50));
        }
        panic!("{program} doesn't listen");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _killed = self.0.kill();
        let _waited = self.0.wait();
    }
}

/// What a server says to some bytes.
fn asked(address: SocketAddr, question: &str, end: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    stream.write_all(question.as_bytes()).unwrap();
    let (mut text, mut buffer) = (String::new(), [0; 4096]);
    while !text.contains(end) {
        let count = stream.read(&mut buffer).unwrap();
        assert!(count > 0, "{text}");
        text += &String::from_utf8_lossy(&buffer[..count]);
    }
    text
}

#[test]
fn redis_itself_counts_every_hit_once() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = |port: u16| {
        let own = [
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
            "--dir",
        ];
        let own = own.iter().map(ToString::to_string);
        own.chain([
            folder.path().display().to_string(),
            "--port".to_owned(),
            port.to_string(),
        ])
        .collect()
    };
    let Some(server) = Server::start("redis-server", arguments) else {
        return;
    };
    let url = format!("tcp://{}", server.1);
    let file = records(
        folder.path(),
        (0..3000).map(|number| format!("INCR key{}", number % 3)),
    );
    let file = file.to_str().unwrap();
    let arguments = [
        &*url,
        "-i",
        file,
        "--format",
        "raw",
        "--loop",
        "1",
        "-c",
        "3",
        "--streams",
        "8",
    ];
    let ran = hit("resp.wasm", &arguments);
    assert_eq!((ran.status, ran.count(0)), (Some(0), 3000), "{}", ran.said);
    for key in 0..3 {
        let command = format!("GET key{key}\r\n");
        assert_eq!(asked(server.1, &command, "\r\n1000\r\n"), "$4\r\n1000\r\n");
    }
}

#[test]
fn memcached_itself_counts_every_hit_once() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = |port: u16| {
        let text = format!("-l 127.0.0.1 -U 0 -u nobody -p {port}");
        text.split(' ').map(str::to_owned).collect()
    };
    let Some(server) = Server::start("memcached", arguments) else {
        return;
    };
    let url = format!("tcp://{}", server.1);
    let commands = (0..3000).map(|number| match number % 3 {
        0 => format!("set key{number} 0 600 a text of {number}"),
        1 => format!("get key{}", number - 1),
        _ => format!("get none{number}"),
    });
    let file = records(folder.path(), commands);
    let file = file.to_str().unwrap();
    let arguments = [
        &*url,
        "-i",
        file,
        "--format",
        "raw",
        "--loop",
        "1",
        "-c",
        "1",
        "--streams",
        "1",
    ];
    let ran = hit("memcached.wasm", &arguments);
    assert_eq!(ran.count(0), 3000, "{}", ran.said);
    let found = ran
        .hits
        .iter()
        .filter(|hit| hit.protocol_code == 200)
        .count();
    let missing = ran
        .hits
        .iter()
        .filter(|hit| hit.protocol_code == 404)
        .count();
    assert_eq!((found, missing), (2000, 1000), "{}", ran.said);
    let stats = asked(server.1, "stats\r\n", "END\r\n");
    for line in [
        "STAT cmd_set 1000\r\n",
        "STAT get_hits 1000\r\n",
        "STAT get_misses 1000\r\n",
    ] {
        assert!(stats.contains(line), "{line}: {stats}");
    }
}
