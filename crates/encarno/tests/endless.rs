//! Peers that never stop sending: other hits go on, and the run can be stopped.

#![allow(clippy::unwrap_used)] // a test that fails here says enough

mod rig;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use encarno::protocols::Protocol;
use encarno_record::code;
use encarno_target::TargetSettings;
use rcgen::{CertificateParams, KeyPair};
use rig::{Account, closed, machine, run_with};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// What carries the bytes.
#[derive(Clone, Copy)]
enum Carrier {
    Plain,
    Tls,
}

/// Answers every request with chunks of one byte, as fast as they are taken.
fn endless(carrier: Carrier) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let tls = tls();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            let mut stream: Box<dyn Stream> = match carrier {
                Carrier::Plain => Box::new(stream),
                Carrier::Tls => {
                    let session = ServerConnection::new(Arc::clone(&tls)).unwrap();
                    Box::new(StreamOwned::new(session, stream))
                }
            };
            thread::spawn(move || {
                let chunks = b"1\r\nz\r\n".repeat(40_000);
                let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
                // Until the client goes.
                if stream.read(&mut [0; 4096]).is_ok() && stream.write_all(head).is_ok() {
                    while stream.write_all(&chunks).is_ok() {}
                }
            });
        }
    });
    address
}

trait Stream: Read + Write + Send {}
impl<S: Read + Write + Send> Stream for S {}

fn tls() -> Arc<ServerConfig> {
    let key = KeyPair::generate().unwrap();
    let parameters = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = parameters.self_signed(&key).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::Pkcs8(key.serialize_der().into()),
        );
    Arc::new(config.unwrap())
}

/// One loop, some of whose records go where the answer never ends. The run ends,
/// or the test fails.
fn run_beside_the_endless(carrier: Carrier, timeout: Duration, stops: u32) -> Account {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let address = endless(carrier);
        let scheme = match carrier {
            Carrier::Plain => "http",
            Carrier::Tls => "https",
        };
        let records: String = (0..40)
            .map(|number| match number % 10 {
                0 => format!("{scheme}://{address}/{number} endless\n"),
                _ => format!("/{number} good\n"),
            })
            .collect();
        let mut run = closed(6);
        run.settings.threads = NonZeroUsize::new(1);
        run.settings.grace = Duration::from_secs(3600);
        if let Protocol::Http(http) = &mut run.protocol {
            http.network.timeout = timeout;
            http.network.tls.insecure = true;
        }
        let account = run_with(
            run,
            TargetSettings::default(),
            Some(format!("[Host: target]\n{records}").into_bytes()),
            |control| {
                thread::spawn(move || {
                    for _ in 0..stops {
                        thread::sleep(Duration::from_millis(500));
                        control.stop_harder();
                    }
                });
            },
        );
        sender.send(account).unwrap();
    });
    receiver.recv_timeout(Duration::from_secs(60)).unwrap()
}

#[test]
fn an_answer_that_never_ends_times_out_and_other_hits_go_on() {
    let _machine = machine();
    // Long enough for a handshake on a machine that is busy.
    let timeout = Duration::from_secs(2);
    for carrier in [Carrier::Plain, Carrier::Tls] {
        let account = run_beside_the_endless(carrier, timeout, 0);
        assert_eq!(account.summary.totals.scheduled, 40);
        for hit in &account.hits {
            let label = &account.texts[&hit.label];
            if &**label == "endless" {
                assert_eq!(hit.net_code, code::TIMEOUT);
                assert!(hit.service_ns() >= timeout.as_nanos() as u64);
                assert!(hit.received_bytes > 0);
            } else {
                assert_eq!((hit.net_code, hit.protocol_code), (0, 200), "{label}");
            }
        }
    }
}

#[test]
fn a_second_stop_ends_an_answer_that_never_ends() {
    let _machine = machine();
    let account = run_beside_the_endless(Carrier::Plain, Duration::from_secs(3600), 2);
    let cancelled = account.hits.iter();
    let cancelled = cancelled.filter(|hit| hit.net_code == code::CANCELLED);
    assert!(cancelled.count() >= 1);
}
