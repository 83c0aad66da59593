//! A component with values of many types, which `_examples/client/shop.js` calls.

// `generate!` writes the code at the border to the host, without docs.
#[allow(missing_docs)]
mod bindings {
    wit_bindgen::generate!({
        path: "wit",
        world: "shop",
        generate_all,
    });
}

use bindings::exports::example::shop::carts::{
    Colour, Discount, Guest, Item, Receipt, Refusal, Wishes,
};
use bindings::wasi::cli::environment::get_environment;

/// Carts that cost more are refused.
const TOTAL_CENTS_MAX: u64 = 1 << 60;
const EXPRESS_CENTS: u64 = 499;

struct Component;

impl Guest for Component {
    fn checkout(items: Vec<Item>, discount: Discount, wishes: Wishes) -> Result<Receipt, Refusal> {
        if items.is_empty() {
            return Err(Refusal::EmptyCart);
        }
        let mut total = 0u64;
        let mut digest = Digest::default();
        let mut lines = Vec::new();
        for item in &items {
            let price = item.price_cents.saturating_mul(item.count.into());
            total = total.saturating_add(price);
            digest.add(item);
            lines.push((item.name.clone(), price));
        }
        if total > TOTAL_CENTS_MAX {
            return Err(Refusal::TooExpensive(total));
        }
        let percent = match &discount {
            Discount::None => 0,
            Discount::Percent(percent) => (*percent).min(100),
            Discount::Code(code) if code == "TENTH" => 10,
            Discount::Code(code) => return Err(Refusal::UnknownCode(code.clone())),
        };
        total -= total / 100 * u64::from(percent);
        if wishes & Wishes::EXPRESS == Wishes::EXPRESS {
            total += EXPRESS_CENTS;
        }
        Ok(Receipt {
            total_cents: total,
            lines,
            note: (percent > 0).then(|| format!("{percent} % off")),
            digest: digest.bytes(),
            wishes,
        })
    }

    fn reversed(mut bytes: Vec<u8>) -> Vec<u8> {
        bytes.reverse();
        bytes
    }

    fn trace() -> Option<String> {
        let mut variables = get_environment().into_iter();
        variables.find_map(|(name, value)| (name == "TRACEPARENT").then_some(value))
    }
}

/// FNV-1a, of 64 bits.
struct Digest(u64);

impl Default for Digest {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Digest {
    fn add(&mut self, item: &Item) {
        let colour: u8 = match item.colour {
            None => 0,
            Some(Colour::Red) => 1,
            Some(Colour::Green) => 2,
            Some(Colour::DarkBlue) => 3,
        };
        let numbers = [item.price_cents, item.count.into(), colour.into()];
        let numbers = numbers.iter().flat_map(|number| number.to_le_bytes());
        for byte in item.name.bytes().chain(numbers) {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn bytes(&self) -> Vec<u8> {
        self.0.to_be_bytes().to_vec()
    }
}

bindings::export!(Component with_types_in bindings);
