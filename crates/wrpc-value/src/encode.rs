//! JSON to the wire.

use encarno_wrpc::value::Write as _;
use serde_json::{Map, Value};

use crate::error::ValueError;
use crate::shape::{Case, Field, Shape, TypeIndex, Types};

/// Names of those that there are, in an error.
const NAMES_MAX: usize = 12;

/// Appends a value of that type.
pub(crate) fn encode(
    types: &Types,
    of: TypeIndex,
    value: &Value,
    out: &mut Vec<u8>,
) -> Result<(), ValueError> {
    let expected = |what: &str| {
        let name = types.name(of);
        let what = if name == what {
            what.to_owned()
        } else {
            format!("{what} ({name})")
        };
        ValueError::new(format!("{} isn't {what}", described(value)))
    };
    match types.shape(of) {
        Shape::Bool => match value {
            Value::Bool(value) => out.push(u8::from(*value)),
            _ => return Err(expected("bool")),
        },
        Shape::Unsigned { bits } => {
            let number = unsigned(value).ok_or_else(|| unfit(types, of, value))?;
            match bits {
                _ if *bits < 64 && number >> bits != 0 => return Err(unfit(types, of, value)),
                8 => out.push(number as u8),
                _ => out.unsigned(number),
            }
        }
        Shape::Signed { bits } => {
            let number = signed(value).ok_or_else(|| unfit(types, of, value))?;
            let spare = 64 - bits;
            match bits {
                _ if (number << spare) >> spare != number => return Err(unfit(types, of, value)),
                8 => out.push(number as u8),
                _ => out.signed(number),
            }
        }
        Shape::Float { bits } => {
            let number = float(value).ok_or_else(|| expected("a number"))?;
            match bits {
                32 => {
                    let narrow = number as f32;
                    if narrow.is_infinite() && number.is_finite() {
                        return Err(unfit(types, of, value));
                    }
                    out.extend_from_slice(&narrow.to_le_bytes());
                }
                _ => out.extend_from_slice(&number.to_le_bytes()),
            }
        }
        Shape::Char => {
            let mut chars = value.as_str().unwrap_or_default().chars();
            match (chars.next(), chars.next()) {
                (Some(char), None) => out.char(char),
                _ => return Err(expected("a string of one character")),
            }
        }
        Shape::String => match value {
            Value::String(text) => {
                check_length(text.len())?;
                out.bytes(text.as_bytes());
            }
            _ => return Err(expected("string")),
        },
        Shape::List { of: element } => match value {
            Value::Array(values) => {
                check_length(values.len())?;
                out.unsigned(values.len() as u64);
                for (index, value) in values.iter().enumerate() {
                    encode(types, *element, value, out).map_err(|error| error.item(index))?;
                }
            }
            Value::String(text) if types.is_bytes(*element) => {
                check_length(text.len())?;
                out.bytes(text.as_bytes());
            }
            _ if types.is_bytes(*element) => {
                return Err(expected("an array of bytes, or a string"));
            }
            _ => return Err(expected("an array")),
        },
        Shape::Option { of: some } => match some_of(types, *some, value)? {
            None => out.push(0),
            Some(value) => {
                out.push(1);
                encode(types, *some, value, out)?;
            }
        },
        Shape::Result { ok, err } => {
            let tagged = Tagged::of(value)
                .ok_or_else(|| expected("{\"tag\": \"ok\" or \"err\", \"val\": …}"))?;
            let (number, of) = match tagged.tag {
                "ok" => (0, ok),
                "err" => (1, err),
                tag => return Err(unknown_case(tag, ["ok", "err"].into_iter())),
            };
            out.push(number);
            tagged.payload(types, *of, out)?;
        }
        Shape::Record { fields } => match value {
            Value::Object(map) => record(types, fields, map, out)?,
            _ => return Err(expected("an object")),
        },
        Shape::Tuple { of: parts } => match value {
            Value::Array(values) if values.len() == parts.len() => {
                for (index, (value, part)) in values.iter().zip(parts).enumerate() {
                    encode(types, *part, value, out).map_err(|error| error.item(index))?;
                }
            }
            _ => return Err(expected(&format!("an array of {}", parts.len()))),
        },
        Shape::Variant { cases } => {
            let tagged = Tagged::of(value).ok_or_else(|| expected("{\"tag\": …, \"val\": …}"))?;
            let named = |case: &Case| is_named(&case.name, tagged.tag);
            let Some(number) = cases.iter().position(named) else {
                let names = cases.iter().map(|case| &*case.name);
                return Err(unknown_case(tagged.tag, names));
            };
            out.unsigned(number as u64);
            tagged.payload(types, cases[number].of, out)?;
        }
        Shape::Enum { names } => {
            let given = value
                .as_str()
                .ok_or_else(|| expected("the name of a case"))?;
            let number = names.iter().position(|name| is_named(name, given));
            let known = names.iter().map(String::as_str);
            out.unsigned(number.ok_or_else(|| unknown_case(given, known))? as u64);
        }
        Shape::Flags { names } => {
            let bits = flags(names, value, || expected("an array of names"))?;
            out.extend_from_slice(&bits.to_le_bytes()[..names.len().div_ceil(8)]);
        }
    }
    Ok(())
}

/// The value of an option that is there. `null` is one that isn't; within options, and so
/// that both can be told apart, `{"tag": "some", "val": null}` is a value that is `null`.
fn some_of<'v>(
    types: &Types,
    some: TypeIndex,
    value: &'v Value,
) -> Result<Option<&'v Value>, ValueError> {
    if value.is_null() {
        return Ok(None);
    }
    if !matches!(types.shape(some), Shape::Option { .. }) {
        return Ok(Some(value));
    }
    match Tagged::of(value) {
        Some(Tagged { tag: "some", val }) => Ok(Some(val.unwrap_or(&Value::Null))),
        Some(Tagged {
            tag: "none",
            val: None,
        }) => Ok(None),
        _ => Err(ValueError::new(format!(
            "{} isn't an option within an option: write null or {{\"tag\": \"some\", \"val\": …}}",
            described(value)
        ))),
    }
}

/// A case and what it holds: `{"tag": "name", "val": …}`, or `"name"` alone.
struct Tagged<'v> {
    tag: &'v str,
    val: Option<&'v Value>,
}

impl<'v> Tagged<'v> {
    fn of(value: &'v Value) -> Option<Self> {
        match value {
            Value::String(tag) => Some(Self { tag, val: None }),
            Value::Object(map) => {
                let tag = map.get("tag")?.as_str()?;
                let val = map.get("val");
                (map.len() == 1 + usize::from(val.is_some())).then_some(Self { tag, val })
            }
            _ => None,
        }
    }

    fn payload(
        &self,
        types: &Types,
        of: Option<TypeIndex>,
        out: &mut Vec<u8>,
    ) -> Result<(), ValueError> {
        let within = |error: ValueError| error.field("val");
        match (of, self.val) {
            (None, None | Some(Value::Null)) => Ok(()),
            (None, Some(value)) => Err(within(ValueError::new(format!(
                "{} holds nothing, not {}",
                self.tag,
                described(value)
            )))),
            (Some(of), Some(value)) => encode(types, of, value, out).map_err(within),
            (Some(of), None) if matches!(types.shape(of), Shape::Option { .. }) => {
                out.push(0);
                Ok(())
            }
            (Some(of), None) => {
                let reason = format!("it is missing: {} holds {}", self.tag, types.name(of));
                Err(within(ValueError::new(reason)))
            }
        }
    }
}

fn record(
    types: &Types,
    fields: &[Field],
    map: &Map<String, Value>,
    out: &mut Vec<u8>,
) -> Result<(), ValueError> {
    let mut taken = 0;
    for field in fields {
        let value = map.get(&field.name).or_else(|| {
            let mut others = map.iter();
            let other = others.find(|(key, _)| is_named(&field.name, key));
            other.map(|(_, value)| value)
        });
        match value {
            Some(value) => {
                taken += 1;
                encode(types, field.of, value, out).map_err(|error| error.field(&field.name))?;
            }
            None if matches!(types.shape(field.of), Shape::Option { .. }) => out.push(0),
            None => {
                let reason = format!("it is missing: {} is expected", types.name(field.of));
                return Err(ValueError::new(reason).field(&field.name));
            }
        }
    }
    if taken == map.len() {
        return Ok(());
    }
    let is_known = |key: &str| {
        let mut named = fields.iter().filter(|field| is_named(&field.name, key));
        // The same field by two names is none by the second.
        named.any(|field| field.name == key || !map.contains_key(&field.name))
    };
    let known = listed(fields.iter().map(|field| &*field.name));
    Err(match map.keys().find(|key| !is_known(key)) {
        Some(unknown) => {
            ValueError::new(format!("there is no such field: there are {known}")).field(unknown)
        }
        None => ValueError::new(format!("a field is given twice: there are {known}")),
    })
}

fn flags(
    names: &[String],
    value: &Value,
    expected: impl Fn() -> ValueError,
) -> Result<u32, ValueError> {
    let bit = |given: &str| match names.iter().position(|name| is_named(name, given)) {
        Some(number) => Ok(1 << number),
        None => {
            let known = listed(names.iter().map(String::as_str));
            Err(ValueError::new(format!(
                "{given:?} is no flag: there are {known}"
            )))
        }
    };
    let mut bits = 0;
    match value {
        Value::Array(values) => {
            for (index, value) in values.iter().enumerate() {
                let name = value.as_str().ok_or_else(&expected)?;
                bits |= bit(name).map_err(|error| error.item(index))?;
            }
        }
        Value::Object(map) => {
            for (name, value) in map {
                let value = value.as_bool().ok_or_else(|| {
                    ValueError::new(format!("{} isn't bool", described(value))).field(name)
                })?;
                let bit = bit(name)?;
                bits |= if value { bit } else { 0 };
            }
        }
        _ => return Err(expected()),
    }
    Ok(bits)
}

/// Whether a name of WIT is meant, which may be written as in most languages: `a-b`, `a_b`
/// or `aB`.
pub(crate) fn is_named(name: &str, given: &str) -> bool {
    if name == given {
        return true;
    }
    let plain = |char: &char| !matches!(char, '-' | '_');
    let mut given = given.chars().filter(plain);
    let mut name = name.chars().filter(plain);
    loop {
        match (name.next(), given.next()) {
            (None, None) => return true,
            (Some(one), Some(other)) if one.eq_ignore_ascii_case(&other) => {}
            _ => return false,
        }
    }
}

fn unsigned(value: &Value) -> Option<u64> {
    value
        .as_u64()
        .or_else(|| whole(value).filter(|it| *it >= 0.0).map(|it| it as u64))
}

fn signed(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| whole(value).map(|it| it as i64))
}

/// A number that was written with a dot or an exponent, and that is exact all the same.
fn whole(value: &Value) -> Option<f64> {
    let exact_max = (1u64 << 53) as f64;
    let number = value.as_number().filter(|it| it.is_f64())?.as_f64()?;
    (number.fract() == 0.0 && number.abs() <= exact_max).then_some(number)
}

fn float(value: &Value) -> Option<f64> {
    match value.as_str() {
        Some("NaN") => Some(f64::NAN),
        Some("Infinity") => Some(f64::INFINITY),
        Some("-Infinity") => Some(f64::NEG_INFINITY),
        _ => value.as_f64(),
    }
}

fn unfit(types: &Types, of: TypeIndex, value: &Value) -> ValueError {
    let name = types.name(of);
    match value.is_number() {
        true => ValueError::new(format!("{value} doesn't fit {name}")),
        false => ValueError::new(format!("{} isn't {name}", described(value))),
    }
}

fn unknown_case<'n>(given: &str, known: impl Iterator<Item = &'n str>) -> ValueError {
    ValueError::new(format!(
        "there is no case {given:?}: there are {}",
        listed(known)
    ))
}

fn listed<'n>(names: impl Iterator<Item = &'n str>) -> String {
    let names: Vec<_> = names.collect();
    let mut listed = names[..names.len().min(NAMES_MAX)].join(", ");
    if names.len() > NAMES_MAX {
        listed.push_str(&format!(" and {} more", names.len() - NAMES_MAX));
    }
    listed
}

fn check_length(length: usize) -> Result<(), ValueError> {
    match u32::try_from(length) {
        Ok(_) => Ok(()),
        Err(_) => Err(ValueError::new(format!(
            "a length of {length} doesn't fit u32"
        ))),
    }
}

/// A value for people, cut short.
pub(crate) fn described(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) if text.len() <= 40 => format!("the string {text:?}"),
        Value::String(text) => {
            format!("the string {:?}…", &text[..text.floor_char_boundary(40)])
        }
        Value::Array(values) => format!("an array of {}", values.len()),
        Value::Object(_) => "an object".to_owned(),
    }
}
