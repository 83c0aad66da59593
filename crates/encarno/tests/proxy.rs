//! Hits through an HTTP proxy.

#![allow(clippy::expect_used)] // a test that can't go on says why

#[path = "rig/program.rs"]
mod program;
#[path = "rig/said.rs"]
mod said;

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;

use encarno_target::{Target, TargetSettings};
use said::said;

/// A proxy that knows one user: tunnels, and requests that name their target.
struct Proxy {
    address: SocketAddr,
    /// The first lines of all that was asked of it.
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = Arc::clone(&asked);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let seen = Arc::clone(&seen);
                // A client that goes away ends its thread.
                thread::spawn(move || serve(client, &seen));
            }
        });
        Self { address, asked }
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().expect("whole"))
    }
}

fn serve(client: TcpStream, asked: &Mutex<Vec<String>>) -> io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let mut client = client;
    let mut upstream = None::<BufReader<TcpStream>>;
    loop {
        let head = head(&mut reader)?;
        let Some(line) = head.first() else {
            return Ok(());
        };
        asked.lock().expect("whole").push(line.clone());
        // me:secret
        if !head.contains(&"Proxy-Authorization: Basic bWU6c2VjcmV0".to_owned()) {
            client.write_all(b"HTTP/1.1 407 Who?\r\nContent-Length: 0\r\n\r\n")?;
            continue;
        }
        let mut words = line.split(' ');
        let (method, url) = (words.next(), words.next().unwrap_or_default());
        if method == Some("CONNECT") {
            let Ok(mut target) = TcpStream::connect(url) else {
                client.write_all(b"HTTP/1.1 502 Not there\r\nContent-Length: 0\r\n\r\n")?;
                continue;
            };
            client.write_all(b"HTTP/1.1 200 Here it is\r\nVia: a proxy\r\n\r\n")?;
            let (mut back, mut to_client) = (target.try_clone()?, client.try_clone()?);
            thread::spawn(move || {
                let _ended = io::copy(&mut back, &mut to_client);
                let _closed = to_client.shutdown(Shutdown::Write);
            });
            io::copy(&mut reader, &mut target)?;
            return target.shutdown(Shutdown::Write);
        }
        let rest = url.strip_prefix("http://").ok_or(io::ErrorKind::Other)?;
        let (authority, path) = rest.split_once('/').ok_or(io::ErrorKind::Other)?;
        let upstream = match &mut upstream {
            Some(upstream) => upstream,
            none => none.insert(BufReader::new(TcpStream::connect(authority)?)),
        };
        let fields = head[1..]
            .iter()
            .filter(|field| !field.starts_with("Proxy-"));
        let fields: String = fields.map(|field| format!("{field}\r\n")).collect();
        let mut body = vec![0; length(&head)];
        reader.read_exact(&mut body)?;
        let request = format!(
            "{} /{path} HTTP/1.1\r\n{fields}\r\n",
            method.unwrap_or_default()
        );
        upstream
            .get_mut()
            .write_all(&[request.as_bytes(), &body].concat())?;
        let answer = self::head(upstream)?;
        let mut body = vec![0; length(&answer)];
        upstream.read_exact(&mut body)?;
        let answer = answer.join("\r\n") + "\r\n\r\n";
        client.write_all(&[answer.as_bytes(), &body].concat())?;
    }
}

/// The lines of a head; none at the end.
fn head(reader: &mut impl BufRead) -> io::Result<Vec<String>> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        match line.trim_end() {
            "" => return Ok(lines),
            line => lines.push(line.to_owned()),
        }
    }
}

fn length(head: &[String]) -> usize {
    let mut fields = head.iter().filter_map(|field| field.split_once(": "));
    let length = fields.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    length.map_or(0, |(_, length)| length.parse().expect("a number"))
}

/// A target with TLS, and its certificate as a file: each of its answers is the same.
fn tls_target(certificate_file: &Path) -> SocketAddr {
    let names = vec!["shop.test".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
    fs::write(certificate_file, made.cert.pem()).expect("written");
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .expect("a certificate");
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let config = Arc::clone(&config);
            thread::spawn(move || -> io::Result<()> {
                let session = rustls::ServerConnection::new(config).map_err(io::Error::other)?;
                let mut tls = BufReader::new(rustls::StreamOwned::new(session, stream));
                while !head(&mut tls)?.is_empty() {
                    tls.get_mut()
                        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")?;
                    tls.get_mut().flush()?;
                }
                Ok(())
            });
        }
    });
    address
}

#[test]
fn requests_for_plain_targets_name_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let proxy = Proxy::start();
    let target = Target::start(TargetSettings::default()).expect("a target");
    let url = format!("http://{}/a?b=c", target.address());
    let known = format!("http://me:secret@{}", proxy.address);
    // Wherever the Host header points, the proxy leads to the URL.
    let hit = [&*url, "-x", &known, "-n", "20", "-c", "2", "-q"];
    let post = [
        "-d",
        "body",
        "-H",
        "Host: shop.test",
        "-o",
        "o.enc",
        "--trace",
        "t",
    ];
    let (status, text) = said(folder, &[&hit[..], &post].concat());
    assert_eq!(status, Some(0), "{text}");
    let asked = proxy.asked();
    assert_eq!(asked.len(), 20);
    assert!(
        asked
            .iter()
            .all(|line| *line == format!("POST {url} HTTP/1.1")),
        "{asked:?}"
    );
    for file in ["o.enc", "t"] {
        let bytes = fs::read(folder.join(file)).expect("written");
        let text = String::from_utf8_lossy(&bytes);
        assert!(
            !text.contains("bWU6c2VjcmV0") && !text.contains("me:secret"),
            "{file}"
        );
    }
    // The same in a configuration, with an address that only records say.
    fs::write(folder.join("urls"), format!("{url}\n")).expect("written");
    let configuration = format!(
        "{{input: {{payloadfile: urls, iterationlimit: 3}}, workers: {{mode: closed, maxworkers: 1}}, \
         protocol: {{driver: http, proxy: '{known}', timeout: 10s}}}}"
    );
    fs::write(folder.join("run.yml"), configuration).expect("written");
    let (status, text) = said(folder, &["run", "run.yml", "-q"]);
    assert_eq!((status, proxy.asked().len()), (Some(0), 3), "{text}");
    let (status, text) = said(
        folder,
        &[&url, "--proxy", &proxy.address.to_string(), "-n", "2", "-q"],
    );
    assert!(status == Some(7) && text.contains("407: 2"), "{text}");
    assert_eq!(target.stop().expect("it stops").requests, 23);
}

#[test]
fn tls_goes_through_tunnels() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let proxy = Proxy::start();
    let target = tls_target(&folder.join("ca.pem"));
    let url = format!("https://{target}/");
    let known = format!("http://me:secret@{}", proxy.address);
    let tls = ["--ca-file", "ca.pem", "--server-name", "shop.test", "-q"];
    let hit = [&[&*url, "-x", &known, "-n", "20", "-c", "2"][..], &tls].concat();
    let (status, text) = said(folder, &hit);
    assert_eq!(status, Some(0), "{text}");
    assert!(text.contains("= done 20 "), "{text}");
    // A tunnel for each connection.
    let asked = proxy.asked();
    assert_eq!(
        asked,
        vec![format!("CONNECT {target} HTTP/1.1"); asked.len()]
    );
    assert!((1..=2).contains(&asked.len()), "{asked:?}");
    let other = TcpListener::bind("127.0.0.1:0").expect("a port");
    let ssh = other.local_addr().expect("bound");
    thread::spawn(move || {
        for mut client in other.incoming().flatten() {
            let _written = client.write_all(b"SSH-2.0-a\r\n\r\n");
        }
    });
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let nobody = silent.local_addr().expect("bound");
    for (url, proxy, says) in [
        (
            &*url,
            format!("http://{}", proxy.address),
            "it asks for a user",
        ),
        ("https://127.0.0.1:1/", known.clone(), "502 Not there"),
        // What isn't a proxy.
        (&*url, format!("http://{ssh}"), "it isn't a proxy"),
        (&*url, format!("http://{nobody}"), "timeout"),
    ] {
        let wait = ["--timeout", if says == "timeout" { "200ms" } else { "10s" }];
        let hit = [&[url, "-x", &proxy, "-n", "2", "-c", "1"][..], &tls, &wait].concat();
        let (status, text) = said(folder, &hit);
        assert_eq!(status, Some(7), "{text}");
        let text = text.to_lowercase();
        assert!(text.contains(&says.to_lowercase()), "{says}: {text}");
    }
}

#[test]
fn proxies_that_cant_be_used() {
    let folder = tempfile::tempdir().expect("a folder");
    for (url, proxy, says) in [
        ("http://127.0.0.1:1/", "https://127.0.0.1:2", "http://[USER"),
        ("http://127.0.0.1:1/", "http://127.0.0.1:x", "port"),
        (
            "tcp://127.0.0.1:1",
            "127.0.0.1:2",
            "doesn't support HTTP proxies",
        ),
        ("http+unix:///tmp/a", "127.0.0.1:2", "a unix socket"),
    ] {
        let (status, text) = said(folder.path(), &[url, "-x", proxy, "-n", "1", "-q"]);
        assert!(
            matches!(status, Some(1 | 2)) && text.contains(says),
            "{text}"
        );
    }
}
