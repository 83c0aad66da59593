//! Whether the generator was the limit: each rule with the run that it is for, and
//! one beside it that it must not accuse.

use encarno_engine::control::Stop;
use encarno_engine::meter::{Judge, Totals, Window};
use encarno_engine::output::WriteSummary;
use encarno_record::notes::{Judgement, Verdict};
use encarno_record::statistics::LabelStatistics;

const US: u64 = 1_000;
const MS: u64 = 1_000_000;
const SECOND_NS: u64 = 1_000_000_000;

/// Hits with that lag and that service time each.
fn hits(count: u64, lag_ns: u64, service_ns: u64) -> LabelStatistics {
    let mut hits = LabelStatistics {
        hits: count,
        ..LabelStatistics::default()
    };
    hits.net_codes.insert(0, count);
    for _ in 0..count {
        hits.lag_ns.record(lag_ns);
        hits.service_ns.record(service_ns);
        hits.response_ns.record(lag_ns + service_ns);
    }
    hits
}

fn failed(count: u64, net_code: u16) -> LabelStatistics {
    let mut hits = hits(count, 0, MS);
    hits.failed = count;
    hits.net_codes.clear();
    hits.net_codes.insert(net_code, count);
    hits
}

/// A second in which the loop was half busy.
fn window(total: LabelStatistics) -> Window {
    Window {
        to_ns: SECOND_NS,
        total,
        busy: vec![0.5],
        ..Window::default()
    }
}

fn judge(judge: &mut Judge, windows: impl IntoIterator<Item = Window>) -> LabelStatistics {
    let mut whole = LabelStatistics::default();
    for window in windows {
        judge.take(&window);
        whole.merge(&window.total);
    }
    whole
}

fn verdict_with(open: bool, totals: &Totals, windows: Vec<Window>) -> Verdict {
    let mut of_run = Judge::new(open, None);
    let whole = judge(&mut of_run, windows);
    of_run.verdict(&whole, totals, &WriteSummary::default(), Stop::No)
}

fn open(windows: Vec<Window>) -> Verdict {
    verdict_with(true, &Totals::default(), windows)
}

fn closed(windows: Vec<Window>) -> Verdict {
    verdict_with(false, &Totals::default(), windows)
}

/// Ten seconds, of which the first ones are as given and the others sound.
fn ten_seconds(first: Vec<Window>) -> Vec<Window> {
    let sound = 10 - first.len();
    let sound = (0..sound).map(|_| window(hits(1000, 10 * US, MS)));
    first.into_iter().chain(sound).collect()
}

fn assert_limited(verdict: &Verdict, says: &str) {
    assert_eq!(verdict.judgement, Judgement::Limited, "{verdict:?}");
    assert!(verdict.reasons.join("; ").contains(says), "{verdict:?}");
}

fn assert_unknown(verdict: &Verdict, says: &str) {
    assert_eq!(verdict.judgement, Judgement::Unknown, "{verdict:?}");
    assert!(verdict.reasons.join("; ").contains(says), "{verdict:?}");
}

fn assert_sound(verdict: &Verdict) {
    assert_eq!(*verdict, Verdict::sound());
}

#[test]
fn a_run_on_time_is_sound() {
    assert_sound(&open(ten_seconds(vec![])));
    assert_sound(&closed(ten_seconds(vec![])));
}

#[test]
fn what_lies_beyond_the_calibration_is_told() {
    let verdict = |calibrated: f64, first: Vec<Window>| {
        let mut of_run = Judge::new(true, None).calibrated_to(Some(calibrated));
        let whole = judge(&mut of_run, ten_seconds(first));
        of_run.verdict(
            &whole,
            &Totals::default(),
            &WriteSummary::default(),
            Stop::No,
        )
    };
    // There are 1000 hits in each second.
    assert_sound(&verdict(1000.0, vec![]));
    assert_sound(&verdict(960.0, vec![]));
    assert_unknown(&verdict(940.0, vec![]), "calibrated to 940 hits/s");
    // Both are said, and the worse one counts.
    let late = || window(hits(1000, 2 * MS, 3 * MS));
    let both = verdict(500.0, vec![late(), late(), late()]);
    assert_limited(&both, "started late");
    assert_limited(&both, "calibrated to 500 hits/s");
}

#[test]
fn few_hits_say_nothing_and_accuse_nobody() {
    assert_unknown(
        &open(vec![window(hits(10, 8 * MS, MS))]),
        "too few hits to say (10)",
    );
    assert_unknown(
        &closed(vec![window(hits(19, 0, MS))]),
        "too few hits to say (19)",
    );
    assert_sound(&closed(vec![window(hits(20, 0, MS))]));
}

#[test]
fn no_hit_says_nothing() {
    assert_unknown(
        &open(vec![window(LabelStatistics::default())]),
        "no hit was made",
    );
    assert_unknown(&closed(vec![]), "no hit was made");
}

#[test]
fn failures_alone_say_nothing() {
    let refused = || vec![window(failed(1000, 111))];
    assert_unknown(&open(refused()), "every hit failed");
    assert_unknown(&closed(refused()), "every hit failed");
    let mut but_one = failed(999, 111);
    but_one.merge(&hits(1, 0, MS));
    assert_sound(&open(vec![window(but_one)]));
}

#[test]
fn what_this_machine_lacks_is_not_the_targets_doing() {
    let lacks = [
        (99, "EADDRNOTAVAIL"),
        (98, "EADDRINUSE"),
        (24, "EMFILE"),
        (23, "ENFILE"),
        (105, "ENOBUFS"),
        (12, "ENOMEM"),
        (11, "EAGAIN"),
    ];
    for (code, name) in lacks {
        for is_open in [true, false] {
            let mut some = failed(5, code);
            some.merge(&hits(995, 0, MS));
            let verdict = verdict_with(is_open, &Totals::default(), vec![window(some)]);
            assert_limited(&verdict, name);
            assert_limited(&verdict, "5 hits failed on this machine");
            // Also if all did, which else says nothing.
            let all = vec![window(failed(1000, code))];
            assert_limited(&verdict_with(is_open, &Totals::default(), all), name);
        }
    }
    // The peer's doing: refused, reset, timed out.
    for code in [104, 110, 111] {
        let mut some = failed(5, code);
        some.merge(&hits(995, 0, MS));
        assert_sound(&open(vec![window(some)]));
    }
}

#[test]
fn lag_is_compared_with_the_response_time_at_each_quantile() {
    // Lag p99 is far below 5 ms, and nearly all of the response time.
    let verdict = open(vec![window(hits(1000, 1930 * US, 140 * US))]);
    assert_limited(&verdict, "lag makes up 93 % of the response time at p50");
    // Seen at one quantile alone, each in turn.
    for (late, quantile) in [(600, "p50"), (150, "p90"), (50, "p99"), (5, "p99.9")] {
        let mut mixed = hits(10 * (1000 - late), 0, 2 * MS);
        mixed.merge(&hits(10 * late, 3 * MS, 2 * MS));
        let verdict = open(vec![window(mixed)]);
        assert_limited(&verdict, &format!("of the response time at {quantile}"));
    }
    // Ten milliseconds late, and no part of answers that take a second.
    assert_sound(&open(vec![window(hits(1000, 10 * MS, SECOND_NS))]));
    // A timer's own lateness, though the answers come at once.
    assert_sound(&open(vec![window(hits(1000, 200 * US, 50 * US))]));
    // A closed workload has no lag that counts.
    assert_sound(&closed(vec![window(hits(1000, 10 * MS, MS))]));
}

#[test]
fn a_quantile_with_few_hits_beyond_it_says_nothing() {
    // Nine of 1000 hits were late: p99 has less than ten hits beyond it.
    let mut mixed = hits(991, 0, MS);
    mixed.merge(&hits(9, 50 * MS, MS));
    assert_sound(&open(vec![window(mixed)]));
}

#[test]
fn lag_is_looked_at_window_by_window() {
    // One second of twenty in which hits waited, hidden in the whole run by the
    // others that have far more hits: a hiccup. Two of twenty are the run's doing.
    let late = || window(hits(100, 30 * MS, MS));
    let busy = |late_windows: usize| {
        let sound = (late_windows..20).map(|_| window(hits(20_000, 0, MS)));
        (0..late_windows).map(|_| late()).chain(sound).collect()
    };
    assert_sound(&open(busy(1)));
    assert_limited(&open(busy(2)), "hits started late in 2 of 20 s");
}

#[test]
fn slow_rates_are_looked_at_also() {
    // 5 hits a second: no second has hits enough for a quantile by itself.
    let windows = (0..20).map(|_| Window {
        no_worker: 1,
        ..window(hits(5, 30 * MS, MS))
    });
    let verdict = open(windows.collect());
    assert_limited(&verdict, "hits started late in 20 of 20 s");
    assert_limited(&verdict, "allow more (--connections)");
}

#[test]
fn the_cause_of_lag_is_named() {
    let late = || window(hits(1000, 30 * MS, MS));
    let causes: [(&dyn Fn() -> Window, &str); 5] = [
        (
            &|| Window {
                throttled_ns: MS,
                busy: vec![1.0],
                no_worker: 9,
                ..late()
            },
            "the CPU quota of a cgroup",
        ),
        (
            &|| Window {
                busy: vec![0.2, 0.99],
                ..late()
            },
            "an event loop used 99 % of its core",
        ),
        (
            &|| Window {
                no_worker: 9,
                ..late()
            },
            "hits waited for a free connection",
        ),
        (
            &|| Window {
                starved: 0.5,
                ..late()
            },
            "hits waited for the input",
        ),
        (&late, "the machine is too busy"),
    ];
    for (cause, says) in causes {
        let verdict = open(vec![cause()]);
        assert_limited(&verdict, says);
        assert_eq!(verdict.reasons.len(), 1, "{verdict:?}");
    }
}

/// At so low a rate no window shows it by itself.
#[test]
fn a_whole_run_that_waited_for_connections_says_so() {
    let mut windows: Vec<_> = (0..3)
        .map(|second| window(hits(10, second * 900 * MS, 1000 * MS)))
        .collect();
    windows.iter_mut().for_each(|window| window.no_worker = 90);
    let totals = Totals {
        no_worker: 270,
        ..Totals::default()
    };
    let verdict = verdict_with(true, &totals, windows);
    assert_limited(&verdict, "hits started late: lag makes up");
    assert_limited(&verdict, "waited for a free connection");
}

#[test]
fn under_a_quota_nobody_is_told_to_take_more_connections() {
    let mut of_run = Judge::new(true, Some(0.25));
    let throttled = Window {
        throttled_ns: 700 * MS,
        no_worker: 100,
        ..window(hits(1000, 30 * MS, MS))
    };
    let whole = judge(&mut of_run, [throttled]);
    let verdict = of_run.verdict(
        &whole,
        &Totals::default(),
        &WriteSummary::default(),
        Stop::No,
    );
    assert_limited(
        &verdict,
        "the CPU quota of the cgroup (0.25 cores) held the generator up",
    );
    assert!(
        !verdict.reasons.join("; ").contains("connections"),
        "{verdict:?}"
    );
}

#[test]
fn cpu_is_looked_at_window_by_window() {
    // Two of ten seconds at full load: 60 % over the whole run.
    let full = || Window {
        busy: vec![0.3, 1.0],
        ..window(hits(1000, 0, MS))
    };
    assert_limited(
        &closed(ten_seconds(vec![full(), full()])),
        "used 100 % of its core (in 2 of 10 s)",
    );
    // As much CPU in sum, spread out.
    let even = (0..10).map(|_| Window {
        busy: vec![0.6, 0.6],
        ..window(hits(1000, 0, MS))
    });
    assert_sound(&closed(even.collect()));
    // A hiccup in a long run.
    let long = std::iter::once(full()).chain((0..19).map(|_| window(hits(1000, 0, MS))));
    assert_sound(&closed(long.collect()));
    // In an open run a busy loop that starts its hits in time is no limit.
    assert_sound(&open(ten_seconds(vec![full(), full()])));
}

#[test]
fn a_closed_run_whose_input_is_slow_is_starved() {
    let starved = |part| Window {
        starved: part,
        ..window(hits(1000, 0, MS))
    };
    assert_limited(
        &closed(ten_seconds(vec![starved(0.9), starved(0.9)])),
        "workers waited for the input 18 % of the time",
    );
    assert_sound(&closed(ten_seconds(vec![starved(0.05)])));
    // A run that is over at once waits for its input as long as that takes to open.
    let short = Window {
        to_ns: 10 * MS,
        ..starved(0.4)
    };
    assert_sound(&closed(vec![short]));
}

#[test]
fn a_quota_holds_up_a_closed_run_too() {
    let throttled = || Window {
        throttled_ns: 100 * MS,
        busy: vec![1.0],
        ..window(hits(1000, 0, MS))
    };
    let verdict = closed(ten_seconds(vec![throttled(), throttled()]));
    assert_limited(&verdict, "in 2 of 10 s the CPU quota of a cgroup");
    assert!(
        !verdict.reasons.join("; ").contains("more threads"),
        "{verdict:?}"
    );
}

#[test]
fn hits_that_were_dropped_are_explained_unless_somebody_stopped_the_run() {
    let totals = |no_worker| Totals {
        dropped: 7,
        no_worker,
        ..Totals::default()
    };
    let windows = || vec![window(hits(1000, 0, MS))];
    assert_limited(
        &verdict_with(true, &totals(0), windows()),
        "7 hits were dropped: the generator was late",
    );
    assert_limited(
        &verdict_with(true, &totals(3), windows()),
        "all connections were busy",
    );
    let mut of_run = Judge::new(true, None);
    let whole = judge(&mut of_run, windows());
    assert_sound(&of_run.verdict(&whole, &totals(3), &WriteSummary::default(), Stop::Drain));
}

#[test]
fn hits_that_were_not_recorded_are_told() {
    let mut of_run = Judge::new(false, None);
    let whole = judge(&mut of_run, [window(hits(1000, 0, MS))]);
    let written = WriteSummary {
        hits_lost: 12,
        ..WriteSummary::default()
    };
    let verdict = of_run.verdict(&whole, &Totals::default(), &written, Stop::No);
    assert_limited(&verdict, "12 hits weren't recorded");
}
