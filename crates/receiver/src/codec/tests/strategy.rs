//! Random types and random values of them.

use proptest::collection::vec;
use proptest::prelude::*;
use wasmtime::component::Val;

/// A component-model type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ty {
    Bool,
    U8,
    S8,
    U16,
    S16,
    U32,
    S32,
    U64,
    S64,
    F32,
    F64,
    Char,
    String,
    List(Box<Ty>),
    Record(Vec<Ty>),
    Tuple(Vec<Ty>),
    Variant(Vec<Option<Ty>>),
    Enum(usize),
    Option(Box<Ty>),
    Result(Option<Box<Ty>>, Option<Box<Ty>>),
    Flags(usize),
}

/// A core wasm type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Core {
    I32,
    I64,
    F32,
    F64,
}

impl Core {
    /// The type that holds either, as the canonical ABI joins cases.
    fn join(self, other: Self) -> Self {
        match (self, other) {
            _ if self == other => self,
            (Self::I32, Self::F32) | (Self::F32, Self::I32) => Self::I32,
            _ => Self::I64,
        }
    }
}

impl Ty {
    /// The payloads of its cases, if it has any.
    fn cases(&self) -> Option<Vec<Option<Ty>>> {
        let owned = |ty: &Option<Box<Ty>>| ty.as_deref().cloned();
        Some(match self {
            Self::Variant(cases) => cases.clone(),
            Self::Enum(count) => vec![None; *count],
            Self::Option(some) => vec![None, Some((**some).clone())],
            Self::Result(ok, err) => vec![owned(ok), owned(err)],
            _ => return None,
        })
    }

    /// Flattened, without a limit.
    pub(super) fn flat(&self) -> Vec<Core> {
        match self {
            Self::U64 | Self::S64 => vec![Core::I64],
            Self::F32 => vec![Core::F32],
            Self::F64 => vec![Core::F64],
            Self::String | Self::List(_) => vec![Core::I32; 2],
            Self::Record(types) | Self::Tuple(types) => types.iter().flat_map(Ty::flat).collect(),
            _ => {
                let mut flat = vec![Core::I32];
                for payload in self.cases().into_iter().flatten().flatten() {
                    for (index, core) in payload.flat().into_iter().enumerate() {
                        match flat.get_mut(index + 1) {
                            Some(joined) => *joined = joined.join(core),
                            None => flat.push(core),
                        }
                    }
                }
                flat
            }
        }
    }

    /// Alignment and size in memory.
    pub(super) fn layout(&self) -> (usize, usize) {
        let fields = |types: &mut dyn Iterator<Item = (usize, usize)>| {
            let (mut align, mut size) = (1, 0usize);
            for (field_align, field_size) in types {
                align = align.max(field_align);
                size = size.next_multiple_of(field_align) + field_size;
            }
            (align, size.next_multiple_of(align))
        };
        match self {
            Self::Bool | Self::U8 | Self::S8 => (1, 1),
            Self::U16 | Self::S16 => (2, 2),
            Self::U32 | Self::S32 | Self::F32 | Self::Char => (4, 4),
            Self::U64 | Self::S64 | Self::F64 => (8, 8),
            Self::String | Self::List(_) => (4, 8),
            Self::Record(types) | Self::Tuple(types) => fields(&mut types.iter().map(Ty::layout)),
            Self::Flags(count) => match count {
                ..=8 => (1, 1),
                9..=16 => (2, 2),
                _ => (4, 4),
            },
            _ => {
                let cases = self.cases().unwrap_or_default();
                let tag = if cases.len() <= 256 { 1 } else { 2 };
                let payloads: Vec<_> = cases.iter().flatten().map(Ty::layout).collect();
                let align = payloads.iter().map(|(align, _)| *align).max().unwrap_or(1);
                let size = payloads.iter().map(|(_, size)| *size).max().unwrap_or(0);
                fields(&mut [(tag, tag), (align, size)].into_iter())
            }
        }
    }
}

pub(super) fn ty() -> impl Strategy<Value = Ty> {
    let leaf = prop_oneof![
        Just(Ty::Bool),
        Just(Ty::U8),
        Just(Ty::S8),
        Just(Ty::U16),
        Just(Ty::S16),
        Just(Ty::U32),
        Just(Ty::S32),
        Just(Ty::U64),
        Just(Ty::S64),
        Just(Ty::F32),
        Just(Ty::F64),
        Just(Ty::Char),
        Just(Ty::String),
        Just(Ty::List(Box::new(Ty::U8))),
        (1usize..20).prop_map(Ty::Enum),
        Just(Ty::Enum(257)),
        (1usize..=32).prop_map(Ty::Flags),
    ];
    leaf.prop_recursive(4, 24, 8, |inner| {
        let boxed = || inner.clone().prop_map(Box::new);
        prop_oneof![
            boxed().prop_map(Ty::List),
            vec(inner.clone(), 1..8).prop_map(Ty::Record),
            vec(inner.clone(), 1..8).prop_map(Ty::Tuple),
            vec(proptest::option::of(inner.clone()), 1..5).prop_map(Ty::Variant),
            boxed().prop_map(Ty::Option),
            (proptest::option::of(boxed()), proptest::option::of(boxed()))
                .prop_map(|(ok, err)| Ty::Result(ok, err)),
        ]
    })
}

/// Characters of every UTF-8 and UTF-16 length, and of Latin-1.
fn character() -> impl Strategy<Value = char> {
    prop_oneof![
        proptest::char::range('a', 'z'),
        proptest::char::range('\u{80}', '\u{ff}'),
        any::<char>(),
    ]
}

pub(super) fn value(ty: &Ty) -> BoxedStrategy<Val> {
    let payload = |ty: &Option<Ty>| match ty {
        Some(ty) => value(ty).prop_map(|value| Some(Box::new(value))).boxed(),
        None => Just(None).boxed(),
    };
    match ty {
        Ty::Bool => any::<bool>().prop_map(Val::Bool).boxed(),
        Ty::U8 => any::<u8>().prop_map(Val::U8).boxed(),
        Ty::S8 => any::<i8>().prop_map(Val::S8).boxed(),
        Ty::U16 => any::<u16>().prop_map(Val::U16).boxed(),
        Ty::S16 => any::<i16>().prop_map(Val::S16).boxed(),
        Ty::U32 => any::<u32>().prop_map(Val::U32).boxed(),
        Ty::S32 => any::<i32>().prop_map(Val::S32).boxed(),
        Ty::U64 => any::<u64>().prop_map(Val::U64).boxed(),
        Ty::S64 => any::<i64>().prop_map(Val::S64).boxed(),
        // One NaN, the canonical one: others may be changed by wasmtime.
        Ty::F32 => any::<f32>()
            .prop_map(|float| Val::Float32(if float.is_nan() { f32::NAN } else { float }))
            .boxed(),
        Ty::F64 => any::<f64>()
            .prop_map(|float| Val::Float64(if float.is_nan() { f64::NAN } else { float }))
            .boxed(),
        Ty::Char => character().prop_map(Val::Char).boxed(),
        Ty::String => prop_oneof![
            vec(proptest::char::range('\0', '\u{ff}'), 0..8),
            vec(character(), 0..40),
        ]
        .prop_map(|chars| Val::String(chars.into_iter().collect()))
        .boxed(),
        Ty::List(element) => vec(value(element), 0..6).prop_map(Val::List).boxed(),
        Ty::Record(types) => {
            let fields: Vec<_> = (types.iter().enumerate())
                .map(|(index, ty)| value(ty).prop_map(move |value| (format!("f{index}"), value)))
                .collect();
            fields.prop_map(Val::Record).boxed()
        }
        Ty::Tuple(types) => {
            let parts: Vec<_> = types.iter().map(value).collect();
            parts.prop_map(Val::Tuple).boxed()
        }
        Ty::Variant(cases) => {
            let cases: Vec<_> = (cases.iter().enumerate())
                .map(|(index, ty)| {
                    payload(ty).prop_map(move |value| Val::Variant(format!("c{index}"), value))
                })
                .collect();
            proptest::strategy::Union::new(cases).boxed()
        }
        Ty::Enum(count) => (0..*count)
            .prop_map(|index| Val::Enum(format!("c{index}")))
            .boxed(),
        Ty::Option(some) => proptest::option::of(value(some).prop_map(Box::new))
            .prop_map(Val::Option)
            .boxed(),
        Ty::Result(ok, err) => prop_oneof![
            payload(&ok.as_deref().cloned()).prop_map(|value| Val::Result(Ok(value))),
            payload(&err.as_deref().cloned()).prop_map(|value| Val::Result(Err(value))),
        ]
        .boxed(),
        Ty::Flags(count) => vec(any::<bool>(), *count)
            .prop_map(|bits| {
                let set = bits.iter().enumerate().filter(|(_, bit)| **bit);
                Val::Flags(set.map(|(index, _)| format!("b{index}")).collect())
            })
            .boxed(),
    }
}
