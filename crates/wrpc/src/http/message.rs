//! Requests and responses on the wire.

use bytes::Bytes;

use super::error_code::HandlerError;
use super::fields::{
    Field, Trailers, each_field, is_token, option, read_fields, read_option, write_fields,
    write_trailers,
};
use crate::value::{DecodeError, Reader, Write as _};

/// The head of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestHead {
    /// `GET`, `POST` and so on: a token.
    pub method: String,
    /// Usually `http` or `https`.
    pub scheme: Option<String>,
    /// The host, and the port if there is one.
    pub authority: Option<String>,
    /// The path from its first slash, and the query.
    pub path_with_query: Option<String>,
    /// The headers.
    pub headers: Vec<Field>,
}

/// The head of a response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseHead {
    /// 200 to 599.
    pub status: u16,
    /// The headers.
    pub headers: Vec<Field>,
}

/// A part that is in the message, or follows at its sub-path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part<T> {
    /// The part is in the message.
    Ready(T),
    /// The part follows.
    Pending,
}

/// A request or a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message<H> {
    /// The head.
    pub head: H,
    /// The body.
    pub body: Part<Bytes>,
    /// The trailers, usually `None`.
    pub trailers: Part<Option<Vec<Field>>>,
}

/// The methods with a number of their own, in its order.
const METHODS: [&str; 9] = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH",
];
/// The schemes with a number of their own, in its order.
const SCHEMES: [&str; 2] = ["http", "https"];

const REQUEST_METHOD: &str = "method, which must be a token";
const STATUS: &str = "status, which must be from 200 to 599";

impl Message<RequestHead> {
    /// Encodes the parameters of the call.
    pub fn encode(&self) -> Vec<u8> {
        let mut encoded = Vec::with_capacity(self.size_hint() + 128);
        self.encode_parts(&mut encoded);
        let head = &self.head;
        variant(&mut encoded, &METHODS, &head.method);
        option(&mut encoded, head.path_with_query.as_deref(), |to, path| {
            to.bytes(path.as_bytes());
        });
        option(&mut encoded, head.scheme.as_deref(), |to, scheme| {
            variant(to, &SCHEMES, scheme);
        });
        option(&mut encoded, head.authority.as_deref(), |to, authority| {
            to.bytes(authority.as_bytes());
        });
        write_fields(&mut encoded, &head.headers);
        encoded
    }

    /// Reads the parameters of a call.
    pub fn decode(params: &Bytes) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(params);
        let (body, trailers) = read_parts(&mut reader, params)?;
        let at = reader.position();
        let method = read_variant(&mut reader, &METHODS, "method")?;
        if !is_token(method.as_bytes()) {
            return Err(Reader::invalid(at, REQUEST_METHOD));
        }
        let path_with_query =
            read_option(&mut reader, |reader| reader.string().map(str::to_owned))?;
        let scheme = read_option(&mut reader, |reader| {
            read_variant(reader, &SCHEMES, "scheme")
        })?;
        let authority = read_option(&mut reader, |reader| reader.string().map(str::to_owned))?;
        let headers = read_fields(&mut reader, params)?;
        reader.finish()?;
        Ok(Self {
            head: RequestHead {
                method,
                scheme,
                authority,
                path_with_query,
                headers,
            },
            body,
            trailers,
        })
    }

    /// Checks parameters: `Ok` if the head is complete and valid.
    pub fn check(params: &[u8]) -> Result<(), DecodeError> {
        let mut reader = Reader::new(params);
        skip_parts(&mut reader)?;
        let others = METHODS.len() as u64;
        match reader.unsigned(32, "method")? {
            number if number == others => drop(reader.string()?),
            number if number < others => {}
            _ => return Err(Reader::invalid(reader.position(), "method")),
        }
        if reader.bit("option of path")? {
            reader.string()?;
        }
        if reader.bit("option of scheme")? && reader.unsigned(32, "scheme")? == 2 {
            reader.string()?;
        }
        if reader.bit("option of authority")? {
            reader.string()?;
        }
        each_field(&mut reader, |_, _| ())?;
        reader.finish()
    }
}

impl Message<ResponseHead> {
    /// Encodes the results of a call with a response.
    pub fn encode(&self) -> Vec<u8> {
        let mut encoded = Vec::with_capacity(self.size_hint() + 128);
        encoded.push(0); // ok
        self.encode_parts(&mut encoded);
        encoded.unsigned(u64::from(self.head.status));
        write_fields(&mut encoded, &self.head.headers);
        encoded
    }

    /// Reads the results of a call.
    pub fn decode(results: &Bytes) -> Result<Result<Self, HandlerError>, DecodeError> {
        let mut reader = Reader::new(results);
        if reader.bit("result")? {
            let error = HandlerError::read(&mut reader)?;
            reader.finish()?;
            return Ok(Err(error));
        }
        let (body, trailers) = read_parts(&mut reader, results)?;
        let at = reader.position();
        let status = reader.unsigned(16, "status")? as u16;
        if !(200..600).contains(&status) {
            return Err(Reader::invalid(at, STATUS));
        }
        let headers = read_fields(&mut reader, results)?;
        reader.finish()?;
        Ok(Ok(Self {
            head: ResponseHead { status, headers },
            body,
            trailers,
        }))
    }
}

impl<H> Message<H> {
    fn size_hint(&self) -> usize {
        match &self.body {
            Part::Ready(body) => body.len(),
            Part::Pending => 0,
        }
    }

    fn encode_parts(&self, encoded: &mut Vec<u8>) {
        match &self.body {
            Part::Ready(body) => {
                encoded.push(1);
                encoded.bytes(body);
            }
            Part::Pending => encoded.push(0),
        }
        match &self.trailers {
            Part::Ready(trailers) => {
                encoded.push(1);
                write_trailers(encoded, trailers.as_deref());
            }
            Part::Pending => encoded.push(0),
        }
    }
}

fn read_parts(
    reader: &mut Reader<'_>,
    whole: &Bytes,
) -> Result<(Part<Bytes>, Part<Trailers>), DecodeError> {
    let body = match reader.bit("stream")? {
        true => Part::Ready(whole.slice_ref(reader.bytes()?)),
        false => Part::Pending,
    };
    let trailers = match reader.bit("future")? {
        true => Part::Ready(read_option(reader, |reader| read_fields(reader, whole))?),
        false => Part::Pending,
    };
    Ok((body, trailers))
}

fn skip_parts(reader: &mut Reader<'_>) -> Result<(), DecodeError> {
    if reader.bit("stream")? {
        reader.bytes()?;
    }
    if reader.bit("future")? && reader.bit("option of trailers")? {
        each_field(reader, |_, _| ())?;
    }
    Ok(())
}

/// Writes the number of a known case, or the text with the number after the last one.
fn variant(encoded: &mut Vec<u8>, known: &[&str], text: &str) {
    match known.iter().position(|&name| name == text) {
        Some(number) => encoded.unsigned(number as u64),
        None => {
            encoded.unsigned(known.len() as u64);
            encoded.bytes(text.as_bytes());
        }
    }
}

fn read_variant(
    reader: &mut Reader<'_>,
    known: &[&str],
    what: &'static str,
) -> Result<String, DecodeError> {
    let at = reader.position();
    let number = reader.unsigned(32, what)? as usize;
    match known.get(number) {
        Some(&name) => Ok(name.to_owned()),
        None if number == known.len() => reader.string().map(str::to_owned),
        None => Err(Reader::invalid(at, what)),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{Field, Message, Part, RequestHead, ResponseHead};
    use crate::http::error_code::{Detail, HandlerError};
    use crate::value::DecodeError;

    fn field(name: &str, value: &'static str) -> Field {
        Field {
            name: name.into(),
            value: value.into(),
        }
    }

    fn request() -> Message<RequestHead> {
        Message {
            head: RequestHead {
                method: "POST".into(),
                scheme: Some("http".into()),
                authority: Some("h:1".into()),
                path_with_query: Some("/a?b".into()),
                headers: vec![field("x-a", "b"), field("x-a", "c")],
            },
            body: Part::Pending,
            trailers: Part::Pending,
        }
    }

    /// Bytes that upstream's wrpc-interface-http 0.34 sends and accepts.
    #[test]
    fn known_answers() {
        let encoded = b"\0\0\x02\x01\x04/a?b\x01\0\x01\x03h:1\x01\x03x-a\x02\x01b\x01c";
        assert_eq!(request().encode(), encoded);
        assert_eq!(
            Message::<RequestHead>::decode(&Bytes::from_static(encoded)),
            Ok(request())
        );

        let encoded = b"\0\0\0\xc9\x01\x02\x08x-method\x01\x04POST\x06x-path\x01\x02/a";
        let response = Message {
            head: ResponseHead {
                status: 201,
                headers: vec![field("x-method", "POST"), field("x-path", "/a")],
            },
            body: Part::Pending,
            trailers: Part::Pending,
        };
        assert_eq!(response.encode(), encoded);
        let decoded = Message::<ResponseHead>::decode(&Bytes::from_static(encoded));
        assert_eq!(decoded, Ok(Ok(response)));

        let denied = HandlerError::new("HTTP-request-denied", Detail::None).expect("a case");
        assert_eq!(denied.encode(), b"\x01\x0f");
    }

    #[test]
    fn every_part_survives_a_round_trip() {
        let mut message = request();
        message.body = Part::Ready(Bytes::from_static(b"body"));
        message.trailers = Part::Ready(Some(vec![field("x-t", "u")]));
        message.head.method = "BREW".into();
        message.head.scheme = Some("coap".into());
        message.head.headers.push(field("X-A", "d"));
        let encoded = Bytes::from(message.encode());
        // Names that differ only in case are the same name.
        message.head.headers[2].name = "x-a".into();
        assert_eq!(Message::<RequestHead>::decode(&encoded), Ok(message));
        assert_eq!(Message::<RequestHead>::check(&encoded), Ok(()));
        for cut in 0..encoded.len() {
            let error = Message::<RequestHead>::check(&encoded[..cut]);
            assert!(matches!(error, Err(DecodeError::Truncated { .. })), "{cut}");
            assert!(Message::<RequestHead>::decode(&encoded.slice(..cut)).is_err());
        }
    }

    #[test]
    fn what_no_response_can_be_is_an_error() {
        let response = |status: u16, name: &str, value: &'static str| {
            let message = Message {
                head: ResponseHead {
                    status,
                    headers: vec![field(name, value)],
                },
                body: Part::Ready(Bytes::new()),
                trailers: Part::Ready(None),
            };
            Message::<ResponseHead>::decode(&message.encode().into())
        };
        assert!(response(200, "a", "b\tc").is_ok());
        for (status, name, value, about) in [
            (199, "a", "b", "status"),
            (600, "a", "b", "status"),
            (200, "a b", "c", "header name"),
            (200, "", "c", "header name"),
            (200, "a", "b\r\nc: d", "header value"),
        ] {
            let error = response(status, name, value).expect_err(about);
            assert!(error.to_string().contains(about), "{error}");
        }
        // Lengths of 4 GiB for the body, the headers, and a name.
        for bomb in [
            &b"\0\x01\xff\xff\xff\xff\x0f"[..],
            b"\0\0\0\xc8\x01\xff\xff\xff\xff\x0f",
            b"\0\0\0\xc8\x01\x01\xff\xff\xff\xff\x0f",
        ] {
            let error = Message::<ResponseHead>::decode(&Bytes::from_static(bomb));
            assert!(matches!(error, Err(DecodeError::Truncated { .. })));
        }
        assert!(Message::<ResponseHead>::decode(&Bytes::from_static(b"\x01\x27")).is_err());
    }
}
