//! Guest memory → wire, along the component's own type tables.
//!
//! Nothing that a guest returns is trusted: bounds and alignment of pointers, ranges of
//! discriminants and characters, encodings of strings, and the total size are checked.
//! Memory for lifted bytes is reserved before they exist, like all other memory of a
//! call.

use std::cell::Cell;

use encarno_wrpc::memory::Reservation;
use encarno_wrpc::value::Write as _;
use wasmtime::component::__internal::wasmtime_environ::component::{StringEncoding, VariantInfo};
use wasmtime::component::__internal::{ComponentTypes, InterfaceType, LiftContext};
use wasmtime::{Result, ValRaw, bail};

use super::check::write_flags;
use super::{RESULT_BYTES_MAX, ResultTooLarge, UTF16_TAG};

/// Encoded results that come out of a guest.
pub(crate) struct Results {
    pub(crate) encoded: Vec<u8>,
    /// The reservation for them: see [`within`].
    pub(crate) held: Option<Reservation>,
}

/// Up to this many bytes aren't reserved.
const UNCOUNTED_BYTES_MAX: usize = 8 << 10;

thread_local! {
    /// The reservation for bytes that are lifted on this thread. wasmtime gives the
    /// lifting code no other way to get it.
    static HELD: Cell<Option<Reservation>> = const { Cell::new(None) };
}

/// Polls a call whose results are reserved in `held`, and moves the reservation to the
/// results.
pub(crate) fn within<T>(held: &mut Option<Reservation>, poll: impl FnOnce() -> T) -> T {
    let others = HELD.replace(held.take());
    let polled = poll();
    *held = HELD.replace(others);
    polled
}

/// Lifts results of this type. `slot` is the one core result, and unused if the function
/// has none.
pub(super) fn results(
    cx: &mut LiftContext<'_>,
    ty: InterfaceType,
    slot: &ValRaw,
) -> Result<Results> {
    let mut lifting = Lifting {
        types: cx.types,
        memory: cx.memory(),
        encoding: cx.options().string_encoding,
        out: Vec::new(),
        held: HELD.take(),
    };
    let abi = lifting.types.canonical_abi(&ty);
    match abi.flat_count(1) {
        Some(0) => {}
        Some(_) => lifting.unflatten(ty, slot)?,
        None => {
            let at = slot.get_u32();
            let bytes = lifting.region(at, 1, abi.size32, abi.align32)?;
            lifting.load(ty, bytes)?;
        }
    }
    Ok(Results {
        encoded: lifting.out,
        held: lifting.held,
    })
}

struct Lifting<'m> {
    types: &'m ComponentTypes,
    memory: &'m [u8],
    encoding: StringEncoding,
    out: Vec<u8>,
    /// The reservation for the capacity of `out`.
    held: Option<Reservation>,
}

impl<'m> Lifting<'m> {
    /// Lifts a value that is one slot: a scalar, or compounds around a scalar.
    fn unflatten(&mut self, ty: InterfaceType, slot: &ValRaw) -> Result<()> {
        let types = self.types;
        match ty {
            InterfaceType::Record(record) => types[record]
                .fields
                .iter()
                .try_for_each(|field| self.unflatten(field.ty, slot)),
            InterfaceType::Tuple(tuple) => types[tuple]
                .types
                .iter()
                .try_for_each(|&ty| self.unflatten(ty, slot)),
            // One slot has room for the discriminant only.
            _ if cases(types, ty).is_some() => self.discriminant(ty, slot.get_u32()).map(drop),
            _ => {
                let bits = match ty {
                    InterfaceType::U64 | InterfaceType::S64 | InterfaceType::Float64 => {
                        slot.get_u64()
                    }
                    _ => slot.get_u32().into(),
                };
                self.scalar(ty, bits)
            }
        }
    }

    /// Lifts a value from memory; `bytes` are exactly those of the value.
    fn load(&mut self, ty: InterfaceType, bytes: &'m [u8]) -> Result<()> {
        let types = self.types;
        match ty {
            InterfaceType::String => {
                let (at, length) = pair(bytes)?;
                self.string(at, length)
            }
            InterfaceType::List(list) => {
                let (at, length) = pair(bytes)?;
                self.list(types[list].element, at, length)
            }
            InterfaceType::Record(record) => {
                let mut next = 0;
                for field in &types[record].fields {
                    let abi = types.canonical_abi(&field.ty);
                    let at = abi.next_field32_size(&mut next);
                    self.load(field.ty, part(bytes, at, abi.size32)?)?;
                }
                Ok(())
            }
            InterfaceType::Tuple(tuple) => {
                let mut next = 0;
                for ty in &types[tuple].types {
                    let abi = types.canonical_abi(ty);
                    let at = abi.next_field32_size(&mut next);
                    self.load(*ty, part(bytes, at, abi.size32)?)?;
                }
                Ok(())
            }
            _ => match cases(types, ty) {
                None => self.scalar(ty, bits(bytes)),
                Some((info, _)) => {
                    let size = info.size.byte_size();
                    let number = bits(part(bytes, 0, size)?) as u32;
                    let Some(payload) = self.discriminant(ty, number)? else {
                        return Ok(());
                    };
                    let size = types.canonical_abi(&payload).size32;
                    let at = info.payload_offset32 as usize;
                    self.load(payload, part(bytes, at, size)?)
                }
            },
        }
    }

    /// Writes a discriminant and returns the type of its payload.
    fn discriminant(&mut self, ty: InterfaceType, number: u32) -> Result<Option<InterfaceType>> {
        let count = cases(self.types, ty).map_or(0, |(_, count)| count);
        if number as usize >= count {
            bail!("the guest returned case {number} of {count}");
        }
        self.reserve(5)?;
        match ty {
            InterfaceType::Option(_) | InterfaceType::Result(_) => self.out.push(number as u8),
            _ => self.out.unsigned(number.into()),
        }
        Ok(payload(self.types, ty, number as usize))
    }

    fn scalar(&mut self, ty: InterfaceType, bits: u64) -> Result<()> {
        self.reserve(10)?;
        let out = &mut self.out;
        match ty {
            InterfaceType::Bool => out.push((bits != 0).into()),
            InterfaceType::U8 | InterfaceType::S8 => out.push(bits as u8),
            InterfaceType::U16 => out.unsigned((bits as u16).into()),
            InterfaceType::S16 => out.signed((bits as i16).into()),
            InterfaceType::U32 => out.unsigned((bits as u32).into()),
            InterfaceType::S32 => out.signed((bits as i32).into()),
            InterfaceType::U64 => out.unsigned(bits),
            InterfaceType::S64 => out.signed(bits as i64),
            InterfaceType::Float32 => out.extend_from_slice(&(bits as u32).to_le_bytes()),
            InterfaceType::Float64 => out.extend_from_slice(&bits.to_le_bytes()),
            InterfaceType::Char => match char::from_u32(bits as u32) {
                Some(char) => out.char(char),
                None => bail!("the guest returned {bits:#x}, which isn't a character"),
            },
            InterfaceType::Flags(flags) => {
                let count = self.types[flags].names.len();
                // The canonical ABI says to ignore bits that aren't flags.
                let mask = ((1u64 << count) - 1) as u32;
                write_flags(count, bits as u32 & mask, out);
            }
            _ => bail!("the component has a type that can't be called over wRPC"),
        }
        Ok(())
    }

    fn list(&mut self, element: InterfaceType, at: u32, length: u32) -> Result<()> {
        let abi = self.types.canonical_abi(&element);
        let bytes = self.region(at, length, abi.size32, abi.align32)?;
        self.reserve(5 + length as usize)?; // an element takes at least a byte
        match element {
            InterfaceType::U8 | InterfaceType::S8 => self.out.bytes(bytes),
            _ => {
                self.out.unsigned(length.into());
                for bytes in bytes.chunks_exact(abi.size32.max(1) as usize) {
                    self.load(element, bytes)?;
                }
            }
        }
        Ok(())
    }

    fn string(&mut self, at: u32, length: u32) -> Result<()> {
        match self.encoding {
            StringEncoding::Utf8 => {
                let bytes = self.region(at, length, 1, 1)?;
                let text = str::from_utf8(bytes)?;
                self.reserve(5 + text.len())?;
                self.out.bytes(text.as_bytes());
                Ok(())
            }
            StringEncoding::CompactUtf16 if length & UTF16_TAG == 0 => {
                let latin1 = self.region(at, length, 1, 2)?;
                self.text(latin1.iter().map(|&byte| Ok(char::from(byte))))
            }
            StringEncoding::CompactUtf16 => self.utf16(at, length ^ UTF16_TAG),
            StringEncoding::Utf16 => self.utf16(at, length),
        }
    }

    fn utf16(&mut self, at: u32, length: u32) -> Result<()> {
        let (units, _) = self.region(at, length, 2, 2)?.as_chunks::<2>();
        let units = units.iter().map(|&unit| u16::from_le_bytes(unit));
        self.text(char::decode_utf16(units).map(|unit| Ok(unit?)))
    }

    fn text(&mut self, chars: impl Iterator<Item = Result<char>> + Clone) -> Result<()> {
        let mut length = 0;
        for char in chars.clone() {
            length += char?.len_utf8();
        }
        self.reserve(5 + length)?;
        self.out.unsigned(length as u64);
        for char in chars {
            let mut bytes = [0; 4];
            let text = char?.encode_utf8(&mut bytes);
            self.out.extend_from_slice(text.as_bytes());
        }
        Ok(())
    }

    /// A part of the guest's memory: `length` elements of `size` bytes.
    fn region(&self, at: u32, length: u32, size: u32, align: u32) -> Result<&'m [u8]> {
        if !at.is_multiple_of(align) {
            bail!("the guest returned the pointer {at:#x}, which isn't aligned to {align}");
        }
        let start = u64::from(at);
        let end = start + u64::from(length) * u64::from(size);
        match self.memory.get(start as usize..end as usize) {
            Some(region) => Ok(region),
            None => bail!(
                "the guest returned {start:#x}..{end:#x}, which isn't within its {} bytes of memory",
                self.memory.len()
            ),
        }
    }

    fn reserve(&mut self, bytes: usize) -> Result<()> {
        let length = self.out.len() + bytes;
        if length > RESULT_BYTES_MAX {
            return Err(ResultTooLarge.into());
        }
        let before = self.out.capacity();
        if length <= before {
            return Ok(());
        }
        let capacity = length.max(2 * before).max(16);
        match &mut self.held {
            Some(held) if capacity > UNCOUNTED_BYTES_MAX => {
                // Growing copies the bytes, and for a moment both copies exist.
                if !held.grow_to(before + capacity) {
                    return Err(held.used_up().into());
                }
                self.out.reserve_exact(capacity - self.out.len());
                let _ = held.resize(self.out.capacity());
            }
            _ => self.out.reserve_exact(capacity - self.out.len()),
        }
        Ok(())
    }
}

/// The discriminant and payload layout, and the number of cases, of a type with cases.
fn cases(types: &ComponentTypes, ty: InterfaceType) -> Option<(&VariantInfo, usize)> {
    Some(match ty {
        InterfaceType::Variant(index) => (&types[index].info, types[index].cases.len()),
        InterfaceType::Enum(index) => (&types[index].info, types[index].names.len()),
        InterfaceType::Option(index) => (&types[index].info, 2),
        InterfaceType::Result(index) => (&types[index].info, 2),
        _ => return None,
    })
}

/// The type of the payload.
fn payload(types: &ComponentTypes, ty: InterfaceType, number: usize) -> Option<InterfaceType> {
    match ty {
        InterfaceType::Variant(index) => {
            let (_, &payload) = types[index].cases.get_index(number)?;
            payload
        }
        InterfaceType::Option(index) => (number == 1).then_some(types[index].ty),
        InterfaceType::Result(index) if number == 0 => types[index].ok,
        InterfaceType::Result(index) => types[index].err,
        _ => None,
    }
}

fn part(bytes: &[u8], at: usize, size: u32) -> Result<&[u8]> {
    match bytes.get(at..at + size as usize) {
        Some(part) => Ok(part),
        None => bail!("a part of the type is larger than the whole"),
    }
}

/// Up to eight bytes as an integer.
fn bits(bytes: &[u8]) -> u64 {
    let mut bits = [0; 8];
    let count = bytes.len().min(8);
    bits[..count].copy_from_slice(&bytes[..count]);
    u64::from_le_bytes(bits)
}

/// The pointer and the length of a list.
fn pair(bytes: &[u8]) -> Result<(u32, u32)> {
    let pair = bits(part(bytes, 0, 8)?);
    Ok((pair as u32, (pair >> 32) as u32))
}
