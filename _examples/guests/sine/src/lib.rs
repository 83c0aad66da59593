//! A rate that swings: `mean=500 swing=300 period=60 for=300`, in hits per second and seconds.
//! It is known beforehand, so that nothing is left to decide.

wit_bindgen::generate!({ path: "../../../wit/scenario", world: "shape" });
use exports::encarno::scenario::shaper::{Guest, Load, Segment, Verdict, Window};

struct Sine;

/// A segment is so long.
const STEP: f64 = 0.5;

impl Guest for Sine {
    fn configure(text: String, _seed: u64) -> Result<Load, String> {
        let names = ["mean", "swing", "period", "for"];
        let [mean, swing, period, length] = settings(&text, names, [500.0, 300.0, 60.0, 300.0])?;
        if swing.abs() > mean || period <= 0.0 || !(STEP..5000.0).contains(&length) {
            return Err(
                "the swing is at most the mean, the period more than 0, for 0.5 to 5000".into(),
            );
        }
        let level = |at: f64| mean + swing * (std::f64::consts::TAU * at / period).sin();
        let steps = (length / STEP).round() as u64;
        let segments = (0..steps).map(|step| {
            let (from, to) = (step as f64 * STEP, (step + 1) as f64 * STEP);
            Segment {
                from_ns: (from * 1e9) as u64,
                to_ns: (to * 1e9) as u64,
                start: level(from),
                end: level(to),
            }
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

export!(Sine);
