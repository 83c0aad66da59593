//! TLS: who is trusted, and who we say that we are.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // a test that fails here says enough

mod rig;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use bytes::Bytes;
use encarno::protocols::{self, Protocol};
use encarno_engine::settings::Source;
use encarno_nib::{NetworkSettings, TlsSettings};
use encarno_record::code;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rig::{closed, machine};
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;

const NAME: &str = "target.test";

/// A certificate that signs itself and is marked as an authority, as
/// `openssl req -x509` makes them.
fn self_signed(parameters: CertificateParams) -> Identity {
    let key = KeyPair::generate().unwrap();
    let certificate = parameters.self_signed(&key).unwrap();
    Identity {
        certificate: certificate.der().clone(),
        certificate_pem: certificate.pem(),
        key,
    }
}

struct Identity {
    certificate: CertificateDer<'static>,
    certificate_pem: String,
    key: KeyPair,
}

impl Identity {
    fn write(&self, folder: &Path, name: &str) -> (PathBuf, PathBuf) {
        let (certificate, key) = (
            folder.join(format!("{name}.pem")),
            folder.join(format!("{name}.key")),
        );
        std::fs::write(&certificate, &self.certificate_pem).unwrap();
        std::fs::write(&key, self.key.serialize_pem()).unwrap();
        (certificate, key)
    }

    fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(self.key.serialize_der().into())
    }
}

fn parameters() -> CertificateParams {
    let mut parameters = CertificateParams::new(vec![NAME.to_owned()]).unwrap();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters
}

fn https_to(port: u16, tls: TlsSettings) -> Protocol {
    Protocol::Http(
        NetworkSettings {
            address: Some(format!("https://127.0.0.1:{port}/")),
            tls,
            ..NetworkSettings::default()
        }
        .into(),
    )
}

/// Done and failed of twenty hits.
fn hits(port: u16, tls: TlsSettings) -> (u64, u64) {
    let mut settings = closed(2);
    settings.settings.source = Source::Request {
        payload: Bytes::from_static(b"GET / HTTP/1.1\r\nHost: target.test\r\n\r\n"),
        label: String::new(),
        hits_max: Some(20),
    };
    settings.protocol = https_to(port, tls);
    let totals = protocols::run(&settings, |_| {}).unwrap().totals;
    (totals.done, totals.failed)
}

fn server() -> rustls::ConfigBuilder<rustls::ServerConfig, rustls::WantsVerifier> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
}

/// Trusts that file, and asks for the name.
fn trusting(ca_file: &Path) -> TlsSettings {
    TlsSettings {
        ca_file: Some(ca_file.to_path_buf().into()),
        server_name: Some(NAME.to_owned()),
        ..TlsSettings::default()
    }
}

#[test]
fn certificates_are_verified_unless_asked_not_to() {
    let _machine = machine();
    let folder = tempfile::tempdir().unwrap();
    let identity = self_signed(parameters());
    let (ca_file, _) = identity.write(folder.path(), "server");
    let server = server().with_no_client_auth();
    let server = server.with_single_cert(vec![identity.certificate.clone()], identity.key());
    let port = serve_tls(Arc::new(server.unwrap()));

    let none = TlsSettings::default();
    assert_eq!(
        hits(port, none.clone()),
        (0, 20),
        "an unknown authority was trusted"
    );
    let trusted = trusting(&ca_file);
    let unnamed = TlsSettings {
        server_name: None,
        ..trusted.clone()
    };
    assert_eq!(hits(port, unnamed), (0, 20), "the name wasn't verified");
    assert_eq!(hits(port, trusted.clone()), (20, 0));
    let old = TlsSettings {
        version_max: 771,
        ..trusted
    };
    assert_eq!(hits(port, old), (20, 0));
    let insecure = TlsSettings {
        insecure: true,
        ..none
    };
    assert_eq!(hits(port, insecure), (20, 0));
}

#[test]
fn a_certificate_of_yesterday_is_refused() {
    let _machine = machine();
    let folder = tempfile::tempdir().unwrap();
    let mut parameters = parameters();
    parameters.not_before = date_time_ymd(2020, 1, 1);
    parameters.not_after = date_time_ymd(2021, 1, 1);
    let identity = self_signed(parameters);
    let (ca_file, _) = identity.write(folder.path(), "server");
    let server = server().with_no_client_auth();
    let server = server.with_single_cert(vec![identity.certificate.clone()], identity.key());
    let port = serve_tls(Arc::new(server.unwrap()));
    assert_eq!(hits(port, trusting(&ca_file)), (0, 20));
}

#[test]
fn a_server_that_asks_for_a_certificate_gets_ours() {
    let _machine = machine();
    let folder = tempfile::tempdir().unwrap();
    let identity = self_signed(parameters());
    let (ca_file, _) = identity.write(folder.path(), "server");
    let authority =
        CertifiedIssuer::self_signed(parameters(), KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let ours = CertificateParams::new(vec!["client.test".to_owned()]).unwrap();
    let ours = ours.signed_by(&key, &authority).unwrap();
    let ours = Identity {
        certificate: ours.der().clone(),
        certificate_pem: ours.pem(),
        key,
    };
    let (certificate_file, key_file) = ours.write(folder.path(), "client");
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let server = server().with_client_cert_verifier(verifier.build().unwrap());
    let server = server.with_single_cert(vec![identity.certificate.clone()], identity.key());
    let port = serve_tls(Arc::new(server.unwrap()));

    assert_eq!(
        hits(port, trusting(&ca_file)),
        (0, 20),
        "it went without a certificate"
    );
    let with = |certificate_file: &Path, key_file: &Path| TlsSettings {
        certificate_file: Some(certificate_file.to_path_buf().into()),
        key_file: Some(key_file.to_path_buf().into()),
        ..trusting(&ca_file)
    };
    assert_eq!(hits(port, with(&certificate_file, &key_file)), (20, 0));
    // Also with the mark that some editors put before the text.
    for file in [&ca_file, &certificate_file, &key_file] {
        let pem = std::fs::read_to_string(file).unwrap();
        std::fs::write(file, format!("\u{feff}{pem}")).unwrap();
    }
    assert_eq!(hits(port, with(&certificate_file, &key_file)), (20, 0));
    let (stranger_file, stranger_key) = identity.write(folder.path(), "stranger");
    assert_eq!(
        hits(port, with(&stranger_file, &stranger_key)),
        (0, 20),
        "a stranger was let in"
    );

    let error = |tls: TlsSettings| {
        let mut settings = closed(1);
        settings.protocol = https_to(port, tls);
        protocols::run(&settings, |_| {}).unwrap_err().to_string()
    };
    let half = TlsSettings {
        key_file: None,
        ..with(&certificate_file, &key_file)
    };
    assert_eq!(
        error(half),
        "a client certificate needs both its chain and its key"
    );
    let swapped = error(with(&certificate_file, &certificate_file));
    assert!(
        swapped.starts_with("can't read the private key in"),
        "{swapped}"
    );
}

/// What hits fail with, each with its number.
fn failures(port: u16, tls: TlsSettings) -> Vec<(u16, String, u64)> {
    let mut settings = closed(2);
    settings.settings.source = Source::Request {
        payload: Bytes::from_static(b"GET / HTTP/1.1\r\nHost: target.test\r\n\r\n"),
        label: String::new(),
        hits_max: Some(10),
    };
    settings.protocol = https_to(port, tls);
    let errors = protocols::run(&settings, |_| {}).unwrap().total.errors;
    let errors = errors.into_iter();
    let failures = errors.map(|((code, text), hits)| (code, text.to_string(), hits));
    failures.collect()
}

#[test]
fn failures_are_told_in_peoples_words_and_group() {
    let _machine = machine();
    let identity = self_signed(parameters());
    let server = server().with_no_client_auth();
    let server = server.with_single_cert(vec![identity.certificate.clone()], identity.key());
    let port = serve_tls(Arc::new(server.unwrap()));
    let one = |port, words: &str| {
        let found = failures(port, TlsSettings::default());
        let [(code::TLS, text, 10)] = &found[..] else {
            panic!("{found:?}")
        };
        assert!(text.contains(words), "{text}");
    };
    one(port, "-k to accept any");
    let plain = TcpListener::bind("127.0.0.1:0").unwrap();
    let plain_port = plain.local_addr().unwrap().port();
    thread::spawn(move || {
        for mut stream in plain.incoming().flatten() {
            let mut hello = [0; 4096];
            let _some = stream.read(&mut hello);
            let _sent = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    one(plain_port, "speaks no TLS");
}

#[test]
fn sessions_are_resumed_unless_asked_not_to() {
    let _machine = machine();
    let folder = tempfile::tempdir().unwrap();
    let identity = self_signed(parameters());
    let (ca_file, _) = identity.write(folder.path(), "server");
    let server = server().with_no_client_auth();
    let server = server.with_single_cert(vec![identity.certificate.clone()], identity.key());
    let server = Arc::new(server.unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let resumed = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&resumed);
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut session = rustls::ServerConnection::new(Arc::clone(&server)).unwrap();
            let mut stream = rustls::Stream::new(&mut session, &mut stream);
            let mut request = [0; 4096];
            let _some = stream.read(&mut request);
            let _sent = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
            if session.handshake_kind() == Some(rustls::HandshakeKind::Resumed) {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    let run = |no_resumption| {
        let mut settings = closed(1);
        settings.settings.source = Source::Request {
            payload: Bytes::from_static(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"),
            label: String::new(),
            hits_max: Some(10),
        };
        settings.protocol = https_to(
            port,
            TlsSettings {
                no_resumption,
                ..trusting(&ca_file)
            },
        );
        let totals = protocols::run(&settings, |_| {}).unwrap().totals;
        assert_eq!((totals.done, totals.failed), (10, 0));
        resumed.swap(0, Ordering::Relaxed)
    };
    assert_eq!(run(true), 0);
    assert!(run(false) > 5);
}

/// Answers each request with 20 kB; a thread for each connection.
fn serve_tls(config: Arc<rustls::ServerConfig>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, config) = (stream.unwrap(), Arc::clone(&config));
            thread::spawn(move || {
                let mut session = rustls::ServerConnection::new(config).unwrap();
                let mut stream = rustls::Stream::new(&mut session, &mut stream);
                let mut request = Vec::new();
                let mut buffer = [0; 4096];
                while let Ok(count @ 1..) = stream.read(&mut buffer) {
                    request.extend_from_slice(&buffer[..count]);
                    if request.ends_with(b"\r\n\r\n") {
                        assert_eq!(stream.conn.alpn_protocol(), None);
                        let answer = [
                            b"HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n".as_slice(),
                            &[b'x'; 20_000],
                        ]
                        .concat();
                        stream.write_all(&answer).unwrap();
                        request.clear();
                    }
                }
            });
        }
    });
    port
}
