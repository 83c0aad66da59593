//! Users who browse a shop: home, some items, perhaps the cart. Who waits too long, or sees an
//! error, leaves, and another one comes.
//!
//! `think=1000 patience=2000 items=5 buys=0.1`: milliseconds of thinking between pages (on
//! average), the longest answer that a user bears, items that a user looks at (on average), and
//! the share of users who buy. With `visits=3`, three users come to each place, one after the
//! other; otherwise they come until the run ends.

use std::cell::RefCell;

wit_bindgen::generate!({ path: "../../../wit/scenario", world: "behave" });
use exports::encarno::scenario::users::{
    Action, Answer, Field, Guest, GuestUser, Message, Next, Request, Traits,
};

struct Shop;

#[derive(Clone, Copy)]
struct Settings {
    think: f64,
    patience: f64,
    items: f64,
    buys: f64,
    visits: f64,
}

thread_local! {
    static SETTINGS: RefCell<Option<Settings>> = const { RefCell::new(None) };
}

impl Guest for Shop {
    type User = User;

    fn configure(text: String) -> Result<Traits, String> {
        let names = ["think", "patience", "items", "buys", "visits"];
        let usual = [1000.0, 2000.0, 5.0, 0.1, f64::INFINITY];
        let [think, patience, items, buys, visits] = settings(&text, names, usual)?;
        if think < 0.0 || patience <= 0.0 || items < 1.0 || !(0.0..=1.0).contains(&buys) {
            return Err(
                "think is at least 0, patience more than 0, items at least 1, buys 0 to 1".into(),
            );
        }
        SETTINGS.set(Some(Settings {
            think,
            patience,
            items,
            buys,
            visits,
        }));
        // Status and time are enough for these users.
        Ok(Traits {
            fields: false,
            body_bytes: 0,
        })
    }
}

struct User(RefCell<State>);

struct State {
    settings: Settings,
    random: Random,
    last: bool,
    /// The items that this user still wants to see.
    left: u32,
    buys: bool,
    cookie: String,
}

impl GuestUser for User {
    fn new(place: u32, visit: u32, seed: u64) -> Self {
        let settings = SETTINGS.with_borrow(|settings| *settings);
        let settings = settings.unwrap_or(Settings {
            think: 0.0,
            patience: 1.0,
            items: 1.0,
            buys: 0.0,
            visits: 0.0,
        });
        let mut random = Random(seed);
        // Looking at one more item is as likely each time.
        let mut left = 1;
        while left < 1000 && random.share() < 1.0 - 1.0 / settings.items {
            left += 1;
        }
        Self(RefCell::new(State {
            settings,
            last: f64::from(visit) + 1.0 > settings.visits,
            left,
            buys: random.share() < settings.buys,
            cookie: format!("visitor={place}-{visit}"),
            random,
        }))
    }

    fn act(&self, last: Option<Answer>) -> Action {
        self.0.borrow_mut().act(last)
    }
}

impl State {
    fn act(&mut self, last: Option<Answer>) -> Action {
        if self.last {
            return Action::Finish;
        }
        let Some(answer) = last else {
            return self.page("home", "GET", "/".into(), 0.0);
        };
        let took_ms = (answer.ended_ns - answer.started_ns) as f64 / 1e6;
        if answer.failed || took_ms > self.settings.patience {
            return Action::Leave(self.think_ns());
        }
        if self.left > 0 {
            self.left -= 1;
            let item = (self.random.share() * 1000.0) as u32;
            let think = self.settings.think;
            return self.page("item", "GET", format!("/items/{item}"), think);
        }
        if std::mem::take(&mut self.buys) {
            let think = self.settings.think;
            return self.page("cart", "POST", "/cart".into(), think);
        }
        Action::Leave(self.think_ns())
    }

    fn page(&mut self, label: &str, method: &str, path: String, think_ms: f64) -> Action {
        let after_ns = match think_ms > 0.0 {
            true => self.think_ns(),
            false => 0,
        };
        let cookie = Field {
            name: "Cookie".into(),
            value: self.cookie.clone(),
        };
        Action::Next(Next {
            after_ns,
            label: label.into(),
            message: Message::Http(Request {
                method: method.into(),
                path,
                fields: vec![cookie],
                body: (method == "POST").then(|| b"{\"buy\":true}".to_vec()),
            }),
        })
    }

    /// Users think for an exponentially distributed time.
    fn think_ns(&mut self) -> u64 {
        (-(1.0 - self.random.share()).ln() * self.settings.think * 1e6) as u64
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

export!(Shop);
