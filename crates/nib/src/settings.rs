//! The settings of connections over a network, which protocols share.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use encarno_secret::FileOrText;

use crate::proxy::ProxySettings;
use crate::socket::Peer;

/// The default for the longest head of a response, as in curl.
pub const HEAD_BYTES_MAX: usize = 300 << 10;

/// The settings of connections over a network.
#[derive(Clone, Debug)]
pub struct NetworkSettings {
    /// The address of records without one: `http://host:port`, `https://host`,
    /// `udp://host:port`, `http+unix:///path`.
    pub address: Option<String>,
    /// The timeout of a hit.
    pub timeout: Duration,
    /// Source addresses, taken in turn.
    pub source_addresses: Vec<IpAddr>,
    /// Names with their addresses, which aren't looked up.
    pub hosts: BTreeMap<String, Vec<IpAddr>>,
    /// How often names are looked up again; `None` means once.
    pub resolve_every: Option<Duration>,
    /// The longest head of a response.
    pub head_bytes_max: usize,
    /// The proxy of all connections, which finds the targets.
    pub proxy: Option<ProxySettings>,
    /// TLS.
    pub tls: TlsSettings,
    /// The most bytes of each answer that are kept for the trace. Scripts keep what they
    /// need in addition.
    pub keep_answer_bytes_max: usize,
}

impl NetworkSettings {
    /// Whether the source addresses can reach this peer.
    pub(crate) fn reaches(&self, peer: &Peer) -> bool {
        let sources = &self.source_addresses;
        sources.is_empty() || sources.iter().any(|source| is_for(source, peer))
    }
}

/// The message if no source address can reach the target.
pub(crate) const SOURCE_KIND: &str = "no source address is of the target's kind (IPv4 or IPv6)";

/// Whether a connection from this source address to this peer is possible.
pub(crate) fn is_for(source: &IpAddr, peer: &Peer) -> bool {
    match peer {
        Peer::Internet(peer) => peer.is_ipv4() == source.is_ipv4(),
        Peer::Unix(_) => true,
    }
}

impl Default for NetworkSettings {
    fn default() -> Self {
        Self {
            address: None,
            timeout: Duration::from_secs(10),
            source_addresses: Vec::new(),
            hosts: BTreeMap::new(),
            resolve_every: None,
            head_bytes_max: HEAD_BYTES_MAX,
            proxy: None,
            tls: TlsSettings::default(),
            keep_answer_bytes_max: 0,
        }
    }
}

/// TLS settings. By default, certificates are verified.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsSettings {
    /// Whether any certificate is accepted.
    pub insecure: bool,
    /// The lowest version: 0x0303 (771) or 0x0304 (772); 0 means rustls' default.
    pub version_min: u16,
    /// The highest version; 0 means rustls' default.
    pub version_max: u16,
    /// Cipher suites by their IANA names; empty means rustls' default. If none of them is
    /// of TLS 1.3, all suites of 1.3 are added; [`TlsSettings::version_max`] switches 1.3
    /// off.
    pub cipher_suites: Vec<String>,
    /// Certificates to trust instead of the system's, as PEM.
    pub ca_file: Option<FileOrText>,
    /// The client's certificate chain, as PEM.
    pub certificate_file: Option<FileOrText>,
    /// The client's key, as PEM.
    pub key_file: Option<FileOrText>,
    /// Whether each connection makes a full handshake.
    pub no_resumption: bool,
    /// The name to send and verify, instead of the address's.
    pub server_name: Option<String>,
}
