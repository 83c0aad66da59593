//! `FUZZ_TARGET=NAME fuzz [OPTIONS OF LIBFUZZER] FOLDER...`: one target, guided by coverage.

#![no_main]

use std::sync::OnceLock;

use encarno_fuzz::TARGETS;

static RUN: OnceLock<fn(&[u8])> = OnceLock::new();

fn choose() {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    match TARGETS.iter().find(|target| target.name == name) {
        Some(target) => drop(RUN.set(target.run)),
        None => {
            let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
            eprintln!("FUZZ_TARGET={name}: it is one of {}", names.join(" "));
            std::process::exit(2);
        }
    }
}

libfuzzer_sys::fuzz_target!(init: choose(), |bytes: &[u8]| {
    if let Some(run) = RUN.get() {
        run(bytes);
    }
});
