//! A plain list: a URL on each line, with a label before or after it.

use encarno_record::Record;

use super::block_reader::BlockReader;
use super::context::RequestParts;
use super::raw::{shown, word};
use super::request::RecordUrl;
use super::{Parse, RecordContext, RecordError, vegeta};

pub(super) struct UrlsParser;

impl Parse for UrlsParser {
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
            let line = source.bytes(line).trim_ascii();
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            return split(line)
                .and_then(|(url, label)| {
                    context.request_of_url(RequestParts {
                        url,
                        label,
                        ..RequestParts::default()
                    })
                })
                .map(Some)
                .map_err(|error| error.at(start));
        }
    }
}

/// The URL and the label of a line. If both words could be a URL, the first one is.
fn split(line: &[u8]) -> Result<(&[u8], &[u8]), RecordError> {
    let (first, rest) = word(line);
    if RecordUrl::is_like(first) {
        return Ok((first, rest));
    }
    if vegeta::is_target(line) {
        let reason = "METHOD URL is a target of vegeta's, and no URL with a label: --format vegeta";
        return Err(RecordError::new(reason));
    }
    let start = line
        .iter()
        .rposition(u8::is_ascii_whitespace)
        .map_or(0, |blank| blank + 1);
    let (label, url) = line.split_at(start);
    if RecordUrl::is_like(url) {
        Ok((url, label.trim_ascii()))
    } else {
        Err(RecordError::new(format!(
            "there is no URL in {}",
            shown(line)
        )))
    }
}
