//! `tcp: {…}` of a client's options.

use std::num::NonZeroUsize;
use std::time::Duration;

use encarno_wrpc::tls::ClientTls;
use encarno_wrpc::{FileOrText, tcp};
use serde::Deserialize;

use super::{duration, file_or_text};
use crate::link::Transport;

/// The most connections of a pool.
const POOL_MAX: usize = 4096;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTcp {
    addr: String,
    #[serde(default, deserialize_with = "duration")]
    connect_timeout: Option<Duration>,
    nodelay: Option<bool>,
    #[serde(default, deserialize_with = "duration")]
    keepalive: Option<Duration>,
    source_addr: Option<String>,
    pool: Option<usize>,
    half_close: Option<bool>,
    tls: Option<RawTls>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTls {
    #[serde(default, deserialize_with = "file_or_text")]
    ca: Option<FileOrText>,
    #[serde(default, deserialize_with = "file_or_text")]
    cert: Option<FileOrText>,
    #[serde(default, deserialize_with = "file_or_text")]
    key: Option<FileOrText>,
    server_name: Option<String>,
    #[serde(default)]
    insecure_skip_verify: bool,
}

impl RawTcp {
    /// The transport, and the number of links that serve all clients with it.
    pub(super) fn check(self) -> Result<(Transport, Option<NonZeroUsize>), String> {
        let mut options = tcp::Options::new(&self.addr)
            .map_err(|error| format!("tcp.addr: {}", error.message))?;
        if let Some(connect_timeout) = self.connect_timeout {
            options.connect_timeout = connect_timeout;
        }
        if let Some(nodelay) = self.nodelay {
            options.nodelay = nodelay;
        }
        if let Some(keepalive) = self.keepalive {
            options.keepalive = keepalive;
        }
        if let Some(source) = self.source_addr {
            let source = source
                .parse()
                .map_err(|_| format!("tcp.source_addr: {source:?} is not an IP address"))?;
            options.source_addr = Some(source);
        }
        options.half_close = self.half_close;
        options.tls = self.tls.map(RawTls::check).transpose()?;
        let pool = self.pool.unwrap_or(1);
        if pool > POOL_MAX {
            return Err(format!("tcp.pool: {pool} is more than {POOL_MAX}"));
        }
        options.reuse = pool > 0;
        Ok((Transport::Tcp(options), NonZeroUsize::new(pool)))
    }
}

impl RawTls {
    fn check(self) -> Result<ClientTls, String> {
        let tls = ClientTls {
            ca: self.ca,
            cert: self.cert,
            key: self.key,
            server_name: self.server_name,
            insecure_skip_verify: self.insecure_skip_verify,
        };
        // Files are read again when the connection is made, but check them now.
        if tls.ca.is_some() || tls.cert.is_some() || tls.key.is_some() {
            tls.config()
                .map_err(|error| format!("tcp.tls: {}", error.message))?;
        }
        Ok(tls)
    }
}
