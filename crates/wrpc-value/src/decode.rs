//! The wire to JSON.

use encarno_wrpc::value::{DecodeError, Reader};

use crate::shape::{Shape, TypeIndex, Types};

/// Writes values as JSON, up to a length. What is beyond it is read and not written.
pub(crate) struct Text<'t> {
    types: &'t Types,
    out: &'t mut Vec<u8>,
    /// `out` grows no longer than this.
    end: usize,
}

impl<'t> Text<'t> {
    pub(crate) fn new(types: &'t Types, out: &'t mut Vec<u8>, bytes_max: usize) -> Self {
        let end = out.len().saturating_add(bytes_max);
        Self { types, out, end }
    }

    /// The next value, which is of that type.
    pub(crate) fn value(
        &mut self,
        of: TypeIndex,
        reader: &mut Reader<'_>,
    ) -> Result<(), DecodeError> {
        let types = self.types;
        match types.shape(of) {
            Shape::Bool => {
                let value = reader.bit("bool")?;
                self.put(if value { b"true" } else { b"false" });
            }
            Shape::Unsigned { bits } => {
                let number = match bits {
                    8 => reader.u8()?.into(),
                    _ => reader.unsigned(*bits, "unsigned integer")?,
                };
                self.number(number);
            }
            Shape::Signed { bits } => {
                let number = match bits {
                    8 => (reader.u8()? as i8).into(),
                    _ => reader.signed(*bits, "signed integer")?,
                };
                self.number(number);
            }
            Shape::Float { bits: 32 } => {
                let number = reader.f32()?;
                match number.is_finite() {
                    true => self.json(&number),
                    false => self.no_number(number.into()),
                }
            }
            Shape::Float { .. } => {
                let number = reader.f64()?;
                match number.is_finite() {
                    true => self.json(&number),
                    false => self.no_number(number),
                }
            }
            Shape::Char => {
                let char = reader.char()?;
                self.string(char.encode_utf8(&mut [0; 4]));
            }
            Shape::String => self.string(reader.string()?),
            Shape::List { of } => {
                // Every element takes at least a byte, so this bounds the loop.
                let length = reader.length()?;
                if self.is_full() && types.is_bytes(*of) {
                    return reader.take(length).map(drop);
                }
                self.sequence(std::iter::repeat_n(*of, length), reader)?;
            }
            Shape::Tuple { of } => self.sequence(of.iter().copied(), reader)?,
            Shape::Option { of } => match reader.bit("option")? {
                false => self.put(b"null"),
                true if matches!(types.shape(*of), Shape::Option { .. }) => {
                    self.case("some", Some(*of), reader)?;
                }
                true => self.value(*of, reader)?,
            },
            Shape::Result { ok, err } => match reader.bit("result")? {
                false => self.case("ok", *ok, reader)?,
                true => self.case("err", *err, reader)?,
            },
            Shape::Record { fields } => {
                for (index, field) in fields.iter().enumerate() {
                    self.put(if index == 0 { b"{" } else { b"," });
                    self.string(&field.name);
                    self.put(b":");
                    self.value(field.of, reader)?;
                }
                self.put(b"}");
            }
            Shape::Variant { cases } => {
                let case = &cases[number_of_case(reader, cases.len())?];
                self.case(&case.name, case.of, reader)?;
            }
            Shape::Enum { names } => {
                let number = number_of_case(reader, names.len())?;
                self.string(&names[number]);
            }
            Shape::Flags { names } => {
                let bits = flags(reader, names.len())?;
                let set = names.iter().enumerate();
                let set = set.filter(|(number, _)| bits >> number & 1 == 1);
                for (count, (_, name)) in set.enumerate() {
                    self.put(if count == 0 { b"[" } else { b"," });
                    self.string(name);
                }
                self.put(if bits == 0 { b"[]" } else { b"]" });
            }
        }
        Ok(())
    }

    /// An array of values of these types.
    pub(crate) fn sequence(
        &mut self,
        types: impl Iterator<Item = TypeIndex>,
        reader: &mut Reader<'_>,
    ) -> Result<(), DecodeError> {
        self.put(b"[");
        for (index, of) in types.enumerate() {
            if index > 0 {
                self.put(b",");
            }
            self.value(of, reader)?;
        }
        self.put(b"]");
        Ok(())
    }

    fn case(
        &mut self,
        tag: &str,
        of: Option<TypeIndex>,
        reader: &mut Reader<'_>,
    ) -> Result<(), DecodeError> {
        self.put(b"{\"tag\":");
        self.string(tag);
        if let Some(of) = of {
            self.put(b",\"val\":");
            self.value(of, reader)?;
        }
        self.put(b"}");
        Ok(())
    }

    fn string(&mut self, text: &str) {
        // JSON of it is no shorter.
        let room = self.end - self.out.len();
        self.json(&text[..text.floor_char_boundary(room)]);
    }

    fn number(&mut self, number: impl Into<serde_json::Number>) {
        if !self.is_full() {
            self.json(&number.into());
        }
    }

    /// JSON has no numbers for them.
    fn no_number(&mut self, number: f64) {
        self.put(match number {
            number if number.is_nan() => b"\"NaN\"",
            number if number > 0.0 => b"\"Infinity\"",
            _ => b"\"-Infinity\"",
        });
    }

    fn json(&mut self, value: &(impl serde::Serialize + ?Sized)) {
        if !self.is_full() {
            // Neither memory nor numbers and texts can fail.
            let _written = serde_json::to_writer(&mut *self.out, value);
            self.out.truncate(self.end);
        }
    }

    fn put(&mut self, text: &[u8]) {
        let room = self.end - self.out.len();
        self.out.extend_from_slice(&text[..text.len().min(room)]);
    }

    fn is_full(&self) -> bool {
        self.out.len() >= self.end
    }
}

/// The number of a case, of so many.
fn number_of_case(reader: &mut Reader<'_>, count: usize) -> Result<usize, DecodeError> {
    let at = reader.position();
    let number = reader.unsigned(32, "discriminant")? as usize;
    match number < count {
        true => Ok(number),
        false => Err(Reader::invalid(at, "discriminant")),
    }
}

/// A bit for each flag. A bit that is no flag is invalid.
fn flags(reader: &mut Reader<'_>, count: usize) -> Result<u32, DecodeError> {
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
