//! The parameters of a call as a request, in hyper's types.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use encarno_wrpc::http::{Body, Field, Message, RequestHead};
use encarno_wrpc::serve::Respond;
use encarno_wrpc::{Error, ErrorCode};
use http_body::Frame;
use wasmtime_wasi_http::p2::bindings::http::types::Scheme;

/// A request in the form of wasi:http.
pub(crate) struct Request {
    pub(crate) scheme: Scheme,
    pub(crate) request: http::Request<RequestBody>,
}

/// The request in the parameters of a call. The rest of its body arrives later.
pub(crate) fn request(params: &Bytes, responder: &mut impl Respond) -> Result<Request, Error> {
    let invalid = |reason: String| {
        Error::new(
            ErrorCode::ProtocolViolation,
            format!("the request can't be used: {reason}"),
        )
    };
    let mut message =
        Message::<RequestHead>::decode(params).map_err(|error| invalid(error.to_string()))?;
    let head = std::mem::take(&mut message.head);
    let body = responder.body(message)?;
    let scheme = match head.scheme.as_deref() {
        None | Some("http") => Scheme::Http,
        Some("https") => Scheme::Https,
        Some(other) => Scheme::Other(other.to_owned()),
    };
    let authority = match &head.authority {
        Some(authority) => authority.as_str(),
        None => host(&head.headers).unwrap_or("localhost"),
    };
    let uri = http::Uri::builder()
        .scheme(head.scheme.as_deref().unwrap_or("http"))
        .authority(authority)
        .path_and_query(head.path_with_query.as_deref().unwrap_or("/"))
        .build()
        .map_err(|error| invalid(format!("its address: {error}")))?;
    let mut request = http::Request::new(RequestBody(Some(body)));
    *request.uri_mut() = uri;
    *request.method_mut() = http::Method::from_bytes(head.method.as_bytes())
        .map_err(|error| invalid(format!("its method: {error}")))?;
    *request.headers_mut() =
        header_map(&head.headers).map_err(|error| invalid(format!("its headers: {error}")))?;
    if let Some(length) = request.headers().get(http::header::CONTENT_LENGTH)
        && !is_decimal(length.as_bytes())
    {
        return Err(invalid(format!(
            "its content-length isn't a number: {length:?}"
        )));
    }
    Ok(Request { scheme, request })
}

fn is_decimal(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(u8::is_ascii_digit)
}

fn host(headers: &[Field]) -> Option<&str> {
    let host = headers
        .iter()
        .find(|field| field.name.eq_ignore_ascii_case("host"))?;
    std::str::from_utf8(&host.value).ok()
}

fn header_map(fields: &[Field]) -> Result<http::HeaderMap, String> {
    let mut headers = http::HeaderMap::new();
    for field in fields {
        let name = http::HeaderName::from_bytes(field.name.as_bytes());
        let name = name.map_err(|error| error.to_string())?;
        let value = http::HeaderValue::from_maybe_shared(field.value.clone());
        let value = value.map_err(|error| error.to_string())?;
        let appended = headers.try_append(name, value);
        appended.map_err(|error| error.to_string())?;
    }
    Ok(headers)
}

/// The body of a request, in the form of hyper's types.
pub(crate) struct RequestBody(Option<Body>);

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = wasmtime_wasi_http::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let Some(body) = &mut self.0 else {
            return Poll::Ready(None);
        };
        let internal = |reason: String| wasmtime_wasi_http::Error::InternalError(Some(reason));
        Poll::Ready(match body.poll_chunk(context) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Ok(Some(chunk))) => Some(Ok(Frame::data(chunk))),
            Poll::Ready(Ok(None)) => {
                let trailers = body.trailers().map(header_map);
                self.0 = None;
                trailers.map(|trailers| trailers.map(Frame::trailers).map_err(internal))
            }
            Poll::Ready(Err(error)) => {
                self.0 = None;
                Some(Err(internal(error.message)))
            }
        })
    }
}
