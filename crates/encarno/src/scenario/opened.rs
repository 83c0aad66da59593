//! A component that was read, of whichever kind.

use std::path::Path;
use std::sync::Arc;

use encarno_engine::meter::Window;
use encarno_engine::pilot::Helm;
use encarno_engine::settings::{Source, Workload};
use encarno_guest::behave::Behave;
use encarno_guest::choose::Choose;
use encarno_guest::scenario::Scenario as Guest;
use serde_json::{Value, json};

use super::decided::{Behaving, Choosing};
use super::shaped::{Shaped, Shaping, mark};
use super::{Common, Decides, Means};

/// A scenario.
#[derive(Clone, Debug)]
pub enum Scenario {
    /// A load over time.
    Shape(Box<Shaped>),
    /// Which record comes next.
    Choose(Choose),
    /// Virtual users.
    Behave(Box<Behave>),
}

/// A scenario that runs.
pub enum Running {
    /// A load over time.
    Shape(Box<Shaping>),
    /// The engine asks the component itself; the file says which one it is.
    Decided(Option<Value>),
}

impl Scenario {
    /// Reads the component.
    pub fn open(
        file: &Path,
        sha256: Option<&str>,
        settings: &str,
        seed: u64,
    ) -> Result<Self, String> {
        let guest = Guest::open(file, sha256, settings, seed).map_err(|error| error.to_string())?;
        Ok(match guest {
            Guest::Shape(shape) => Self::Shape(Box::new(Shaped::new(shape)?)),
            Guest::Choose(choose) => Self::Choose(choose),
            Guest::Behave(behave) => Self::Behave(Box::new(behave)),
        })
    }

    /// The component's file.
    pub fn file(&self) -> &Path {
        match self {
            Self::Shape(shaped) => shaped.file(),
            Self::Choose(choose) => choose.file(),
            Self::Behave(behave) => behave.file(),
        }
    }

    /// What it decides.
    pub fn decides(&self) -> Decides {
        match self {
            Self::Shape(_) => Decides::Load,
            Self::Choose(_) => Decides::Order,
            Self::Behave(_) => Decides::Users,
        }
    }

    /// The workload that it begins with; `None` if it doesn't decide it.
    pub fn workload(&self, means: &Means) -> Result<Option<Workload>, String> {
        match self {
            Self::Shape(shaped) => shaped.workload(means).map(Some),
            Self::Choose(_) | Self::Behave(_) => Ok(None),
        }
    }

    /// What is sent, if the rest of the settings says `given`.
    pub fn source(
        &self,
        given: Source,
        common: Common,
        hits_max: Option<u64>,
    ) -> Result<Source, String> {
        match (self, given) {
            (Self::Shape(_), given) => Ok(given),
            (Self::Choose(choose), Source::File(input)) => {
                if input.passes.is_some() {
                    return Err(
                        "it says itself how often a record comes: leave the number of \
                                passes through the input out, and limit the number of hits"
                            .to_owned(),
                    );
                }
                if input.in_order() && !input.one_worker {
                    return Err(
                        "it chooses for all workers, and here each worker reads the input \
                                for itself: leave that out"
                            .to_owned(),
                    );
                }
                Ok(Source::Chosen {
                    input,
                    choice: Arc::new(Choosing(choose.clone())),
                })
            }
            (Self::Choose(_), _) => {
                Err("it chooses among the records of an input: name one".to_owned())
            }
            (Self::Behave(behave), _) => Ok(Source::Users {
                behaviour: Arc::new(Behaving {
                    behave: (**behave).clone(),
                    common: Arc::new(common),
                }),
                hits_max,
            }),
        }
    }

    /// The run begins.
    pub fn begin(&self) -> Result<Running, String> {
        let decided = |sha256: &str, what: &str| {
            Running::Decided(Some(json!({"sha256": sha256, "decides": what})))
        };
        Ok(match self {
            Self::Shape(shaped) => Running::Shape(Box::new(shaped.begin()?)),
            Self::Choose(choose) => decided(choose.sha256(), "records"),
            Self::Behave(behave) => decided(behave.sha256(), "users"),
        })
    }
}

impl Running {
    /// A second of the run is over.
    pub fn window(&mut self, window: &Window) {
        if let Self::Shape(shaping) = self {
            shaping.window(window);
        }
    }

    /// Asks the component about the seconds that are over, and does what it says.
    pub fn look(&mut self, helm: &mut Helm<'_>) {
        match self {
            Self::Shape(shaping) => shaping.look(helm),
            Self::Decided(first) => {
                if let Some(first) = first.take() {
                    mark(helm, 0, first);
                }
            }
        }
    }

    /// The run is over: what the scenario says about it, and how it broke down if it did.
    pub fn end(self) -> (Option<String>, Option<String>) {
        match self {
            Self::Shape(shaping) => shaping.end(),
            Self::Decided(_) => (None, None),
        }
    }
}
