//! The machine to which a calibration belongs.

use std::fmt;

use encarno_record::notes::environment;
use serde::{Deserialize, Serialize};

/// The properties of a machine that must be equal for figures to be comparable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The processor's model; empty if the system doesn't name it.
    pub processor: String,
    /// The number of cores that this program may use.
    pub cores: usize,
    /// The version of encarno.
    pub encarno: String,
}

impl Machine {
    /// The machine that runs this program.
    pub fn this() -> Self {
        let environment = environment();
        let value = |name: &str| {
            let found = environment.iter().find(|(known, _)| known == name);
            found.map_or("", |(_, value)| value).to_owned()
        };
        Self {
            processor: value("processor"),
            cores: value("cores").parse().unwrap_or(1).max(1),
            encarno: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let processor = match &*self.processor {
            "" => "a processor without a name",
            name => name,
        };
        write!(
            f,
            "{processor}, {} cores, encarno {}",
            self.cores, self.encarno
        )
    }
}
