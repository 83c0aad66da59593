//! Masks what may be secret in requests, answers and URLs.
//!
//! The names of all secrets can't be known. So these parts are shown, and everything else
//! is masked: of a URL, the scheme, host, port and path, and the names in its query; of a
//! head, the start line, the names of headers, and the values of those in
//! [`SHOWN_HEADERS`]; of a body in JSON or of a form, the names. Bytes are overwritten
//! one by one, so that lengths stay.

use std::borrow::Cow;

use memchr::{memchr, memrchr};

/// The headers whose values are shown, sorted.
pub const SHOWN_HEADERS: [&str; 54] = [
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "accept-ranges",
    "access-control-allow-headers",
    "access-control-allow-methods",
    "access-control-allow-origin",
    "access-control-max-age",
    "access-control-request-headers",
    "access-control-request-method",
    "age",
    "allow",
    "alt-svc",
    "cache-control",
    "connection",
    "content-encoding",
    "content-language",
    "content-length",
    "content-range",
    "content-type",
    "date",
    "encarno-messages",
    "etag",
    "expect",
    "expires",
    "grpc-accept-encoding",
    "grpc-encoding",
    "grpc-status",
    "grpc-timeout",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "keep-alive",
    "last-modified",
    "location",
    "origin",
    "pragma",
    "range",
    "referer",
    "retry-after",
    "server",
    "strict-transport-security",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "vary",
    "via",
    "warning",
    "x-content-type-options",
    "x-powered-by",
];

/// What is shown in addition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// Names of headers in lower case, `query`, `body`, or `all`.
    names: Vec<String>,
}

impl Shown {
    /// Shows everything.
    pub fn all() -> Self {
        Self::of(["all"])
    }

    /// Shows the values of these headers; `query` and `body` show those, and `all` shows
    /// everything.
    pub fn of<T: AsRef<str>>(names: impl IntoIterator<Item = T>) -> Self {
        let names = names.into_iter();
        Self {
            names: names
                .map(|name| name.as_ref().to_ascii_lowercase())
                .collect(),
        }
    }

    fn has(&self, name: &str) -> bool {
        self.names
            .iter()
            .any(|other| other == name || other == "all")
    }

    /// Whether the value of this header is shown.
    pub fn shows_header(&self, name: &str) -> bool {
        let name = name.trim().to_ascii_lowercase();
        SHOWN_HEADERS.binary_search(&&*name).is_ok() || self.has(&name)
    }

    /// Masks a request or an answer. Bytes that aren't HTTP count as a body.
    pub fn mask(&self, bytes: &mut [u8]) {
        if self.has("all") {
            return;
        }
        let mut at = 0;
        let mut content = Content::Unknown;
        while is_head(&bytes[at..]) {
            let interim = bytes[at..].starts_with(b"HTTP/1.1 1");
            let (head_end, head_content) = self.mask_head(&mut bytes[at..]);
            at += head_end;
            content = head_content;
            if !interim {
                break;
            }
        }
        if !self.has("body") {
            content.mask(&mut bytes[at..]);
        }
    }

    /// Masks a head, and returns its end and the kind of its body.
    fn mask_head(&self, bytes: &mut [u8]) -> (usize, Content) {
        let mut at = line_end(bytes, 0);
        self.mask_start_line(&mut bytes[..at]);
        let mut content = Content::Unknown;
        let mut shown = true;
        while at < bytes.len() {
            let end = line_end(bytes, at);
            let line = &mut bytes[at..end];
            at = end;
            if line.trim_ascii().is_empty() {
                break;
            }
            // A line that starts with a blank continues the previous value.
            if line[0] != b' ' && line[0] != b'\t' {
                let colon = memchr(b':', line).unwrap_or(0);
                let (name, value) = line.split_at_mut(colon);
                let name = String::from_utf8_lossy(name).into_owned();
                shown = colon > 0 && self.shows_header(&name);
                if name.eq_ignore_ascii_case("content-type") {
                    content = Content::of_type(value);
                }
                if shown
                    && (name.eq_ignore_ascii_case("location")
                        || name.eq_ignore_ascii_case("referer"))
                {
                    self.mask_url(value);
                }
                if !shown {
                    let rest = usize::from(colon > 0);
                    stars(&mut value[rest..]);
                }
            } else if !shown {
                stars(line);
            }
        }
        (at, content)
    }

    fn mask_start_line(&self, line: &mut [u8]) {
        if line.starts_with(b"HTTP/") {
            return;
        }
        let start = memchr(b' ', line).map_or(line.len(), |blank| blank + 1);
        let end = memrchr(b' ', line).unwrap_or(line.len()).max(start);
        self.mask_url(&mut line[start..end]);
    }

    /// Masks a user's name and password, and the values of a query.
    fn mask_url(&self, url: &mut [u8]) {
        stars_of_user(url);
        let query = url.iter().position(|byte| b"?#".contains(byte));
        let (_, query) = url.split_at_mut(query.unwrap_or(url.len()));
        if !self.has("query") && !query.is_empty() {
            mask_pairs(&mut query[1..]);
        }
    }
}

/// A URL for messages: without user and password, and without the values of its query.
pub fn masked_url(url: &str) -> String {
    let mut bytes = url.as_bytes().to_vec();
    Shown::default().mask_url(&mut bytes);
    text_of(bytes)
}

/// Any text for messages: what follows `?`, `=` or `:` may be secret.
pub fn masked_text(text: &[u8]) -> Cow<'_, str> {
    let text = String::from_utf8_lossy(text);
    match text.find(['?', '=', ':', '@']) {
        None => text,
        Some(end) => Cow::Owned(format!("{}…", &text[..=end])),
    }
}

/// Masks user and password. The URL may have no scheme, and the password may contain a
/// raw `/`, `?` or `#`.
fn stars_of_user(url: &mut [u8]) {
    let scheme = memchr::memmem::find(url, b"://").map(|at| at + 3);
    let start = match scheme {
        Some(start) => start,
        None if url.starts_with(b"//") => 2,
        None => 0,
    };
    let rest = &mut url[start..];
    let is_end = |byte: &u8| b"/?#".contains(byte);
    let end = rest.iter().position(is_end).unwrap_or(rest.len());
    if let Some(at) = memrchr(b'@', &rest[..end]) {
        return stars(&mut rest[..at]);
    }
    // If the text after the colon isn't a port, it is a password that continues after the
    // `/`.
    let port = memchr(b':', &rest[..end]).map(|colon| &rest[colon + 1..end]);
    let is_port = |port: &[u8]| port.iter().all(u8::is_ascii_digit);
    if port.is_some_and(|port| !is_port(port))
        && !rest.starts_with(b"[")
        && let Some(at) = memrchr(b'@', rest)
    {
        stars(&mut rest[..at]);
    }
}

/// The kind of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    Form,
    Unknown,
}

impl Content {
    fn of_type(value: &[u8]) -> Self {
        match memchr::memmem::find(value, b"x-www-form-urlencoded") {
            Some(_) => Self::Form,
            None => Self::Unknown,
        }
    }

    fn mask(self, body: &mut [u8]) {
        match (self, body.trim_ascii_start().first()) {
            (Self::Form, _) => mask_pairs(body),
            (Self::Unknown, Some(b'{' | b'[')) => mask_json(body),
            (Self::Unknown, _) => stars(body),
        }
    }
}

/// Masks the values of `name=value&…`, and names without a value.
fn mask_pairs(pairs: &mut [u8]) {
    for pair in pairs.split_mut(|&byte| byte == b'&') {
        let value = memchr(b'=', pair).map_or(0, |equals| equals + 1);
        stars(&mut pair[value..]);
    }
}

/// Masks strings that aren't names, and numbers. A body that isn't JSON is masked
/// completely.
fn mask_json(body: &mut [u8]) {
    let mut at = 0;
    while let Some(&byte) = body.get(at) {
        match byte {
            b'"' => {
                let start = at + 1;
                let mut end = start;
                while let Some(&inner) = body.get(end).filter(|&&inner| inner != b'"') {
                    end += if inner == b'\\' { 2 } else { 1 };
                }
                let end = end.min(body.len());
                at = end + 1;
                let after = body.get(at..).unwrap_or_default().trim_ascii_start();
                if after.first() != Some(&b':') {
                    body[start..end].fill(b'*');
                }
            }
            b'{' | b'}' | b'[' | b']' | b':' | b',' => at += 1,
            byte if byte.is_ascii_whitespace() => at += 1,
            _ => {
                let rest = &body[at..];
                let length = rest
                    .iter()
                    .position(|byte| b",]} \t\r\n".contains(byte))
                    .unwrap_or(rest.len())
                    .max(1);
                if !matches!(&rest[..length], b"true" | b"false" | b"null") {
                    stars(&mut body[at..at + length]);
                }
                at += length;
            }
        }
    }
}

fn stars(bytes: &mut [u8]) {
    for byte in bytes.iter_mut().filter(|byte| !byte.is_ascii_whitespace()) {
        *byte = b'*';
    }
}

/// Whether an HTTP/1 message starts here.
fn is_head(bytes: &[u8]) -> bool {
    let line = bytes[..line_end(bytes, 0)].trim_ascii_end();
    if line.starts_with(b"HTTP/") {
        return true;
    }
    memrchr(b' ', line).is_some_and(|blank| line[blank..].starts_with(b" HTTP/"))
}

/// The end of the line that starts here, after its line break.
fn line_end(bytes: &[u8], start: usize) -> usize {
    memchr(b'\n', &bytes[start..]).map_or(bytes.len(), |length| start + length + 1)
}

fn text_of(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::{SHOWN_HEADERS, Shown, masked_url};

    fn masked_by(shown: &Shown, text: &str) -> String {
        let mut bytes = text.as_bytes().to_vec();
        shown.mask(&mut bytes);
        assert_eq!(bytes.len(), text.len());
        String::from_utf8(bytes).expect("stars are text")
    }

    #[test]
    fn what_is_not_listed_is_masked_and_lengths_stay() {
        assert!(SHOWN_HEADERS.is_sorted());
        for (text, expected) in [
            (
                "GET /p?token=abc&x HTTP/1.1\r\ncookie: a=b\r\nHost: h\r\nX-Session:t\r\n\r\n",
                "GET /p?token=***&* HTTP/1.1\r\ncookie: ***\r\nHost: h\r\nX-Session:*\r\n\r\n",
            ),
            (
                "POST http://u:p@h/a HTTP/1.1\r\nOcp-Apim-Subscription-Key: k\r\nX-Json: {\"a\": \"b\"}\r\n\r\nab cd",
                "POST http://***@h/a HTTP/1.1\r\nOcp-Apim-Subscription-Key: *\r\nX-Json: ***** ****\r\n\r\n** **",
            ),
            (
                "HTTP/1.1 103 Early\nLink: b\n\nHTTP/1.1 302 Found\nSet-Cookie: x\n y\nLocation: /a?code=1\n\nz",
                "HTTP/1.1 103 Early\nLink: *\n\nHTTP/1.1 302 Found\nSet-Cookie: *\n *\nLocation: /a?code=*\n\n*",
            ),
            (
                "HTTP/1.1 200 OK\r\n\r\n{\"user\": {\"pin\": 1234, \"on\": true, \"a\\\"b\": [\"x\\\"y\", null]}}",
                "HTTP/1.1 200 OK\r\n\r\n{\"user\": {\"pin\": ****, \"on\": true, \"a\\\"b\": [\"****\", null]}}",
            ),
            (
                "POST / HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\n\r\nuser=jo&word=no",
                "POST / HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\n\r\nuser=**&word=**",
            ),
            ("hi there", "** *****"),
            ("Authorization: Basic", "************** *****"),
            ("{\"open", "{\"****"),
            ("{\"open\\", "{\"*****"),
            ("", ""),
        ] {
            assert_eq!(masked_by(&Shown::default(), text), expected);
            assert_eq!(masked_by(&Shown::all(), text), text);
        }
    }

    #[test]
    fn what_is_named_is_shown_too() {
        let text = "GET /p?a=b HTTP/1.1\r\nX-Id: 7\r\nX-Key: k\r\n\r\nbody";
        let shown = |names: &[&str]| masked_by(&Shown::of(names), text);
        assert_eq!(
            shown(&["X-Id", "query"]),
            "GET /p?a=b HTTP/1.1\r\nX-Id: 7\r\nX-Key: *\r\n\r\n****"
        );
        assert_eq!(
            shown(&["body"]),
            "GET /p?a=* HTTP/1.1\r\nX-Id: *\r\nX-Key: *\r\n\r\nbody"
        );
    }

    #[test]
    fn users_are_masked_whatever_a_url_looks_like() {
        for (url, shown) in [
            ("bob:pw@h:1/x", "******@h:1/x"),
            ("//bob:pw@h/", "//******@h/"),
            ("http+unix://bob:pw@/x", "http+unix://******@/x"),
            ("http://bob:p#w@h/", "http://*******@h/"),
            ("http://bob:p/w@h/", "http://*******@h/"),
            ("bob:p?w@h", "*******@h"),
            ("http://h:80/users/@me", "http://h:80/users/@me"),
            ("http://h/a:b/@me", "http://h/a:b/@me"),
            ("http://[::1]:80/@me", "http://[::1]:80/@me"),
            ("/users/a:b@c", "/users/a:b@c"),
            ("tcp:h", "tcp:h"),
        ] {
            assert_eq!(masked_url(url), shown);
        }
    }

    #[test]
    fn urls_in_messages() {
        assert_eq!(
            masked_url("http://user:pass@h:1/p?k=v&t"),
            "http://*********@h:1/p?k=*&*"
        );
        assert_eq!(masked_url("/p?"), "/p?");
    }
}
