//! What goes wrong is said in people's words: what happened, to whom, and what to do.

#![allow(clippy::expect_used, clippy::unwrap_used)] // a test that can't go on says why

#[path = "rig/program.rs"]
mod program;

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use program::run;
use rcgen::generate_simple_self_signed;
use rustix::net::sockopt::set_socket_linger;
use rustls::pki_types::PrivateKeyDer;

/// A server that does that with each connection; its port.
fn serve(each: impl Fn(TcpStream) + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let each = Arc::new(each);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let each = Arc::clone(&each);
            thread::spawn(move || each(stream.unwrap()));
        }
    });
    port
}

fn read_some(stream: &mut TcpStream) {
    let _read = stream.read(&mut [0; 4096]);
}

/// A server that signed its certificate itself.
fn serve_tls() -> u16 {
    let signed = generate_simple_self_signed(["target.test".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(signed.signing_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![signed.cert.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    serve(move |mut stream| {
        let mut session = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
        let mut stream = rustls::Stream::new(&mut session, &mut stream);
        let _failed = stream.read(&mut [0; 4096]);
        // What the client sent and nobody read would reset the connection.
        let _read = stream.sock.read(&mut [0; 4096]);
    })
}

/// Each kind of failure, with a server that does it.
#[test]
fn each_failure_says_what_happened_to_whom_and_what_to_do() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr();
    let closed = closed.unwrap().port();
    let plain = serve(|mut stream| {
        read_some(&mut stream);
        let _sent = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
        read_some(&mut stream);
    });
    let tls = serve_tls();
    let resets = serve(|mut stream| {
        read_some(&mut stream);
        set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
    });
    let closes = serve(|mut stream| read_some(&mut stream));
    let silent = serve(|mut stream| while let Ok(1..) = stream.read(&mut [0; 4096]) {});
    let mail = serve(|mut stream| {
        let _sent = stream.write_all(b"220 mail.test ESMTP\r\n");
        read_some(&mut stream);
    });
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("no.sock");
    let missing = missing.to_str().unwrap();
    let at = |port: u16| format!("127.0.0.1:{port}");
    // The URL, what is said, and the way out.
    let cases = [
        (
            format!("http://{}/", at(closed)),
            format!("111: connection refused by {}", at(closed)),
            "is the target running",
        ),
        (
            format!("https://{}/", at(plain)),
            format!("1003: TLS with {}: the server speaks no TLS", at(plain)),
            "use a URL without TLS",
        ),
        (
            format!("http://{}/", at(plain)),
            "400: 2 (100.00 %)".to_owned(),
            "use https://",
        ),
        (
            format!("http://{}/", at(tls)),
            "1002: the server speaks TLS on this port".to_owned(),
            "use https://",
        ),
        (
            format!("https://{}/", at(tls)),
            format!(
                "1003: TLS with {}: the server's certificate is self-signed",
                at(tls)
            ),
            "--ca-file, or -k",
        ),
        (
            format!("http://{}/", at(resets)),
            format!("104: connection reset by {}", at(resets)),
            "is it overloaded",
        ),
        (
            format!("http://{}/", at(closes)),
            "1005: connection closed before the answer was complete".to_owned(),
            "the target's log",
        ),
        (
            format!("http://{}/", at(silent)),
            format!(
                "1001: timeout after 700ms while waiting for the response of {}",
                at(silent)
            ),
            "too slow for this load",
        ),
        (
            format!("http://{}/", at(mail)),
            "1002: the response isn't HTTP/1.1".to_owned(),
            "is it the right port",
        ),
        (
            "udp://255.255.255.255:9/".to_owned(),
            "13: a connection to 255.255.255.255:9 isn't permitted".to_owned(),
            "a firewall of this machine",
        ),
        (
            format!("http+unix://{missing}"),
            format!("2: there is no socket {missing}"),
            "is the target running",
        ),
    ];
    thread::scope(|scope| {
        for (url, says, way_out) in &cases {
            let folder = folder.path();
            scope.spawn(move || {
                let body = if url.starts_with("http") { "GET" } else { "x" };
                let option = if url.starts_with("http") { "-X" } else { "-d" };
                let output = run(
                    folder,
                    &[
                        "hit",
                        url,
                        option,
                        body,
                        "-n",
                        "2",
                        "-c",
                        "1",
                        "-q",
                        "--timeout",
                        "700ms",
                    ],
                );
                let said = String::from_utf8_lossy(&output.stdout).into_owned()
                    + &String::from_utf8_lossy(&output.stderr);
                let words: Vec<_> = said.split_whitespace().collect();
                let words = words.join(" ");
                assert!(words.contains(says), "{url}: {said}");
                assert!(words.contains(way_out), "{url}: {said}");
            });
        }
    });
}

/// What is wrong before anything is sent ends the program with a word about it.
#[test]
fn what_cannot_begin_says_why_and_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let cases: [(&[&str], &str, &str); 4] = [
        (
            &["hit", "http://no-such-name.invalid/", "-n", "1"],
            "the name 'no-such-name.invalid' isn't found",
            "--resolve no-such-name.invalid=IP",
        ),
        (
            &["hit", "http://127.0.0.1/", "-n", "1", "-i", "missing"],
            "missing",
            "No such file",
        ),
        (
            &["hit", "dummy:", "-n", "1", "-o", "no/where"],
            "no/where",
            "No such file",
        ),
        (
            &["hit", "http://127.0.0.1/", "-n", "1", "-c", "999999999"],
            "file descriptors",
            "ulimit",
        ),
    ];
    for (arguments, says, way_out) in cases {
        let output = run(folder.path(), arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{said}");
        assert!(said.contains(says) && said.contains(way_out), "{said}");
    }
}

/// `stats` prints what the run printed.
#[test]
fn a_run_and_its_file_say_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let hit = [
        "hit",
        "dummy:",
        "-n",
        "500",
        "-c",
        "3",
        "-q",
        "-o",
        "run.enc",
        "-O",
        "errorrate=0.1",
        "-O",
        "delay=exponential:1ms",
    ];
    let said = run(folder.path(), &hit);
    let stats = run(folder.path(), &["stats", "run.enc"]);
    let [said, stats] = [said, stats].map(|output| String::from_utf8(output.stdout).unwrap());
    assert!(
        said.starts_with("scheduled 500 = done ") && said.contains("verdict: "),
        "{said}"
    );
    assert!(said.contains("response time up to, and hits\n"), "{said}");
    assert_eq!(said, stats);
}

/// A message about the standard input names it, and no file that nobody knows.
#[test]
fn what_is_read_from_the_standard_input_is_named_so() {
    let folder = tempfile::tempdir().unwrap();
    let given = folder.path().join("given");
    let runs: [(&[u8], &[&str], &str); 6] = [
        (b"", &["stats", "-"], "/dev/stdin: this isn't a native"),
        (b"", &["show", "-"], "/dev/stdin: the file is empty"),
        (
            b"\0\x01",
            &["convert", "-", "-o", "x.csv"],
            "/dev/stdin: its content",
        ),
        (
            b"",
            &["report", "-", "-o", "x.html"],
            "/dev/stdin: this isn't",
        ),
        (b"", &["tail", "-"], "`encarno stats -`"),
        (
            b"1 a\nx\nno length\n",
            &["convert", "-", "-o", "x"],
            "/dev/stdin, offset 16: 1 of 2 records are broken, the first at offset 6: a record starts",
        ),
    ];
    for (bytes, arguments, says) in runs {
        std::fs::write(&given, bytes).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_encarno"))
            .current_dir(folder.path())
            .args(arguments)
            .stdin(File::open(&given).unwrap())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(says), "{arguments:?}: {said}");
    }
}
