//! Values of any type come back from the wire as they were, and bytes that are no values
//! of a type are refused without harm.

#![allow(clippy::unwrap_used)] // a test that fails here says enough

use encarno_wrpc_value::{Function, Interfaces, Source};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

/// A type as WIT writes it where it needs no name, and how its values are made.
#[derive(Clone, Debug)]
enum Type {
    Bool,
    Unsigned(u32),
    Signed(u32),
    Float(u32),
    Char,
    String,
    List(Box<Type>),
    Option(Box<Type>),
    Result(Option<Box<Type>>, Option<Box<Type>>),
    Tuple(Vec<Type>),
    Record(Vec<Type>),
    Variant(Vec<Option<Type>>),
    Enum(usize),
    Flags(usize),
}

fn types() -> impl Strategy<Value = Type> {
    let bits = || prop_oneof![Just(8u32), Just(16), Just(32), Just(64)];
    let leaf = prop_oneof![
        Just(Type::Bool),
        bits().prop_map(Type::Unsigned),
        bits().prop_map(Type::Signed),
        prop_oneof![Just(32u32), Just(64)].prop_map(Type::Float),
        Just(Type::Char),
        Just(Type::String),
        (1..300usize).prop_map(Type::Enum),
        (1..33usize).prop_map(Type::Flags),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let boxed = inner.clone().prop_map(Box::new);
        let payload = proptest::option::of(boxed.clone());
        prop_oneof![
            boxed.clone().prop_map(Type::List),
            boxed.prop_map(Type::Option),
            (payload.clone(), payload).prop_map(|(ok, err)| Type::Result(ok, err)),
            vec(inner.clone(), 1..4).prop_map(Type::Tuple),
            vec(inner.clone(), 1..4).prop_map(Type::Record),
            vec(proptest::option::of(inner), 1..4).prop_map(Type::Variant),
        ]
    })
}

impl Type {
    /// How WIT writes it; what needs a name is declared.
    fn wit(&self, declared: &mut String, count: &mut usize) -> String {
        let mut name = || {
            *count += 1;
            format!("t{count}")
        };
        match self {
            Self::Bool => "bool".into(),
            Self::Unsigned(bits) => format!("u{bits}"),
            Self::Signed(bits) => format!("s{bits}"),
            Self::Float(bits) => format!("f{bits}"),
            Self::Char => "char".into(),
            Self::String => "string".into(),
            Self::List(of) => format!("list<{}>", of.wit(declared, count)),
            Self::Option(of) => format!("option<{}>", of.wit(declared, count)),
            Self::Result(ok, err) => {
                let ok = ok.as_ref().map_or("_".into(), |of| of.wit(declared, count));
                match err {
                    None if ok == "_" => "result".into(),
                    None => format!("result<{ok}>"),
                    Some(err) => format!("result<{ok}, {}>", err.wit(declared, count)),
                }
            }
            Self::Tuple(parts) => {
                let parts: Vec<_> = parts.iter().map(|of| of.wit(declared, count)).collect();
                format!("tuple<{}>", parts.join(", "))
            }
            Self::Record(fields) => {
                let name = name();
                let fields = fields.iter().enumerate();
                let fields: String = fields
                    .map(|(n, of)| format!("field-{n}: {}, ", of.wit(declared, count)))
                    .collect();
                declared.push_str(&format!("record {name} {{ {fields} }}\n"));
                name
            }
            Self::Variant(cases) => {
                let name = name();
                let cases = cases.iter().enumerate();
                let cases: String = cases
                    .map(|(n, of)| match of {
                        None => format!("case-{n}, "),
                        Some(of) => format!("case-{n}({}), ", of.wit(declared, count)),
                    })
                    .collect();
                declared.push_str(&format!("variant {name} {{ {cases} }}\n"));
                name
            }
            Self::Enum(cases) => {
                let name = name();
                let cases: String = (0..*cases).map(|n| format!("case-{n}, ")).collect();
                declared.push_str(&format!("enum {name} {{ {cases} }}\n"));
                name
            }
            Self::Flags(flags) => {
                let name = name();
                let flags: String = (0..*flags).map(|n| format!("flag-{n}, ")).collect();
                declared.push_str(&format!("flags {name} {{ {flags} }}\n"));
                name
            }
        }
    }

    fn values(&self) -> BoxedStrategy<Value> {
        fn tagged(tag: String, of: Option<&Type>) -> BoxedStrategy<Value> {
            match of {
                None => Just(json!({"tag": tag})).boxed(),
                Some(of) => {
                    let tagged = move |value| json!({"tag": tag.clone(), "val": value});
                    of.values().prop_map(tagged).boxed()
                }
            }
        }
        match self {
            Self::Bool => any::<bool>().prop_map(Value::from).boxed(),
            Self::Unsigned(bits) => {
                let spare = 64 - bits;
                any::<u64>().prop_map(move |it| json!(it >> spare)).boxed()
            }
            Self::Signed(bits) => {
                let spare = 64 - bits;
                any::<i64>().prop_map(move |it| json!(it >> spare)).boxed()
            }
            Self::Float(32) => any::<f32>().prop_map(|it| json!(it)).boxed(),
            Self::Float(_) => any::<f64>().prop_map(|it| json!(it)).boxed(),
            Self::Char => any::<char>().prop_map(|it| json!(it)).boxed(),
            Self::String => any::<String>().prop_map(Value::from).boxed(),
            Self::List(of) => vec(of.values(), 0..5).prop_map(Value::from).boxed(),
            Self::Option(of) => {
                let is_nested = matches!(**of, Self::Option(_));
                let some = of.values().prop_map(move |value| match is_nested {
                    true => json!({"tag": "some", "val": value}),
                    false => value,
                });
                prop_oneof![Just(Value::Null), some].boxed()
            }
            Self::Result(ok, err) => prop_oneof![
                tagged("ok".into(), ok.as_deref()),
                tagged("err".into(), err.as_deref())
            ]
            .boxed(),
            Self::Tuple(parts) => {
                let parts: Vec<_> = parts.iter().map(Self::values).collect();
                parts.prop_map(Value::from).boxed()
            }
            Self::Record(fields) => {
                let fields: Vec<_> = fields.iter().map(Self::values).collect();
                let named = |(n, value)| (format!("field-{n}"), value);
                fields
                    .prop_map(move |values| {
                        Value::Object(values.into_iter().enumerate().map(named).collect())
                    })
                    .boxed()
            }
            Self::Variant(cases) => {
                let cases = cases.iter().enumerate();
                let cases = cases.map(|(n, of)| tagged(format!("case-{n}"), of.as_ref()));
                proptest::strategy::Union::new(cases).boxed()
            }
            Self::Enum(count) => (0..*count).prop_map(|n| json!(format!("case-{n}"))).boxed(),
            Self::Flags(count) => {
                let names = move |bits: u64| {
                    let names =
                        |bits: u64| Vec::from_iter((0..64).filter(move |n| bits >> n & 1 == 1));
                    let names = names(bits).into_iter().map(|n: u32| format!("flag-{n}"));
                    json!(names.collect::<Vec<_>>())
                };
                let spare = 64 - count;
                any::<u64>()
                    .prop_map(move |bits| names(bits >> spare))
                    .boxed()
            }
        }
    }

    fn function(&self) -> Function {
        let (mut declared, mut count) = (String::new(), 0);
        let of = self.wit(&mut declared, &mut count);
        let text = format!("package a:b; interface c {{ {declared} f: func(x: {of}) -> {of}; }}");
        let interfaces = Interfaces::parse(&[Source::new("c.wit", text.as_str())]);
        let interfaces = interfaces.unwrap_or_else(|error| panic!("{text}: {error}"));
        interfaces.function("a:b/c.f").unwrap().clone()
    }
}

fn typed_values() -> impl Strategy<Value = (Type, Value)> {
    types().prop_flat_map(|ty| {
        let values = ty.values();
        (Just(ty), values)
    })
}

fn decoded(function: &Function, bytes: &[u8]) -> Option<Value> {
    let mut text = Vec::new();
    function.decode_results(bytes, &mut text, usize::MAX).ok()?;
    Some(serde_json::from_slice(&text).unwrap())
}

/// Numbers of 32 bits aren't those of 64 that they are written as.
fn narrow(value: &mut Value) {
    match value {
        Value::Number(number) if number.is_f64() => {
            *value = json!(number.as_f64().unwrap() as f32);
        }
        Value::Array(values) => values.iter_mut().for_each(narrow),
        Value::Object(map) => map.values_mut().for_each(narrow),
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn values_come_back((ty, value) in typed_values()) {
        let function = ty.function();
        let encoded = function.encode(std::slice::from_ref(&value)).unwrap();
        let mut back = decoded(&function, &encoded).unwrap();
        prop_assert_eq!(&function.encode(std::slice::from_ref(&back)).unwrap(), &encoded);
        let mut value = value;
        narrow(&mut value);
        narrow(&mut back);
        prop_assert_eq!(back, value);
        // Every value ends where it ends.
        for cut in 0..encoded.len().min(64) {
            prop_assert!(function.check_results(&encoded[..cut]).is_err());
        }
        prop_assert!(function.check_results(&[&encoded[..], &[0]].concat()).is_err());
    }

    #[test]
    fn any_bytes_do_no_harm(ty in types(), bytes in vec(any::<u8>(), 0..64)) {
        let function = ty.function();
        if let Some(value) = decoded(&function, &bytes) {
            let encoded = function.encode(std::slice::from_ref(&value)).unwrap();
            prop_assert_eq!(decoded(&function, &encoded), Some(value));
        }
    }
}
