//! Makes requests from payloads: HTTP text that contains JSON becomes calls.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use encarno_grpc::{Schema, timeout_text};
use encarno_http1::{Chunks, Request, RequestBody};
use encarno_http2::Prepared;
use encarno_nib::Prepare;
use encarno_record::Payload;

/// The length of the method's number, which is stored before the request.
const NUMBER_BYTES: usize = 4;

/// Makes calls from requests.
#[derive(Debug)]
pub(super) struct Calls {
    pub(super) schema: Arc<Schema>,
    pub(super) compresses: bool,
    pub(super) timeout: Option<Duration>,
}

impl Prepare for Calls {
    fn prepare(&self, payload: Payload) -> Result<Payload, String> {
        self.call(payload, self.timeout)
    }

    fn prepare_within(&self, payload: Payload, timeout: Duration) -> Result<Payload, String> {
        self.call(payload, self.timeout.and(Some(timeout)))
    }

    fn with_field(&self, prepared: &Bytes, name: &str, value: &str) -> Option<Bytes> {
        let (number, request) = read(prepared)?;
        let request = request.with_field(name.as_bytes(), value.as_bytes())?;
        Some([&number.to_le_bytes()[..], &request].concat().into())
    }
}

impl Calls {
    fn call(&self, payload: Payload, timeout: Option<Duration>) -> Result<Payload, String> {
        let Payload::Memory(text) = payload else {
            return Err("a call is held in memory, and this one is too long".to_owned());
        };
        let request = Request::parse(&text).ok_or("it isn't an HTTP request")?;
        let target = std::str::from_utf8(request.target).unwrap_or_default();
        let number = self.schema.number(path_of(target))?;
        let method = self
            .schema
            .method(number)
            .ok_or("there is no such method")?;
        let mut messages = Vec::new();
        method.encode(&body(&request)?, self.compresses, &mut messages)?;
        let head = self.head(&request, &method.path, timeout)?;
        let head = Request::parse(&head).ok_or("its head can't be sent")?;
        let prepared = Prepared::head(&head, messages.is_empty())?;
        let out = [&number.to_le_bytes()[..], &prepared, &messages].concat();
        Ok(Payload::Memory(out.into()))
    }

    /// The head of a call: the required fields of gRPC, and the metadata.
    fn head(
        &self,
        request: &Request<'_>,
        path: &str,
        timeout: Option<Duration>,
    ) -> Result<Vec<u8>, String> {
        let mut head = format!("POST {path} HTTP/1.1\r\n").into_bytes();
        let mut add = |name: &[u8], value: &[u8]| {
            for part in [name, b": ", value, b"\r\n"] {
                head.extend_from_slice(part);
            }
        };
        if let Some(host) = request.field("host") {
            add(b"host", host);
        }
        let has = |name: &str| request.field(name).is_some();
        if let Some(timeout) = timeout
            .and_then(timeout_text)
            .filter(|_| !has("grpc-timeout"))
        {
            add(b"grpc-timeout", timeout.as_bytes());
        }
        add(b"content-type", b"application/grpc");
        add(b"te", b"trailers");
        if self.compresses {
            add(b"grpc-encoding", b"gzip");
        }
        if !has("grpc-accept-encoding") {
            add(b"grpc-accept-encoding", b"identity,gzip");
        }
        for field in request.fields() {
            let is_ours = [
                "host",
                "content-type",
                "te",
                "content-length",
                "transfer-encoding",
            ];
            if is_ours.iter().any(|name| field.is(name)) {
                continue;
            }
            if field.is("grpc-encoding") {
                let reason = "-H grpc-encoding: write -O compression=gzip instead";
                return Err(reason.to_owned());
            }
            add(field.name, field.value);
        }
        head.extend_from_slice(b"\r\n");
        Ok(head)
    }
}

/// The number of the method, and the request.
pub(super) fn read(payload: &[u8]) -> Option<(u32, Prepared<'_>)> {
    let (number, rest) = payload.split_first_chunk::<NUMBER_BYTES>()?;
    Some((u32::from_le_bytes(*number), Prepared::read(rest)?))
}

/// The path of a target, without a host before it and a query after it.
fn path_of(target: &str) -> &str {
    let target = match target.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("/", |at| &rest[at..]),
        None => target,
    };
    target.split('?').next().unwrap_or_default()
}

/// The body of a request, without chunk lines. It is everything after the head: a
/// Content-Length may be wrong, because values may have been put in after it was set.
fn body<'a>(request: &Request<'a>) -> Result<Cow<'a, [u8]>, String> {
    let mut rest = request.body().ok_or("its head has no end")?;
    if request.framing() != Some(RequestBody::Chunked) {
        return Ok(rest.into());
    }
    let (mut chunks, mut body) = (Chunks::default(), Vec::new());
    while !chunks.is_complete() {
        let decoded = Some(rest).filter(|rest| !rest.is_empty());
        let decoded = decoded.and_then(|rest| chunks.next(rest));
        let decoded = decoded.ok_or("its chunks have no end, or aren't chunks")?;
        body.extend_from_slice(decoded.data);
        rest = decoded.rest;
    }
    Ok(body.into())
}
