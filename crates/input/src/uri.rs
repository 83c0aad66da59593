//! `uri` ammo: `[Name: value]` lines, which hold until they are overridden, and
//! `URI[ TAG]` lines. `uripost`: `LEN URI[ TAG]` and LEN bytes of body.

use encarno_record::{Payload, Record};

use super::raw::{number, shown, word};
use super::request::{Request, Url, parse_header};
use super::source::{Source, made};
use super::{Bad, Context, Parse};

pub(super) struct UriParser {
    bodies: bool,
    headers: Vec<(String, String)>,
}

impl UriParser {
    pub(super) fn uri() -> Self {
        Self {
            bodies: false,
            headers: Vec::new(),
        }
    }

    pub(super) fn with_bodies() -> Self {
        Self {
            bodies: true,
            headers: Vec::new(),
        }
    }

    fn set_header(&mut self, text: &[u8]) -> Result<(), Bad> {
        let (name, value) = parse_header(text)?;
        match self
            .headers
            .iter_mut()
            .find(|(other, _)| other.eq_ignore_ascii_case(&name))
        {
            Some(header) => header.1 = value,
            None => self.headers.push((name, value)),
        }
        Ok(())
    }

    fn record(
        &self,
        line: &[u8],
        source: &mut Source,
        context: &mut Context,
    ) -> Result<Record, Bad> {
        let (length, line) = if self.bodies {
            let (length, rest) = word(line);
            let length = number(length).ok_or_else(|| {
                Bad::new(format!(
                    "a record starts with the length of its body, and this with {}",
                    shown(line)
                ))
            })?;
            (Some(length), rest)
        } else {
            (None, line)
        };
        let (url, tag) = word(line);
        let url = Url::parse(url)?;
        let request = Request {
            method: if self.bodies { b"POST" } else { b"GET" },
            url,
            headers: &self.headers,
            body_bytes: length,
        };
        let head = request.head(&context.settings);
        let label = context.label(tag.trim_ascii());
        let address = context.address(url.address)?;
        let body = match length {
            Some(length) => source.payload(length)?,
            None => Payload::Memory(Default::default()),
        };
        let payload = made(head, body, context.settings.memory_payload_bytes_max)?;
        Ok(Record {
            label,
            address,
            ..Record::new(payload)
        })
    }
}

impl Parse for UriParser {
    fn next(&mut self, source: &mut Source, context: &mut Context) -> Result<Option<Record>, Bad> {
        loop {
            source.skip_line_ends()?;
            let start = source.offset();
            let Some(line) = source.line()? else {
                return Ok(None);
            };
            let line = source.bytes(line).trim_ascii().to_vec();
            let result = match &line[..] {
                [] => continue,
                [b'[', header @ .., b']'] => match self.set_header(header) {
                    Ok(()) => continue,
                    Err(bad) => Err(bad),
                },
                _ => self.record(&line, source, context),
            };
            return match result {
                Ok(record) => Ok(Some(record)),
                Err(bad) => {
                    if self.bodies {
                        source.skip_until(starts_record)?;
                    }
                    Err(bad.at(start))
                }
            };
        }
    }

    fn restart(&mut self) {
        self.headers.clear();
    }
}

/// Whether a record with a body could start with that line.
fn starts_record(line: &[u8]) -> bool {
    let (length, rest) = word(line);
    matches!(line, [b'[', .., b']']) || number(length).is_some() && Url::is_like(rest)
}
