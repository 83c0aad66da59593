//! A nib that breaks the rule that its settings name, when the peer's line says `break` (or at
//! another moment, which the name tells). Other lines end the oldest hit, as they should.

use std::hint::black_box;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

wit_bindgen::generate!({ path: "../../../wit/nib", world: "nib" });
use encarno::nib::host::{Level, log};
use exports::encarno::nib::protocol::{Guest, GuestConnection, Need, Outcome, Step, Traits, Turn};

static SETTINGS: Mutex<String> = Mutex::new(String::new());
static CALLS: AtomicU32 = AtomicU32::new(0);

fn mode() -> String {
    SETTINGS
        .lock()
        .map_or_else(|_| String::new(), |text| text.clone())
}

struct Hostile;
struct Connection;

impl Guest for Hostile {
    type Connection = Connection;

    fn configure(settings: String) -> Result<Traits, String> {
        if let Ok(mut text) = SETTINGS.lock() {
            *text = settings;
        }
        match &*mode() {
            "refuse" => return Err("these settings\nare no good".into()),
            "loop-in-configure" => spin(),
            "trap-in-configure" => panic!("no"),
            _ => {}
        }
        Ok(Traits {
            name: "hostile".into(),
            streams: 16,
            starts_itself: true,
            sees_payload: false,
            need: match &*mode() {
                "until-nothing" => Need::Until(vec![]),
                "any" => Need::Any,
                "close" => Need::Close,
                _ => Need::Until(b"\n".into()),
            },
        })
    }

    fn prepare(entry: Vec<u8>) -> Result<Vec<u8>, String> {
        match (&*mode(), &*entry) {
            ("trap-in-prepare", b"break\n") => panic!("no"),
            ("refuse-record", b"break\n") => Err("this record is no good".into()),
            _ => Ok(entry),
        }
    }
}

fn spin() -> ! {
    loop {
        black_box(CALLS.fetch_add(1, Ordering::Relaxed));
    }
}

fn grow() -> Turn {
    let mut held = Vec::new();
    loop {
        held.push(vec![1u8; 1 << 20]);
        black_box(&held);
    }
}

impl GuestConnection for Connection {
    fn new(_worker: u32) -> Self {
        if mode() == "trap-in-new" {
            panic!("no");
        }
        Self
    }

    fn opened(&self, now_ns: u64) -> Turn {
        match &*mode() {
            "trap-in-opened" => panic!("no"),
            "close-in-opened" => step(|step| step.close = true),
            "hold" => step(|step| step.hold = true),
            "wake" => step(|step| step.wake_at_ns = now_ns.saturating_sub(1).max(1)),
            "login" => step(|step| {
                step.hold = true;
                step.send = b"login\n".into();
            }),
            _ => Turn::More,
        }
    }

    fn start(&self, _hit: u32, _prepared: Vec<u8>) -> Turn {
        panic!("a protocol that starts itself isn't asked")
    }

    fn data(&self, bytes: Vec<u8>) -> Turn {
        let mode = mode();
        match &*mode {
            "more" | "hold" => return Turn::More,
            "login" if bytes == b"login\n" => return step(|_| {}),
            _ => {}
        }
        if bytes != b"break\n" {
            return Turn::Done(0);
        }
        match &*mode {
            "loop" => spin(),
            "grow" => grow(),
            "trap" => panic!("no"),
            "lie" => step(|step| step.ended = vec![outcome(4711)]),
            "lie-often" => step(|step| step.ended = (0..1 << 20).map(outcome).collect()),
            "payload" => step(|step| step.payload = Some(4711)),
            "send" => step(|step| step.send = vec![0; 17 << 20]),
            "exactly-nothing" => step(|step| step.need = Some(Need::Exactly(0))),
            "long-error" => Turn::Failed("no\n".repeat(1 << 20)),
            "many-errors" => Turn::Failed(format!("no {}", CALLS.fetch_add(1, Ordering::Relaxed))),
            "log" => {
                for _ in 0..1000 {
                    log(Level::Warn, "a line\x1b[2J");
                }
                Turn::Done(0)
            }
            _ => Turn::Done(0),
        }
    }

    fn woken(&self, now_ns: u64) -> Turn {
        step(|step| step.wake_at_ns = now_ns.max(1))
    }

    fn closed(&self) -> Turn {
        Turn::More
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if mode() == "trap-in-drop" {
            panic!("no");
        }
    }
}

fn outcome(hit: u32) -> Outcome {
    Outcome {
        hit,
        status: 0,
        error: Some("x".repeat(64)),
    }
}

fn step(change: impl FnOnce(&mut Step)) -> Turn {
    let mut step = Step {
        send: vec![],
        payload: None,
        need: None,
        ended: vec![],
        wake_at_ns: 0,
        hold: false,
        close: false,
    };
    change(&mut step);
    Turn::Step(step)
}

export!(Hostile);
