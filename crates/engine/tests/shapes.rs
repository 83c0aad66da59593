//! Shapes that aren't straight, paused, cut and shared out.

#![allow(clippy::unwrap_used)] // a test that fails here says enough

use encarno_engine::schedule::{HitInstants, Level, Piece, Randomness, Schedule};

const S: u64 = 1_000_000_000;
const SHAPE: &str = "const(5,2s) sine(40,40,3s,10s) spike(5,60,1s,500ms,2s) sine(9,2,700ms,5s)";

fn instants(schedule: &Schedule, randomness: Randomness) -> Vec<u64> {
    HitInstants::new(schedule, randomness, 0, 1).collect()
}

#[test]
fn a_pause_moves_what_is_left_of_a_sine() {
    let schedule: Schedule = SHAPE.parse().unwrap();
    for randomness in [Randomness::None, Randomness::Poisson { seed: 5 }] {
        let before = instants(&schedule, randomness);
        for from_ns in [0, 2 * S, 3 * S + 7, 11 * S + S / 2, 17 * S] {
            let paused = schedule.delayed(from_ns, 4 * S).unwrap();
            let after = instants(&paused, randomness);
            assert_eq!(after.len(), before.len(), "{from_ns}");
            for (&before_ns, after_ns) in before.iter().zip(after) {
                let expected_ns = match before_ns < from_ns {
                    true => before_ns,
                    false => before_ns + 4 * S,
                };
                assert!(
                    after_ns.abs_diff(expected_ns) <= 2,
                    "{from_ns}: {before_ns} {after_ns}"
                );
            }
        }
    }
}

#[test]
fn a_sine_is_cut_where_something_else_begins() {
    let schedule: Schedule = SHAPE.parse().unwrap();
    let before = instants(&schedule, Randomness::None);
    let from_ns = 6 * S + 123;
    let grown = schedule
        .grown(from_ns, &[Piece::flat(Level::whole(3), 2 * S)])
        .unwrap();
    let after = instants(&grown, Randomness::None);
    let kept = after.iter().take_while(|&&at_ns| at_ns < from_ns).count();
    assert_eq!(before[..kept], after[..kept]);
    assert!(before[kept] >= from_ns && (6..=7).contains(&(after.len() - kept)));
    assert_eq!(grown.level_at(from_ns), Level::whole(3));
}

/// However many loops, parts and agents share the hits.
#[test]
fn shares_together_are_the_whole() {
    let schedule: Schedule = SHAPE.parse().unwrap();
    for randomness in [Randomness::None, Randomness::Poisson { seed: 11 }] {
        let whole = instants(&schedule, randomness);
        for count in [2, 3, 16] {
            let mut shared: Vec<_> = (0..count)
                .flat_map(|number| HitInstants::new(&schedule, randomness, number, count))
                .collect();
            shared.sort_unstable();
            assert_eq!(shared, whole, "{count}");
        }
    }
}
