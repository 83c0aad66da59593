//! The parts of a response that extracts and asserts read.

use std::borrow::Cow;

use encarno_nib::Response;
use encarno_record::files::MARK;
use encarno_record::script::Subject;
use serde_json::Value;

use super::BODY_BYTES_MAX;
use super::jsonpath::Path;

/// A response under inspection.
#[derive(Debug)]
pub(super) struct Inspection<'a> {
    response: Response<'a>,
    code: [u8; 3],
    /// The body as JSON, parsed on first use; the inner `None` means that it isn't JSON.
    json: Option<Option<Value>>,
}

impl<'a> Inspection<'a> {
    /// An inspection of a response. `buffer` is used if the body is compressed.
    pub(super) fn new(response: Response<'a>, status: u16, buffer: &'a mut Vec<u8>) -> Self {
        let digit = |unit: u16| b'0' + (status / unit % 10) as u8;
        Self {
            response: response.decoded(buffer, BODY_BYTES_MAX),
            code: [digit(100), digit(10), digit(1)],
            json: None,
        }
    }

    pub(super) fn part(&self, subject: Subject) -> &[u8] {
        match subject {
            Subject::Response => self.response.text(),
            Subject::Body => self.response.body(),
            Subject::Headers => self.response.head(),
            Subject::Code => &self.code,
        }
    }

    /// The nodes that a path finds in the body.
    pub(super) fn nodes(&mut self, path: &Path) -> Vec<Cow<'_, Value>> {
        let body = self.response.body();
        // Servers often write a byte order mark before JSON.
        let json = body.strip_prefix(MARK).unwrap_or(body);
        let json = self
            .json
            .get_or_insert_with(|| serde_json::from_slice(json).ok());
        json.as_ref()
            .map(|json| path.find(json))
            .unwrap_or_default()
    }
}

/// A node as text: strings without quotes, other values as JSON.
pub(super) fn node_text(node: &Value) -> Cow<'_, str> {
    match node {
        Value::String(text) => Cow::Borrowed(text),
        other => Cow::Owned(other.to_string()),
    }
}
