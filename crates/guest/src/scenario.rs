//! A component that is a scenario, of whichever kind: its exports say which.

use std::path::Path;

use crate::behave::Behave;
use crate::choose::Choose;
use crate::component::{ComponentError, Loaded};
use crate::shape::Shape;

const SHAPER: &str = "encarno:scenario/shaper@0.1.0";
const CHOOSER: &str = "encarno:scenario/chooser@0.1.0";
const USERS: &str = "encarno:scenario/users@0.1.0";

/// A scenario.
#[derive(Clone, Debug)]
pub enum Scenario {
    /// A load over time.
    Shape(Shape),
    /// Which record comes next.
    Choose(Choose),
    /// Virtual users.
    Behave(Behave),
}

impl Scenario {
    /// Reads and compiles a component. Its random numbers follow from the seed.
    pub fn open(
        file: &Path,
        sha256: Option<&str>,
        settings: &str,
        seed: u64,
    ) -> Result<Self, ComponentError> {
        let loaded = Loaded::open(file, sha256)?;
        let exports: Vec<_> = [SHAPER, CHOOSER, USERS]
            .into_iter()
            .filter(|name| loaded.component.get_export_index(None, name).is_some())
            .collect();
        match exports[..] {
            [SHAPER] => Shape::new(loaded, settings, seed).map(Self::Shape),
            [CHOOSER] => Choose::new(loaded, settings, seed).map(Self::Choose),
            [USERS] => Behave::new(loaded, settings, seed).map(Self::Behave),
            [] => Err(loaded.error(
                "it isn't a scenario of encarno:scenario@0.1.0: it exports none of shaper, chooser \
                 and users",
            )),
            _ => Err(loaded.error(
                "it exports more than one of shaper, chooser and users: make a component of each",
            )),
        }
    }
}
