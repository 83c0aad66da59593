//! Each target gets its seeds, and some thousand mutations of them: always the same ones.

#![allow(clippy::unwrap_used)] // a test that fails here says enough

use std::panic::catch_unwind;

use encarno_fuzz::{TARGETS, Target};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng as _, SeedableRng as _};

/// For each target, shared out among its seeds.
const MUTATIONS: usize = 4_000;
/// Mutations grow no longer.
const BYTES_MAX: usize = 16 << 10;

/// What parsers look at.
const INTERESTING: &[&[u8]] = &[
    b"\0",
    b"\x7f",
    b"\x80",
    b"\xff",
    b"\xff\xff\xff\xff",
    b"\xff\xff\xff\xff\x0f",
    b"\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\r\n",
    b"\n",
    b"\r\n\r\n",
    b" ",
    b"\t",
    b"\"",
    b"'",
    b"\\",
    b"{",
    b"}",
    b"[",
    b"(",
    b")",
    b":",
    b";",
    b",",
    b"=",
    b"&",
    b"*",
    b"-",
    b"-1",
    b"0",
    b"1e999",
    b"18446744073709551615",
    b"9223372036854775808",
    b"4294967296",
    b"${a}",
    b"${b}",
    b"\xe2\x82\xac",
    b"\xed\xa0\x80",
];

struct Mutator(Xoshiro256PlusPlus);

impl Mutator {
    fn below(&mut self, end: usize) -> usize {
        (self.0.next_u64() % end.max(1) as u64) as usize
    }

    /// One to four changes.
    fn mutate(&mut self, bytes: &mut Vec<u8>, other: &[u8]) {
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len() + 1);
            let end = (at + self.below(32)).min(bytes.len());
            match self.below(7) {
                0 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
                1 if at < bytes.len() => bytes[at] = self.0.next_u64() as u8,
                2 => drop(bytes.drain(at..end)),
                3 => {
                    let again = bytes[at..end].to_vec();
                    bytes.splice(at..at, again);
                }
                4 => {
                    let from = self.below(other.len() + 1);
                    let part = &other[from..(from + self.below(64)).min(other.len())];
                    bytes.splice(at..end, part.iter().copied());
                }
                5 => bytes.truncate(at),
                _ => {
                    let text = INTERESTING[self.below(INTERESTING.len())];
                    bytes.splice(at..at, text.iter().copied());
                }
            }
        }
        bytes.truncate(BYTES_MAX);
    }
}

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
    let mut mutator = Mutator(Xoshiro256PlusPlus::seed_from_u64(1));
    for seed in &seeds {
        run(target, seed);
        for _ in 0..MUTATIONS.div_ceil(seeds.len()) {
            let mut bytes = seed.clone();
            let other = mutator.below(seeds.len());
            mutator.mutate(&mut bytes, &seeds[other]);
            run(target, &bytes);
        }
    }
}
