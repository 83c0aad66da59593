//! A web server's access log: the second field between `"` is
//! `METHOD URI PROTO/VERSION`. Only GET can be repeated from it.

use encarno_record::{Payload, Record};

use super::raw::{shown, word};
use super::request::{Request, Url};
use super::source::Source;
use super::{Bad, Context, Parse};

pub(super) struct AccessParser;

impl Parse for AccessParser {
    fn next(&mut self, source: &mut Source, context: &mut Context) -> Result<Option<Record>, Bad> {
        loop {
            source.skip_line_ends()?;
            let start = source.offset();
            let Some(line) = source.line()? else {
                return Ok(None);
            };
            let line = source.bytes(line);
            if line.trim_ascii().is_empty() {
                continue;
            }
            let (method, target) = request_of(line).ok_or_else(|| {
                Bad::new(format!(
                    "no \"METHOD URI PROTO/VERSION\" in {}",
                    shown(line)
                ))
                .at(start)
            })?;
            if method != b"GET" {
                context.skipped += 1;
                continue;
            }
            let url = Url::parse(target).map_err(|bad| bad.at(start))?;
            let request = Request {
                method: b"GET",
                url,
                headers: &[],
                body_bytes: None,
            };
            let payload = Payload::Memory(request.head(&context.settings).into());
            let label = context.label(b"");
            let address = context.address(url.address)?;
            return Ok(Some(Record {
                label,
                address,
                ..Record::new(payload)
            }));
        }
    }
}

/// Method and target of a log line.
pub(super) fn request_of(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let field = line.split(|&byte| byte == b'"').nth(1)?;
    let (method, rest) = word(field);
    let (target, protocol) = word(rest);
    let known = !method.is_empty() && method.iter().all(u8::is_ascii_uppercase);
    (known && protocol.starts_with(b"HTTP/")).then_some((method, target))
}
