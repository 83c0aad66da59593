//! What workers do in addition to sending: `workers {cookies, data}`, and `rules`.

use std::path::PathBuf;

use encarno_engine::script::Compiler;
use encarno_engine::settings::{DataOrder, DataSettings, RuleSettings, ScriptSettings};
use encarno_record::script::{Assert, Script};

use super::BadValue;
use super::raw::{Raw, RawData, RawRule};

pub(super) fn script(raw: &Raw, in_order: bool) -> Result<ScriptSettings, BadValue> {
    let data = raw.workers.data.iter().map(data);
    let rules = raw.rules.iter().map(|raw| rule(raw, in_order));
    Ok(ScriptSettings {
        cookies: raw.workers.cookies,
        same_user: raw.workers.sameuser,
        data: data.collect::<Result<_, _>>()?,
        rules: rules.collect::<Result<_, _>>()?,
        seed: raw.workers.seed,
        // A flag says it.
        traced_share: 0.0,
    })
}

/// Whether the run ends when the rows of its data end.
pub(super) fn is_bounded(raw: &Raw) -> bool {
    let mut orders = raw
        .workers
        .data
        .iter()
        .filter_map(|data| data.order.as_ref());
    orders.any(|order| order.value == "once")
}

/// Whether each worker must read the input in order.
pub(super) fn needs_order(raw: &Raw) -> bool {
    raw.input.enableregexes
        || raw.workers.cookies
        || !raw.workers.data.is_empty()
        || raw.rules.iter().any(|rule| !rule.extracts.is_empty())
}

fn data(raw: &RawData) -> Result<DataSettings, BadValue> {
    let delimiter = match &raw.delimiter {
        None => b',',
        Some(text) => match text.value.as_bytes() {
            b"tab" | b"\\t" => b'\t',
            [byte] if *byte != b'"' && !matches!(byte, b'\r' | b'\n') => *byte,
            _ => {
                let reason = "write one ASCII character, or tab";
                return Err(BadValue::at(text, "workers.data.delimiter", reason));
            }
        },
    };
    let order = match raw.order.as_ref().map(|order| (order, &*order.value)) {
        None | Some((_, "loop")) => DataOrder::Loop,
        Some((_, "random")) => DataOrder::Random,
        Some((_, "once")) => DataOrder::Once,
        Some((order, _)) => {
            return Err(BadValue::at(
                order,
                "workers.data.order",
                "write loop, random or once",
            ));
        }
    };
    // The file is read when the run starts. Check now that it exists, because the line is
    // known now.
    let file = PathBuf::from(&raw.file.value);
    if !file.is_file() {
        let reason = format!("there is no file {:?}", raw.file.value);
        return Err(BadValue::at(&raw.file, "workers.data.file", reason));
    }
    Ok(DataSettings {
        file,
        delimiter,
        quoted: raw.quoted.unwrap_or(true),
        names: raw.names.clone(),
        order,
    })
}

fn rule(raw: &RawRule, in_order: bool) -> Result<RuleSettings, BadValue> {
    let extracts = raw.extracts.iter();
    let rule = RuleSettings {
        label: raw.label.value.clone(),
        script: Script {
            extracts: extracts
                .map(|(name, extract)| extract.clone().named(name.clone()))
                .collect(),
            asserts: raw.asserts.iter().cloned().map(Assert::from).collect(),
            think: raw.think.clone(),
            follow: raw.follow,
            ..Script::default()
        },
    };
    Compiler::check_rule(&rule, in_order)
        .map_err(|reason| BadValue::at(&raw.label, "rules", reason))?;
    Ok(rule)
}
