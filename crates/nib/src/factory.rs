//! Makes a protocol from options.

use std::fmt::Debug;
use std::path::Path;

use crate::{BadOption, NetworkSettings, Options, Protocol, SetUpError};

/// A protocol that can be made from options.
pub trait Factory: Protocol + Sized {
    /// The settings for setting it up.
    type Settings: Clone + Debug;

    /// Parses the options, which [`Options::check`] has checked.
    fn settings(options: Options) -> Result<Self::Settings, BadOption>;

    /// The number of hits that a connection carries at a time: [`Protocol::streams`],
    /// before the set-up.
    fn streams_of(settings: &Self::Settings) -> u32 {
        let _ = settings;
        1
    }

    /// The network settings; `None` without a network.
    fn network_of(settings: &Self::Settings) -> Option<&NetworkSettings> {
        let _ = settings;
        None
    }

    /// The files of its own that it reads, with what they are.
    fn files_of(settings: &Self::Settings) -> Vec<(&'static str, &Path)> {
        let _ = settings;
        Vec::new()
    }

    /// Opens files, and looks the default address up.
    fn set_up(settings: Self::Settings) -> Result<Self, SetUpError>;
}
