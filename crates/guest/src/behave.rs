//! Virtual users that a guest makes: one for each worker, in a store for each event loop.

use std::path::Path;

use wasmtime::Store;
use wasmtime::component::ResourceAny;

use crate::bindings::behave::exports::encarno::scenario::users as wit;
use crate::bindings::behave::{Behave as Guest, BehavePre};
use crate::component::{ComponentError, Loaded};
use crate::linked::{Linked, refused, short};
use crate::store::{CALL_CPU, Fault, SETUP_CPU, State, allow};

/// What a user sees of a body at most.
const BODY_BYTES_MAX: u32 = 1 << 20;

/// A component that is a crowd of users.
#[derive(Clone)]
pub struct Behave {
    linked: Linked<BehavePre<State>>,
    traits: Traits,
}

impl std::fmt::Debug for Behave {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.linked.fmt(f)
    }
}

/// What users want to see of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traits {
    /// Its header fields.
    pub fields: bool,
    /// So much of its body.
    pub body_bytes: u32,
}

/// An answer, as a user sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // wit/scenario/scenario.wit says what they are
pub struct Answer {
    pub status: u16,
    pub failed: bool,
    pub error: Option<String>,
    pub started_ns: u64,
    pub ended_ns: u64,
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// A request over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // as above
pub struct Request {
    pub method: String,
    pub path: String,
    pub fields: Vec<(String, String)>,
    pub body: Option<Vec<u8>>,
}

/// What a user sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A request.
    Http(Request),
    /// Bytes, as a record has them.
    Payload(Vec<u8>),
}

/// What a user does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// It sends something after so long.
    Next {
        /// How long it thinks.
        after_ns: u64,
        /// The label of the hit.
        label: String,
        /// What it sends.
        message: Message,
    },
    /// Nobody comes any more.
    Finish,
}

/// The users of one event loop.
pub struct Users {
    store: Store<State>,
    guest: Guest,
    seed: u64,
    /// Who is there, by the worker's number in its loop.
    present: Vec<Option<Present>>,
}

#[derive(Clone, Copy)]
struct Present {
    user: ResourceAny,
    visit: u32,
}

impl std::fmt::Debug for Users {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Users")
    }
}

impl Behave {
    /// A component that exports users. It is configured here once, to see whether it can be.
    pub fn new(loaded: Loaded, settings: &str, seed: u64) -> Result<Self, ComponentError> {
        let mut whole = Self {
            linked: Linked::new(loaded, "users", settings, seed, BehavePre::new)?,
            traits: Traits::default(),
        };
        whole.traits = whole.instance(0)?.1;
        Ok(whole)
    }

    /// The component's file.
    pub fn file(&self) -> &Path {
        self.linked.file()
    }

    /// Its checksum.
    pub fn sha256(&self) -> &str {
        self.linked.sha256()
    }

    /// What its users want to see of an answer.
    pub fn traits(&self) -> Traits {
        self.traits
    }

    /// The users of an event loop.
    pub fn users(&self, event_loop: usize) -> Result<Users, ComponentError> {
        Ok(self.instance(event_loop)?.0)
    }

    fn instance(&self, event_loop: usize) -> Result<(Users, Traits), ComponentError> {
        let made = || -> Result<_, Fault> {
            let mut store = self
                .linked
                .store(mixed(self.linked.seed, &[event_loop as u64]));
            let guest = self.linked.pre.instantiate(&mut store)?;
            allow(&mut store, SETUP_CPU);
            let users = guest.encarno_scenario_users();
            let traits = users.call_configure(&mut store, &self.linked.settings)?;
            let traits = traits.map_err(|text| refused(&text))?;
            if traits.body_bytes > BODY_BYTES_MAX {
                let asked = traits.body_bytes;
                return Err(Fault(format!(
                    "it wants {asked} bytes of each body: {BODY_BYTES_MAX} are possible"
                )));
            }
            let traits = Traits {
                fields: traits.fields,
                body_bytes: traits.body_bytes,
            };
            let users = Users {
                store,
                guest,
                seed: self.linked.seed,
                present: Vec::new(),
            };
            Ok((users, traits))
        };
        made().map_err(|fault| self.linked.error(fault))
    }
}

impl Users {
    /// What the user of a worker does first, or after an answer. If it leaves, this is what the
    /// one does that comes after it. The error says how the guest broke down.
    pub fn act(
        &mut self,
        worker: u32,
        place: u32,
        answer: Option<Answer>,
    ) -> Result<Action, String> {
        self.acted(worker as usize, place, answer)
            .map_err(|fault| fault.0)
    }

    fn acted(
        &mut self,
        worker: usize,
        place: u32,
        answer: Option<Answer>,
    ) -> Result<Action, Fault> {
        if self.present.len() <= worker {
            self.present.resize(worker + 1, None);
        }
        let present = match self.present[worker] {
            Some(present) => present,
            None => self.come(worker, place, 0)?,
        };
        let mut gone_ns = 0;
        let action = match self.ask(present, answer)? {
            wit::Action::Leave(after_ns) => {
                allow(&mut self.store, CALL_CPU);
                self.present[worker] = None;
                present.user.resource_drop(&mut self.store)?;
                gone_ns = after_ns;
                let next = self.come(worker, place, present.visit.wrapping_add(1))?;
                self.ask(next, None)?
            }
            action => action,
        };
        match action {
            // Otherwise they could come and go for ever.
            wit::Action::Leave(_) => Err(Fault(
                "a user left that had sent nothing: one that comes sends something first"
                    .to_owned(),
            )),
            wit::Action::Finish => Ok(Action::Finish),
            wit::Action::Next(next) => Ok(Action::Next {
                after_ns: next.after_ns.saturating_add(gone_ns),
                label: short(&next.label),
                message: match next.message {
                    wit::Message::Payload(bytes) => Message::Payload(bytes),
                    wit::Message::Http(request) => Message::Http(Request {
                        method: request.method,
                        path: request.path,
                        fields: request
                            .fields
                            .into_iter()
                            .map(|field| (field.name, field.value))
                            .collect(),
                        body: request.body,
                    }),
                },
            }),
        }
    }

    fn come(&mut self, worker: usize, place: u32, visit: u32) -> Result<Present, Fault> {
        allow(&mut self.store, CALL_CPU);
        let seed = mixed(self.seed, &[u64::from(place), u64::from(visit)]);
        let guest = self.guest.encarno_scenario_users().user();
        let user = guest.call_constructor(&mut self.store, place, visit, seed)?;
        let present = Present { user, visit };
        self.present[worker] = Some(present);
        Ok(present)
    }

    fn ask(&mut self, present: Present, answer: Option<Answer>) -> Result<wit::Action, Fault> {
        allow(&mut self.store, CALL_CPU);
        let answer = answer.map(|answer| wit::Answer {
            status: answer.status,
            failed: answer.failed,
            error: answer.error,
            started_ns: answer.started_ns,
            ended_ns: answer.ended_ns,
            fields: answer
                .fields
                .into_iter()
                .map(|(name, value)| wit::Field { name, value })
                .collect(),
            body: answer.body,
        });
        let guest = self.guest.encarno_scenario_users().user();
        Ok(guest.call_act(&mut self.store, present.user, answer.as_ref())?)
    }
}

/// A seed that follows from another one and from numbers (the finaliser of SplitMix64).
fn mixed(seed: u64, numbers: &[u64]) -> u64 {
    numbers.iter().fold(seed, |seed, number| {
        let mut mixed = seed ^ number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    })
}
