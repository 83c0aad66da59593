//! Texts of users: configurations, schedules, values of options.

use std::path::Path;

use encarno_engine::schedule::{HitInstants, Randomness, Schedule};

use super::{choice, text};

/// The number of instants that are checked.
const HITS: usize = 1000;

/// Parses a configuration; an error must name a line.
pub(crate) fn config(bytes: &[u8]) {
    let Some(text) = text(bytes) else {
        return;
    };
    match encarno::config::parse(text, Path::new("fuzz.yml")) {
        Ok(run) => drop(format!("{run:?}")),
        Err(error) => {
            assert!(!error.reason.is_empty());
            assert!(error.line <= 2 + text.matches(['\n', '\r']).count() as u64);
        }
    }
}

/// Checks that instants never go back or pass the end, and that loops divide them among
/// them.
pub(crate) fn schedule(bytes: &[u8]) {
    let Some(text) = text(bytes) else {
        return;
    };
    let Ok(schedule) = text.parse().or_else(|_| Schedule::of_table(text)) else {
        return;
    };
    let end_ns = schedule.duration_ns();
    let all = instants(&schedule, Randomness::None, 0, 1);
    assert!(all.is_sorted());
    assert!(all.iter().all(|&instant_ns| instant_ns <= end_ns));
    if all.len() < HITS {
        assert_eq!(all.len() as u64, schedule.hits_before(end_ns));
    }
    let halves = [0, 1].map(|first| instants(&schedule, Randomness::None, first, 2));
    for (number, instant_ns) in all.iter().enumerate() {
        assert_eq!(halves[number % 2].get(number / 2), Some(instant_ns));
    }
    assert!(instants(&schedule, Randomness::Poisson { seed: 1 }, 0, 1).is_sorted());
    let _ = (schedule.level_max(), schedule.workers_max());
    for instant_ns in [0, end_ns / 2, end_ns, u64::MAX] {
        let _ = (
            schedule.level_at(instant_ns),
            schedule.workers_at(instant_ns),
        );
        let _ = schedule.hits_before(instant_ns);
    }
}

fn instants(schedule: &Schedule, randomness: Randomness, first: u64, stride: u64) -> Vec<u64> {
    HitInstants::new(schedule, randomness, first, stride)
        .take(HITS)
        .collect()
}

/// Parses values of options.
pub(crate) fn arguments(bytes: &[u8]) {
    let (kind, rest) = choice(bytes);
    let Some(text) = text(rest) else {
        return;
    };
    match kind % 8 {
        0 => drop(text.parse::<encarno_capacity::goal::Goal>()),
        1 => drop(text.parse::<encarno_report::demand::Demand>()),
        2 => {
            if let Ok(expected) = text.parse::<encarno_record::Expected>() {
                let again = expected.to_string().parse::<encarno_record::Expected>();
                assert!(again.is_ok_and(|again| again == expected));
            }
        }
        3 => drop(text.parse::<encarno_nib::delay::Delay>()),
        4 => drop(text.parse::<encarno_input::BadLimit>()),
        5 => drop(encarno_record::parse_duration(text)),
        6 => drop(encarno_record::notes::Notes::parse(text.as_bytes())),
        _ => drop(text.parse::<encarno_input::AutoLabel>()),
    }
}

/// Parses URLs and headers of users, and addresses.
pub(crate) fn addresses(bytes: &[u8]) {
    if let Some(text) = text(bytes) {
        encarno::fuzz::url(text);
    }
}
