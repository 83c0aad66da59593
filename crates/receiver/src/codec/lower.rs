//! Wire → guest memory, along the component's own type tables.
//!
//! The canonical ABI,
//! <https://github.com/WebAssembly/component-model/blob/main/design/mvp/CanonicalABI.md>:
//! a value is in memory, or *flat* in slots of core wasm values.

use encarno_wrpc::value::Reader;
use wasmtime::component::__internal::wasmtime_environ::component::{
    MAX_FLAT_PARAMS, StringEncoding, VariantInfo,
};
use wasmtime::component::__internal::{
    CanonicalAbiInfo, ComponentTypes, InterfaceType, LowerContext,
};
use wasmtime::{Result, bail};

use super::UTF16_TAG;
use super::check::read_flags;

/// The most parameters of core functions; larger ones are in memory.
pub(super) const FLAT_MAX: usize = MAX_FLAT_PARAMS;

/// The most bytes of a list or string, so that 32-bit sums never overflow.
const LIST_BYTES_MAX: usize = (1 << 31) - 1;

/// Lowers encoded parameters of this type, and returns the slots.
pub(super) fn params<T>(
    cx: &mut LowerContext<'_, T>,
    ty: InterfaceType,
    encoded: &[u8],
) -> Result<[u64; FLAT_MAX]> {
    let abi = cx.types.canonical_abi(&ty);
    let mut lowering = Lowering {
        types: cx.types,
        cx,
        reader: Reader::new(encoded),
    };
    let mut slots = Slots::default();
    if abi.flat_count(FLAT_MAX).is_some() {
        lowering.flatten(ty, &mut slots)?;
    } else {
        let at = lowering
            .cx
            .realloc(0, 0, abi.align32, abi.size32 as usize)?;
        lowering.store(ty, at)?;
        slots.push(at as u64)?;
    }
    lowering.reader.finish()?;
    Ok(slots.slots)
}

#[derive(Default)]
struct Slots {
    slots: [u64; FLAT_MAX],
    next: usize,
}

impl Slots {
    fn push(&mut self, bits: u64) -> Result<()> {
        let Some(slot) = self.slots.get_mut(self.next) else {
            bail!("the type has more flat values than it declares");
        };
        *slot = bits;
        self.next += 1;
        Ok(())
    }
}

struct Lowering<'c, 't, 'r, T: 'static> {
    types: &'t ComponentTypes,
    cx: &'c mut LowerContext<'t, T>,
    reader: Reader<'r>,
}

/// A case of a variant, enum, option or result, as read from the wire.
struct Case<'t> {
    number: u32,
    payload: Option<InterfaceType>,
    info: &'t VariantInfo,
    abi: &'t CanonicalAbiInfo,
}

impl<'t, T> Lowering<'_, 't, '_, T> {
    /// Puts a value into slots. Joined cases need no conversion: every slot holds the
    /// value's bits, and zeros above them.
    fn flatten(&mut self, ty: InterfaceType, slots: &mut Slots) -> Result<()> {
        let types = self.types;
        match ty {
            InterfaceType::String => {
                let (pointer, length) = self.string()?;
                slots.push(pointer.into())?;
                slots.push(length.into())
            }
            InterfaceType::List(list) => {
                let (pointer, length) = self.list(types[list].element)?;
                slots.push(pointer.into())?;
                slots.push(length.into())
            }
            InterfaceType::Record(record) => {
                for field in &types[record].fields {
                    self.flatten(field.ty, slots)?;
                }
                Ok(())
            }
            InterfaceType::Tuple(tuple) => {
                for &ty in &types[tuple].types {
                    self.flatten(ty, slots)?;
                }
                Ok(())
            }
            _ => match self.case(ty)? {
                None => slots.push(scalar(types, ty, &mut self.reader)?),
                Some(case) => {
                    let Some(count) = case.abi.flat_count(FLAT_MAX) else {
                        bail!("a part of the type has more flat values than the whole");
                    };
                    let end = slots.next + count;
                    slots.push(case.number.into())?;
                    if let Some(payload) = case.payload {
                        self.flatten(payload, slots)?;
                    }
                    slots.next = end; // a smaller case leaves zeros
                    Ok(())
                }
            },
        }
    }

    /// Puts a value into memory.
    fn store(&mut self, ty: InterfaceType, at: usize) -> Result<()> {
        let types = self.types;
        match ty {
            InterfaceType::String => {
                let (pointer, length) = self.string()?;
                self.put_pair(at, pointer, length)
            }
            InterfaceType::List(list) => {
                let (pointer, length) = self.list(types[list].element)?;
                self.put_pair(at, pointer, length)
            }
            InterfaceType::Record(record) => {
                let mut next = at;
                for field in &types[record].fields {
                    let abi = types.canonical_abi(&field.ty);
                    self.store(field.ty, abi.next_field32_size(&mut next))?;
                }
                Ok(())
            }
            InterfaceType::Tuple(tuple) => {
                let mut next = at;
                for ty in &types[tuple].types {
                    let abi = types.canonical_abi(ty);
                    self.store(*ty, abi.next_field32_size(&mut next))?;
                }
                Ok(())
            }
            _ => match self.case(ty)? {
                None => {
                    let size = types.canonical_abi(&ty).size32 as usize;
                    let bits = scalar(types, ty, &mut self.reader)?.to_le_bytes();
                    self.put(at, &bits[..size])
                }
                Some(case) => {
                    let size = case.info.size.byte_size();
                    self.put(at, &case.number.to_le_bytes()[..size as usize])?;
                    match case.payload {
                        Some(payload) => {
                            self.store(payload, at + case.info.payload_offset32 as usize)
                        }
                        None => Ok(()),
                    }
                }
            },
        }
    }

    /// The next case, if values of this type have cases.
    fn case(&mut self, ty: InterfaceType) -> Result<Option<Case<'t>>> {
        let types = self.types;
        let at = self.reader.position();
        let case = match ty {
            InterfaceType::Variant(variant) => {
                let variant = &types[variant];
                let number = self.reader.unsigned(32, "discriminant")? as u32;
                let Some((_, &payload)) = variant.cases.get_index(number as usize) else {
                    return Err(Reader::invalid(at, "discriminant").into());
                };
                (number, payload, &variant.info, &variant.abi)
            }
            InterfaceType::Enum(cases) => {
                let cases = &types[cases];
                let number = self.reader.unsigned(32, "discriminant")? as u32;
                if number as usize >= cases.names.len() {
                    return Err(Reader::invalid(at, "discriminant").into());
                }
                (number, None, &cases.info, &cases.abi)
            }
            InterfaceType::Option(option) => {
                let option = &types[option];
                let is_some = self.reader.bit("option")?;
                let payload = is_some.then_some(option.ty);
                (is_some.into(), payload, &option.info, &option.abi)
            }
            InterfaceType::Result(result) => {
                let result = &types[result];
                let is_err = self.reader.bit("result")?;
                let payload = if is_err { result.err } else { result.ok };
                (is_err.into(), payload, &result.info, &result.abi)
            }
            _ => return Ok(None),
        };
        let (number, payload, info, abi) = case;
        Ok(Some(Case {
            number,
            payload,
            info,
            abi,
        }))
    }

    /// Allocates a list in the guest, and returns its pointer and its length.
    fn list(&mut self, element: InterfaceType) -> Result<(u32, u32)> {
        let types = self.types;
        let length = self.reader.length()?;
        let abi = types.canonical_abi(&element);
        let size = abi.size32 as usize;
        let at = self.allocate(length, size, abi.align32)?;
        match element {
            InterfaceType::U8 | InterfaceType::S8 => {
                let bytes = self.reader.take(length)?;
                self.put(at, bytes)?;
            }
            InterfaceType::Bool
            | InterfaceType::U16
            | InterfaceType::S16
            | InterfaceType::U32
            | InterfaceType::S32
            | InterfaceType::U64
            | InterfaceType::S64
            | InterfaceType::Float32
            | InterfaceType::Float64
            | InterfaceType::Char => {
                let region = region(self.cx, at, length * size)?;
                for place in region.chunks_exact_mut(size) {
                    let bits = scalar(types, element, &mut self.reader)?.to_le_bytes();
                    place.copy_from_slice(&bits[..size]);
                }
            }
            _ => {
                for index in 0..length {
                    self.store(element, at + index * size)?;
                }
            }
        }
        Ok((at as u32, length as u32))
    }

    /// Allocates a string in the guest, in the encoding that the guest asks for, and
    /// returns its pointer and its length in code units.
    fn string(&mut self) -> Result<(u32, u32)> {
        let text = self.reader.string()?;
        match self.cx.options().string_encoding {
            StringEncoding::Utf8 => {
                let at = self.allocate(text.len(), 1, 1)?;
                self.put(at, text.as_bytes())?;
                Ok((at as u32, text.len() as u32))
            }
            StringEncoding::Utf16 => self.utf16(text),
            StringEncoding::CompactUtf16 => {
                let latin1: Option<Vec<u8>> =
                    text.chars().map(|char| u8::try_from(char).ok()).collect();
                let Some(latin1) = latin1 else {
                    let (pointer, length) = self.utf16(text)?;
                    return Ok((pointer, length | UTF16_TAG));
                };
                let at = self.allocate(latin1.len(), 1, 2)?;
                self.put(at, &latin1)?;
                Ok((at as u32, latin1.len() as u32))
            }
        }
    }

    fn utf16(&mut self, text: &str) -> Result<(u32, u32)> {
        let length = text.encode_utf16().count();
        let at = self.allocate(length, 2, 2)?;
        let region = region(self.cx, at, length * 2)?;
        for (place, unit) in region.chunks_exact_mut(2).zip(text.encode_utf16()) {
            place.copy_from_slice(&unit.to_le_bytes());
        }
        Ok((at as u32, length as u32))
    }

    /// Allocates memory of the guest for a list. wasmtime has checked that the returned
    /// pointer is aligned and within the memory.
    fn allocate(&mut self, length: usize, size: usize, align: u32) -> Result<usize> {
        match length.checked_mul(size) {
            Some(bytes) if bytes <= LIST_BYTES_MAX => self.cx.realloc(0, 0, align, bytes),
            _ => bail!("a list of {length} elements of {size} bytes is too large for the guest"),
        }
    }

    fn put(&mut self, at: usize, bytes: &[u8]) -> Result<()> {
        region(self.cx, at, bytes.len())?.copy_from_slice(bytes);
        Ok(())
    }

    fn put_pair(&mut self, at: usize, pointer: u32, length: u32) -> Result<()> {
        let pair = u64::from(length) << 32 | u64::from(pointer);
        self.put(at, &pair.to_le_bytes())
    }
}

/// A part of the guest's memory.
fn region<'c, T>(
    cx: &'c mut LowerContext<'_, T>,
    at: usize,
    length: usize,
) -> Result<&'c mut [u8]> {
    let region = at
        .checked_add(length)
        .and_then(|end| cx.as_slice_mut().get_mut(at..end));
    match region {
        Some(region) => Ok(region),
        None => bail!("the guest's allocator returned memory outside of its own"),
    }
}

/// The bits of the next scalar, with zeros above its core type.
fn scalar(types: &ComponentTypes, ty: InterfaceType, reader: &mut Reader<'_>) -> Result<u64> {
    // A narrow signed integer is an i32 in core wasm.
    let narrow = |value: i64| u64::from(value as i32 as u32);
    Ok(match ty {
        InterfaceType::Bool => reader.bit("bool")?.into(),
        InterfaceType::U8 => reader.u8()?.into(),
        InterfaceType::S8 => narrow((reader.u8()? as i8).into()),
        InterfaceType::U16 => reader.unsigned(16, "u16")?,
        InterfaceType::S16 => narrow(reader.signed(16, "s16")?),
        InterfaceType::U32 => reader.unsigned(32, "u32")?,
        InterfaceType::S32 => narrow(reader.signed(32, "s32")?),
        InterfaceType::U64 => reader.unsigned(64, "u64")?,
        InterfaceType::S64 => reader.signed(64, "s64")? as u64,
        InterfaceType::Float32 => reader.f32()?.to_bits().into(),
        InterfaceType::Float64 => reader.f64()?.to_bits(),
        InterfaceType::Char => u32::from(reader.char()?).into(),
        InterfaceType::Flags(flags) => read_flags(types[flags].names.len(), reader)?.into(),
        _ => bail!("the component has a type that can't be called over wRPC"),
    })
}
