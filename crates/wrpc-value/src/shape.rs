//! Types, reduced to what their encoding looks like.
//!
//! They stand in a table, and refer to one another by their places in it: a type that is
//! used a thousand times stands there once.

use std::collections::HashMap;

use serde::Serialize;
use wit_parser::{Resolve, Type, TypeDefKind, TypeId};

/// Types within types beyond this are refused, so that walks through them may be recursive.
const DEPTH_MAX: usize = 64;
/// The component model has no more.
const FLAGS_MAX: usize = 32;

/// The place of a type in its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct TypeIndex(u32);

/// A type of values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Shape {
    /// `bool`.
    Bool,
    /// An unsigned integer of so many bits.
    Unsigned {
        /// 8, 16, 32 or 64.
        bits: u32,
    },
    /// A signed integer of so many bits.
    Signed {
        /// 8, 16, 32 or 64.
        bits: u32,
    },
    /// A number with a fraction.
    Float {
        /// 32 or 64.
        bits: u32,
    },
    /// `char`.
    Char,
    /// `string`.
    String,
    /// `list<…>`.
    List {
        /// The type of its elements.
        of: TypeIndex,
    },
    /// `option<…>`.
    Option {
        /// The type of a value that is there.
        of: TypeIndex,
    },
    /// `result<…, …>`.
    Result {
        /// What it holds if it is `ok`.
        ok: Option<TypeIndex>,
        /// What it holds if it is `err`.
        err: Option<TypeIndex>,
    },
    /// `record`.
    Record {
        /// Its fields in the order of the wire.
        fields: Vec<Field>,
    },
    /// `tuple<…>`.
    Tuple {
        /// The types of its parts.
        of: Vec<TypeIndex>,
    },
    /// `variant`.
    Variant {
        /// Its cases by their numbers.
        cases: Vec<Case>,
    },
    /// `enum`.
    Enum {
        /// Its cases by their numbers.
        names: Vec<String>,
    },
    /// `flags`.
    Flags {
        /// The flags by their bits.
        names: Vec<String>,
    },
}

/// A field of a record, or a parameter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Field {
    /// Its name in WIT.
    pub name: String,
    /// Its type.
    pub of: TypeIndex,
}

/// A case of a variant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Case {
    /// Its name in WIT.
    pub name: String,
    /// What it holds.
    pub of: Option<TypeIndex>,
}

/// A table of types.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Types(Vec<Entry>);

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Entry {
    #[serde(flatten)]
    shape: Shape,
    /// As WIT writes it, for people.
    name: String,
    #[serde(skip)]
    depth: usize,
}

impl Types {
    pub(crate) fn shape(&self, index: TypeIndex) -> &Shape {
        &self.0[index.0 as usize].shape
    }

    /// As WIT writes it.
    pub(crate) fn name(&self, index: TypeIndex) -> &str {
        &self.0[index.0 as usize].name
    }

    pub(crate) fn is_bytes(&self, element: TypeIndex) -> bool {
        matches!(self.shape(element), Shape::Unsigned { bits: 8 })
    }
}

/// Fills a table.
pub(crate) struct Reducer<'r> {
    resolve: &'r Resolve,
    pub(crate) types: Types,
    known: HashMap<Type, Result<TypeIndex, String>>,
}

impl<'r> Reducer<'r> {
    pub(crate) fn new(resolve: &'r Resolve) -> Self {
        Self {
            resolve,
            types: Types::default(),
            known: HashMap::new(),
        }
    }

    /// The place of a type, or why its values can't travel over wRPC.
    pub(crate) fn reduce(&mut self, ty: Type) -> Result<TypeIndex, String> {
        self.reduce_within(ty, 0)
    }

    fn reduce_within(&mut self, ty: Type, above: usize) -> Result<TypeIndex, String> {
        if let Some(known) = self.known.get(&ty) {
            return known.clone();
        }
        if above > DEPTH_MAX {
            return Err(too_deep());
        }
        let reduced = self.reduce_new(ty, above);
        self.known.insert(ty, reduced.clone());
        reduced
    }

    fn reduce_new(&mut self, ty: Type, above: usize) -> Result<TypeIndex, String> {
        let (shape, name) = match ty {
            Type::Bool => (Shape::Bool, "bool"),
            Type::U8 => (Shape::Unsigned { bits: 8 }, "u8"),
            Type::U16 => (Shape::Unsigned { bits: 16 }, "u16"),
            Type::U32 => (Shape::Unsigned { bits: 32 }, "u32"),
            Type::U64 => (Shape::Unsigned { bits: 64 }, "u64"),
            Type::S8 => (Shape::Signed { bits: 8 }, "s8"),
            Type::S16 => (Shape::Signed { bits: 16 }, "s16"),
            Type::S32 => (Shape::Signed { bits: 32 }, "s32"),
            Type::S64 => (Shape::Signed { bits: 64 }, "s64"),
            Type::F32 => (Shape::Float { bits: 32 }, "f32"),
            Type::F64 => (Shape::Float { bits: 64 }, "f64"),
            Type::Char => (Shape::Char, "char"),
            Type::String => (Shape::String, "string"),
            Type::ErrorContext => return Err("an error-context can't be sent".to_owned()),
            Type::Id(id) => return self.reduce_defined(id, above),
        };
        self.add(shape, name.to_owned())
    }

    fn reduce_defined(&mut self, id: TypeId, above: usize) -> Result<TypeIndex, String> {
        let resolve = self.resolve;
        let defined = &resolve.types[id];
        let mut part = |ty: Type| self.reduce_within(ty, above + 1);
        let names = |names: Vec<&String>| names.into_iter().cloned().collect::<Vec<_>>();
        let (shape, name) = match &defined.kind {
            // Another name of a type: depth is that of the type itself.
            TypeDefKind::Type(ty) => return part(*ty),
            TypeDefKind::List(of) => {
                let of = part(*of)?;
                (Shape::List { of }, format!("list<{}>", self.types.name(of)))
            }
            TypeDefKind::Option(of) => {
                let of = part(*of)?;
                let name = format!("option<{}>", self.types.name(of));
                (Shape::Option { of }, name)
            }
            TypeDefKind::Result(result) => {
                let ok = result.ok.map(&mut part).transpose()?;
                let err = result.err.map(&mut part).transpose()?;
                (Shape::Result { ok, err }, "result".to_owned())
            }
            TypeDefKind::Record(record) => {
                if record.fields.is_empty() {
                    return Err("a record without fields can't be sent".to_owned());
                }
                let fields = record.fields.iter().map(|field| {
                    let of = part(field.ty);
                    let of = of.map_err(|reason| format!("field `{}`: {reason}", field.name));
                    of.map(|of| Field {
                        name: field.name.clone(),
                        of,
                    })
                });
                let fields = fields.collect::<Result<_, _>>()?;
                (Shape::Record { fields }, "record".to_owned())
            }
            TypeDefKind::Tuple(tuple) => {
                if tuple.types.is_empty() {
                    return Err("a tuple without parts can't be sent".to_owned());
                }
                let of = tuple
                    .types
                    .iter()
                    .map(|ty| part(*ty))
                    .collect::<Result<_, _>>()?;
                (Shape::Tuple { of }, "tuple".to_owned())
            }
            TypeDefKind::Variant(variant) => {
                let cases = variant.cases.iter().map(|case| {
                    let of = case.ty.map(&mut part).transpose();
                    let of = of.map_err(|reason| format!("case `{}`: {reason}", case.name));
                    of.map(|of| Case {
                        name: case.name.clone(),
                        of,
                    })
                });
                let cases = cases.collect::<Result<_, _>>()?;
                (Shape::Variant { cases }, "variant".to_owned())
            }
            TypeDefKind::Enum(cases) => {
                let names = names(cases.cases.iter().map(|case| &case.name).collect());
                (Shape::Enum { names }, "enum".to_owned())
            }
            TypeDefKind::Flags(flags) => match flags.flags.len() {
                0 => return Err("flags of which there are none can't be sent".to_owned()),
                1..=FLAGS_MAX => {
                    let names = names(flags.flags.iter().map(|flag| &flag.name).collect());
                    (Shape::Flags { names }, "flags".to_owned())
                }
                _ => return Err(format!("more than {FLAGS_MAX} flags can't be sent")),
            },
            TypeDefKind::Resource | TypeDefKind::Handle(_) => {
                return Err("a resource can't be sent".to_owned());
            }
            other => return Err(format!("a {} can't be sent", other.as_str())),
        };
        self.add(shape, defined.name.clone().unwrap_or(name))
    }

    fn add(&mut self, shape: Shape, name: String) -> Result<TypeIndex, String> {
        let depth = 1 + self.depth_below(&shape);
        if depth > DEPTH_MAX {
            return Err(too_deep());
        }
        let index = TypeIndex(self.types.0.len() as u32);
        self.types.0.push(Entry { shape, name, depth });
        Ok(index)
    }

    fn depth_below(&self, shape: &Shape) -> usize {
        let depth = |of: &TypeIndex| self.types.0[of.0 as usize].depth;
        let deepest = |parts: &mut dyn Iterator<Item = &TypeIndex>| parts.map(depth).max();
        let deepest = match shape {
            Shape::List { of } | Shape::Option { of } => Some(depth(of)),
            Shape::Result { ok, err } => deepest(&mut ok.iter().chain(err)),
            Shape::Record { fields } => deepest(&mut fields.iter().map(|field| &field.of)),
            Shape::Tuple { of } => deepest(&mut of.iter()),
            Shape::Variant { cases } => deepest(&mut cases.iter().filter_map(|it| it.of.as_ref())),
            _ => None,
        };
        deepest.unwrap_or(0)
    }
}

fn too_deep() -> String {
    format!("types within types, more than {DEPTH_MAX}, can't be sent")
}
