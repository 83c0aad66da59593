//! Records by the weights of their labels: with `home=7 item=2 cart=1`, 7 of 10 hits are of a
//! record whose label is `home`. Among records with one label, each comes equally often.

use std::cell::RefCell;

wit_bindgen::generate!({ path: "../../../wit/scenario", world: "choose" });
use exports::encarno::scenario::chooser::Guest;

struct Mix;

struct State {
    /// For each label: the sum of the weights up to it, and its records.
    kinds: Vec<(f64, Vec<u32>)>,
    random: Random,
}

thread_local! {
    static STATE: RefCell<Option<State>> = const { RefCell::new(None) };
}

impl Guest for Mix {
    fn configure(settings: String, seed: u64, labels: Vec<String>) -> Result<(), String> {
        let mut sum = 0.0;
        let mut kinds = Vec::new();
        for word in settings.split_whitespace() {
            let parts = word.rsplit_once('=');
            let parsed = parts.and_then(|(name, text)| Some((name, text.parse::<f64>().ok()?)));
            let (name, weight) = parsed.ok_or(format!("{word:?}: write LABEL=WEIGHT"))?;
            if !(weight > 0.0 && weight.is_finite()) {
                return Err(format!("{word:?}: a weight is more than 0"));
            }
            let numbers = (0u32..).zip(&labels).filter(|(_, label)| *label == name);
            let records: Vec<_> = numbers.map(|(number, _)| number).collect();
            if records.is_empty() {
                return Err(format!("no record has the label {name:?}"));
            }
            sum += weight;
            kinds.push((sum, records));
        }
        if kinds.is_empty() {
            return Err("write the weights of labels, such as home=7 item=2".into());
        }
        let random = Random(seed);
        STATE.set(Some(State { kinds, random }));
        Ok(())
    }

    fn next(count: u32) -> Vec<u32> {
        STATE.with_borrow_mut(|state| match state {
            Some(state) => (0..count).map(|_| state.one()).collect(),
            None => Vec::new(),
        })
    }
}

impl State {
    fn one(&mut self) -> u32 {
        let sum = self.kinds.last().map_or(0.0, |(sum, _)| *sum);
        let at = self.random.share() * sum;
        let kind = self.kinds.partition_point(|(sum, _)| *sum <= at);
        let records = &self.kinds[kind.min(self.kinds.len() - 1)].1;
        let place = (self.random.share() * records.len() as f64) as usize;
        records[place.min(records.len() - 1)]
    }
}

/// SplitMix64.
struct Random(u64);

impl Random {
    /// From 0 to 1, without 1.
    fn share(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

export!(Mix);
