//! The network of a run, which is set up once for all event loops.

use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::sync::Arc;

use rustix::io::Errno;
use rustls::ClientConfig;

use crate::address::{
    Address, AddressBook, AddressError, Endpoint, Host, Resolver, host_name, resolve_now,
};
use crate::proxy::PROXY_SCHEMES;
use crate::settings::SOURCE_KIND;
use crate::tls::{TlsError, client_config};
use crate::{Dialer, Kind, NetworkSettings, Seat};

/// Addresses, name look-up, and TLS.
#[derive(Debug)]
pub struct Network {
    settings: Arc<NetworkSettings>,
    kind: &'static Kind,
    endpoint: Option<Endpoint>,
    proxy: Option<Endpoint>,
    resolver: Resolver,
    tls: Option<Arc<ClientConfig>>,
}

/// Why a protocol can't be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetUpError {
    /// The default address can't be used.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// TLS can't be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A source address can't be used.
    #[error("source address {address}: {source}; write an address that this machine has")]
    SourceAddress {
        /// The source address.
        address: IpAddr,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The source addresses can't reach the target.
    #[error("{SOURCE_KIND}")]
    SourceKind,
    /// What the protocol itself needs.
    #[error("{0}")]
    Protocol(String),
    /// The operating system refused something.
    #[error("can't {operation}: {source}")]
    System {
        /// The operation that failed.
        operation: &'static str,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
}

impl Network {
    /// Looks the default address up, and loads certificates if the protocol speaks TLS.
    pub fn set_up(mut settings: NetworkSettings, kind: &'static Kind) -> Result<Self, SetUpError> {
        // Check this here once, so that not each hit fails.
        for &address in &settings.source_addresses {
            let is_one_machine = !address.is_multicast() && address != Ipv4Addr::BROADCAST;
            let bound = match is_one_machine {
                true => TcpListener::bind((address, 0)).map(drop),
                false => Err(Errno::ADDRNOTAVAIL.into()),
            };
            bound.map_err(|source| SetUpError::SourceAddress { address, source })?;
        }
        let hosts = std::mem::take(&mut settings.hosts).into_iter();
        settings.hosts = hosts.map(|(name, ips)| (host_name(&name), ips)).collect();
        let proxy = settings.proxy.as_ref();
        let proxy = proxy
            .map(|proxy| resolve_now(&proxy.address, PROXY_SCHEMES, &settings.hosts))
            .transpose()?;
        let endpoint = settings.address.as_deref().map(|text| match &proxy {
            None => resolve_now(text, kind.schemes, &settings.hosts),
            // The proxy looks the target's name up.
            Some(proxy) => {
                let address = Address::parse(text, kind.schemes)?;
                match address.host {
                    Host::Internet { .. } => Ok(proxy.through(&address)),
                    Host::Unix(_) => Err(AddressError {
                        address: text.to_owned(),
                        reason: "a proxy can't connect to a unix socket".to_owned(),
                    }),
                }
            }
        });
        let endpoint = endpoint.transpose()?;
        if let Some(endpoint) = &endpoint
            && endpoint.count(|peer| settings.reaches(peer)) == 0
        {
            return Err(SetUpError::SourceKind);
        }
        let resolver = Resolver::start(&settings.hosts).map_err(|source| SetUpError::System {
            operation: "start the resolver",
            source,
        })?;
        let tls = kind.tls.map(|names| client_config(&settings.tls, names));
        Ok(Self {
            settings: Arc::new(settings),
            kind,
            endpoint,
            proxy,
            resolver,
            tls: tls.transpose()?,
        })
    }

    /// The settings.
    pub fn settings(&self) -> &NetworkSettings {
        &self.settings
    }

    /// TLS, if the protocol has it.
    pub fn tls(&self) -> Option<&Arc<ClientConfig>> {
        self.tls.as_ref()
    }

    /// The dialer of one event loop.
    pub fn dialer(&self, seat: &Seat<'_>) -> Dialer {
        let addresses = AddressBook::new(
            self.endpoint.clone(),
            self.proxy.clone(),
            self.kind.schemes,
            seat.strings,
            &self.resolver,
            seat.waker,
            self.settings.resolve_every,
        );
        Dialer::new(&self.settings, addresses, self.tls.clone(), seat)
    }
}
