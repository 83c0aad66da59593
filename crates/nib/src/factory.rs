//! How a protocol is made from options.

use std::fmt::Debug;
use std::path::Path;

use crate::{BadOption, NetworkSettings, Options, Protocol, SetUpError};

/// A protocol that can be made from options.
pub trait Factory: Protocol + Sized {
    /// What it needs to be set up.
    type Settings: Clone + Debug;

    /// Understands the options, which [`Options::check`] has passed.
    fn settings(options: Options) -> Result<Self::Settings, BadOption>;

    /// So many hits a connection carries at a time: [`Protocol::streams`], before it is set up.
    fn streams_of(settings: &Self::Settings) -> u32 {
        let _ = settings;
        1
    }

    /// The connections that it will make; none without a network.
    fn network_of(settings: &Self::Settings) -> Option<&NetworkSettings> {
        let _ = settings;
        None
    }

    /// The files of its own that it reads, with what they are.
    fn files_of(settings: &Self::Settings) -> Vec<(&'static str, &Path)> {
        let _ = settings;
        Vec::new()
    }

    /// Opens files, looks the default address up.
    fn set_up(settings: Self::Settings) -> Result<Self, SetUpError>;
}
