//! The description of a protocol, for command line, configuration and engine.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use encarno_record::Payload;
use encarno_secret::Secret;

use crate::{NetworkSettings, Scheme, TlsSettings};

/// The description of a protocol, before its set-up.
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    /// Its name, which is the `driver` of a configuration.
    pub name: &'static str,
    /// Its other names.
    pub aliases: &'static [&'static str],
    /// The schemes of its URLs, the default one first.
    pub schemes: &'static [Scheme],
    /// The form of what it sends.
    pub form: Form,
    /// The names that it offers in TLS (ALPN), if it supports TLS. It is an error if a
    /// peer picks another name, but not if it picks none.
    pub tls: Option<&'static [&'static [u8]]>,
    /// Whether it connects to an address.
    pub network: bool,
    /// Its own options, in addition to those of the network.
    pub options: &'static [&'static str],
}

/// The form of requests and answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// HTTP messages, with cookies and redirects.
    Http,
    /// Calls, written as HTTP messages whose bodies are JSON: there are no cookies and no
    /// redirects.
    Calls,
    /// Bytes.
    Bytes,
    /// Values as JSON: the arguments of a function. Headers belong to the calls, and the user
    /// that a URL names belongs to the connection.
    Arguments,
    /// Messages, over a connection that begins with an HTTP request. That request has the
    /// URL's path and the headers.
    Messages,
}

impl Kind {
    /// Whether this is one of its names.
    pub fn is_named(&self, name: &str) -> bool {
        self.name == name || self.aliases.contains(&name)
    }

    /// Whether its URLs have this scheme.
    pub fn has_scheme(&self, scheme: &str) -> bool {
        self.scheme(scheme).is_some()
    }

    /// Its scheme with this name.
    pub fn scheme(&self, name: &str) -> Option<&'static Scheme> {
        let mut known = self.schemes.iter();
        known.find(|known| known.name.eq_ignore_ascii_case(name))
    }

    /// The beginnings of its URLs, for messages.
    pub fn beginnings(&self) -> String {
        let schemes = self.schemes.iter();
        let beginnings: Vec<_> = schemes
            .map(|scheme| format!("{}://", scheme.name))
            .collect();
        beginnings.join(", ")
    }
}

/// The options that a user gave, on the command line or in a configuration.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The options of connections.
    pub network: NetworkSettings,
    /// The protocol's own options as text, by the names in [`Kind::options`].
    pub own: BTreeMap<String, String>,
    /// The request with which a connection begins, for [`Form::Messages`].
    pub opening: Opening,
}

/// The request with which a connection begins.
#[derive(Clone, Debug, Default)]
pub struct Opening {
    /// Path and query; empty means `/`.
    pub path: String,
    /// Its headers, in addition to the protocol's own.
    pub headers: Vec<(String, Secret)>,
}

/// Why an option can't be used.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{option}: {reason}")]
pub struct BadOption {
    /// The option's name; `tls` means all of TLS, and `address` the URL.
    pub option: String,
    /// What is wrong, and what to write instead.
    pub reason: String,
}

impl BadOption {
    /// An error about this option.
    pub fn new(option: &str, reason: impl Into<String>) -> Self {
        Self {
            option: option.to_owned(),
            reason: reason.into(),
        }
    }
}

impl Options {
    /// Checks that the protocol supports every given option, because it would ignore the
    /// others.
    pub fn check(&self, kind: &Kind) -> Result<(), BadOption> {
        let Kind { name, options, .. } = kind;
        for option in self.own.keys() {
            if !options.contains(&option.as_str()) {
                let known = match options.len() {
                    0 => "no options of its own".to_owned(),
                    _ => options.join(", "),
                };
                let reason = format!("{name} doesn't have it; it has {known}");
                return Err(BadOption::new(option, reason));
            }
        }
        if kind.tls.is_none() && self.network.tls != TlsSettings::default() {
            let reason = format!("{name} doesn't support TLS: leave its options out");
            return Err(BadOption::new("tls", reason));
        }
        if self.network.proxy.is_some() && kind.form != Form::Http {
            let reason = format!("{name} doesn't support HTTP proxies: leave it out");
            return Err(BadOption::new("proxy", reason));
        }
        if let Some(address) = &self.network.address
            && let Some((scheme, _)) = address.split_once("://")
            && !kind.has_scheme(scheme)
        {
            let known = kind.beginnings();
            let reason = format!("{name} has no URLs that begin with {scheme}://: write {known}");
            return Err(BadOption::new("address", reason));
        }
        Ok(())
    }

    /// One of the protocol's own options; `None` if it wasn't given.
    pub fn own<T: FromStr>(&self, option: &str, expected: &str) -> Result<Option<T>, BadOption> {
        let Some(text) = self.own.get(option) else {
            return Ok(None);
        };
        let parsed = text.trim().parse().map(Some);
        parsed.map_err(|_| BadOption::new(option, format!("{text:?}: write {expected}")))
    }

    /// The option `streams`: the number of workers that share a connection.
    pub fn streams(&self, usual: u32) -> Result<u32, BadOption> {
        let given = self.own("streams", "a whole number from 1 to 65536")?;
        let streams = given.unwrap_or(usual);
        if !(1..=1 << 16).contains(&streams) {
            return Err(BadOption::new("streams", "write a number from 1 to 65536"));
        }
        Ok(streams)
    }
}

/// Prepares payloads on the thread that reads the input, instead of with each hit. A
/// payload into which a worker's values are filled is prepared afterwards, in the event
/// loop.
pub trait Prepare: Debug + Send + Sync {
    /// The bytes to send for a payload. The error says what is wrong with the record.
    fn prepare(&self, payload: Payload) -> Result<Payload, String>;

    /// The same for a record that has a timeout of its own.
    fn prepare_within(&self, payload: Payload, timeout: Duration) -> Result<Payload, String> {
        let _ = timeout;
        self.prepare(payload)
    }

    /// What was prepared, with one more field in its head; none if it has one of that name,
    /// or the protocol has no fields.
    fn with_field(&self, _prepared: &Bytes, _name: &str, _value: &str) -> Option<Bytes> {
        None
    }
}
