//! The network of a run: set up once, for all event loops.

use crate::address::{AddressBook, AddressError, Endpoint, Resolver, resolve_now};
use crate::tls::TlsError;
use crate::{Dialer, NetworkSettings, Seat};

/// Addresses and how they are found.
#[derive(Debug)]
pub struct Network {
    settings: NetworkSettings,
    endpoint: Option<Endpoint>,
    resolver: Resolver,
}

/// A protocol that can't be set up as asked.
#[derive(Debug, thiserror::Error)]
pub enum SetUpError {
    /// The default address.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The operating system refused something.
    #[error("can't {operation}: {source}")]
    System {
        /// What was tried.
        operation: &'static str,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
}

impl Network {
    /// Looks the default address up.
    pub fn set_up(settings: NetworkSettings) -> Result<Self, SetUpError> {
        let endpoint = settings.address.as_deref();
        let endpoint = endpoint
            .map(|text| resolve_now(text, &settings.hosts))
            .transpose()?;
        let resolver = Resolver::start(&settings.hosts).map_err(|source| SetUpError::System {
            operation: "start the resolver",
            source,
        })?;
        Ok(Self {
            settings,
            endpoint,
            resolver,
        })
    }

    /// What was asked for.
    pub fn settings(&self) -> &NetworkSettings {
        &self.settings
    }

    /// Where the connections of one event loop go to.
    pub fn dialer(&self, seat: &Seat<'_>) -> Dialer {
        let addresses = AddressBook::new(
            self.endpoint.clone(),
            seat.strings,
            &self.resolver,
            seat.waker,
            self.settings.resolve_every,
        );
        Dialer::new(&self.settings, addresses, seat.strings)
    }
}
