//! The error of a handler: `error-code` of `wasi:http/types`.

use std::fmt;

use crate::value::{DecodeError, Reader, Write as _};

/// The most bytes of a text; longer ones are cut.
const TEXT_BYTES_MAX: usize = 512;

/// A case of `error-code`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandlerError {
    case: usize,
    /// The value of the case.
    pub detail: Detail,
}

/// The value of a case. In `Size`, the outer option is WIT's, where WIT has one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Detail {
    /// Nothing.
    #[default]
    None,
    /// A number, which may be missing.
    Number(Option<u64>),
    /// A text, which may be missing.
    Text(Option<String>),
    /// A DNS code as text and as number.
    Dns(Option<String>, Option<u16>),
    /// A TLS alert as number and as text.
    Alert(Option<u8>, Option<String>),
    /// The name of a header and its size.
    Size(Option<(Option<String>, Option<u32>)>),
}

#[derive(Clone, Copy)]
enum Kind {
    None,
    Dns,
    Alert,
    OptionU64,
    OptionU32,
    OptionSize,
    Size,
    OptionText,
}

/// The cases in the order of their numbers.
const CASES: [(&str, Kind); 39] = [
    ("DNS-timeout", Kind::None),
    ("DNS-error", Kind::Dns),
    ("destination-not-found", Kind::None),
    ("destination-unavailable", Kind::None),
    ("destination-IP-prohibited", Kind::None),
    ("destination-IP-unroutable", Kind::None),
    ("connection-refused", Kind::None),
    ("connection-terminated", Kind::None),
    ("connection-timeout", Kind::None),
    ("connection-read-timeout", Kind::None),
    ("connection-write-timeout", Kind::None),
    ("connection-limit-reached", Kind::None),
    ("TLS-protocol-error", Kind::None),
    ("TLS-certificate-error", Kind::None),
    ("TLS-alert-received", Kind::Alert),
    ("HTTP-request-denied", Kind::None),
    ("HTTP-request-length-required", Kind::None),
    ("HTTP-request-body-size", Kind::OptionU64),
    ("HTTP-request-method-invalid", Kind::None),
    ("HTTP-request-URI-invalid", Kind::None),
    ("HTTP-request-URI-too-long", Kind::None),
    ("HTTP-request-header-section-size", Kind::OptionU32),
    ("HTTP-request-header-size", Kind::OptionSize),
    ("HTTP-request-trailer-section-size", Kind::OptionU32),
    ("HTTP-request-trailer-size", Kind::Size),
    ("HTTP-response-incomplete", Kind::None),
    ("HTTP-response-header-section-size", Kind::OptionU32),
    ("HTTP-response-header-size", Kind::Size),
    ("HTTP-response-body-size", Kind::OptionU64),
    ("HTTP-response-trailer-section-size", Kind::OptionU32),
    ("HTTP-response-trailer-size", Kind::Size),
    ("HTTP-response-transfer-coding", Kind::OptionText),
    ("HTTP-response-content-coding", Kind::OptionText),
    ("HTTP-response-timeout", Kind::None),
    ("HTTP-upgrade-failed", Kind::None),
    ("HTTP-protocol-error", Kind::None),
    ("loop-detected", Kind::None),
    ("configuration-error", Kind::None),
    ("internal-error", Kind::OptionText),
];

impl HandlerError {
    /// The case with this name; `None` if there is none, or if it has another kind of
    /// value.
    pub fn new(name: &str, detail: Detail) -> Option<Self> {
        let case = CASES.iter().position(|(known, _)| *known == name)?;
        let error = Self { case, detail };
        let fits = matches!(
            (CASES[case].1, &error.detail),
            (Kind::None, Detail::None)
                | (Kind::Dns, Detail::Dns(..))
                | (Kind::Alert, Detail::Alert(..))
                | (Kind::OptionU64 | Kind::OptionU32, Detail::Number(_))
                | (Kind::OptionSize, Detail::Size(_))
                | (Kind::Size, Detail::Size(Some(_)))
                | (Kind::OptionText, Detail::Text(_))
        );
        fits.then_some(error)
    }

    /// `internal-error`, without a reason.
    pub fn internal() -> Self {
        Self {
            case: CASES.len() - 1,
            detail: Detail::Text(None),
        }
    }

    /// Its name in WIT.
    pub fn name(&self) -> &'static str {
        CASES[self.case].0
    }

    /// Encodes it as the results of a call without a response.
    pub fn encode(&self) -> Vec<u8> {
        let mut encoded = vec![1]; // err
        encoded.unsigned(self.case as u64);
        match &self.detail {
            Detail::None => {}
            Detail::Number(number) => write_number(&mut encoded, *number),
            Detail::Text(text) => write_text(&mut encoded, text.as_deref()),
            Detail::Dns(text, number) => {
                write_text(&mut encoded, text.as_deref());
                write_number(&mut encoded, number.map(u64::from));
            }
            Detail::Alert(number, text) => {
                // A `u8` is one byte, not LEB128.
                match number {
                    Some(number) => encoded.extend([1, *number]),
                    None => encoded.push(0),
                }
                write_text(&mut encoded, text.as_deref());
            }
            Detail::Size(size) => {
                if matches!(CASES[self.case].1, Kind::OptionSize) {
                    encoded.push(u8::from(size.is_some()));
                }
                if let Some((name, size)) = size {
                    write_text(&mut encoded, name.as_deref());
                    write_number(&mut encoded, size.map(u64::from));
                }
            }
        }
        encoded
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let at = reader.position();
        let case = reader.unsigned(32, "error-code")? as usize;
        let Some((_, kind)) = CASES.get(case) else {
            return Err(Reader::invalid(at, "error-code"));
        };
        let detail = match kind {
            Kind::None => Detail::None,
            Kind::OptionU64 => Detail::Number(read_number(reader, 64)?),
            Kind::OptionU32 => Detail::Number(read_number(reader, 32)?),
            Kind::OptionText => Detail::Text(read_text(reader)?),
            Kind::Dns => {
                let text = read_text(reader)?;
                Detail::Dns(text, read_number(reader, 16)?.map(|number| number as u16))
            }
            Kind::Alert => {
                let number = match reader.bit("option")? {
                    true => Some(reader.u8()?),
                    false => None,
                };
                Detail::Alert(number, read_text(reader)?)
            }
            Kind::OptionSize => Detail::Size(match reader.bit("option")? {
                true => Some(read_size(reader)?),
                false => None,
            }),
            Kind::Size => Detail::Size(Some(read_size(reader)?)),
        };
        Ok(Self { case, detail })
    }
}

impl fmt::Display for HandlerError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())?;
        let mut parts: Vec<String> = Vec::new();
        match &self.detail {
            Detail::None => {}
            Detail::Number(number) => parts.extend(number.map(|number| number.to_string())),
            Detail::Text(text) => parts.extend(text.clone()),
            Detail::Dns(text, number) => {
                parts.extend(text.clone());
                parts.extend(number.map(|number| number.to_string()));
            }
            Detail::Alert(number, text) => {
                parts.extend(number.map(|number| number.to_string()));
                parts.extend(text.clone());
            }
            Detail::Size(size) => {
                if let Some((name, size)) = size {
                    parts.extend(name.clone());
                    parts.extend(size.map(|size| format!("{size} bytes")));
                }
            }
        }
        match parts.is_empty() {
            true => Ok(()),
            false => write!(formatter, ": {}", parts.join(", ")),
        }
    }
}

fn write_number(encoded: &mut Vec<u8>, number: Option<u64>) {
    match number {
        None => encoded.push(0),
        Some(number) => {
            encoded.push(1);
            encoded.unsigned(number);
        }
    }
}

fn read_number(reader: &mut Reader<'_>, bits: u32) -> Result<Option<u64>, DecodeError> {
    match reader.bit("option")? {
        true => reader.unsigned(bits, "number of error-code").map(Some),
        false => Ok(None),
    }
}

fn write_text(encoded: &mut Vec<u8>, text: Option<&str>) {
    match text {
        None => encoded.push(0),
        Some(text) => {
            encoded.push(1);
            encoded.bytes(&text.as_bytes()[..text.floor_char_boundary(TEXT_BYTES_MAX)]);
        }
    }
}

fn read_text(reader: &mut Reader<'_>) -> Result<Option<String>, DecodeError> {
    if !reader.bit("option")? {
        return Ok(None);
    }
    let text = reader.string()?;
    let kept = &text[..text.floor_char_boundary(TEXT_BYTES_MAX)];
    Ok(Some(kept.to_owned()))
}

type Size = (Option<String>, Option<u32>);

fn read_size(reader: &mut Reader<'_>) -> Result<Size, DecodeError> {
    let name = read_text(reader)?;
    Ok((name, read_number(reader, 32)?.map(|size| size as u32)))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{CASES, Detail, HandlerError, Kind};
    use crate::http::{Message, ResponseHead};

    #[test]
    fn every_case_survives_a_round_trip() {
        for (name, kind) in CASES {
            let text = Some("why".to_owned());
            let details = match kind {
                Kind::None => vec![Detail::None],
                Kind::Dns => vec![Detail::Dns(text, Some(0xffff)), Detail::Dns(None, None)],
                Kind::Alert => vec![Detail::Alert(Some(0xff), text), Detail::Alert(None, None)],
                Kind::OptionU64 => vec![Detail::Number(Some(u64::MAX)), Detail::Number(None)],
                Kind::OptionU32 => vec![Detail::Number(Some(u32::MAX.into()))],
                Kind::OptionSize => vec![Detail::Size(None), Detail::Size(Some((text, Some(1))))],
                Kind::Size => vec![Detail::Size(Some((text, Some(u32::MAX))))],
                Kind::OptionText => vec![Detail::Text(text), Detail::Text(None)],
            };
            for detail in details {
                let error = HandlerError::new(name, detail.clone()).expect(name);
                let encoded = Bytes::from(error.encode());
                let decoded = Message::<ResponseHead>::decode(&encoded).expect(name);
                assert_eq!(decoded, Err(error.clone()), "{name}");
                assert!(error.to_string().starts_with(name));
                for cut in 0..encoded.len() {
                    assert!(Message::<ResponseHead>::decode(&encoded.slice(..cut)).is_err());
                }
            }
        }
        assert_eq!(
            HandlerError::new("loop-detected", Detail::Number(None)),
            None
        );
        assert_eq!(HandlerError::new("no-such-case", Detail::None), None);
    }
}
