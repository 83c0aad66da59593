//! UDP, unix sockets, stops, large records: what isn't plain HTTP at leisure.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // a test that fails here says enough

mod rig;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::num::NonZeroUsize;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use encarno::protocols::{self, Protocol};
use encarno_engine::settings::{Source, Workload};
use encarno_input::InputSettings;
use encarno_nib::delay::Delay;
use encarno_nib::{NetworkSettings, NetworkedSettings};
use encarno_nibs::dummy::DummySettings;
use encarno_nibs::udp::UdpProtocol;
use encarno_record::code;
use encarno_target::{Target, TargetSettings};
use rig::{closed, machine, open, run, run_with};

fn udp(answer: bool, timeout: Duration) -> Protocol {
    Protocol::Udp(NetworkedSettings {
        network: NetworkSettings {
            timeout,
            ..NetworkSettings::default()
        },
        protocol: UdpProtocol { answer },
    })
}

fn hits_max(number: u64, payload: &'static [u8]) -> Source {
    Source::Request {
        payload: Bytes::from_static(payload),
        label: "hit".to_owned(),
        hits_max: Some(number),
    }
}

#[test]
fn datagrams_are_answered_or_time_out() {
    let _machine = machine();
    let mut settings = closed(4);
    settings.settings.source = hits_max(400, b"ping 7");
    settings.protocol = udp(true, Duration::from_millis(200));
    let account = run(
        settings.clone(),
        TargetSettings {
            udp: true,
            ..TargetSettings::default()
        },
        None,
    );
    assert_eq!(account.codes()[&(0, 0)], 400);
    assert!(
        account
            .hits
            .iter()
            .all(|hit| (hit.sent_bytes, hit.received_bytes) == (6, 6))
    );

    let silent = TargetSettings {
        udp: true,
        silent_rate: 1.0,
        ..TargetSettings::default()
    };
    settings.settings.source = hits_max(8, b"ping 7");
    let account = run(settings.clone(), silent.clone(), None);
    assert_eq!(account.codes()[&(code::TIMEOUT, 0)], 8);
    assert_eq!(account.target.requests, 8);

    settings.protocol = udp(false, Duration::from_millis(200));
    let account = run(settings, silent, None);
    assert_eq!(account.codes()[&(0, 0)], 8);
}

#[test]
fn the_first_stop_lets_running_hits_end_and_the_second_does_not() {
    let _machine = machine();
    let slow = || TargetSettings {
        delay: Delay::Fixed(Duration::from_secs(1)),
        ..TargetSettings::default()
    };
    let gentle = run_with(open("const(100,1h)", 500), slow(), None, |control| {
        thread::spawn(move || {
            thread::sleep(Duration::from_millis(500));
            control.stop_harder();
        });
    });
    assert_eq!(gentle.summary.totals.failed, 0);
    assert!(gentle.summary.totals.done >= 10);
    let harsh = run_with(open("const(100,1h)", 500), slow(), None, |control| {
        thread::spawn(move || {
            thread::sleep(Duration::from_millis(500));
            control.stop_harder();
            control.stop_harder();
        });
    });
    assert!(harsh.hits.iter().all(|hit| hit.net_code == code::CANCELLED));
    assert!(harsh.summary.totals.failed >= 10);
}

#[test]
fn the_grace_ends_hits_that_would_not_end() {
    let _machine = machine();
    let mut settings = open("const(100,1h)", 500);
    settings.settings.grace = Duration::from_millis(300);
    let started = Instant::now();
    let silent = TargetSettings {
        silent_rate: 1.0,
        ..TargetSettings::default()
    };
    let account = run_with(settings, silent, None, |control| {
        thread::spawn(move || {
            thread::sleep(Duration::from_millis(300));
            control.stop_harder();
        });
    });
    assert!(
        account
            .hits
            .iter()
            .all(|hit| hit.net_code == code::CANCELLED)
    );
    assert!(
        started.elapsed() < Duration::from_secs(9),
        "the timeout was waited for instead"
    );
}

#[test]
fn the_dummy_does_what_its_script_says() {
    let _machine = machine();
    let mut settings = closed(4);
    settings.settings.source = hits_max(2000, b"");
    let delay = Delay::Bimodal {
        fast: Duration::from_micros(100),
        slow: Duration::from_millis(5),
        slow_part: 0.1,
    };
    settings.protocol = Protocol::Dummy(DummySettings {
        delay,
        error_rate: 0.25,
        seed: 5,
    });
    let account = run(settings, TargetSettings::default(), None);
    let failed = account.summary.totals.failed as f64;
    // Five standard deviations of a binomial with p = 1/4.
    assert!(
        (failed - 500.0).abs() < 5.0 * (2000.0 * 0.25 * 0.75_f64).sqrt(),
        "{failed}"
    );
    assert!(account.hits.iter().all(|hit| hit.service_ns() >= 100_000));
    let slow = account
        .hits
        .iter()
        .filter(|hit| hit.service_ns() >= 5_000_000)
        .count();
    assert!(slow >= 120, "{slow}");
}

#[test]
fn a_worker_keeps_a_connection_to_each_address() {
    let _machine = machine();
    let targets: Vec<_> = ["127.0.0.1:0", "[::1]:0", "127.0.0.1:0"]
        .iter()
        .map(|listen| {
            Target::start(TargetSettings {
                listen: listen.parse().ok(),
                ..TargetSettings::default()
            })
            .unwrap()
        })
        .collect();
    let lines: String = (0..300)
        .map(|i| format!("http://{}/{i} {i}\n", targets[i % 3].address()))
        .collect();
    let mut settings = closed(2);
    settings.settings.threads = NonZeroUsize::new(1);
    let account = run(
        settings,
        TargetSettings::default(),
        Some(lines.into_bytes()),
    );
    assert_eq!(account.codes()[&(0, 200)], 300);
    for target in targets {
        let summary = target.stop().unwrap();
        assert_eq!(summary.answers, 100);
        assert!(summary.connections <= 2, "{summary:?}");
    }
}

#[test]
fn a_source_address_of_another_machine_is_refused_before_the_run() {
    // The first is one of documentation (RFC 5737): nobody has it.
    for (source, says) in [
        ("192.0.2.7", "source address 192.0.2.7"),
        ("224.0.0.1", "source address 224.0.0.1"),
        ("255.255.255.255", "source address 255.255.255.255"),
        ("::1", "no source address is of the target's kind"),
    ] {
        let mut settings = closed(1);
        settings.protocol = Protocol::Http(
            NetworkSettings {
                address: Some("http://127.0.0.1:9".to_owned()),
                source_addresses: vec![source.parse().unwrap()],
                ..NetworkSettings::default()
            }
            .into(),
        );
        let refused = protocols::run(&settings, |_| {}).unwrap_err().to_string();
        assert!(refused.contains(says), "{refused}");
    }
}

#[test]
fn source_addresses_are_taken_in_turn() {
    let _machine = machine();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut settings = closed(4);
    settings.settings.source = hits_max(4, b"GET / HTTP/1.1\r\n\r\n");
    settings.settings.threads = NonZeroUsize::new(1);
    settings.protocol = Protocol::Http(
        NetworkSettings {
            address: Some(format!("http://{address}")),
            source_addresses: vec!["127.0.0.2".parse().unwrap(), "127.0.0.3".parse().unwrap()],
            ..NetworkSettings::default()
        }
        .into(),
    );
    let server = thread::spawn(move || {
        let mut sources = Vec::new();
        for _ in 0..4 {
            let (mut stream, source) = listener.accept().unwrap();
            sources.push(source.ip().to_string());
            stream.read_exact(&mut [0; 18]).unwrap();
            // A body until close.
            stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nbody").unwrap();
        }
        sources.sort();
        sources
    });
    let summary = protocols::run(&settings, |_| {}).unwrap();
    assert_eq!(
        (summary.totals.done, summary.totals.failed),
        (4, 0),
        "{:?}",
        summary.total.errors
    );
    assert_eq!(
        server.join().unwrap(),
        ["127.0.0.2", "127.0.0.2", "127.0.0.3", "127.0.0.3"]
    );
}

#[test]
fn a_unix_socket_is_an_address_too() {
    let _machine = machine();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        // HEAD: the length is that of a body which doesn't come.
        while stream.read_exact(&mut [0; 19]).is_ok() {
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n")
                .unwrap();
        }
    });
    let mut settings = closed(1);
    settings.settings.source = hits_max(50, b"HEAD / HTTP/1.1\r\n\r\n");
    let address = Some(format!("http+unix://{}", path.display()));
    settings.protocol = Protocol::Http(
        NetworkSettings {
            address,
            ..NetworkSettings::default()
        }
        .into(),
    );
    let summary = protocols::run(&settings, |_| {}).unwrap();
    assert_eq!(
        (summary.totals.done, summary.totals.failed),
        (50, 0),
        "{:?}",
        summary.total.errors
    );
}

#[test]
fn a_large_record_goes_from_the_disk_in_pieces() {
    let _machine = machine();
    let body_bytes = 64 << 20;
    let head = format!("POST /1 HTTP/1.1\r\nHost: t\r\nContent-Length: {body_bytes}\r\n\r\n");
    let mut settings = closed(1);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("records");
    let mut records = std::fs::File::create(&file).unwrap();
    write!(records, "{} big\n{head}", head.len() + body_bytes).unwrap();
    let end = (records.metadata().unwrap().len() as usize + body_bytes) as u64;
    records.set_len(end).unwrap();
    let target = Target::start(TargetSettings::default()).unwrap();
    settings.settings.source = Source::File(InputSettings {
        passes: std::num::NonZeroU64::new(2),
        ..InputSettings::of_file(file)
    });
    let address = Some(format!("http://{}", target.address()));
    settings.protocol = Protocol::Http(
        NetworkSettings {
            address,
            ..NetworkSettings::default()
        }
        .into(),
    );
    let summary = protocols::run(&settings, |_| {}).unwrap();
    assert_eq!(
        (summary.totals.done, summary.totals.failed),
        (2, 0),
        "{:?}",
        summary.total.errors
    );
    assert_eq!(
        summary.totals.sent_bytes,
        2 * (head.len() + body_bytes) as u64
    );
    assert_eq!(target.stop().unwrap().answers, 2);
}

#[test]
fn settings_that_cannot_work_fail_at_the_start_and_say_why() {
    let mut settings = closed(1);
    settings.protocol = Protocol::Http(
        NetworkSettings {
            address: Some("http://no-such-name.invalid/".to_owned()),
            ..NetworkSettings::default()
        }
        .into(),
    );
    let error = protocols::run(&settings, |_| {}).unwrap_err().to_string();
    assert!(error.contains("no-such-name.invalid"), "{error}");

    let mut settings = closed(100_000_000);
    settings.protocol = Protocol::Http(
        NetworkSettings {
            address: Some("http://127.0.0.1:1".to_owned()),
            ..NetworkSettings::default()
        }
        .into(),
    );
    let error = protocols::run(&settings, |_| {}).unwrap_err().to_string();
    assert!(error.contains("file descriptors"), "{error}");

    let mut settings = open("const(1,1s)", 1);
    if let Workload::Open(open) = &mut settings.settings.workload {
        open.arrivals = encarno_engine::settings::Arrivals::Recorded;
    }
    let error = protocols::run(&settings, |_| {}).unwrap_err().to_string();
    assert!(error.contains("stpd"), "{error}");
}
