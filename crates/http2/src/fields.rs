//! The fields of requests: from HTTP/1 text, and back for people. HTTP/2 and HTTP/3 have
//! the same ones.

use encarno_http1::Request;

/// Calls `take` with each field that a request has in HTTP/2 and HTTP/3, the pseudo-fields
/// first, of which `:scheme` is the first one. The error says what is wrong with its head.
pub fn request_fields(
    request: &Request<'_>,
    scheme: &str,
    mut take: impl FnMut(&[u8], &[u8]),
) -> Result<(), String> {
    let is_connect = request.method == b"CONNECT";
    let (authority, path) = match is_connect {
        true => (Some(request.target), &b""[..]),
        false => split_target(request.target),
    };
    let authority = authority.or_else(|| request.field("host"));
    if !is_connect {
        take(b":scheme", scheme.as_bytes());
    }
    take(b":method", request.method);
    if !is_connect {
        take(b":path", path);
    }
    if let Some(authority) = authority.filter(|authority| !authority.is_empty()) {
        take(b":authority", authority);
    }
    let named: Vec<_> = request
        .fields()
        .filter(|field| field.is("connection"))
        .flat_map(|field| field.value.split(|&byte| byte == b','))
        .map(|name| name.trim_ascii().to_ascii_lowercase())
        .collect();
    let mut value = Vec::new();
    for field in request.fields() {
        let name = field.name.to_ascii_lowercase();
        if name.is_empty() {
            return Err("a line of its head isn't a field".to_owned());
        }
        if is_of_http1(&name) || named.contains(&name) && name != b"te" {
            continue;
        }
        if name == b"te" {
            let says = |text: &[u8]| text.trim_ascii().eq_ignore_ascii_case(b"trailers");
            if field.value.split(|&byte| byte == b',').any(says) {
                take(&name, b"trailers");
            }
            continue;
        }
        value.clear();
        // A value on several lines is joined with blanks.
        value.extend(field.value.iter().map(|&byte| match byte {
            b'\r' | b'\n' => b' ',
            byte => byte,
        }));
        take(&name, &value);
    }
    Ok(())
}

/// A request as HTTP/1 text, for people.
#[derive(Debug, Default)]
pub struct RequestText {
    method: Vec<u8>,
    target: Vec<u8>,
    authority: Vec<u8>,
    fields: Vec<u8>,
}

impl RequestText {
    /// Takes the next field.
    pub fn take(&mut self, name: &[u8], value: &[u8]) {
        match name {
            b":method" => self.method = value.to_vec(),
            b":path" => self.target = value.to_vec(),
            b":authority" => self.authority = value.to_vec(),
            b":scheme" => {}
            _ => {
                for part in [name, b": ", value, b"\r\n"] {
                    self.fields.extend_from_slice(part);
                }
            }
        }
    }

    /// The text, with the name of the protocol.
    pub fn whole(self, protocol: &str, body: &[u8]) -> Vec<u8> {
        let target = match self.target.is_empty() {
            true => &self.authority,
            false => &self.target,
        };
        let protocol = protocol.as_bytes();
        let line = [&self.method[..], b" ", target, b" ", protocol, b"\r\n"].concat();
        let host = match self.authority.is_empty() {
            true => Vec::new(),
            false => [b"host: ", &self.authority[..], b"\r\n"].concat(),
        };
        [&line[..], &host, &self.fields, b"\r\n", body].concat()
    }
}

/// The authority and path of a target, which may be a whole URL.
fn split_target(target: &[u8]) -> (Option<&[u8]>, &[u8]) {
    let Some(at) = target.windows(3).position(|three| three == b"://") else {
        return (None, target);
    };
    if !target[..at].iter().all(u8::is_ascii_alphanumeric) {
        return (None, target);
    }
    let rest = &target[at + 3..];
    match rest.iter().position(|byte| matches!(byte, b'/' | b'?')) {
        Some(end) => (Some(&rest[..end]), &rest[end..]),
        None => (Some(rest), b"/"),
    }
}

/// Whether the field belongs to an HTTP/1 connection, or a pseudo-field replaces it.
fn is_of_http1(name: &[u8]) -> bool {
    matches!(
        name,
        b"connection"
            | b"keep-alive"
            | b"proxy-connection"
            | b"transfer-encoding"
            | b"upgrade"
            | b"http2-settings"
            | b"host"
    )
}
