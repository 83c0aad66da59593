//! Checks whether bytes are complete parameters. This needs no guest and no allocation,
//! because it runs on the thread that reads all calls.

use encarno_wrpc::value::{DecodeError, Reader};
use wasmtime::component::types::Type;
use wasmtime::error::Context as _;
use wasmtime::{Result, bail};

/// A type, reduced to the form of its encoding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Bool,
    /// `u8`, `s8`: any byte.
    Byte,
    /// An unsigned integer of this many bits.
    Unsigned(u32),
    /// A signed integer of this many bits.
    Signed(u32),
    /// `f32`, `f64`: this many bytes.
    Float(usize),
    Char,
    String,
    List(Box<Shape>),
    /// `record`, `tuple`, and the parameters of a function.
    Fields(Box<[Shape]>),
    /// `variant`, `enum`: a discriminant, then the payload of its case.
    Cases(Box<[Option<Shape>]>),
    Option(Box<Shape>),
    /// The payloads of `ok` and `err`.
    Result(Box<[Option<Shape>; 2]>),
    /// This many flags.
    Flags(usize),
}

impl Shape {
    /// The shape of a type; the error says why wRPC can't carry its values.
    pub(crate) fn of(ty: &Type) -> Result<Self> {
        let payload = |ty: Option<Type>| ty.map(|ty| Self::of(&ty)).transpose();
        Ok(match ty {
            Type::Bool => Self::Bool,
            Type::U8 | Type::S8 => Self::Byte,
            Type::U16 => Self::Unsigned(16),
            Type::U32 => Self::Unsigned(32),
            Type::U64 => Self::Unsigned(64),
            Type::S16 => Self::Signed(16),
            Type::S32 => Self::Signed(32),
            Type::S64 => Self::Signed(64),
            Type::Float32 => Self::Float(4),
            Type::Float64 => Self::Float(8),
            Type::Char => Self::Char,
            Type::String => Self::String,
            Type::List(list) => Self::List(Box::new(Self::of(&list.ty()).context("list")?)),
            Type::Record(record) => Self::Fields(
                record
                    .fields()
                    .map(|field| {
                        Self::of(&field.ty).with_context(|| format!("field `{}`", field.name))
                    })
                    .collect::<Result<_>>()?,
            ),
            Type::Tuple(tuple) => Self::Fields(
                tuple
                    .types()
                    .map(|ty| Self::of(&ty).context("tuple"))
                    .collect::<Result<_>>()?,
            ),
            Type::Variant(variant) => Self::Cases(
                variant
                    .cases()
                    .map(|case| payload(case.ty).with_context(|| format!("case `{}`", case.name)))
                    .collect::<Result<_>>()?,
            ),
            Type::Enum(cases) => Self::Cases(cases.names().map(|_| None).collect()),
            Type::Option(option) => {
                Self::Option(Box::new(Self::of(&option.ty()).context("option")?))
            }
            Type::Result(result) => Self::Result(Box::new([
                payload(result.ok()).context("ok")?,
                payload(result.err()).context("err")?,
            ])),
            Type::Flags(flags) if flags.names().len() > 32 => bail!("has more than 32 flags"),
            Type::Flags(flags) => Self::Flags(flags.names().len()),
            Type::Own(_) | Type::Borrow(_) => bail!("is a resource, which can't be sent"),
            Type::Stream(_) => bail!("is a stream, which isn't supported"),
            Type::Future(_) => bail!("is a future, which isn't supported"),
            Type::ErrorContext => bail!("is an error-context, which isn't supported"),
            Type::Map(_) => bail!("is a map, which isn't supported"),
            Type::FixedLengthList(_) => bail!("is a fixed-length list, which isn't supported"),
        })
    }

    /// Checks that `bytes` are one value of this shape and nothing else.
    pub(crate) fn check(&self, bytes: &[u8]) -> Result<(), DecodeError> {
        let mut reader = Reader::new(bytes);
        self.skip(&mut reader)?;
        reader.finish()
    }

    fn skip(&self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        match self {
            Self::Bool => reader.bit("bool").map(drop),
            Self::Byte => reader.take(1).map(drop),
            Self::Unsigned(bits) => reader.unsigned(*bits, "unsigned integer").map(drop),
            Self::Signed(bits) => reader.signed(*bits, "signed integer").map(drop),
            Self::Float(bytes) => reader.take(*bytes).map(drop),
            Self::Char => reader.char().map(drop),
            Self::String => reader.string().map(drop),
            Self::List(element) => {
                // Every element takes at least a byte, so this bounds the loop.
                let length = reader.length()?;
                if **element == Self::Byte {
                    return reader.take(length).map(drop);
                }
                (0..length).try_for_each(|_| element.skip(reader))
            }
            Self::Fields(fields) => fields.iter().try_for_each(|field| field.skip(reader)),
            Self::Cases(cases) => {
                let at = reader.position();
                let case = reader.unsigned(32, "discriminant")?;
                let payload = usize::try_from(case).ok().and_then(|case| cases.get(case));
                skip_payload(payload.ok_or(Reader::invalid(at, "discriminant"))?, reader)
            }
            Self::Option(some) => match reader.bit("option")? {
                true => some.skip(reader),
                false => Ok(()),
            },
            Self::Result(payloads) => {
                let is_err = reader.bit("result")?;
                skip_payload(&payloads[usize::from(is_err)], reader)
            }
            Self::Flags(count) => read_flags(*count, reader).map(drop),
        }
    }
}

fn skip_payload(payload: &Option<Shape>, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
    payload.as_ref().map_or(Ok(()), |shape| shape.skip(reader))
}

/// Reads flags: a bit for each, in as few bytes as possible. A set bit that isn't a flag
/// is invalid.
pub(super) fn read_flags(count: usize, reader: &mut Reader<'_>) -> Result<u32, DecodeError> {
    let at = reader.position();
    let mut bits = [0; 4];
    let taken = reader.take(count.div_ceil(8))?;
    bits[..taken.len()].copy_from_slice(taken);
    let bits = u32::from_le_bytes(bits);
    match u64::from(bits) >> count {
        0 => Ok(bits),
        _ => Err(Reader::invalid(at, "flags")),
    }
}

/// The reverse of [`read_flags`].
pub(super) fn write_flags(count: usize, bits: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(&bits.to_le_bytes()[..count.div_ceil(8)]);
}
