//! `nats: {…}` of a client's options.

use std::fmt;
use std::num::NonZeroUsize;
use std::time::Duration;

use encarno_wrpc::nats::{Given, Invalid, Options, Tls, subject};
use encarno_wrpc::{FileOrText, Secret};
use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

use super::{duration, file_or_text, secret};
use crate::link::Transport;

/// The most shared connections.
const SHARED_MAX: usize = 1 << 16;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawNats {
    #[serde(deserialize_with = "urls")]
    url: String,
    #[serde(default)]
    prefix: String,
    name: Option<String>,
    user: Option<String>,
    #[serde(default, deserialize_with = "secret")]
    password: Option<Secret>,
    #[serde(default, deserialize_with = "secret")]
    token: Option<Secret>,
    #[serde(default, deserialize_with = "file_or_text")]
    credentials: Option<FileOrText>,
    #[serde(default, deserialize_with = "secret")]
    nkey: Option<Secret>,
    #[serde(default, deserialize_with = "secret")]
    jwt: Option<Secret>,
    #[serde(default)]
    tls: RawTls,
    inbox_prefix: Option<String>,
    #[serde(default, deserialize_with = "duration")]
    connect_timeout: Option<Duration>,
    #[serde(default, deserialize_with = "duration")]
    ping_interval: Option<Duration>,
    max_reconnects: Option<usize>,
    #[serde(default, deserialize_with = "duration")]
    reconnect_delay: Option<Duration>,
    shared: Option<NonZeroUsize>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTls {
    #[serde(default, deserialize_with = "file_or_text")]
    ca: Option<FileOrText>,
    #[serde(default, deserialize_with = "file_or_text")]
    cert: Option<FileOrText>,
    #[serde(default, deserialize_with = "file_or_text")]
    key: Option<FileOrText>,
    required: Option<bool>,
}

impl RawNats {
    /// The transport, and the number of links that serve all clients with it.
    pub(super) fn check(self) -> Result<(Transport, Option<NonZeroUsize>), String> {
        let mut options =
            Options::new(&self.url).map_err(|error| format!("nats.url: {}", error.message))?;
        let invalid = |invalid: Invalid| format!("nats.{}: {}", invalid.option, invalid.reason);
        let given = Given {
            user: self.user,
            password: self.password,
            token: self.token,
            credentials: self.credentials,
            nkey: self.nkey,
            jwt: self.jwt,
        };
        options.identify(given).map_err(invalid)?;
        options.tls = Tls {
            ca: self.tls.ca,
            cert: self.tls.cert,
            key: self.tls.key,
            required: self.tls.required,
        };
        options.max_reconnects = self.max_reconnects;
        set(&mut options.name, self.name);
        set(&mut options.inbox_prefix, self.inbox_prefix);
        set(&mut options.connect_timeout, self.connect_timeout);
        set(&mut options.ping_interval, self.ping_interval);
        set(&mut options.reconnect_delay, self.reconnect_delay);
        options.check().map_err(invalid)?;
        if self.shared.is_some_and(|shared| shared.get() > SHARED_MAX) {
            return Err(format!("nats.shared: it must be at most {SHARED_MAX}"));
        }
        if subject::function(&self.prefix, "", "function").is_err() {
            return Err(format!(
                "nats.prefix: {:?} is not the beginning of a NATS subject",
                self.prefix
            ));
        }
        let transport = Transport::Nats {
            options,
            prefix: self.prefix,
        };
        Ok((transport, self.shared))
    }
}

fn set<T>(option: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *option = given;
    }
}

/// Several URLs, as users of async-nats write them: separated by commas, or a list.
fn urls<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    struct Urls;
    impl<'de> Visitor<'de> for Urls {
        type Value = String;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("a string or a list of strings")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<String, E> {
            Ok(text.to_owned())
        }

        fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<String, A::Error> {
            let mut urls = Vec::<String>::new();
            while let Some(url) = list.next_element()? {
                urls.push(url);
            }
            Ok(urls.join(","))
        }
    }
    from.deserialize_any(Urls)
}
