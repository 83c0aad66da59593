//! `uri` ammo: `[Name: value]` lines, which apply until they are overridden, and `URI[
//! TAG]` lines. `uripost`: `LEN URI[ TAG]` and LEN bytes of body.

use encarno_record::Record;

use super::block_reader::BlockReader;
use super::context::RequestParts;
use super::raw::{number, shown, word};
use super::request::{RecordUrl, parse_header};
use super::{Parse, RecordContext, RecordError};

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

    fn set_header(&mut self, text: &[u8]) -> Result<(), RecordError> {
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
        source: &mut BlockReader,
        context: &mut RecordContext,
    ) -> Result<Record, RecordError> {
        let (length, line) = if self.bodies {
            let (length, rest) = word(line);
            let length = number(length).ok_or_else(|| {
                RecordError::new(format!(
                    "a record starts with the length of its body, and this with {}",
                    shown(line)
                ))
            })?;
            (Some(length), rest)
        } else {
            (None, line)
        };
        let (url, tag) = word(line);
        let parts = RequestParts {
            url,
            headers: &self.headers,
            label: tag.trim_ascii(),
            ..RequestParts::default()
        };
        match length {
            None => context.request_of_url(parts),
            Some(length) => {
                // Check this before the body is read, so that the next record is found.
                RecordUrl::parse(url)?;
                let method = context.settings.method.clone();
                context.request(RequestParts {
                    method: method.as_deref().unwrap_or("POST").as_bytes(),
                    body: Some(source.payload(length)?),
                    ..parts
                })
            }
        }
    }
}

impl Parse for UriParser {
    fn next(
        &mut self,
        source: &mut BlockReader,
        context: &mut RecordContext,
    ) -> Result<Option<Record>, RecordError> {
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

/// Whether a record with a body could start with this line.
fn starts_record(line: &[u8]) -> bool {
    let (length, rest) = word(line);
    matches!(line, [b'[', .., b']']) || number(length).is_some() && RecordUrl::is_like(rest)
}
