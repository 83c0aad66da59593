//! WebSocket: every hit once, answers among other messages, and peers that lie.

#![allow(clippy::expect_used, clippy::unwrap_used)] // a test that fails here says enough

#[path = "rig/logged.rs"]
mod logged;
#[path = "rig/peer.rs"]
mod peer;
#[path = "rig/program.rs"]
mod program;
#[path = "rig/recorded.rs"]
mod recorded;

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use encarno_target::{LogEntry, TargetSettings};
use encarno_websocket::{
    CloseCode, Connection, Deflate, Handler, Kind, Limits, Role, accept, answer,
};
use logged::logged;
use peer::peer;

fn hit(folder: &Path, arguments: &[&str]) -> (bool, String) {
    let arguments = [&["hit"], arguments, &["--quiet", "--threads", "2"]].concat();
    let output = program::run(folder, &arguments);
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8(text).unwrap();
    let words: Vec<_> = text.split_whitespace().collect();
    (output.status.success(), words.join(" "))
}

fn identity(folder: &Path) -> (PathBuf, PathBuf) {
    let key = rcgen::KeyPair::generate().unwrap();
    let parameters = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = parameters.self_signed(&key).unwrap();
    let (cert, secret) = (folder.join("cert.pem"), folder.join("key.pem"));
    std::fs::write(&cert, certificate.pem()).unwrap();
    std::fs::write(&secret, key.serialize_pem()).unwrap();
    (cert, secret)
}

/// Records in the format `raw`, each with its number in JSON.
fn records(folder: &Path, count: usize) {
    let records: String = (0..count)
        .map(|number| {
            let message = format!("{{\"n\": {number}}}");
            format!("{} n\n{message}\n", message.len())
        })
        .collect();
    std::fs::write(folder.join("records"), records).unwrap();
}

const RECORDS: [&str; 6] = ["-i", "records", "--format", "raw", "--loop", "1"];

/// Sends so many numbered messages to a target; what was said, and the target's log.
fn numbered(
    count: usize,
    settings: TargetSettings,
    flags: &[&str],
) -> (bool, String, HashMap<u64, Vec<LogEntry>>) {
    let scheme = match settings.identity {
        Some(_) => "wss",
        None => "ws",
    };
    let ((ok, text), log) = logged(settings, |folder, address| {
        records(folder, count);
        let url = format!("{scheme}://{address}/chat");
        hit(folder, &[&[&*url], &RECORDS[..], flags].concat())
    });
    (ok, text, log)
}

#[test]
fn every_message_is_sent_once_and_answered() {
    let folder = tempfile::tempdir().unwrap();
    let usual = TargetSettings::default();
    let with_tls = TargetSettings {
        identity: Some(identity(folder.path())),
        ..usual.clone()
    };
    // Asks clients to leave, and drops connections behind answers.
    let leaving = TargetSettings {
        close_rate: 0.02,
        drip: true,
        ..usual.clone()
    };
    let (one, many) = (&["-O", "streams=1"][..], &["-O", "streams=8"][..]);
    let packed = &["-O", "streams=8", "-O", "compression=deflate"][..];
    let alone = "compression=deflate; server_no_context_takeover; client_no_context_takeover; \
                 server_max_window_bits=9; client_max_window_bits=9";
    for (settings, own, is_clean) in [
        (usual.clone(), one, true),
        (usual.clone(), many, true),
        (usual.clone(), packed, true),
        (usual, &["-O", alone], true),
        (with_tls.clone(), many, true),
        (with_tls, packed, true),
        (leaving.clone(), one, false),
        (leaving, &["-O", "compression=deflate"], false),
    ] {
        let flags = [&["-c", "4", "-k", "--answer-match", "\"n\":"][..], own].concat();
        let (ok, text, log) = numbered(2000, settings, &flags);
        assert!(ok || !is_clean, "{text}");
        assert_eq!(log.len(), 2000, "{text}");
        assert!(log.values().all(|entries| entries.len() == 1), "{text}");
        // A message that crosses the goodbye isn't answered.
        let failed = log.values().filter(|entries| entries[0].sent_ns == 0);
        let failed = failed.count();
        assert!(failed == 0 || !is_clean && failed < 200, "{text}");
        let account = format!("done {} + failed {failed} + dropped 0", 2000 - failed);
        assert!(text.contains(&account), "{account}: {text}");
    }
}

#[test]
fn answers_that_are_cut_off_and_answers_that_never_come_are_failures() {
    let settings = TargetSettings {
        reset_rate: 0.1,
        silent_rate: 0.02,
        ..TargetSettings::default()
    };
    let (_, text, log) = numbered(500, settings, &["-c", "4", "--timeout", "300ms"]);
    assert_eq!(log.len(), 500, "{text}");
    let failed = log.values().filter(|entries| entries[0].sent_ns == 0);
    let failed = failed.count();
    assert!((20..200).contains(&failed), "{failed}");
    let account = format!("done {} + failed {failed} + dropped 0", 500 - failed);
    assert!(text.contains(&account), "{failed}: {text}");
}

/// What a peer hears.
#[derive(Default)]
struct Heard {
    messages: Vec<(Kind, Vec<u8>)>,
    pongs: Vec<Vec<u8>>,
    is_whole: bool,
    code: Option<u16>,
}

impl Handler for Heard {
    fn begin(&mut self, kind: Kind) {
        self.messages.push((kind, Vec::new()));
    }

    fn data(&mut self, bytes: &[u8], _: usize) {
        self.messages.last_mut().unwrap().1.extend_from_slice(bytes);
    }

    fn end(&mut self) {
        self.is_whole = true;
    }

    fn pong(&mut self, payload: &[u8], _: usize) {
        self.pongs.push(payload.to_vec());
    }

    fn close(&mut self, code: Option<CloseCode>, _: &str) {
        self.code = code.map(|code| code.0);
    }
}

const LIMITS: Limits = Limits {
    message_bytes_max: 1 << 20,
};

/// A server's side of a connection, behind its handshake.
struct Served {
    stream: TcpStream,
    connection: Connection,
    heard: Heard,
    request: String,
}

impl Served {
    fn accept(stream: TcpStream) -> std::io::Result<Self> {
        Self::accept_with(stream, "")
    }

    /// Agrees to these extensions, without a look at the offer.
    fn accept_with(mut stream: TcpStream, extensions: &str) -> std::io::Result<Self> {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            request.push(byte[0]);
        }
        let accepted = accept(&encarno_http1::Request::parse(&request).unwrap()).unwrap();
        let mut answer = answer(&accepted, None);
        let mut connection = Connection::new(Role::Server, LIMITS, 0);
        if !extensions.is_empty() {
            answer.truncate(answer.len() - 2);
            let field = format!("Sec-WebSocket-Extensions: {extensions}\r\n\r\n");
            answer.extend_from_slice(field.as_bytes());
            connection.deflate(&Deflate::default());
        }
        stream.write_all(&answer)?;
        Ok(Self {
            stream,
            connection,
            heard: Heard::default(),
            request: String::from_utf8(request).unwrap(),
        })
    }

    /// The next message; answers what the protocol itself answers.
    fn message(&mut self) -> std::io::Result<(Kind, Vec<u8>)> {
        while !self.heard.is_whole {
            self.read()?;
        }
        self.heard.is_whole = false;
        Ok(self.heard.messages.pop().unwrap())
    }

    fn read(&mut self) -> std::io::Result<()> {
        self.receive()?;
        self.flush()
    }

    fn receive(&mut self) -> std::io::Result<()> {
        let mut buffer = [0; 4096];
        let count = self.stream.read(&mut buffer)?;
        if count == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let received = self
            .connection
            .receive(&mut buffer[..count], &mut self.heard);
        received.map_err(std::io::Error::other)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.stream.write_all(self.connection.outbox())?;
        self.connection.sent(self.connection.outbox().len());
        Ok(())
    }
}

#[test]
fn an_answer_is_found_among_other_messages() {
    let requests = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&requests);
    let address = peer(move |stream| {
        let mut served = Served::accept(stream)?;
        seen.lock().unwrap().push(served.request.clone());
        loop {
            // A push before anything was asked, a ping, and messages that aren't it; the
            // answer in pieces, with another ping within.
            served.stream.write_all(b"\x81\x0f{\"n\": \"a push\"}")?;
            let (kind, message) = served.message()?;
            assert_eq!(
                (kind, &*message),
                (Kind::Text, &b"{\"n\": 1, \"a\\nb\": 2}"[..])
            );
            served
                .stream
                .write_all(b"\x89\x03abc\x81\x0a{\"m\": \"n\"}")?;
            served
                .stream
                .write_all(b"\x01\x02{\"\x89\x00\x00\x01n\x80\x06\": 5 }")?;
            while served.heard.pongs.len() < 2 {
                served.read()?;
            }
            assert_eq!(served.heard.pongs, [&b"abc"[..], b""]);
            served.heard.pongs.clear();
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let url = format!("ws://me:secret@{address}/chat?room=1");
    let flags = [
        &url,
        "-d",
        r#"{"n": 1, "a\nb": 2}"#,
        "--answer-match",
        r#"^\{"n": \d"#,
        "-n",
        "20",
        "-c",
        "2",
        "-H",
        "Origin: http://a.example",
        "-H",
        "Sec-WebSocket-Protocol: chat",
        "-o",
        "run.enc",
    ];
    let (ok, text) = hit(folder, &flags);
    assert!(ok && text.contains("done 20 + failed 0"), "{text}");
    let requests = requests.lock().unwrap();
    assert_eq!(requests.len(), 2, "connections are kept");
    for line in [
        "GET /chat?room=1 HTTP/1.1",
        &format!("Host: {address}"),
        "Origin: http://a.example",
        "Sec-WebSocket-Protocol: chat",
        "Authorization: Basic bWU6c2VjcmV0",
        "Sec-WebSocket-Version: 13",
    ] {
        assert!(
            requests[0].lines().any(|found| found == line),
            "{requests:?}"
        );
    }
    // The frames of the answer and of what came before it: 7 + 4 + … bytes.
    let output = program::run(folder, &["stats", "run.enc"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("20 hits") && !text.contains("secret"),
        "{text}"
    );
}

#[test]
fn pings_binary_messages_and_messages_without_answers() {
    let kinds = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&kinds);
    let address = peer(move |stream| {
        let mut served = Served::accept(stream)?;
        loop {
            let message = served.message()?;
            seen.lock().unwrap().push(message.clone());
            served.connection.send(message.0, &message.1);
            served.flush()?;
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let url = format!("ws://{address}");
    let run = |flags: &[&str]| {
        hit(
            folder.path(),
            &[&[&*url, "-n", "5", "-c", "1"], flags].concat(),
        )
    };
    for flags in [
        &["-d", "beat", "-O", "ping=true"][..],
        &["-O", "ping=true", "-O", "streams=4"],
    ] {
        let (ok, text) = run(flags);
        assert!(ok && text.contains("done 5 + failed 0"), "{text}");
        assert!(kinds.lock().unwrap().is_empty(), "pings are no messages");
    }
    for (flags, expected) in [
        (&["-d", "text"][..], (Kind::Text, b"text".to_vec())),
        (
            &["-d", "00 ff", "-O", "payload=hex"],
            (Kind::Binary, vec![0, 255]),
        ),
        (
            &["-d", "any", "-O", "message=binary"],
            (Kind::Binary, b"any".to_vec()),
        ),
        (&[], (Kind::Text, Vec::new())),
    ] {
        let (ok, text) = run(flags);
        assert!(ok && text.contains("done 5 + failed 0"), "{text}");
        assert_eq!(
            std::mem::take(&mut *kinds.lock().unwrap()),
            vec![expected; 5]
        );
    }
    // Without the word `hit`, too.
    let output = program::run(folder.path(), &[&url, "-n", "1", "--quiet"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("done 1 + failed 0"), "{text}");
    let (ok, text) = run(&["-d", "x", "--no-answer"]);
    assert!(ok && text.contains("done 5 + failed 0"), "{text}");
    for (flags, reason) in [
        (
            &["-d", "ff", "-O", "payload=hex", "-O", "message=text"][..],
            "UTF-8",
        ),
        (&["-d", "x", "--answer-match", "("], "answer-match"),
        (
            &["-d", "x", "--answer-match", "x", "-O", "ping=true"],
            "pong",
        ),
        (&["-d", "x", "--no-answer", "-O", "ping=true"], "pong"),
        (&["-O", "ping=maybe"], "true or false"),
        (&["-O", "message=letter"], "text or binary"),
        (&["-d", "x", "--answer-until", "x"], "answer-until"),
        (
            &["-H", "Sec-WebSocket-Extensions: permessage-deflate"],
            "-O compression=deflate",
        ),
        (&["-O", "compression=gzip"], "write deflate or none"),
        (
            &["-O", "compression=deflate; client_max_window_bits=8"],
            "from 9 to 15",
        ),
        (
            &["-O", "compression=deflate; server_no_takeover"],
            "unknown parameter",
        ),
        (&["-H", "Upgrade: h2c"], "sets it itself"),
        (&["-X", "POST"], "GET"),
        (&["-L"], "only HTTP has redirects"),
        (&["--proxy", "http://127.0.0.1:1"], "proxy"),
    ] {
        let (ok, text) = run(flags);
        assert!(!ok && text.contains(reason), "{flags:?}: {text}");
    }
    let long = "x".repeat(126);
    let (ok, text) = run(&["-d", &long, "-O", "ping=true"]);
    assert!(!ok && text.contains("125 bytes"), "{text}");
}

/// A peer that shakes hands, hears a message, says that, and then nothing.
fn liar(says: &'static [u8]) -> SocketAddr {
    peer(move |stream| {
        let mut served = Served::accept(stream)?;
        served.message()?;
        served.stream.write_all(says)?;
        loop {
            served.read()?;
        }
    })
}

/// The same, with messages that are compressed.
fn deflating_liar(extensions: &'static str, says: Vec<u8>) -> SocketAddr {
    peer(move |stream| {
        let mut served = Served::accept_with(stream, extensions)?;
        served.message()?;
        served.stream.write_all(&says)?;
        loop {
            served.read()?;
        }
    })
}

/// A peer that answers the handshake so.
fn refuser(says: &'static [u8]) -> SocketAddr {
    peer(move |mut stream| {
        let mut buffer = [0; 4096];
        let _head = stream.read(&mut buffer)?;
        stream.write_all(says)?;
        stream.read_to_end(&mut Vec::new()).map(drop)
    })
}

#[test]
fn what_a_server_does_wrong_is_told() {
    let endless = peer(|mut stream| {
        let _head = stream.read(&mut [0; 4096])?;
        stream.write_all(b"HTTP/1.1 101 Yes\r\n")?;
        loop {
            stream.write_all(&[b'x'; 65536])?;
        }
    });
    // Pieces of a message without end: it is longer than allowed sooner or later.
    let pieces = peer(|stream| {
        let mut served = Served::accept(stream)?;
        served.message()?;
        served.stream.write_all(b"\x02\x00")?;
        loop {
            served.stream.write_all(&b"\x00\x02ab".repeat(10_000))?;
        }
    });
    let pings = peer(|stream| {
        let mut served = Served::accept(stream)?;
        served.message()?;
        loop {
            // It doesn't read, either.
            served.stream.write_all(&b"\x89\x02ab".repeat(10_000))?;
        }
    });
    let closed = peer(|stream| {
        let mut served = Served::accept(stream)?;
        served.message()?;
        Ok(())
    });
    let silent = peer(|_stream| {
        thread::sleep(Duration::from_secs(60));
        Ok(())
    });
    let folder = tempfile::tempdir().unwrap();
    let not_found = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
    let unasked = b"HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
    let cases = [
        (
            refuser(not_found),
            "status 404 instead of 101 → is the URL's path right",
        ),
        (refuser(b"-ERR what?\r\n"), "isn't HTTP/1.1"),
        (refuser(unasked), "Sec-WebSocket-Accept"),
        (endless, "an endless head"),
        (
            liar(b"\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff"),
            "longer than 100000 bytes",
        ),
        (liar(b"\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff"), "length"),
        (liar(b"\xc1\x01x"), "extension"),
        (liar(b"\x81\x81aaaax"), "masked"),
        (liar(b"\x81\x02\xc3\x28"), "UTF-8"),
        (liar(b"\x80\x00"), "continues no message"),
        (
            liar(b"\x88\x09\x03\xf0go away"),
            "code 1008, policy violation (go away)",
        ),
        (liar(b"\x88\x02\x03\xed"), "has an invalid code"),
        (pieces, "longer than 100000 bytes"),
        (pings, "timeout"),
        (closed, "closed"),
        (silent, "timeout"),
    ];
    are_told(folder.path(), cases, &[]);
}

#[test]
fn what_a_server_does_wrong_with_compression_is_told() {
    // A thousand times as long as it is on the wire.
    let packed = |kind, message: &[u8]| {
        let mut connection = Connection::new(Role::Server, LIMITS, 0);
        connection.deflate(&Deflate::default());
        connection.send(kind, message);
        connection.outbox().to_vec()
    };
    let bomb = packed(Kind::Binary, &vec![0; 64 << 20]);
    assert!(bomb.len() < 70_000);
    let agreed = "permessage-deflate";
    // Messages that aren't too long, without end.
    let flood = packed(Kind::Binary, &vec![0; 99_000]).repeat(1000);
    let flooding = peer(move |stream| {
        let mut served =
            Served::accept_with(stream, "permessage-deflate; server_no_context_takeover")?;
        loop {
            served.stream.write_all(&flood)?;
        }
    });
    let unasked = "permessage-deflate; server_max_window_bits=11";
    let cases = [
        (deflating_liar(agreed, bomb), "longer than 100000 bytes"),
        (
            deflating_liar(agreed, packed(Kind::Text, b"\xc3\x28")),
            "UTF-8",
        ),
        (
            deflating_liar(agreed, b"\xc1\x01\xff".to_vec()),
            "isn't DEFLATE",
        ),
        (
            deflating_liar(agreed, b"\x41\x00\xc0\x00".to_vec()),
            "only the first frame",
        ),
        (
            deflating_liar(agreed, b"\xc9\x00".to_vec()),
            "only the first frame",
        ),
        (deflating_liar(agreed, b"\xa1\x00".to_vec()), "extension"),
        (
            deflating_liar("permessage-deflate; client_max_window_bits=8", Vec::new()),
            "client_max_window_bits=8",
        ),
        (
            deflating_liar("permessage-deflate; server_max_window_bits=77", Vec::new()),
            "a number from 8 to 15",
        ),
        (
            deflating_liar("permessage-deflate; best", Vec::new()),
            "unknown parameter",
        ),
        (
            deflating_liar("permessage-deflate, permessage-deflate", Vec::new()),
            "wasn't offered",
        ),
        (
            deflating_liar("permessage-bzip2", Vec::new()),
            "wasn't offered",
        ),
        (flooding, "timeout"),
    ];
    let folder = tempfile::tempdir().unwrap();
    let flags = ["-O", "compression=deflate", "--answer-match", "never"];
    are_told(folder.path(), cases, &flags);
    let flags = ["-O", "compression=deflate; server_max_window_bits=10"];
    let cases = [(
        deflating_liar(unasked, Vec::new()),
        "server_max_window_bits",
    )];
    are_told(folder.path(), cases, &flags);
}

#[test]
fn bytes_are_those_on_the_wire_and_answers_are_decompressed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let run = |url: &str, option: &str| {
        let message = "lorem ipsum ".repeat(1000) + "the end";
        let flags = ["hit", url, "-d", &message, "-n", "3", "-c", "1", "--quiet"];
        let more = [
            "-O",
            option,
            "--answer-match",
            "ipsum the end$",
            "-o",
            "run.enc",
        ];
        let output = program::run(folder, &[&flags[..], &more].concat());
        recorded::assert_ended(&output, &flags[..2], 0, "done 3 + failed 0");
        let hits = recorded::hits(&folder.join("run.enc"));
        let bytes = |(hit, _): &(encarno_record::Hit, String)| [hit.sent_bytes, hit.received_bytes];
        hits.iter().map(bytes).collect::<Vec<_>>()
    };
    let (packed, _) = logged(TargetSettings::default(), |_, address| {
        run(&format!("ws://{address}/"), "compression=deflate")
    });
    // The second and the third are found in the window.
    assert!(
        packed[0].iter().all(|bytes| (20..200).contains(bytes)),
        "{packed:?}"
    );
    assert!(
        packed[1..]
            .iter()
            .flatten()
            .all(|bytes| *bytes < packed[0][1]),
        "{packed:?}"
    );
    // A server that declines gets messages as they are.
    let declining = peer(|stream| {
        let mut served = Served::accept(stream)?;
        assert!(
            served
                .request
                .contains("permessage-deflate; client_max_window_bits\r\n")
        );
        loop {
            let message = served.message()?;
            served.connection.send(message.0, &message.1);
            served.flush()?;
        }
    });
    let plain = run(&format!("ws://{declining}/"), "compression=deflate");
    assert_eq!(plain, [[12_007 + 8, 12_007 + 4]; 3]);
}

#[test]
fn pushed_messages_tell_when_they_were_sent() {
    // Three messages that say that they were sent 200 ms ago, before each answer and each
    // pong, and one that doesn't say it.
    let address = peer(|stream| {
        let mut served = Served::accept(stream)?;
        loop {
            let is_ping = |served: &Served| !served.connection.outbox().is_empty();
            while !served.heard.is_whole && !is_ping(&served) {
                served.receive()?;
            }
            let answer = served.connection.outbox().to_vec();
            served.connection.sent(answer.len());
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            let sent = now.unwrap() - Duration::from_millis(200);
            let texts = [
                format!("{{\"at\": {}}}", sent.as_millis()),
                format!("{{\"at\": {}}}", sent.as_micros()),
                format!("{{\"at\": {}.5, \"by\": \"a server\"}}", sent.as_secs()),
                "{\"at\": \"noon\"}".to_owned(),
            ];
            for text in texts {
                served.connection.send(Kind::Text, text.as_bytes());
            }
            if std::mem::take(&mut served.heard.is_whole) {
                served.connection.send(Kind::Text, b"the answer");
            }
            served.flush()?;
            served.stream.write_all(&answer)?;
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let url = format!("ws://{address}/");
    let sent_at = r#"sent-at="at": ?([0-9.]+)"#;
    for flags in [&["--answer-match", "the answer"][..], &["-O", "ping=true"]] {
        let usual = [
            &*url, "-d", "x", "-n", "20", "-c", "2", "-O", sent_at, "-o", "run.enc",
        ];
        let (ok, text) = hit(folder, &[&usual[..], flags].concat());
        assert!(ok && text.contains("websocket_push_latency"), "{text}");
        let output = program::run(folder, &["stats", "--json", "run.enc"]);
        let read: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let metric = &read["metrics"][0];
        assert_eq!(metric["metric"], "websocket_push_latency");
        assert_eq!(metric["count"], 60, "{metric}");
        // A time in whole seconds and a half is up to half a second off, in either direction.
        let value = |name: &str| metric["values"][name].as_f64().unwrap();
        assert!(value("p90") >= 199.0 && value("min") >= -501.0, "{metric}");
    }
    for (option, reason) in [
        ("sent-at=at", "no group"),
        ("sent-at=(", "regular expression"),
    ] {
        let (ok, text) = hit(folder, &[&url, "-O", option]);
        assert!(!ok && text.contains(reason), "{text}");
    }
}

fn are_told<const COUNT: usize>(folder: &Path, cases: [(SocketAddr, &str); COUNT], more: &[&str]) {
    thread::scope(|scope| {
        for (address, reason) in cases {
            scope.spawn(move || is_told(folder, address, reason, more));
        }
    });
}

fn is_told(folder: &Path, address: SocketAddr, reason: &str, more: &[&str]) {
    let url = format!("ws://{address}/");
    let flags = [
        "-d",
        "x",
        "-n",
        "2",
        "-c",
        "2",
        "--timeout",
        "2s",
        "-O",
        "answer-max=100000",
    ];
    let (_, text) = hit(folder, &[&[&*url], &flags[..], more].concat());
    assert!(text.contains(reason), "{reason}: {text}");
    assert!(text.contains("done 0 + failed 2"), "{reason}: {text}");
}
