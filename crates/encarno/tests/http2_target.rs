//! HTTP/2 between the hit generator and its target: every hit once, whatever the target
//! does; TLS; scripts and configurations; and what h2spec says of the target.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::print_stdout)] // a test that fails here says enough

#[path = "rig/logged.rs"]
mod logged;
#[path = "rig/program.rs"]
mod program;

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use encarno_http2::{Connection, Handler, Head, Limits, Reset, Role, hpack::write_field};
use encarno_nib::delay::Delay;
use encarno_target::{LogEntry, Target, TargetSettings};
use logged::logged;

fn hit(folder: &Path, arguments: &[&str]) -> (bool, String) {
    let arguments = [&["hit"], arguments, &["--quiet", "--threads", "2"]].concat();
    said(folder, &arguments)
}

fn said(folder: &Path, arguments: &[&str]) -> (bool, String) {
    let output = program::run(folder, arguments);
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

/// Sends so many numbered requests to a target, and gives what was said and the
/// target's log by their numbers.
fn numbered(
    count: u64,
    settings: TargetSettings,
    flags: &[&str],
) -> (bool, String, HashMap<u64, Vec<LogEntry>>) {
    let lines: String = (0..count).map(|number| format!("/{number}\n")).collect();
    let ((ok, text), log) = logged(settings, |folder, address| {
        std::fs::write(folder.join("records"), lines).unwrap();
        let url = format!("http://{address}/");
        let input = ["-i", "records", "--loop", "1", "--http2"];
        hit(folder, &[&[&*url], &input[..], flags].concat())
    });
    (ok, text, log)
}

#[test]
fn every_hit_comes_once_while_the_target_asks_to_leave() {
    let settings = TargetSettings {
        close_rate: 0.02,
        body_bytes: 300,
        ..TargetSettings::default()
    };
    let (ok, text, log) = numbered(5000, settings, &["-c", "2", "--streams", "10"]);
    assert!(ok, "{text}");
    assert_eq!(log.len(), 5000, "{text}");
    let once = |entries: &Vec<LogEntry>| entries.len() == 1 && entries[0].sent_ns > 0;
    assert!(log.values().all(once), "{text}");
}

#[test]
fn what_is_broken_off_is_failed_and_nothing_else() {
    let settings = TargetSettings {
        reset_rate: 0.1,
        body_bytes: 1000,
        ..TargetSettings::default()
    };
    let (_, text, log) = numbered(2000, settings, &["-c", "1", "--streams", "20"]);
    let failed = log.values().filter(|entries| entries[0].sent_ns == 0);
    let (failed, all) = (failed.count(), log.len());
    assert_eq!(all, 2000, "{text}");
    assert!((100..400).contains(&failed), "{failed}");
    let account = format!("done {} + failed {failed} + dropped 0", all - failed);
    assert!(text.contains(&account), "{failed}: {text}");
    assert!(text.contains("1012"), "{text}");
}

#[test]
fn windows_and_streams_of_the_other_side_are_kept() {
    let settings = TargetSettings {
        streams_max: Some(3),
        body_bytes: 5000,
        delay: Delay::Fixed(Duration::from_millis(1)),
        ..TargetSettings::default()
    };
    let flags = ["-c", "1", "--streams", "8", "-O", "window=1000"];
    let (ok, text, log) = numbered(200, settings, &flags);
    assert!(ok, "{text}");
    assert_eq!(log.len(), 200);
    let mut at_once = 0;
    let mut instants: Vec<_> = log
        .values()
        .flatten()
        .flat_map(|entry| [(entry.received_ns, 1), (entry.sent_ns, -1)])
        .collect();
    instants.sort_unstable();
    for (_, step) in instants {
        at_once += step;
        assert!(at_once <= 3, "{text}");
    }
    // One byte at a time, and a connection that is closed behind some answers.
    let settings = TargetSettings {
        rude_close_rate: 0.05,
        drip: true,
        body_bytes: 50,
        ..TargetSettings::default()
    };
    let (_, text, log) = numbered(300, settings, &["-c", "2", "--streams", "5"]);
    assert!(text.contains("scheduled 300 = "), "{text}");
    assert!(log.values().all(|entries| entries.len() == 1), "{text}");
}

/// A certificate for localhost that signs itself, and its key.
fn identity(folder: &Path) -> (std::path::PathBuf, std::path::PathBuf) {
    let key = rcgen::KeyPair::generate().unwrap();
    let parameters = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = parameters.self_signed(&key).unwrap();
    let (cert, secret) = (folder.join("cert.pem"), folder.join("key.pem"));
    std::fs::write(&cert, certificate.pem()).unwrap();
    std::fs::write(&secret, key.serialize_pem()).unwrap();
    (cert, secret)
}

#[test]
fn through_tls_the_protocol_is_picked_by_alpn() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (cert, key) = identity(folder);
    let settings = TargetSettings {
        identity: Some((cert.clone(), key.clone())),
        close_rate: 0.05,
        body_bytes: 40_000,
        ..TargetSettings::default()
    };
    let target = Target::start(settings).unwrap();
    let url = format!("https://{}/", target.address());
    for version in [&["--http2", "--streams", "6"][..], &[]] {
        let flags = [&[&*url, "-n", "500", "-c", "2", "-k"], version].concat();
        let (ok, text) = hit(folder, &flags);
        assert!(ok && text.contains("done 500 "), "{text}");
    }
    let summary = target.stop().unwrap();
    assert_eq!((summary.requests, summary.answers), (1000, 1000));
}

#[test]
fn a_server_without_http2_is_told_with_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (cert, key) = identity(folder);
    // By an alert of TLS, and by picking nothing.
    for offered in [vec![b"http/1.1".to_vec()], vec![]] {
        let address = tls_server(&cert, &key, offered);
        let url = format!("https://{address}/");
        let (ok, text) = hit(folder, &[&url, "-n", "1", "-k", "--http2"]);
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let reason = "the server doesn't speak HTTP/2 over TLS (ALPN): leave --http2 out";
        assert!(
            !ok && text.contains(reason) && text.contains("1003"),
            "{text}"
        );
    }
}

/// A TLS server that shakes hands and then says nothing.
fn tls_server(cert: &Path, key: &Path, alpn: Vec<Vec<u8>>) -> SocketAddr {
    use rustls::pki_types::pem::PemObject;
    let chain = rustls::pki_types::CertificateDer::pem_file_iter(cert).unwrap();
    let chain = chain.map(Result::unwrap).collect();
    let key = rustls::pki_types::PrivateKeyDer::from_pem_file(key).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider);
    let config = config.with_safe_default_protocol_versions().unwrap();
    let mut config = config
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    config.alpn_protocols = alpn;
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let session = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = rustls::StreamOwned::new(session, stream);
            // The client may leave at any moment.
            let _read = stream.read(&mut [0; 1000]);
        }
    });
    address
}

/// Requests, as text, whose heads have come.
#[derive(Default)]
struct Site {
    whole: Vec<(u32, String)>,
}

impl Handler<String> for Site {
    fn wants_text(&mut self, _: &String) -> bool {
        true
    }

    fn begin(&mut self, _: u32) -> Option<String> {
        Some(String::new())
    }

    fn head(&mut self, stream: u32, user: &mut String, head: &Head<'_>, ends: bool) {
        let bytes = [head.path, b"\r\n", head.text].concat();
        *user = String::from_utf8(bytes).unwrap();
        if ends {
            self.whole.push((stream, user.clone()));
        }
    }

    fn data(&mut self, stream: u32, user: &mut String, bytes: &[u8], _: usize, ends: bool) {
        user.push_str(std::str::from_utf8(bytes).unwrap());
        if ends {
            self.whole.push((stream, user.clone()));
        }
    }

    fn reset(&mut self, _: u32, _: String, _: Reset) {}
}

/// A site with a login, which notes what it is asked.
fn site(noted: Arc<Mutex<Vec<String>>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let noted = Arc::clone(&noted);
            // The client may leave at any moment.
            thread::spawn(move || drop(serve(stream, &noted)));
        }
    });
    address
}

fn serve(mut stream: TcpStream, noted: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut http = Connection::new(Role::Server, Limits::default());
    let mut site = Site::default();
    let mut buffer = [0; 4096];
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 || http.receive(&buffer[..count], &mut site).is_err() {
            return Ok(());
        }
        for (number, text) in site.whole.drain(..) {
            let is_login = text.starts_with("/login");
            noted.lock().unwrap().push(text);
            let mut block = Vec::new();
            write_field(b":status", b"200", &mut block);
            if is_login {
                write_field(b"set-cookie", b"session=abc; Path=/", &mut block);
            }
            http.respond(number, &block, false);
            http.data(number, br#"{"token": "t-17"}"#, true);
        }
        stream.write_all(http.outbox())?;
        let sent = http.outbox().len();
        http.sent(sent);
    }
}

#[test]
fn cookies_extracts_and_asserts_work_from_a_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let noted = Arc::default();
    let address = site(Arc::clone(&noted));
    let record = |keys: &str, text: &str| format!("{{\"plen\": {}, {keys}}}\n{text}\n", text.len());
    let login = "POST /login HTTP/1.1\r\nHost: shop\r\nContent-Length: 4\r\n\r\nuser";
    let page = "GET /page?t=${token} HTTP/1.1\r\nHost: shop\r\nX-Token: ${token}\r\n\r\n";
    let records = [
        record(
            r#""label": "login", "extracts": {"token": {"jsonpath": "$.token"}}, "asserts": [{"text": "200", "subject": "code"}, {"re": "set-cookie: session"}]"#,
            login,
        ),
        record(
            r#""label": "page", "replaces": ["token"], "asserts": [{"jsonpath": "$.token", "equals": "t-17"}]"#,
            page,
        ),
        record(
            r#""label": "wrong", "asserts": [{"text": "no such text"}]"#,
            "GET /wrong HTTP/1.1\r\nHost: shop\r\n\r\n",
        ),
    ];
    std::fs::write(folder.join("records"), records.concat()).unwrap();
    let configuration = format!(
        "input: {{payloadfile: records, sharing: per-worker, iterationlimit: 2}}\n\
         output: {{nativefile: run.enc}}\n\
         workers: {{mode: closed, maxworkers: 4, cookies: true}}\n\
         protocol: {{driver: http2, streams: 2, address: 'http://{address}', timeout: 20s}}\n"
    );
    std::fs::write(folder.join("load.yml"), configuration).unwrap();
    let (_, text) = said(folder, &["run", "load.yml", "--quiet"]);
    assert!(text.contains("done 16 + failed 8 + dropped 0"), "{text}");
    let noted = noted.lock().unwrap();
    let (mut logins, mut pages) = (0, 0);
    for text in &*noted {
        if text.starts_with("/login") {
            assert!(text.ends_with("\r\n\r\nuser"), "{text}");
            logins += 1;
        } else if text.starts_with("/page") {
            assert!(text.starts_with("/page?t=t-17\r\n"), "{text}");
            assert!(text.contains("x-token: t-17\r\n"), "{text}");
            assert!(text.contains("cookie: session=abc\r\n"), "{text}");
            pages += 1;
        }
    }
    assert_eq!((logins, pages, noted.len()), (8, 8, 24));
}

/// What h2spec says of that target: how many cases, and which of them failed.
fn h2spec(settings: TargetSettings, cases: &[&str]) -> (usize, Vec<String>, String) {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../bin/h2spec");
    let there = program.exists();
    assert!(there, "bin/h2spec does not exist: run `make setup` first");
    let target = Target::start(settings).unwrap();
    let port = target.address().port().to_string();
    let output = Command::new(program)
        .args(["-h", "127.0.0.1", "-p", &port, "-o", "10", "-S"])
        .args(cases)
        .output()
        .expect("it starts");
    target.stop().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (_, failures) = text.split_once("Failures:").unwrap_or_default();
    let lines = failures.lines().map(str::trim);
    let failed = lines.filter_map(|line| line.strip_prefix("× "));
    let failed = failed.map(str::to_owned).collect();
    let count = text.lines().find_map(|line| line.split_once(" tests, "));
    let count = count.and_then(|(count, _)| count.parse().ok());
    (count.unwrap_or(0), failed, text)
}

#[test]
fn the_target_passes_h2spec() {
    let usual = TargetSettings {
        body_bytes: 1024,
        ..TargetSettings::default()
    };
    let (count, failed, text) = h2spec(usual, &[]);
    assert_eq!(count, 146, "{text}");
    assert!(text.contains(" 0 skipped"), "{text}");
    // More streams than allowed need answers that are slower than the requests.
    let concurrency = |line: &String| line.contains("advertised concurrent stream limit");
    assert!(failed.iter().all(concurrency), "{failed:?}\n{text}");
    let slow = TargetSettings {
        streams_max: Some(3),
        delay: Delay::Fixed(Duration::from_secs(2)),
        ..TargetSettings::default()
    };
    let (count, failed, text) = h2spec(slow, &["http2/5.1.2"]);
    assert_eq!((count, failed.len()), (1, 0), "{text}");
}
