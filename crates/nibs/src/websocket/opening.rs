//! The handshake of a connection.

use encarno_nib::{BadOption, Options};
use encarno_secret::Secret;
use encarno_websocket::{Agreed, Deflate, HandshakeError, Key, Offer, read_answer};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::Rng;

/// The common parts of every handshake.
#[derive(Debug)]
pub(super) struct Opening {
    /// The address of hits that don't name another one.
    address: String,
    path: String,
    /// Lines, each with its end.
    fields: Secret,
    /// Whether and how compression is offered.
    deflate: Option<Deflate>,
}

/// The request of one connection, with the key that its answer must match.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) request: Vec<u8>,
    pub(super) key: Key,
}

impl Opening {
    pub(super) fn new(options: &Options) -> Result<Self, BadOption> {
        let opening = &options.opening;
        let mut fields = String::new();
        for (name, value) in &opening.headers {
            if name.eq_ignore_ascii_case("sec-websocket-extensions") {
                let reason = "leave it out: -O compression=deflate offers permessage-deflate";
                return Err(BadOption::new(name, reason));
            }
            if Offer::is_own(name) {
                let reason = "the WebSocket handshake sets it itself: leave it out";
                return Err(BadOption::new(name, reason));
            }
            fields.extend([name, ": ", value.expose(), "\r\n"]);
        }
        Ok(Self {
            address: options.network.address.clone().unwrap_or_default(),
            path: match &*opening.path {
                "" => "/".to_owned(),
                path => path.to_owned(),
            },
            fields: Secret::new(fields),
            deflate: deflate(options)?,
        })
    }

    /// The request of the next connection to this address; `None` means the default one.
    pub(super) fn ask(&self, address: Option<&str>, random: &mut Xoshiro256PlusPlus) -> Ask {
        let address = address.filter(|address| !address.is_empty());
        let (host, path) = host_and_path(address.unwrap_or(&self.address));
        let offer = Offer {
            path: path.unwrap_or(&self.path),
            host,
            fields: self.fields.expose(),
            deflate: self.deflate,
        };
        let mut nonce = [0; 16];
        nonce[..8].copy_from_slice(&random.next_u64().to_ne_bytes());
        nonce[8..].copy_from_slice(&random.next_u64().to_ne_bytes());
        let key = Key::new(nonce);
        let mut request = Vec::new();
        offer.request(&key, &mut request);
        Ask { request, key }
    }

    /// Reads the server's answer, if its head is complete.
    pub(super) fn read(
        &self,
        bytes: &[u8],
        key: &Key,
        head_bytes_max: usize,
    ) -> Result<Option<Agreed>, HandshakeError> {
        let (fields, deflate) = (self.fields.expose(), self.deflate.as_ref());
        read_answer(bytes, key, fields, deflate, head_bytes_max)
    }
}

/// The option `compression`: `deflate` with the parameters of an offer, or `none`.
fn deflate(options: &Options) -> Result<Option<Deflate>, BadOption> {
    const NAME: &str = "compression";
    let text = options.own.get(NAME).map_or("none", String::as_str);
    let (name, parameters) = text.split_once(';').unwrap_or((text, ""));
    match name.trim() {
        "none" if parameters.is_empty() => Ok(None),
        "deflate" => {
            let offer = Deflate::offer(parameters);
            Ok(Some(offer.map_err(|reason| BadOption::new(NAME, reason))?))
        }
        _ => Err(BadOption::new(NAME, "write deflate or none")),
    }
}

/// Host and port, and the path with its query if the address has one.
fn host_and_path(address: &str) -> (&str, Option<&str>) {
    let (scheme, rest) = address.split_once("://").unwrap_or(("ws", address));
    if scheme.contains("unix") {
        return ("localhost", None);
    }
    let rest = rest.split('#').next().unwrap_or_default();
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (host, path) = rest.split_at(end);
    let host = host.rsplit('@').next().unwrap_or_default();
    let is_sound = path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic());
    (host, Some(path).filter(|_| is_sound))
}

#[cfg(test)]
mod tests {
    use super::host_and_path;

    #[test]
    fn addresses_in_their_parts() {
        for (address, host, path) in [
            ("ws://host", "host", None),
            (
                "ws://user:secret@host:81/chat?room=1#x",
                "host:81",
                Some("/chat?room=1"),
            ),
            ("wss://[::1]:9/", "[::1]:9", Some("/")),
            ("host:5/a\r\nb", "host:5", None),
            ("ws+unix:///tmp/x", "localhost", None),
        ] {
            assert_eq!(host_and_path(address), (host, path), "{address}");
        }
    }
}
