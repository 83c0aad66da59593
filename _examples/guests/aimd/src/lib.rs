//! A number of workers that finds its way, as TCP does: one more with each second, and half of
//! them as soon as the 99 % quantile is above `limit` or hits fail. The settings are
//! `limit=50 for=60`, in milliseconds and seconds.

use std::sync::Mutex;

wit_bindgen::generate!({ path: "../../../wit/scenario", world: "shape" });
use exports::encarno::scenario::shaper::{Guest, Load, Segment, Verdict, Window};

struct Aimd;

static STATE: Mutex<State> = Mutex::new(State {
    limit_ns: 0,
    end_ns: 0,
    workers: 1,
    most: 1,
});

struct State {
    limit_ns: u64,
    end_ns: u64,
    workers: u32,
    most: u32,
}

impl State {
    fn load(&self, from_ns: u64) -> Load {
        let workers = f64::from(self.workers);
        Load::Workers(vec![Segment {
            from_ns,
            to_ns: self.end_ns.max(from_ns + 1),
            start: workers,
            end: workers,
        }])
    }
}

impl Guest for Aimd {
    fn configure(text: String, _seed: u64) -> Result<Load, String> {
        let [limit_ms, seconds] = settings(&text, ["limit", "for"], [50.0, 60.0])?;
        if limit_ms <= 0.0 || seconds <= 0.0 {
            return Err("limit and for are more than 0".into());
        }
        let mut state = STATE.lock().map_err(|_| "the state is lost")?;
        *state = State {
            limit_ns: (limit_ms * 1e6) as u64,
            end_ns: (seconds * 1e9) as u64,
            workers: 1,
            most: 1,
        };
        Ok(state.load(0))
    }

    fn tick(window: Window) -> Verdict {
        let Ok(mut state) = STATE.lock() else {
            return Verdict::Stop("the state is lost".into());
        };
        if window.earliest_ns >= state.end_ns {
            return Verdict::Hold;
        }
        let too_much = window.p99_ns > state.limit_ns || window.failed > 0;
        state.workers = match too_much {
            true => (state.workers / 2).max(1),
            false => state.workers + 1,
        };
        state.most = state.most.max(state.workers);
        Verdict::Load(state.load(window.earliest_ns))
    }

    fn report() -> String {
        let most = STATE.lock().map_or(0, |state| state.most);
        format!("{most} workers at most")
    }
}

/// Settings are written as `name=number`, with blanks between them.
fn settings<const N: usize>(
    text: &str,
    names: [&str; N],
    usual: [f64; N],
) -> Result<[f64; N], String> {
    let mut values = usual;
    for word in text.split_whitespace() {
        let known = word.split_once('=').and_then(|(name, value)| {
            let place = names.iter().position(|known| *known == name)?;
            Some((place, value.parse::<f64>().ok()?))
        });
        let (place, value) = known
            .ok_or_else(|| format!("{word:?}: write {}, each with =NUMBER", names.join(", ")))?;
        values[place] = value;
    }
    Ok(values)
}

export!(Aimd);
