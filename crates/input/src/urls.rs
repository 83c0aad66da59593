//! A plain list: a URL a line, with a label before it or after it.

use encarno_record::{Payload, Record};

use super::raw::{shown, word};
use super::request::{Request, Url};
use super::source::Source;
use super::{Bad, Context, Parse};

pub(super) struct UrlsParser;

impl Parse for UrlsParser {
    fn next(&mut self, source: &mut Source, context: &mut Context) -> Result<Option<Record>, Bad> {
        loop {
            source.skip_line_ends()?;
            let start = source.offset();
            let Some(line) = source.line()? else {
                return Ok(None);
            };
            let line = source.bytes(line).trim_ascii();
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            let parse = || {
                let (url, label) = split(line)?;
                Ok((Url::parse(url)?, label))
            };
            let (url, label) = parse().map_err(|bad: Bad| bad.at(start))?;
            let label = context.label(label);
            let address = context.address(url.address)?;
            let request = Request {
                method: b"GET",
                url,
                headers: &[],
                body_bytes: None,
            };
            let payload = Payload::Memory(request.head(&context.settings).into());
            return Ok(Some(Record {
                label,
                address,
                ..Record::new(payload)
            }));
        }
    }
}

/// The URL and the label of a line. If both words could be a URL, the first is.
fn split(line: &[u8]) -> Result<(&[u8], &[u8]), Bad> {
    let (first, rest) = word(line);
    if Url::is_like(first) {
        return Ok((first, rest));
    }
    let start = line
        .iter()
        .rposition(u8::is_ascii_whitespace)
        .map_or(0, |blank| blank + 1);
    let (label, url) = line.split_at(start);
    if Url::is_like(url) {
        Ok((url, label.trim_ascii()))
    } else {
        Err(Bad::new(format!("there is no URL in {}", shown(line))))
    }
}
