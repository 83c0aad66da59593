//! The numbers are true: what is recorded is compared with what is known
//! before, and with the log of the server that was hit.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // a test that fails here says enough

mod rig;

use std::collections::HashSet;
use std::time::Duration;

use encarno_engine::control::GrowError;
use encarno_engine::schedule::{HitInstants, Level, Piece, Randomness};
use encarno_engine::settings::{Arrivals, Source, Workload};
use encarno_input::{InputSettings, Sharing};
use encarno_nib::delay::Delay;
use encarno_record::code;
use encarno_target::TargetSettings;
use rig::{closed, machine, numbered, open, quantile, run, run_with};

const MS: u64 = 1_000_000;

#[test]
fn every_hit_arrives_exactly_once_at_its_time() {
    let _machine = machine();
    let count = 12_000;
    let account = run(
        open("const(3000,4s)", 500),
        TargetSettings::default(),
        Some(numbered(count)),
    );
    assert_eq!(account.summary.totals.done, count);
    assert_eq!(account.target.requests, count);
    let log = account.log_by_sequence();
    let origin_ns = account.summary.origin_ns;
    let mut seen = HashSet::new();
    for hit in &account.hits {
        let sequence = account.sequence(hit);
        assert!(seen.insert(sequence), "hit {sequence} was recorded twice");
        let entry = log[&sequence];
        let received_ns = entry.received_ns - origin_ns;
        assert!(hit.scheduled_ns <= hit.started_ns);
        assert!(hit.started_ns <= hit.connected_ns && hit.connected_ns <= hit.sent_ns);
        assert!(
            hit.connected_ns <= received_ns && received_ns <= hit.first_byte_ns,
            "hit {sequence}"
        );
        assert!(hit.first_byte_ns <= hit.ended_ns);
        assert_eq!((hit.net_code, hit.protocol_code), (0, 200));
    }
    // The instants are the schedule's, to the ns: hit n at n/3000 s.
    let mut scheduled: Vec<_> = account.hits.iter().map(|hit| hit.scheduled_ns).collect();
    scheduled.sort_unstable();
    for (n, instant_ns) in scheduled.iter().enumerate() {
        assert!(instant_ns.abs_diff(n as u64 * 1_000_000_000 / 3000) <= 1);
    }
    // The rate at the target: the slope of arrivals over schedule, which a
    // late hit here and there doesn't bend.
    let points: Vec<(f64, f64)> = account
        .hits
        .iter()
        .map(|hit| {
            (
                hit.scheduled_ns as f64,
                (log[&account.sequence(hit)].received_ns - origin_ns) as f64,
            )
        })
        .collect();
    let slope = median_slope(&points);
    assert!(
        (slope - 1.0).abs() < 0.001,
        "the rate at the target is off by {}",
        slope - 1.0
    );
}

/// Theil-Sen over pairs that are half a run apart.
fn median_slope(points: &[(f64, f64)]) -> f64 {
    let mut points = points.to_vec();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    let half = points.len() / 2;
    let mut slopes: Vec<f64> = (0..half)
        .map(|i| (points[i + half].1 - points[i].1) / (points[i + half].0 - points[i].0))
        .collect();
    slopes.sort_by(f64::total_cmp);
    slopes[slopes.len() / 2]
}

#[test]
fn an_exponential_service_has_the_p99_of_the_closed_form() {
    let _machine = machine();
    let mean = Duration::from_millis(100);
    let target = TargetSettings {
        delay: Delay::Exponential { mean },
        seed: 1,
        body_bytes: 100,
        ..TargetSettings::default()
    };
    let account = run(
        open("const(10000,10s)", 6000),
        target,
        Some(numbered(100_000)),
    );
    assert_eq!(account.summary.totals.done, 100_000);
    let log = account.log_by_sequence();
    let mut served = Vec::new();
    for hit in &account.hits {
        let entry = log[&account.sequence(hit)];
        served.push(entry.sent_ns - entry.received_ns);
        // The delay lies within what we say: it can't have been shorter.
        let received_ns = entry.received_ns - account.summary.origin_ns;
        assert!(hit.started_ns <= received_ns && received_ns <= hit.first_byte_ns);
    }
    let closed_form = mean.as_nanos() as f64 * 100_f64.ln();
    let measured = quantile(
        account.hits.iter().map(|hit| hit.service_ns()).collect(),
        0.99,
    );
    let served = quantile(served, 0.99);
    // A machine that is busy with other things delays us and the target alike.
    // How much it does is seen by the lateness of starts, and no more than
    // that is forgiven; on a quiet machine it is a fraction of a percent. On one that
    // is later than that nothing can be said of quantiles.
    let machine_late = quantile(account.hits.iter().map(|hit| hit.lag_ns()).collect(), 0.999);
    if machine_late > 0.1 * closed_form {
        println!("no quantile was compared: the machine was {machine_late} ns late");
        return;
    }
    for (name, expected) in [
        ("the target's log", served),
        ("the closed form", closed_form),
    ] {
        let off = (measured - expected).abs();
        assert!(
            off < 0.015 * closed_form + machine_late,
            "p99 {measured} ns, by {name} {expected} ns, the machine was {machine_late} ns late"
        );
    }
}

#[test]
fn a_stall_shows_in_the_response_times_as_the_drain_model_says() {
    let _machine = machine();
    let target = || TargetSettings {
        stall: Some((Duration::from_secs(1), Duration::from_secs(1))),
        ..TargetSettings::default()
    };
    for workers in [2000, 20] {
        let account = run(
            open("const(1000,3s)", workers),
            target(),
            Some(numbered(3000)),
        );
        assert_eq!(account.summary.totals.done, 3000);
        let first_ns = account
            .log
            .iter()
            .map(|entry| entry.received_ns)
            .min()
            .unwrap()
            - account.summary.origin_ns;
        let (from_ns, to_ns) = (first_ns + 1000 * MS, first_ns + 2000 * MS);
        // Hits of the stall's first 800 ms wait for its end, and for nothing else worth a percent.
        let stalled: Vec<_> = account
            .hits
            .iter()
            .filter(|hit| (from_ns..to_ns - 200 * MS).contains(&hit.scheduled_ns))
            .collect();
        assert!(stalled.len() > 750, "{}", stalled.len());
        let sum = |times: fn(&encarno_record::Hit) -> u64| {
            stalled.iter().map(|hit| times(hit) as f64).sum::<f64>()
        };
        let model: f64 = stalled
            .iter()
            .map(|hit| (to_ns - hit.scheduled_ns) as f64)
            .sum();
        let off = sum(encarno_record::Hit::response_ns) / model - 1.0;
        // Nothing of the stall is lost. A machine that is busy with other things makes it longer.
        assert!(
            (-0.03..0.25).contains(&off),
            "with {workers} workers the response times are off by {off}"
        );
        let service_part = sum(encarno_record::Hit::service_ns) / model;
        if workers == 20 {
            // Only those that were under way are slow: the service time alone hides the stall.
            assert!(service_part < 0.1, "{service_part}");
        } else {
            // No hit waited for a connection; what else delays a start is this machine's matter.
            assert_eq!(account.summary.totals.no_worker, 0);
            assert!(service_part > 0.5, "{service_part}");
        }
    }
}

/// Anderson-Darling against the exponential law with a known mean, critical
/// value at 1 %: 3.857 (Stephens 1974, case 0).
#[test]
fn poisson_arrivals_pass_anderson_darling() {
    let _machine = machine();
    let mut settings = open("const(2000,5s)", 500);
    if let Workload::Open(open) = &mut settings.settings.workload {
        open.arrivals = Arrivals::Poisson {
            schedule: "const(2000,5s)".parse().unwrap(),
            seed: 11,
        };
    }
    let account = run(settings, TargetSettings::default(), Some(numbered(20_000)));
    let mut instants: Vec<_> = account.hits.iter().map(|hit| hit.scheduled_ns).collect();
    instants.sort_unstable();
    let mut gaps: Vec<f64> = instants
        .windows(2)
        .map(|pair| (pair[1] - pair[0]) as f64 * 2e-6)
        .collect();
    gaps.sort_by(f64::total_cmp);
    let count = gaps.len();
    let law = |gap: f64| (1.0 - (-gap).exp()).clamp(1e-12, 1.0 - 1e-12);
    let sum: f64 = (0..count)
        .map(|i| (2 * i + 1) as f64 * (law(gaps[i]).ln() + (1.0 - law(gaps[count - 1 - i])).ln()))
        .sum();
    let statistic = -(count as f64) - sum / count as f64;
    assert!(statistic < 3.857, "{statistic}");
    // No hit came before its instant.
    let log = account.log_by_sequence();
    for hit in &account.hits {
        assert!(
            log[&account.sequence(hit)].received_ns - account.summary.origin_ns >= hit.scheduled_ns
        );
    }
}

#[test]
fn a_hit_that_is_too_late_is_dropped_and_counted() {
    let _machine = machine();
    let mut settings = open("const(1000,1s)", 4);
    if let Workload::Open(open) = &mut settings.settings.workload {
        open.late_limit = Some(Duration::from_millis(20));
    }
    let target = TargetSettings {
        delay: Delay::Fixed(Duration::from_millis(50)),
        ..TargetSettings::default()
    };
    let account = run(settings, target, Some(numbered(1000)));
    let totals = account.summary.totals;
    assert_eq!(totals.scheduled, 1000);
    assert_eq!(totals.done, account.target.requests);
    // Four at a time, 50 ms each: 80 a second, and the rest can't be served.
    assert!(totals.dropped >= 900, "{totals:?}");
    assert!(account.summary.verdict.is_limited());
    for hit in &account.hits {
        assert!(hit.lag_ns() <= 20 * MS);
    }
}

#[test]
fn without_a_limit_late_hits_wait_and_their_response_counts_it() {
    let _machine = machine();
    let target = TargetSettings {
        delay: Delay::Fixed(Duration::from_millis(10)),
        ..TargetSettings::default()
    };
    let account = run(open("const(400,1s)", 2), target, Some(numbered(400)));
    assert_eq!(account.summary.totals.done, 400);
    // Two at a time, 10 ms each: 200 a second at best, so the last one ends after 2 s.
    let last = account
        .hits
        .iter()
        .max_by_key(|hit| hit.scheduled_ns)
        .unwrap();
    assert!(last.response_ns() >= 1000 * MS, "{}", last.response_ns());
    assert!(last.service_ns() >= 10 * MS);
    assert_eq!(last.response_ns(), last.lag_ns() + last.service_ns());
}

#[test]
fn an_open_run_ends_with_its_schedule_and_what_could_not_start_is_dropped() {
    let _machine = machine();
    let mut settings = open("const(100,1s)", 2);
    if let Workload::Open(open) = &mut settings.settings.workload {
        open.keep_backlog = false;
    }
    let target = || TargetSettings {
        delay: Delay::Fixed(Duration::from_millis(500)),
        ..TargetSettings::default()
    };
    let account = run(settings, target(), Some(numbered(1000)));
    let totals = account.summary.totals;
    // Two at a time for half a second each, and whoever is free at the end starts once more.
    assert!((2..=6).contains(&totals.done), "{totals:?}");
    assert_eq!((totals.scheduled, totals.failed), (100, 0), "{totals:?}");
    assert_eq!(totals.dropped, 100 - totals.done);
    assert_eq!(totals.dropped_at_end, totals.dropped);
    assert_eq!(account.target.requests, totals.done);
    // Fewer records than instants: what there is no record for was never scheduled.
    let mut settings = open("const(100,1s)", 2);
    if let Workload::Open(open) = &mut settings.settings.workload {
        open.keep_backlog = false;
    }
    let totals = run(settings, target(), Some(numbered(20))).summary.totals;
    assert_eq!((totals.scheduled, totals.failed), (20, 0), "{totals:?}");
    assert!(totals.dropped >= 14, "{totals:?}");
}

#[test]
fn hits_that_run_at_the_end_of_the_schedule_have_the_grace_and_no_more() {
    let _machine = machine();
    let silent = || TargetSettings {
        silent_rate: 1.0,
        ..TargetSettings::default()
    };
    let mut closed_for_a_while = closed(4);
    if let Workload::Closed(closed) = &mut closed_for_a_while.settings.workload {
        closed.duration = Some(Duration::from_millis(200));
    }
    for mut settings in [open("const(50,200ms)", 50), closed_for_a_while] {
        settings.settings.grace = Duration::from_millis(300);
        if let encarno::protocols::Protocol::Http(http) = &mut settings.protocol {
            http.network.timeout = Duration::from_secs(3600);
        }
        let account = run(settings, silent(), None);
        assert!(!account.hits.is_empty());
        for hit in &account.hits {
            assert_eq!(hit.net_code, code::CANCELLED);
            assert!(hit.ended_ns >= 500 * MS, "{}", hit.ended_ns);
        }
    }
}

#[test]
fn a_rate_that_changes_ten_times_starts_each_hit_once_at_its_instant() {
    let _machine = machine();
    let (sender, receiver) = std::sync::mpsc::channel();
    let piece = |level, seconds: f64| Piece::flat(Level::whole(level), (seconds * 1e9) as u64);
    let account = run_with(
        open("const(300,1h)", 500),
        TargetSettings::default(),
        Some(numbered(20_000)),
        |control| {
            std::thread::spawn(move || {
                for change in 0..10 {
                    // So long before that no pause of this thread matters.
                    let from_ns = control.earliest_ns() + 1000 * MS;
                    let pieces = match change {
                        9 => vec![piece(700, 0.25), piece(0, 0.1), piece(50, 0.1)],
                        _ => vec![piece(100 + 150 * (change % 4), 3600.0)],
                    };
                    control.grow(from_ns, &pieces).unwrap();
                    std::thread::sleep(Duration::from_millis(70));
                }
                sender.send(control.schedule().unwrap()).unwrap();
            });
        },
    );
    let schedule = receiver.recv().unwrap();
    assert_eq!(schedule.pieces().len(), 13);
    let instants: Vec<_> = HitInstants::new(&schedule, Randomness::None, 0, 1).collect();
    assert_eq!(account.summary.totals.scheduled, instants.len() as u64);
    assert_eq!(account.summary.totals.done, instants.len() as u64);
    let log = account.log_by_sequence();
    assert_eq!(log.len(), instants.len());
    for hit in &account.hits {
        let sequence = account.sequence(hit);
        assert_eq!(
            hit.scheduled_ns, instants[sequence as usize],
            "hit {sequence}"
        );
        let received_ns = log[&sequence].received_ns - account.summary.origin_ns;
        assert!(hit.scheduled_ns <= hit.started_ns && hit.started_ns <= received_ns);
    }
}

#[test]
fn a_closed_run_has_more_workers_as_its_schedule_grows() {
    let _machine = machine();
    let mut settings = closed(2);
    if let Workload::Closed(closed) = &mut settings.settings.workload {
        closed.workers = "const(2,1h)".parse().unwrap();
        closed.workers_max = 6;
    }
    let (sender, receiver) = std::sync::mpsc::channel();
    let target = TargetSettings {
        delay: Delay::Fixed(Duration::from_millis(10)),
        ..TargetSettings::default()
    };
    let account = run_with(settings, target, None, |control| {
        std::thread::spawn(move || {
            let level = |workers| Piece::flat(Level::whole(workers), 300 * MS);
            let from_ns = control.earliest_ns() + 500 * MS;
            let refused = control.grow(from_ns, &[level(7)]);
            assert_eq!(refused, Err(GrowError::Workers { workers_max: 6 }));
            control.grow(from_ns, &[level(6)]).unwrap();
            sender.send(from_ns).unwrap();
        });
    });
    let from_ns = receiver.recv().unwrap();
    let workers = |late: bool| -> HashSet<_> {
        let hits = account.hits.iter();
        let chosen = hits.filter(|hit| (hit.started_ns >= from_ns) == late);
        chosen.map(|hit| hit.worker).collect()
    };
    assert_eq!(workers(false), HashSet::from([0, 1]));
    assert_eq!(workers(true), (0..6).collect());
}

#[test]
fn a_closed_workload_never_has_more_hits_than_workers() {
    let _machine = machine();
    let mut settings = closed(8);
    if let Workload::Closed(closed) = &mut settings.settings.workload {
        closed.workers = "ramp(8,1s) line(8,0,1s)".parse().unwrap();
    }
    let target = TargetSettings {
        delay: Delay::Fixed(Duration::from_millis(5)),
        ..TargetSettings::default()
    };
    let account = run(settings, target, None);
    let level = |instant_ns: u64| -> f64 {
        let seconds = instant_ns as f64 * 1e-9;
        if seconds < 1.0 {
            8.0 * seconds
        } else {
            8.0 * (2.0 - seconds)
        }
    };
    for hit in &account.hits {
        let start_level = level(hit.started_ns).ceil();
        // Workers are looked at each ms while their number changes.
        let before = level(hit.started_ns.saturating_sub(5 * MS))
            .ceil()
            .max(start_level);
        assert!(
            f64::from(hit.worker) < before,
            "worker {} at {}",
            hit.worker,
            hit.started_ns
        );
        assert_eq!((hit.net_code, hit.protocol_code), (0, 200));
    }
    let workers: HashSet<_> = account.hits.iter().map(|hit| hit.worker).collect();
    assert_eq!(workers.len(), 8);
    // Whole workers: 1 + … + 8 for 1/8 s each, twice, 5 ms a hit, and the last one of each.
    assert!(account.hits.len() <= 1800 + 8, "{}", account.hits.len());
}

#[test]
fn a_closed_run_sends_each_record_once_however_many_loops() {
    let _machine = machine();
    let account = run(closed(16), TargetSettings::default(), Some(numbered(5000)));
    assert_eq!(account.summary.totals.done, 5000);
    let sequences: HashSet<_> = account
        .hits
        .iter()
        .map(|hit| account.sequence(hit))
        .collect();
    assert_eq!(sequences.len(), 5000);
    assert_eq!(account.log_by_sequence().len(), 5000);
}

#[test]
fn with_an_input_per_worker_each_sends_all_of_it_in_order() {
    let _machine = machine();
    let mut settings = closed(5);
    settings.settings.source = Source::File(InputSettings {
        sharing: Sharing::PerWorker,
        ..InputSettings::of_file("")
    });
    let account = run(settings, TargetSettings::default(), Some(numbered(300)));
    assert_eq!(account.hits.len(), 1500);
    let mut hits = account.hits.clone();
    hits.sort_by_key(|hit| (hit.worker, hit.started_ns));
    for (index, hit) in hits.iter().enumerate() {
        assert_eq!(
            (u64::from(hit.worker), account.sequence(hit)),
            (index as u64 / 300, index as u64 % 300)
        );
    }
}

#[test]
fn failures_have_their_own_codes() {
    let _machine = machine();
    let count = 200;
    let codes = |target: TargetSettings| {
        let mut settings = closed(8);
        if let encarno::protocols::Protocol::Http(http) = &mut settings.protocol {
            http.network.timeout = Duration::from_millis(300);
        }
        let account = run(settings, target, Some(numbered(count)));
        assert_eq!(account.summary.totals.scheduled, count);
        // Nothing is ever sent twice, whatever became of it.
        account.log_by_sequence();
        (account.codes(), account)
    };
    let default = TargetSettings::default;
    let (errors, account) = codes(TargetSettings {
        error_rate: 1.0,
        ..default()
    });
    assert_eq!(errors[&(0, 500)], 200);
    assert_eq!(account.summary.totals.refused, 200);
    let (dripped, _) = codes(TargetSettings {
        drip: true,
        body_bytes: 100,
        ..default()
    });
    assert_eq!(dripped[&(0, 200)], 200);
    let (chunked, account) = codes(TargetSettings {
        chunked: true,
        body_bytes: 300_000,
        ..default()
    });
    assert_eq!(chunked[&(0, 200)], 200);
    assert!(account.hits.iter().all(|hit| hit.received_bytes > 300_000));
    let (closing, account) = codes(TargetSettings {
        close_rate: 1.0,
        ..default()
    });
    assert_eq!(closing[&(0, 200)], 200);
    assert_eq!(account.target.connections, 200);
    let (reset, _) = codes(TargetSettings {
        reset_rate: 1.0,
        body_bytes: 100_000,
        ..default()
    });
    let connection_reset = 104;
    assert_eq!(reset.values().sum::<usize>(), 200);
    assert!(
        reset
            .keys()
            .all(|(net, _)| *net == connection_reset || *net == code::CLOSED_EARLY),
        "{reset:?}"
    );
    // Closed without a word: the next hit either sees it before it is sent, or is stale.
    let (rude, account) = codes(TargetSettings {
        rude_close_rate: 1.0,
        ..default()
    });
    let good = rude.get(&(0, 200)).copied().unwrap_or(0);
    let stale = rude.get(&(code::STALE, 0)).copied().unwrap_or(0);
    assert_eq!(good + stale, 200, "{rude:?}");
    assert_eq!(good as u64, account.target.answers);
    let (silent, account) = codes(TargetSettings {
        silent_rate: 1.0,
        ..default()
    });
    assert_eq!(silent[&(code::TIMEOUT, 0)], 200);
    assert!(account.hits.iter().all(|hit| hit.service_ns() >= 300 * MS));
    assert_eq!(account.target.answers, 0);
}

#[test]
fn a_poor_connection_is_refused_by_name() {
    let _machine = machine();
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let mut settings = closed(2);
    settings.protocol =
        encarno::protocols::Protocol::Http(encarno_nib::NetworkSettings::default().into());
    let records =
        format!("http://127.0.0.1:{port}/1 refused\nhttp://no-such-name.invalid/2 unknown\n");
    let account = run(
        settings,
        TargetSettings::default(),
        Some(records.into_bytes()),
    );
    let by_label = |label: &str| {
        *account
            .hits
            .iter()
            .find(|hit| account.texts[&hit.label] == label)
            .unwrap()
    };
    assert_eq!(by_label("refused").net_code, 111);
    assert_eq!(by_label("unknown").net_code, code::DNS);
    assert!(account.texts[&by_label("unknown").error].contains("no-such-name.invalid"));
}
