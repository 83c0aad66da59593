//! Whose figures a calibration has.

use std::fmt;

use encarno_record::notes::environment;
use serde::{Deserialize, Serialize};

/// What makes figures comparable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The processor's model; empty if the system doesn't say it.
    pub processor: String,
    /// Cores that this program may use.
    pub cores: usize,
    /// The version of encarno.
    pub encarno: String,
}

impl Machine {
    /// This one.
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
