//! The introductions of server and client.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::error::{Error, ErrorKind};
use super::options::{Credentials, Options};

/// The most servers that are remembered in addition to the given ones.
const TOLD_MAX: usize = 256;

/// The largest payload for a server that doesn't announce it, which is the smallest usual
/// one.
const MAX_PAYLOAD: usize = 1 << 20;

/// The introduction of a server.
#[derive(Clone, Debug, Default)]
pub(super) struct Info {
    pub(super) max_payload: usize,
    pub(super) tls_required: bool,
    /// The nonce that an nkey must sign.
    pub(super) nonce: String,
    /// Other servers of its cluster, `HOST:PORT`.
    pub(super) connect_urls: Vec<String>,
    /// Whether it is about to stop, and wants its clients to leave.
    pub(super) is_lame_duck: bool,
}

impl Info {
    /// Parses the introduction. Missing or malformed fields count as empty.
    pub(super) fn read(json: &[u8]) -> Result<Self, Error> {
        let info: Value = serde_json::from_slice(json)
            .ok()
            .filter(Value::is_object)
            .ok_or_else(|| Error::new(ErrorKind::Protocol, "its introduction isn't JSON"))?;
        let is = |name: &str| info[name].as_bool().unwrap_or_default();
        let max_payload = info["max_payload"].as_u64();
        let max_payload = max_payload.and_then(|bytes| usize::try_from(bytes).ok());
        let urls = info["connect_urls"].as_array().into_iter().flatten();
        Ok(Self {
            max_payload: max_payload
                .filter(|&bytes| bytes > 0)
                .unwrap_or(MAX_PAYLOAD),
            tls_required: is("tls_required"),
            nonce: info["nonce"].as_str().unwrap_or_default().to_owned(),
            connect_urls: urls
                .filter_map(|url| url.as_str().map(str::to_owned))
                .take(TOLD_MAX)
                .collect(),
            is_lame_duck: is("ldm"),
        })
    }
}

/// The line with which a client introduces itself.
pub(super) fn connect(options: &Options, info: &Info, is_tls: bool) -> Result<String, Error> {
    let mut said = json!({
        "verbose": false,
        "pedantic": false,
        "echo": true,
        "headers": true,
        "no_responders": true,
        "protocol": 1,
        "lang": "rust",
        "version": env!("CARGO_PKG_VERSION"),
        "name": options.name,
        "tls_required": is_tls,
    });
    match &options.credentials {
        Credentials::None => {}
        Credentials::Password { user, password } => {
            said["user"] = json!(user);
            said["pass"] = json!(password.expose());
        }
        Credentials::Token(token) => said["auth_token"] = json!(token.expose()),
        Credentials::Nkey(seed) => {
            let (public, signature) = sign(seed.expose(), &info.nonce)?;
            said["nkey"] = json!(public);
            said["sig"] = json!(signature);
        }
        Credentials::Jwt { jwt, seed } => {
            said["jwt"] = json!(jwt.expose());
            said["sig"] = json!(sign(seed.expose(), &info.nonce)?.1);
        }
    }
    Ok(format!("CONNECT {said}\r\n"))
}

/// The public key of a seed, and its signature of the nonce. The error shows neither.
fn sign(seed: &str, nonce: &str) -> Result<(String, String), Error> {
    let failed = |_| {
        Error::new(
            ErrorKind::Authentication,
            "the nkey can't sign for its user",
        )
    };
    let pair = nkeys::KeyPair::from_seed(seed).map_err(failed)?;
    let signature = pair.sign(nonce.as_bytes()).map_err(failed)?;
    Ok((pair.public_key(), URL_SAFE_NO_PAD.encode(signature)))
}

#[cfg(test)]
mod tests {
    use super::Info;

    #[test]
    fn what_a_server_says_of_itself() {
        let info = Info::read(
            br#" {"max_payload":2048,"tls_required":true,"nonce":"x","ldm":true,
                "connect_urls":["a:1",7,"b:2"],"other":[{}]}"#,
        );
        let info = info.expect("JSON");
        assert_eq!((info.max_payload, &info.nonce[..]), (2048, "x"));
        assert!(info.tls_required && info.is_lame_duck);
        assert_eq!(info.connect_urls, ["a:1", "b:2"]);

        let odd = br#"{"max_payload":-1,"tls_required":"no","nonce":5,"connect_urls":{"a":1}}"#;
        let odd = Info::read(odd).expect("JSON");
        assert_eq!(odd.max_payload, 1 << 20);
        assert!(!odd.tls_required && odd.nonce.is_empty() && odd.connect_urls.is_empty());
        let deep = "[".repeat(100_000);
        for wrong in ["", " ", "nonsense", "[]", "7", &deep] {
            assert!(Info::read(wrong.as_bytes()).is_err(), "{wrong:.9}");
        }
    }
}
