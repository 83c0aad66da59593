//! A chooser that breaks the rule that its settings name.

use std::hint::black_box;
use std::sync::Mutex;

wit_bindgen::generate!({ path: "../../../wit/scenario", world: "choose" });
use exports::encarno::scenario::chooser::Guest;

struct Hostile;

static MODE: Mutex<String> = Mutex::new(String::new());
static ASKED: Mutex<u32> = Mutex::new(0);

impl Guest for Hostile {
    fn configure(settings: String, seed: u64, labels: Vec<String>) -> Result<(), String> {
        match &*settings {
            "refuse" => return Err("no".into()),
            "labels" => return Err(format!("seed {seed}, labels {labels:?}")),
            "trap-in-configure" => panic!("no"),
            _ => {}
        }
        if let Ok(mut mode) = MODE.lock() {
            *mode = settings;
        }
        Ok(())
    }

    fn next(count: u32) -> Vec<u32> {
        let mode = MODE
            .lock()
            .map_or_else(|_| String::new(), |mode| mode.clone());
        let asked = ASKED.lock().map_or(0, |mut asked| {
            *asked += count;
            *asked
        });
        match &*mode {
            "trap" => panic!("no"),
            "loop" => loop {
                black_box(count);
            },
            "many" => vec![0; count as usize + 1],
            "huge" => vec![0; 1 << 26],
            "outside" => vec![0, 99],
            // 100 decisions, and no more.
            _ if asked > 128 => Vec::new(),
            _ => vec![0; count.min(50) as usize],
        }
    }
}

export!(Hostile);
