//! The handshake, which turns an HTTP/1.1 connection into a WebSocket (RFC 6455, 4).

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use encarno_http1::{Request, fields, head_end};
use ring::digest;

use crate::deflate::Deflate;
use crate::error::HandshakeError;

/// The text that each server appends to the client's key.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A random key of a client, which shows whether the server understands WebSocket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key(String);

impl Key {
    /// A key from random bytes.
    pub fn new(random: [u8; 16]) -> Self {
        Self(BASE64_STANDARD.encode(random))
    }

    /// A seed for the masks of its connection.
    pub fn seed(&self) -> u64 {
        let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, self.0.as_bytes());
        let bytes = hash.as_ref().first_chunk().copied().unwrap_or_default();
        u64::from_ne_bytes(bytes)
    }
}

/// The request of a client.
#[derive(Clone, Copy, Debug)]
pub struct Offer<'a> {
    /// Path and query.
    pub path: &'a str,
    /// Host and port.
    pub host: &'a str,
    /// Further lines `Name: value`, each with its line end.
    pub fields: &'a str,
    /// Offers to compress messages.
    pub deflate: Option<Deflate>,
}

/// The agreement of both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// The length of the head of the server's answer.
    pub head_bytes: usize,
    /// Messages may be compressed.
    pub deflate: Option<Deflate>,
}

impl Offer<'_> {
    /// Writes the request.
    pub fn request(&self, key: &Key, out: &mut Vec<u8>) {
        let Self {
            path,
            host,
            fields,
            deflate,
        } = self;
        let key = &key.0;
        let has_host = fields_of(fields.as_bytes(), "host").next().is_some();
        let host = match has_host {
            true => String::new(),
            false => format!("Host: {host}\r\n"),
        };
        let mut extensions = String::new();
        if let Some(deflate) = deflate {
            deflate.write(&mut extensions);
        }
        let text = format!(
            "GET {path} HTTP/1.1\r\n{host}Upgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n{extensions}{fields}\r\n"
        );
        out.extend_from_slice(text.as_bytes());
    }

    /// Whether the handshake itself sets this field.
    pub fn is_own(name: &str) -> bool {
        const OWN: [&str; 6] = [
            "upgrade",
            "connection",
            "sec-websocket-key",
            "sec-websocket-version",
            "content-length",
            "transfer-encoding",
        ];
        OWN.iter().any(|own| name.eq_ignore_ascii_case(own))
    }
}

/// Reads the server's answer to an offer with these fields, if its head is complete.
pub fn read_answer(
    bytes: &[u8],
    key: &Key,
    offered: &str,
    deflate: Option<&Deflate>,
    head_bytes_max: usize,
) -> Result<Option<Agreed>, HandshakeError> {
    // An answer that isn't HTTP is an error at once, without waiting for its end.
    let begin = b"HTTP/1.1 ";
    let length = bytes.len().min(begin.len());
    if bytes[..length] != begin[..length] {
        return Err(HandshakeError::NotHttp);
    }
    let Some(end) = head_end(bytes, 0).filter(|&end| end <= head_bytes_max) else {
        return match bytes.len() <= head_bytes_max {
            true => Ok(None),
            false => Err(HandshakeError::TooLong),
        };
    };
    let line_end = bytes.iter().position(|&byte| byte == b'\n').unwrap_or(end);
    let status = bytes.get(begin.len()..begin.len() + 3);
    let status = status.and_then(|status| std::str::from_utf8(status).ok()?.parse().ok());
    match status {
        Some(101) => {}
        Some(status) => return Err(HandshakeError::Status(status)),
        None => return Err(HandshakeError::NotHttp),
    }
    let head = &bytes[line_end + 1..end];
    let has = |name: &str, word: &str| {
        let mut words = fields_of(head, name).flat_map(|value| value.split(|&byte| byte == b','));
        words.any(|found| found.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
    };
    let bad = |text| Err(HandshakeError::Field(text));
    if !has("upgrade", "websocket") || !has("connection", "upgrade") {
        return bad("it doesn't upgrade to websocket");
    }
    let accepted = fields_of(head, "sec-websocket-accept").next();
    if accepted != Some(accept_of(key.0.as_bytes()).as_bytes()) {
        return bad("its Sec-WebSocket-Accept doesn't belong to the key");
    }
    let mut extensions = fields_of(head, "sec-websocket-extensions");
    let agreed = match (extensions.next(), extensions.next()) {
        (None, _) => None,
        (Some(extensions), None) => {
            let agreed = Deflate::read_answer(extensions, deflate);
            Some(agreed.map_err(HandshakeError::Field)?)
        }
        (Some(_), Some(_)) => return bad("it names extensions twice"),
    };
    let mut offered = fields_of(offered.as_bytes(), "sec-websocket-protocol")
        .flat_map(|value| value.split(|&byte| byte == b','));
    if let Some(protocol) = fields_of(head, "sec-websocket-protocol").next()
        && !offered.any(|offered| offered.trim_ascii() == protocol)
    {
        return bad("it chose a subprotocol that wasn't offered");
    }
    Ok(Some(Agreed {
        head_bytes: end,
        deflate: agreed,
    }))
}

/// On a server, the accept value for a request that wants a WebSocket; `None` if it
/// doesn't.
pub fn accept(request: &Request<'_>) -> Option<String> {
    let has = |name: &str, word: &str| {
        let mut words =
            fields_of(request.fields, name).flat_map(|value| value.split(|&byte| byte == b','));
        words.any(|found| found.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
    };
    let is_wanted = request.method == b"GET"
        && has("upgrade", "websocket")
        && has("connection", "upgrade")
        && has("sec-websocket-version", "13");
    let key = request.field("sec-websocket-key").filter(|_| is_wanted)?;
    let is_key = BASE64_STANDARD.decode(key).is_ok_and(|key| key.len() == 16);
    is_key.then(|| accept_of(key))
}

/// On a server, how messages are compressed if the request offers that.
pub fn accept_deflate(request: &Request<'_>) -> Option<Deflate> {
    Deflate::choose(fields_of(request.fields, "sec-websocket-extensions"))
}

/// The head of this answer.
pub fn answer(accepted: &str, deflate: Option<&Deflate>) -> Vec<u8> {
    let mut text = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accepted}\r\n"
    );
    if let Some(deflate) = deflate {
        deflate.write(&mut text);
    }
    text.push_str("\r\n");
    text.into_bytes()
}

fn accept_of(key: &[u8]) -> String {
    let mut hash = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    hash.update(key);
    hash.update(GUID);
    BASE64_STANDARD.encode(hash.finish())
}

fn fields_of<'a>(head: &'a [u8], name: &str) -> impl Iterator<Item = &'a [u8]> {
    let fields = fields(head).filter(move |field| field.is(name));
    fields.map(|field| field.value)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test that fails here says enough

    use encarno_http1::Request;

    use super::{Agreed, Key, Offer, accept, accept_deflate, accept_of, answer, read_answer};
    use crate::{Deflate, HandshakeError};

    fn key() -> Key {
        Key::new(*b"the sample nonce")
    }

    #[test]
    fn the_example_of_the_rfc() {
        let accepted = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
        assert_eq!(accept_of(b"dGhlIHNhbXBsZSBub25jZQ=="), accepted);
        assert_eq!(key().0, "dGhlIHNhbXBsZSBub25jZQ==");
        let mut request = Vec::new();
        let offer = Offer {
            path: "/chat",
            host: "server.example.com",
            fields: "Origin: http://example.com\r\nSec-WebSocket-Protocol: chat, superchat\r\n",
            deflate: None,
        };
        offer.request(&key(), &mut request);
        let request = Request::parse(&request).unwrap();
        assert_eq!(accept(&request).as_deref(), Some(accepted));
        assert_eq!(accept_deflate(&request), None);
        let answer = [&answer(accepted, None)[..], b"\x81\x00"].concat();
        let end = answer.len() - 2;
        let read = |length: usize| read_answer(&answer[..length], &key(), "", None, 1000);
        for cut in 0..end {
            assert_eq!(read(cut), Ok(None));
        }
        let agreed = Agreed {
            head_bytes: end,
            deflate: None,
        };
        assert_eq!(read(answer.len()), Ok(Some(agreed)));
    }

    /// What a server that is asked so answers, and what both agree on.
    fn negotiated(offer: &str) -> (String, Option<Deflate>) {
        let deflate = Some(Deflate::offer(offer).unwrap());
        let offer = Offer {
            path: "/",
            host: "x",
            fields: "",
            deflate,
        };
        let mut request = Vec::new();
        offer.request(&key(), &mut request);
        let request = Request::parse(&request).unwrap();
        let chosen = accept_deflate(&request);
        let accepted = accept(&request).unwrap();
        let answer = answer(&accepted, chosen.as_ref());
        let text = String::from_utf8(answer.clone()).unwrap();
        let field = text
            .lines()
            .find_map(|line| line.split_once("Extensions: "));
        let agreed = read_answer(&answer, &key(), "", deflate.as_ref(), 1000);
        let agreed = agreed.unwrap().unwrap().deflate;
        (field.map_or("", |(_, value)| value).to_owned(), agreed)
    }

    #[test]
    fn compression_is_negotiated() {
        let plain = Deflate {
            client_max_window_bits: Some(15),
            ..Deflate::default()
        };
        assert_eq!(
            negotiated(""),
            ("permessage-deflate".to_owned(), Some(plain))
        );
        let all = "server_no_context_takeover; client_no_context_takeover; \
                   server_max_window_bits=10; client_max_window_bits=9";
        let answered = "permessage-deflate; server_no_context_takeover; \
                        client_no_context_takeover; server_max_window_bits=10";
        let agreed = Deflate {
            server_no_context_takeover: true,
            client_no_context_takeover: true,
            server_max_window_bits: Some(10),
            client_max_window_bits: Some(9),
        };
        assert_eq!(negotiated(all), (answered.to_owned(), Some(agreed)));
        // No compressor here keeps to a window of 8 bits: the offer is declined.
        assert_eq!(
            negotiated("server_max_window_bits=8"),
            (String::new(), None)
        );
        for (offer, reason) in [
            ("client_max_window_bits=8", "from 9 to 15"),
            ("server_max_window_bits", "from 8 to 15"),
            ("server_max_window_bits=16", "from 8 to 15"),
            ("client_max_window_bits=010", "from 8 to 15"),
            ("server_no_context_takeover=1", "no value"),
            ("zip=9", "unknown parameter"),
            (
                "client_no_context_takeover; client_no_context_takeover",
                "twice",
            ),
        ] {
            let error = Deflate::offer(offer).unwrap_err();
            assert!(error.contains(reason), "{offer}: {error}");
        }
    }

    #[test]
    fn a_server_takes_the_first_offer_that_it_can_keep() {
        let chosen = |extensions: &str| {
            let request = format!("GET / HTTP/1.1\r\n{extensions}\r\n");
            accept_deflate(&Request::parse(request.as_bytes()).unwrap())
        };
        let field = "Sec-WebSocket-Extensions: ";
        let declined = "permessage-deflate; server_max_window_bits=8, x-webkit-deflate-frame, \
                        permessage-deflate; unknown";
        assert_eq!(chosen(&format!("{field}{declined}\r\n")), None);
        let second = "Permessage-Deflate;server_max_window_bits=\"12\" , permessage-deflate";
        let agreed = Deflate {
            server_max_window_bits: Some(12),
            ..Deflate::default()
        };
        let both = format!("{field}{declined}\r\n{field}{second}\r\n");
        assert_eq!(chosen(&both), Some(agreed));
    }

    #[test]
    fn answers_that_an_offer_does_not_allow_are_told() {
        let offer =
            "server_no_context_takeover; server_max_window_bits=10; client_max_window_bits=12";
        let offer = Deflate::offer(offer).unwrap();
        let read = |extensions: &str| {
            let answer = "HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                          Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
            let answer = format!("{answer}Sec-WebSocket-Extensions: {extensions}\r\n\r\n");
            read_answer(answer.as_bytes(), &key(), "", Some(&offer), 1000)
        };
        let kept = "permessage-deflate; server_no_context_takeover; server_max_window_bits=9";
        for (more, bits) in [("", 12), ("; client_max_window_bits=9", 9)] {
            let agreed = read(&format!("{kept}{more}")).unwrap().unwrap().deflate;
            assert_eq!(agreed.unwrap().client_max_window_bits, Some(bits));
        }
        for (extensions, reason) in [
            ("permessage-deflate", "server_no_context_takeover"),
            (
                "permessage-deflate; server_no_context_takeover",
                "server_max_window_bits",
            ),
            (
                "permessage-deflate; server_no_context_takeover; server_max_window_bits=11",
                "server_max_window_bits",
            ),
            (&format!("{kept}; client_max_window_bits=13"), "above"),
            (
                &format!("{kept}; client_max_window_bits=8"),
                "client_max_window_bits=8",
            ),
            (&format!("{kept}; client_max_window_bits"), "from 8 to 15"),
            (&format!("{kept}; more"), "unknown"),
            (&format!("{kept}, permessage-deflate"), "wasn't offered"),
            ("x-webkit-deflate-frame", "wasn't offered"),
            (
                &format!("{kept}\r\nSec-WebSocket-Extensions: {kept}"),
                "twice",
            ),
        ] {
            let error = read(extensions).unwrap_err().to_string();
            assert!(error.contains(reason), "{extensions}: {error}");
        }
    }

    #[test]
    fn answers_that_are_no_agreement_are_told() {
        let agreed =
            "HTTP/1.1 101 Yes\r\nupgrade: WebSocket\r\nconnection: keep-alive, Upgrade\r\n";
        let accepted = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
        let chat = "Sec-WebSocket-Protocol: chat\r\n";
        let read = |text: &str| read_answer(text.as_bytes(), &key(), chat, None, 1000);
        let with = |fields: &str| read(&format!("{agreed}{fields}\r\n"));
        assert!(matches!(with(accepted), Ok(Some(_))));
        assert!(matches!(with(&format!("{accepted}{chat}")), Ok(Some(_))));
        for fields in [
            "",
            "Sec-WebSocket-Accept: other\r\n",
            &format!("{accepted}Sec-WebSocket-Extensions: permessage-deflate\r\n"),
            &format!("{accepted}Sec-WebSocket-Protocol: superchat\r\n"),
        ] {
            assert!(
                matches!(with(fields), Err(HandshakeError::Field(_))),
                "{fields}"
            );
        }
        let refused = read("HTTP/1.1 403 Forbidden\r\nContent-Length: 3\r\n\r\nno!");
        assert_eq!(refused, Err(HandshakeError::Status(403)));
        assert_eq!(read("SSH-2.0-x"), Err(HandshakeError::NotHttp));
        assert_eq!(read("HTTP/1.1 abc\r\n\r\n"), Err(HandshakeError::NotHttp));
        let endless = format!("{agreed}{}", "x: y\r\n".repeat(500));
        assert_eq!(read(&endless), Err(HandshakeError::TooLong));
        let plain = Request::parse(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        assert_eq!(accept(&plain), None);
    }
}
