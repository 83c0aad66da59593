//! A rate that was recorded: the settings are a number of hits for each second, such as
//! `120 133 90`.

wit_bindgen::generate!({ path: "../../../wit/scenario", world: "shape" });
use exports::encarno::scenario::shaper::{Guest, Load, Segment, Verdict, Window};

struct Replay;

impl Guest for Replay {
    fn configure(text: String, _seed: u64) -> Result<Load, String> {
        let rates = text.split_whitespace().map(|word| {
            let rate = word.parse::<f64>();
            rate.map_err(|_| format!("{word:?} isn't a number of hits"))
        });
        let rates = rates.collect::<Result<Vec<_>, _>>()?;
        let segments = rates.iter().zip(0..).map(|(&rate, second)| Segment {
            from_ns: second * 1_000_000_000,
            to_ns: (second + 1) * 1_000_000_000,
            start: rate,
            end: rate,
        });
        Ok(Load::Rate(segments.collect()))
    }

    fn tick(_window: Window) -> Verdict {
        Verdict::Hold
    }

    fn report() -> String {
        String::new()
    }
}

export!(Replay);
