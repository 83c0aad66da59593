//! Protocols over sockets. The set-up that all of them need is here.

use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;

use crate::{
    BadOption, Dialer, Factory, Kind, Network, NetworkSettings, Nib, Options, Prepare, Protocol,
    Seat, SetUpError,
};

/// A protocol whose nib opens sockets with a [`Dialer`]. [`Networked`] makes a
/// [`Protocol`] of it, and adds what all such protocols share: addresses, TLS, timeouts
/// and source addresses.
pub trait NetworkProtocol: Clone + Debug {
    /// The nib of an event loop.
    type Nib: Nib + Send + 'static;

    /// The description of the protocol.
    const KIND: &'static Kind;

    /// Parses its own options, whose names are in [`Kind::options`].
    fn new(options: &Options) -> Result<Self, BadOption>;

    /// Makes the nib of one event loop.
    fn nib(&self, dialer: Dialer, seat: &Seat<'_>) -> Self::Nib;

    /// The files that it reads, for messages with what they are.
    fn files(&self) -> Vec<(&'static str, &Path)> {
        Vec::new()
    }

    /// Reads files, and asks the peer what has to be known before the run.
    fn set_up(self, network: &Network) -> Result<Self, SetUpError> {
        let _ = network;
        Ok(self)
    }

    /// The same as [`Protocol::prepare`].
    fn prepare(&self) -> Option<Arc<dyn Prepare>> {
        None
    }

    /// The same as [`Protocol::streams`].
    fn streams(&self) -> u32 {
        1
    }

    /// The same as [`Protocol::descriptors`].
    fn descriptors(&self, workers: u64) -> u64 {
        workers.div_ceil(u64::from(self.streams().max(1)))
    }
}

/// A [`NetworkProtocol`] with its network set up.
#[derive(Debug)]
pub struct Networked<P> {
    network: Network,
    protocol: P,
}

/// The settings of a [`NetworkProtocol`], before the set-up.
#[derive(Clone, Debug, Default)]
pub struct NetworkedSettings<P> {
    /// Addresses, TLS and timeout.
    pub network: NetworkSettings,
    /// The protocol's own settings.
    pub protocol: P,
}

impl<P: Default> From<NetworkSettings> for NetworkedSettings<P> {
    fn from(network: NetworkSettings) -> Self {
        Self {
            network,
            protocol: P::default(),
        }
    }
}

impl<P: NetworkProtocol> Factory for Networked<P> {
    type Settings = NetworkedSettings<P>;

    fn settings(options: Options) -> Result<NetworkedSettings<P>, BadOption> {
        Ok(NetworkedSettings {
            protocol: P::new(&options)?,
            network: options.network,
        })
    }

    fn streams_of(settings: &NetworkedSettings<P>) -> u32 {
        settings.protocol.streams()
    }

    fn network_of(settings: &NetworkedSettings<P>) -> Option<&NetworkSettings> {
        Some(&settings.network)
    }

    fn files_of(settings: &NetworkedSettings<P>) -> Vec<(&'static str, &Path)> {
        settings.protocol.files()
    }

    fn set_up(settings: NetworkedSettings<P>) -> Result<Self, SetUpError> {
        let network = Network::set_up(settings.network, P::KIND)?;
        Ok(Self {
            protocol: settings.protocol.set_up(&network)?,
            network,
        })
    }
}

impl<P: NetworkProtocol> Protocol for Networked<P> {
    type Nib = P::Nib;

    const KIND: &'static Kind = P::KIND;

    fn nib(&self, seat: &Seat<'_>) -> P::Nib {
        self.protocol.nib(self.network.dialer(seat), seat)
    }

    fn network(&self) -> Option<&NetworkSettings> {
        Some(self.network.settings())
    }

    fn prepare(&self) -> Option<Arc<dyn Prepare>> {
        self.protocol.prepare()
    }

    fn streams(&self) -> u32 {
        self.protocol.streams()
    }

    fn descriptors(&self, workers: u64) -> u64 {
        self.protocol.descriptors(workers)
    }
}
