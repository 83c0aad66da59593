//! Wire ↔ wasmtime's dynamic values.
//!
//! This is slow and simple. It serves the imports of a component. The tests use it as the
//! reference for the fast path through [`lower`](super::lower) and [`lift`](super::lift),
//! with which it shares no code.

use encarno_wrpc::value::{Reader, Write as _};
use wasmtime::component::Val;
use wasmtime::component::types::Type;
use wasmtime::error::Context as _;
use wasmtime::{Result, bail};

use super::check::{read_flags, write_flags};

/// The largest first capacity of a vector, whatever its announced length, because a value
/// takes many times the memory of its encoding.
const CAPACITY_MAX: usize = 1024;

/// Appends a value of this type.
pub(crate) fn encode(value: &Val, ty: &Type, out: &mut Vec<u8>) -> Result<()> {
    match (value, ty) {
        (Val::Bool(value), Type::Bool) => out.push((*value).into()),
        (Val::U8(value), Type::U8) => out.push(*value),
        (Val::S8(value), Type::S8) => out.push(*value as u8),
        (Val::U16(value), Type::U16) => out.unsigned((*value).into()),
        (Val::U32(value), Type::U32) => out.unsigned((*value).into()),
        (Val::U64(value), Type::U64) => out.unsigned(*value),
        (Val::S16(value), Type::S16) => out.signed((*value).into()),
        (Val::S32(value), Type::S32) => out.signed((*value).into()),
        (Val::S64(value), Type::S64) => out.signed(*value),
        (Val::Float32(value), Type::Float32) => out.extend_from_slice(&value.to_le_bytes()),
        (Val::Float64(value), Type::Float64) => out.extend_from_slice(&value.to_le_bytes()),
        (Val::Char(value), Type::Char) => out.char(*value),
        (Val::String(value), Type::String) => out.bytes(value.as_bytes()),
        (Val::List(values), Type::List(list)) => {
            let element = list.ty();
            out.unsigned(values.len() as u64);
            for value in values {
                encode(value, &element, out)?;
            }
        }
        (Val::Record(values), Type::Record(record)) => {
            for ((_, value), field) in values.iter().zip(record.fields()) {
                encode(value, &field.ty, out)?;
            }
        }
        (Val::Tuple(values), Type::Tuple(tuple)) => {
            for (value, ty) in values.iter().zip(tuple.types()) {
                encode(value, &ty, out)?;
            }
        }
        (Val::Variant(name, value), Type::Variant(variant)) => {
            let (number, case) = (variant.cases().enumerate())
                .find(|(_, case)| case.name == name)
                .with_context(|| format!("no case `{name}`"))?;
            out.unsigned(number as u64);
            encode_payload(value, &case.ty, out)?;
        }
        (Val::Enum(name), Type::Enum(cases)) => {
            let number = cases.names().position(|case| case == name);
            out.unsigned(number.with_context(|| format!("no case `{name}`"))? as u64);
        }
        (Val::Option(value), Type::Option(option)) => {
            out.push(value.is_some().into());
            if let Some(value) = value {
                encode(value, &option.ty(), out)?;
            }
        }
        (Val::Result(Ok(value)), Type::Result(result)) => {
            out.push(0);
            encode_payload(value, &result.ok(), out)?;
        }
        (Val::Result(Err(value)), Type::Result(result)) => {
            out.push(1);
            encode_payload(value, &result.err(), out)?;
        }
        (Val::Flags(names), Type::Flags(flags)) => {
            let mut bits = 0;
            for (index, flag) in flags.names().enumerate() {
                if names.iter().any(|name| name == flag) {
                    bits |= 1 << index;
                }
            }
            write_flags(flags.names().len(), bits, out);
        }
        _ => bail!("a value isn't of its type"),
    }
    Ok(())
}

fn encode_payload(value: &Option<Box<Val>>, ty: &Option<Type>, out: &mut Vec<u8>) -> Result<()> {
    match (value, ty) {
        (Some(value), Some(ty)) => encode(value, ty, out),
        (None, None) => Ok(()),
        _ => bail!("a payload isn't of its type"),
    }
}

/// Reads a value of this type.
pub(crate) fn decode(ty: &Type, reader: &mut Reader<'_>) -> Result<Val> {
    let at = reader.position();
    Ok(match ty {
        Type::Bool => Val::Bool(reader.bit("bool")?),
        Type::U8 => Val::U8(reader.u8()?),
        Type::S8 => Val::S8(reader.u8()? as i8),
        Type::U16 => Val::U16(reader.unsigned(16, "u16")? as u16),
        Type::U32 => Val::U32(reader.unsigned(32, "u32")? as u32),
        Type::U64 => Val::U64(reader.unsigned(64, "u64")?),
        Type::S16 => Val::S16(reader.signed(16, "s16")? as i16),
        Type::S32 => Val::S32(reader.signed(32, "s32")? as i32),
        Type::S64 => Val::S64(reader.signed(64, "s64")?),
        Type::Float32 => Val::Float32(reader.f32()?),
        Type::Float64 => Val::Float64(reader.f64()?),
        Type::Char => Val::Char(reader.char()?),
        Type::String => Val::String(reader.string()?.to_owned()),
        Type::List(list) => {
            let element = list.ty();
            let length = reader.length()?;
            let mut values = Vec::with_capacity(length.min(CAPACITY_MAX));
            for _ in 0..length {
                values.push(decode(&element, reader)?);
            }
            Val::List(values)
        }
        Type::Record(record) => Val::Record(
            record
                .fields()
                .map(|field| Ok((field.name.to_owned(), decode(&field.ty, reader)?)))
                .collect::<Result<_>>()?,
        ),
        Type::Tuple(tuple) => Val::Tuple(
            tuple
                .types()
                .map(|ty| decode(&ty, reader))
                .collect::<Result<_>>()?,
        ),
        Type::Variant(variant) => {
            let number = reader.unsigned(32, "discriminant")? as usize;
            let case = variant.cases().nth(number);
            let case = case.ok_or(Reader::invalid(at, "discriminant"))?;
            Val::Variant(case.name.to_owned(), decode_payload(&case.ty, reader)?)
        }
        Type::Enum(cases) => {
            let number = reader.unsigned(32, "discriminant")? as usize;
            let name = cases.names().nth(number);
            Val::Enum(name.ok_or(Reader::invalid(at, "discriminant"))?.to_owned())
        }
        Type::Option(option) => Val::Option(match reader.bit("option")? {
            true => Some(Box::new(decode(&option.ty(), reader)?)),
            false => None,
        }),
        Type::Result(result) => Val::Result(match reader.bit("result")? {
            false => Ok(decode_payload(&result.ok(), reader)?),
            true => Err(decode_payload(&result.err(), reader)?),
        }),
        Type::Flags(flags) => {
            let bits = read_flags(flags.names().len(), reader)?;
            Val::Flags(
                (flags.names().enumerate())
                    .filter(|(index, _)| bits >> index & 1 == 1)
                    .map(|(_, name)| name.to_owned())
                    .collect(),
            )
        }
        _ => bail!("values of that type can't be sent"),
    })
}

fn decode_payload(ty: &Option<Type>, reader: &mut Reader<'_>) -> Result<Option<Box<Val>>> {
    ty.as_ref()
        .map(|ty| decode(ty, reader).map(Box::new))
        .transpose()
}
