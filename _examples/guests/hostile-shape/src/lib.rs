//! A shape that breaks the rule that its settings name.

use std::hint::black_box;
use std::sync::Mutex;

wit_bindgen::generate!({ path: "../../../wit/scenario", world: "shape" });
use exports::encarno::scenario::shaper::{Guest, Load, Segment, Verdict, Window};

struct Hostile;

static MODE: Mutex<String> = Mutex::new(String::new());

fn mode() -> String {
    MODE.lock()
        .map_or_else(|_| String::new(), |mode| mode.clone())
}

fn segment(from_ns: u64, to_ns: u64, level: f64) -> Segment {
    Segment {
        from_ns,
        to_ns,
        start: level,
        end: level,
    }
}

impl Guest for Hostile {
    fn configure(text: String, seed: u64) -> Result<Load, String> {
        if let Ok(mut mode) = MODE.lock() {
            *mode = text;
        }
        let minute = 60_000_000_000;
        Ok(match &*mode() {
            "refuse" => return Err("no".into()),
            "seed" => return Err(format!("seed {seed}")),
            "empty" => Load::Rate(vec![]),
            "late" => Load::Rate(vec![segment(5, minute, 10.0)]),
            "gap" => Load::Rate(vec![segment(0, 5, 10.0), segment(6, minute, 10.0)]),
            "backwards" => Load::Rate(vec![segment(5, 5, 10.0)]),
            "nothing" => Load::Rate(vec![segment(0, minute, f64::NAN)]),
            "many" => Load::Rate((0..20_000).map(|at| segment(at, at + 1, 1.0)).collect()),
            "crowd" => Load::Workers(vec![segment(0, minute, 1e6)]),
            "trap-in-configure" => panic!("no"),
            _ => Load::Rate(vec![segment(0, minute, 50.0)]),
        })
    }

    fn tick(window: Window) -> Verdict {
        let from_ns = window.earliest_ns;
        match &*mode() {
            "trap" => panic!("no"),
            "loop" => loop {
                black_box(from_ns);
            },
            "other" => Verdict::Load(Load::Workers(vec![segment(from_ns, from_ns + 9, 1.0)])),
            "negative" => Verdict::Load(Load::Rate(vec![segment(from_ns, from_ns + 9, -1.0)])),
            "past" => Verdict::Load(Load::Rate(vec![segment(0, 9, 1.0)])),
            _ => Verdict::Stop("enough\x1b[2J".into()),
        }
    }

    fn report() -> String {
        match &*mode() {
            "trap-in-report" => panic!("no"),
            _ => "said at the end".into(),
        }
    }
}

export!(Hostile);
