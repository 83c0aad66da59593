//! Each target gets its seeds, and some thousand mutations of them: always the same ones.

#![allow(clippy::unwrap_used)] // a test that fails here says enough

use std::panic::catch_unwind;

use encarno_fuzz::{TARGETS, Target};
use encarno_test_peers::Random;

/// For each target, shared out among its seeds.
const MUTATIONS: usize = 4_000;
/// Mutations grow no longer.
const BYTES_MAX: usize = 16 << 10;

fn seeds(target: &Target) -> Vec<Vec<u8>> {
    let folder = target.seeds();
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
        .iter()
        .map(|file| std::fs::read(file).unwrap())
        .collect()
}

fn run(target: &Target, bytes: &[u8]) {
    let (run, given) = (target.run, bytes.to_vec());
    if catch_unwind(move || run(&given)).is_err() {
        panic!("{} fails with \"{}\"", target.name, bytes.escape_ascii());
    }
}

#[test]
fn seeds_and_mutations_of_them() {
    std::thread::scope(|scope| {
        let all: Vec<_> = TARGETS
            .iter()
            .map(|target| (target, scope.spawn(move || fuzz(target))))
            .collect();
        for (target, running) in all {
            assert!(running.join().is_ok(), "{}", target.name);
        }
    });
}

fn fuzz(target: &Target) {
    let seeds = seeds(target);
    assert!(!seeds.is_empty(), "{} has no seeds", target.name);
    let mut random = Random::new(1);
    for seed in &seeds {
        run(target, seed);
        for _ in 0..MUTATIONS.div_ceil(seeds.len()) {
            let mut bytes = seed.clone();
            let other = random.below(seeds.len());
            random.change(&mut bytes, &seeds[other]);
            bytes.truncate(BYTES_MAX);
            run(target, &bytes);
        }
    }
}
