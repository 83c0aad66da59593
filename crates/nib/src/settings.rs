//! Connections over a network: what protocols have in common.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use encarno_secret::FileOrText;

use crate::proxy::ProxySettings;
use crate::socket::Peer;

/// The longest head of a response that is read unless said otherwise: curl's bound.
pub const HEAD_BYTES_MAX: usize = 300 << 10;

/// Connections over a network.
#[derive(Clone, Debug)]
pub struct NetworkSettings {
    /// The address of records that don't carry one: `http://host:port`,
    /// `https://host`, `udp://host:port`, `http+unix:///path`.
    pub address: Option<String>,
    /// A hit that takes longer fails.
    pub timeout: Duration,
    /// Source addresses, taken in turn.
    pub source_addresses: Vec<IpAddr>,
    /// Names whose addresses aren't looked up.
    pub hosts: BTreeMap<String, Vec<IpAddr>>,
    /// Look names up again that often; none = once.
    pub resolve_every: Option<Duration>,
    /// A longer head of a response is refused.
    pub head_bytes_max: usize,
    /// All connections go to this proxy; it finds the targets.
    pub proxy: Option<ProxySettings>,
    /// TLS.
    pub tls: TlsSettings,
    /// So much of each answer is kept, for the trace; scripts keep what they need.
    pub keep_answer_bytes_max: usize,
}

impl NetworkSettings {
    /// Whether a connection to that peer is possible from the source addresses.
    pub(crate) fn reaches(&self, peer: &Peer) -> bool {
        let sources = &self.source_addresses;
        sources.is_empty() || sources.iter().any(|source| is_for(source, peer))
    }
}

/// What is said where no source address reaches the target.
pub(crate) const SOURCE_KIND: &str = "no source address is of the target's kind (IPv4 or IPv6)";

/// Whether a connection from there to that peer is possible.
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

/// TLS, verified unless asked not to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsSettings {
    /// Accept any certificate.
    pub insecure: bool,
    /// The lowest version: 0x0303 (771) or 0x0304 (772); 0 = what rustls has.
    pub version_min: u16,
    /// The highest version; 0 = what rustls has.
    pub version_max: u16,
    /// Cipher suites by their IANA names; empty = rustls' own choice. If none of them
    /// is of TLS 1.3, all of 1.3 are there beside them: [`TlsSettings::version_max`]
    /// switches 1.3 off.
    pub cipher_suites: Vec<String>,
    /// PEM, of certificates to trust instead of the system's.
    pub ca_file: Option<FileOrText>,
    /// PEM, of the client's certificate chain.
    pub certificate_file: Option<FileOrText>,
    /// PEM, of the client's key.
    pub key_file: Option<FileOrText>,
    /// Each connection makes a full handshake.
    pub no_resumption: bool,
    /// The name to ask for and to verify, instead of the address's.
    pub server_name: Option<String>,
}
