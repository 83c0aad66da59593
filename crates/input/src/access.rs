//! Access logs, as web servers, proxies and load balancers write them. Only GET requests
//! can be repeated from a log, because it contains no bodies.
//!
//! - `quoted`: a line with `"METHOD URI PROTO"` in it (nginx, Apache, Traefik,
//!   ALB and ELB, S3, Envoy …)
//! - `json`: an object a line (Caddy, Traefik, nginx, Google Cloud, CloudFront,
//!   Cloudflare, AWS's firewall, Azure, Elastic's schema)
//! - `table`: columns that a `#Fields:` line names (IIS, CloudFront)

mod json;
mod quoted;
mod table;

use std::borrow::Cow;

use encarno_record::Record;

use super::block_reader::BlockReader;
use super::context::RequestParts;
use super::raw::shown;
use super::request::{RecordUrl, is_method};
use super::{Parse, RecordContext, RecordError};

#[derive(Default)]
pub(super) struct AccessParser {
    /// The columns of the last `#Fields:` line.
    columns: Option<table::Columns>,
}

/// The content of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Logged<'a> {
    /// A request.
    Request {
        method: Cow<'a, [u8]>,
        url: Cow<'a, [u8]>,
        /// The host; empty if the log doesn't contain it.
        host: Cow<'a, [u8]>,
    },
    /// A connection without a request, or bytes that aren't one.
    NoRequest,
}

impl Logged<'_> {
    fn into_owned(self) -> Logged<'static> {
        let owned = |bytes: Cow<'_, [u8]>| Cow::Owned(bytes.into_owned());
        match self {
            Self::NoRequest => Logged::NoRequest,
            Self::Request { method, url, host } => Logged::Request {
                method: owned(method),
                url: owned(url),
                host: owned(host),
            },
        }
    }
}

impl Parse for AccessParser {
    fn next(
        &mut self,
        source: &mut BlockReader,
        context: &mut RecordContext,
    ) -> Result<Option<Record>, RecordError> {
        let settings = &context.settings;
        if (settings.record_hosts || settings.address_from_host) && !settings.log_hosts {
            return Err(RecordError::fatal(
                "an access log may name any host, since strangers write into it: name the target, \
                 or send its requests to the hosts in it with --record-hosts (in a configuration, \
                 recordhosts: true)",
            ));
        }
        loop {
            source.skip_line_ends()?;
            let start = source.offset();
            let Some(line) = source.line()? else {
                return Ok(None);
            };
            let line = source.bytes(line).trim_ascii();
            if line.is_empty() || self.is_directive(line) {
                continue;
            }
            let logged = self.logged(line).ok_or_else(|| {
                RecordError::new(format!(
                    "no line of an access log: neither \"METHOD URI PROTO\" nor a JSON object nor \
                     columns after a #Fields: line, but {}",
                    shown(line)
                ))
                .at(start)
            })?;
            let Logged::Request { method, url, host } = logged else {
                context.left_out.add("lines without a request");
                continue;
            };
            // Elastic's schema has methods in lower case.
            if !method.eq_ignore_ascii_case(b"GET") {
                context
                    .left_out
                    .add(String::from_utf8_lossy(&method[..method.len().min(20)]).into_owned());
                continue;
            }
            // `*`, `host:port` and the like, which scanners send, can't be repeated.
            if RecordUrl::parse(&url).is_err() {
                context.left_out.add("GET with an URI that isn't one");
                continue;
            }
            let parts = RequestParts {
                url: &url,
                host: &host,
                ..RequestParts::default()
            };
            return context
                .request_of_url(parts)
                .map(Some)
                .map_err(|error| error.at(start));
        }
    }

    fn restart(&mut self) {
        self.columns = None;
    }
}

impl AccessParser {
    fn is_directive(&mut self, line: &[u8]) -> bool {
        if let Some(columns) = table::Columns::of_directive(line) {
            self.columns = Some(columns);
        }
        line.starts_with(b"#")
    }

    fn logged<'a>(&self, line: &'a [u8]) -> Option<Logged<'a>> {
        let line = without_container(line);
        match &self.columns {
            Some(columns) => columns.logged(line),
            None if line.starts_with(b"{") => json::logged(line),
            None => quoted::logged(line),
        }
    }
}

/// The output of a container, without Kubernetes' prefix `TIME stdout F `.
fn without_container(line: &[u8]) -> &[u8] {
    let mut words = line.splitn(4, |&byte| byte == b' ');
    match (words.next(), words.next(), words.next(), words.next()) {
        (Some(time), Some(b"stdout" | b"stderr"), Some(b"F" | b"P"), Some(rest))
            if time.contains(&b'T') =>
        {
            rest
        }
        _ => line,
    }
}

/// Whether lines are those of an access log. The first line may be about a connection
/// without a request, and a server may log other things between requests.
pub(super) fn is_log<'a>(lines: impl Iterator<Item = &'a [u8]>) -> bool {
    let mut parser = AccessParser::default();
    let (mut requests, mut own, mut unknown) = (0_usize, 0_usize, 0_usize);
    for line in lines {
        if parser.is_directive(line) {
            continue;
        }
        match parser.logged(line) {
            Some(Logged::Request { .. }) => requests += 1,
            Some(Logged::NoRequest) => own += 1,
            None => unknown += 1,
        }
    }
    // The last line may be truncated.
    requests > 0 && unknown <= 1 + (requests + own) / 2
}

/// Splits `METHOD URI PROTO`. A URI that contains a blank was sent like that and is
/// invalid.
fn request_line(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let start = line.iter().position(|&byte| byte == b' ')?;
    let end = line.iter().rposition(|&byte| byte == b' ')?;
    let (method, protocol) = (&line[..start], &line[end + 1..]);
    let known = is_method(method) && method.iter().all(|byte| !byte.is_ascii_lowercase());
    (known && start < end && protocol.starts_with(b"HTTP/"))
        .then(|| (method, &line[start + 1..end]))
}
