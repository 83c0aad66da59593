//! What is said of a protocol once, for command line, configuration and engine.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use encarno_record::Payload;
use encarno_secret::Secret;

use crate::{NetworkSettings, Scheme, TlsSettings};

/// What is known of a protocol before it is set up.
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    /// Its name: a configuration's `driver`.
    pub name: &'static str,
    /// Other names of it.
    pub aliases: &'static [&'static str],
    /// The schemes of its URLs, the usual one first.
    pub schemes: &'static [Scheme],
    /// What it sends.
    pub form: Form,
    /// The names that it offers in TLS (ALPN), if it speaks TLS at all. A peer
    /// that picks another name is an error; one that picks none isn't.
    pub tls: Option<&'static [&'static [u8]]>,
    /// Whether it connects to an address.
    pub network: bool,
    /// Its own options, beside those of the network.
    pub options: &'static [&'static str],
}

/// What a protocol sends, and how its answers are understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// HTTP messages: cookies and redirects are known.
    Http,
    /// Calls, written as HTTP messages whose bodies are JSON: there are no cookies and no
    /// redirects.
    Calls,
    /// Bytes as they are.
    Bytes,
    /// Values as JSON: the arguments of a function. Headers, and the user that a URL names,
    /// are the calls' and the connection's.
    Arguments,
    /// Messages, over a connection that begins with an HTTP request: that one has the
    /// URL's path and the headers.
    Messages,
}

impl Kind {
    /// Whether that is its name, or another name of it.
    pub fn is_named(&self, name: &str) -> bool {
        self.name == name || self.aliases.contains(&name)
    }

    /// Whether its URLs begin so.
    pub fn has_scheme(&self, scheme: &str) -> bool {
        self.scheme(scheme).is_some()
    }

    /// Its scheme of that name.
    pub fn scheme(&self, name: &str) -> Option<&'static Scheme> {
        let mut known = self.schemes.iter();
        known.find(|known| known.name.eq_ignore_ascii_case(name))
    }

    /// How its URLs begin, for messages.
    pub fn beginnings(&self) -> String {
        let schemes = self.schemes.iter();
        let beginnings: Vec<_> = schemes
            .map(|scheme| format!("{}://", scheme.name))
            .collect();
        beginnings.join(", ")
    }
}

/// What a user asked for, wherever it was written.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Connections.
    pub network: NetworkSettings,
    /// The protocol's own, as text, by the names in [`Kind::options`].
    pub own: BTreeMap<String, String>,
    /// The request that a connection begins with, for [`Form::Messages`].
    pub opening: Opening,
}

/// The request that a connection begins with.
#[derive(Clone, Debug, Default)]
pub struct Opening {
    /// Path and query; empty = `/`.
    pub path: String,
    /// Its headers, beside the protocol's own.
    pub headers: Vec<(String, Secret)>,
}

/// An option that can't be used.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{option}: {reason}")]
pub struct BadOption {
    /// Its name; `tls` stands for all of TLS, `address` for the URL.
    pub option: String,
    /// What is wrong, and what to write instead.
    pub reason: String,
}

impl BadOption {
    /// Of that option.
    pub fn new(option: &str, reason: impl Into<String>) -> Self {
        Self {
            option: option.to_owned(),
            reason: reason.into(),
        }
    }
}

impl Options {
    /// Whether the protocol has what is asked for: what it would ignore is an error.
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
            let reason = format!("{name} doesn't speak TLS: leave its options out");
            return Err(BadOption::new("tls", reason));
        }
        if self.network.proxy.is_some() && kind.form != Form::Http {
            let reason = format!("{name} doesn't go through an HTTP proxy: leave it out");
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

    /// One of the protocol's own; none if it wasn't given.
    pub fn own<T: FromStr>(&self, option: &str, expected: &str) -> Result<Option<T>, BadOption> {
        let Some(text) = self.own.get(option) else {
            return Ok(None);
        };
        let parsed = text.trim().parse().map(Some);
        parsed.map_err(|_| BadOption::new(option, format!("{text:?}: write {expected}")))
    }

    /// How many workers share a connection: the option `streams`.
    pub fn streams(&self, usual: u32) -> Result<u32, BadOption> {
        let given = self.own("streams", "a whole number from 1 to 65536")?;
        let streams = given.unwrap_or(usual);
        if !(1..=1 << 16).contains(&streams) {
            return Err(BadOption::new("streams", "write a number from 1 to 65536"));
        }
        Ok(streams)
    }
}

/// What a protocol does with a payload on the thread that reads the input,
/// rather than with each hit. A payload with values of its worker in it is
/// prepared once they are filled in, in the event loop.
pub trait Prepare: Debug + Send + Sync {
    /// What is sent for it. The error says what is wrong with the record.
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
