//! Kills and stops of programs.

use std::process::Stdio;
use std::time::{Duration, Instant};

use encarno_test_peers::NatsServer;
use encarno_test_peers::Random;
use rustix::process::Signal;

use crate::failure::Failure;
use crate::neighbours::{PREFIX, Usage};
use crate::programs::{PATIENCE, Program, ours};
use crate::row::{Row, number};
use crate::run::{Folder, hits, target};
use crate::siege::{Siege, Transport, Under};

const SCRIPT: &str = "_examples/blaster.js";
const COMPONENT: &str = "blaster-component/blaster-component.wasm";

pub(super) async fn runs(time: Duration) -> Result<Row, Failure> {
    let good = target()?;
    let url = format!("http://{}", good.address());
    let (mut random, mut row) = (Random::new(1), Row::default());
    let (mut stops, mut all) = (0, 0);
    let until = Instant::now() + time;
    while Instant::now() < until || stops < 5 {
        let folder = Folder::new();
        let results = folder.file("results");
        let mut command = ours("encarno");
        command.args([
            "hit",
            &url,
            "--connections",
            "10",
            "--for",
            "10m",
            "--quiet",
            "-o",
        ]);
        command.arg(&results);
        let mut program = Program::start(command)?;
        tokio::time::sleep(Duration::from_millis(50 + random.below(300) as u64)).await;
        let signals: &[Signal] = match stops % 5 {
            0 => &[Signal::TERM],
            1 => &[Signal::INT],
            2 => &[Signal::KILL],
            // SIGHUP is left out, because programs ignore it if nohup started this one.
            3 => &[Signal::STOP, Signal::CONT, Signal::TERM],
            _ => &[Signal::TERM, Signal::TERM],
        };
        for &signal in signals {
            program.signal(signal);
            tokio::time::sleep(Duration::from_millis(random.below(20) as u64)).await;
        }
        stops += 1;
        let ended = program.end(PATIENCE).await?;
        row.check(ended.is_some(), format!("{signals:?}: it goes on"));
        // At its very start, there is no file.
        let begun = results
            .metadata()
            .is_ok_and(|metadata| metadata.len() > 100);
        if begun {
            let (hits, whole) = hits(&results)?;
            all += hits.len() as u64;
            let may_be_cut = stops % 5 == 3 || stops % 5 == 0;
            row.check(
                whole || may_be_cut,
                format!("{signals:?}: the result file isn't whole"),
            );
            let mut stats = ours("encarno");
            stats.arg("stats").arg(&results);
            let status = Program::start(stats)?.end(PATIENCE).await?;
            let readable = status.is_some_and(|status| status.success());
            row.check(
                readable,
                format!("{signals:?}: stats of its file: {status:?}"),
            );
        }
    }
    good.stop()?;
    row.thrown = format!("{stops} runs");
    row.neighbours = format!("{} hits in their files", number(all));
    Ok(row)
}

fn k6(url: &str, seconds: u64) -> Result<Program, Failure> {
    let mut command = ours("k6");
    command.args(["run", "--quiet", "--summary-mode", "disabled"]);
    for (name, value) in [
        ("NATS_URL", url),
        ("PREFIX", PREFIX),
        ("VUS", "16"),
        ("DURATION", &format!("{seconds}s")),
    ] {
        command.args(["-e", &format!("{name}={value}")]);
    }
    command.arg(encarno_test_peers::root().join(SCRIPT));
    command.env("K6_NO_USAGE_REPORT", "true");
    Program::start(command)
}

pub(super) async fn k6_killed(time: Duration) -> Result<Row, Failure> {
    let siege = Siege {
        transport: Transport::Nats,
        guest: None,
        limit: 512,
        usage: Usage::blast(),
        ..Siege::default()
    };
    let storm = |under: Under| async move {
        let mut random = Random::new(1);
        while under.goes_on() {
            let program = k6(&format!("nats://{}", under.addr()), 600)?;
            tokio::time::sleep(Duration::from_millis(700 + random.below(1500) as u64)).await;
            drop(program); // kill -9
            under.threw(1);
        }
        Ok(())
    };
    siege.hold(time, "kills of k6 with 16 VUs", storm).await
}

pub(super) async fn receivers(time: Duration) -> Result<Row, Failure> {
    let nats = NatsServer::start();
    let receiver = || {
        let mut command = ours("wrpc-wasmtime-nats");
        command.args(["serve", "-n", &nats.url(), PREFIX, PREFIX]);
        command.arg(encarno_test_peers::root().join(COMPONENT));
        command.env("RUST_LOG", "error").stdout(Stdio::piped());
        Program::start(command)
    };
    let mut running = receiver()?;
    running.first_line()?;
    let mut k6 = k6(&nats.url(), time.as_secs().max(1))?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let before = k6.memory();
    let (until, mut kills, mut after) = (Instant::now() + time, 0, before);
    while Instant::now() < until {
        running = receiver()?; // the previous one is killed
        running.first_line()?;
        kills += 1;
        after = k6.memory().max(1);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let most = k6.peak().max(after);
    let ended = k6.end(PATIENCE).await?;
    let mut row = Row {
        thrown: format!("{kills} kills"),
        memory: Some([before, most, after]),
        ..Row::default()
    };
    // 99: its thresholds report failed calls.
    let code = ended.and_then(|status| status.code());
    row.neighbours = match code {
        Some(0) => "k6 with 16 VUs came to its end".to_owned(),
        Some(99) => "k6 with 16 VUs came to its end, and says that calls failed".to_owned(),
        _ => format!("k6 with 16 VUs: {ended:?}"),
    };
    row.check(
        matches!(code, Some(0 | 99)),
        format!("k6: {ended:?}: {}", k6.log_end()),
    );
    Ok(row)
}
