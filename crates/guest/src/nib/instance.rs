//! A guest that runs: what it says is checked here.

use std::sync::Arc;

use wasmtime::Store;
use wasmtime::component::{Linker, ResourceAny};

use super::framer::Need;
use crate::bindings::nib::exports::encarno::nib::protocol as wit;
use crate::bindings::nib::{Nib, NibPre};
use crate::component::{ComponentError, Loaded, cut};
use crate::linked::link;
use crate::store::{Bounds, CALL_CPU, Fault, SETUP_CPU, State, allow, store};

/// What is sent at once.
const SEND_BYTES_MAX: usize = 16 << 20;
/// A longer error of a guest is cut.
const ERROR_CHARS_MAX: usize = 200;
/// The hits that a connection may have at a time.
const STREAMS_MAX: u32 = 1 << 16;

/// A protocol that can be instantiated.
#[derive(Clone)]
pub(crate) struct Recipe {
    pub(crate) loaded: Loaded,
    pre: NibPre<State>,
    settings: Arc<str>,
    bounds: Bounds,
}

impl std::fmt::Debug for Recipe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.loaded.fmt(f)
    }
}

/// What a protocol is like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Traits {
    pub(crate) name: String,
    pub(crate) streams: u32,
    pub(crate) starts_itself: bool,
    pub(crate) sees_payload: bool,
    pub(crate) need: Need,
}

/// How a hit ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) hit: u32,
    pub(crate) status: u16,
    pub(crate) error: Option<String>,
}

/// What a connection does next.
#[derive(Debug, Default)]
pub(crate) struct Step {
    pub(crate) send: Vec<u8>,
    pub(crate) payload: Option<u32>,
    pub(crate) need: Option<Need>,
    pub(crate) ended: Vec<Outcome>,
    pub(crate) wake_at_ns: u64,
    pub(crate) hold: bool,
    pub(crate) close: bool,
}

/// What comes of a call.
#[derive(Debug)]
pub(crate) enum Turn {
    More,
    Done(u16),
    Failed(String),
    Step(Box<Step>),
}

/// A guest, with its store.
pub(crate) struct Instance {
    store: Store<State>,
    nib: Nib,
}

impl std::fmt::Debug for Instance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Instance")
    }
}

/// A connection, as the guest has it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Connection(ResourceAny);

impl Recipe {
    /// Fails if the component isn't a protocol, or wants what there isn't.
    pub(crate) fn new(
        loaded: Loaded,
        settings: &str,
        bounds: Bounds,
    ) -> Result<Self, ComponentError> {
        let host = |linker: &mut Linker<State>| {
            crate::bindings::nib::encarno::nib::host::add_to_linker::<_, crate::store::HasState>(
                linker,
                |state| state,
            )
        };
        let pre = link(&loaded, "a nib of encarno:nib@0.1.0", host, NibPre::new)?;
        Ok(Self {
            pre,
            settings: settings.into(),
            bounds,
            loaded,
        })
    }

    /// A guest of its own for that event loop, configured. The error is the guest's word, or
    /// what it did.
    pub(crate) fn instance(&self, number: u64) -> Result<(Instance, Traits), Fault> {
        let seed = self.bounds.seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let bounds = Bounds {
            seed,
            ..self.bounds
        };
        let mut store = store(self.pre.engine(), bounds);
        allow(&mut store, SETUP_CPU);
        let nib = self.pre.instantiate(&mut store)?;
        allow(&mut store, SETUP_CPU);
        let protocol = nib.encarno_nib_protocol();
        let traits = protocol.call_configure(&mut store, &self.settings)?;
        let traits = traits.map_err(|text| Fault(format!("the guest says: {}", short(&text))))?;
        let traits = Traits {
            name: short(&traits.name),
            streams: traits.streams.clamp(1, STREAMS_MAX),
            starts_itself: traits.starts_itself,
            sees_payload: traits.sees_payload,
            need: Need::new(traits.need).map_err(Fault)?,
        };
        Ok((Instance { store, nib }, traits))
    }
}

/// Nothing of it needs more than a line.
fn short(text: &str) -> String {
    cut(text, ERROR_CHARS_MAX)
}

macro_rules! call {
    ($self:ident, $method:ident, $connection:ident $(, $argument:expr)*) => {{
        allow(&mut $self.store, CALL_CPU);
        let guest = $self.nib.encarno_nib_protocol().connection();
        turn(guest.$method(&mut $self.store, $connection.0 $(, $argument)*)?)
    }};
}

impl Instance {
    /// What is sent for a record; the inner error is the guest's word about it.
    pub(crate) fn prepare(&mut self, entry: &[u8]) -> Result<Result<Vec<u8>, String>, Fault> {
        allow(&mut self.store, SETUP_CPU);
        let protocol = self.nib.encarno_nib_protocol();
        let prepared = protocol.call_prepare(&mut self.store, entry)?;
        match prepared {
            Ok(bytes) if bytes.len() > SEND_BYTES_MAX => Err(too_much(bytes.len())),
            Ok(bytes) => Ok(Ok(bytes)),
            Err(text) => Ok(Err(short(&text))),
        }
    }

    pub(crate) fn connection(&mut self, worker: u32) -> Result<Connection, Fault> {
        allow(&mut self.store, CALL_CPU);
        let guest = self.nib.encarno_nib_protocol().connection();
        Ok(Connection(guest.call_constructor(&mut self.store, worker)?))
    }

    pub(crate) fn drop_connection(&mut self, connection: Connection) -> Result<(), Fault> {
        allow(&mut self.store, CALL_CPU);
        Ok(connection.0.resource_drop(&mut self.store)?)
    }

    pub(crate) fn opened(&mut self, on: Connection, now_ns: u64) -> Result<Turn, Fault> {
        call!(self, call_opened, on, now_ns)
    }

    pub(crate) fn start(&mut self, on: Connection, hit: u32, seen: &[u8]) -> Result<Turn, Fault> {
        call!(self, call_start, on, hit, seen)
    }

    pub(crate) fn data(&mut self, on: Connection, bytes: &[u8]) -> Result<Turn, Fault> {
        call!(self, call_data, on, bytes)
    }

    pub(crate) fn woken(&mut self, on: Connection, now_ns: u64) -> Result<Turn, Fault> {
        call!(self, call_woken, on, now_ns)
    }

    pub(crate) fn closed(&mut self, on: Connection) -> Result<Turn, Fault> {
        call!(self, call_closed, on)
    }
}

fn turn(turn: wit::Turn) -> Result<Turn, Fault> {
    let step = match turn {
        wit::Turn::More => return Ok(Turn::More),
        wit::Turn::Done(status) => return Ok(Turn::Done(status)),
        wit::Turn::Failed(text) => return Ok(Turn::Failed(short(&text))),
        wit::Turn::Step(step) => step,
    };
    if step.send.len() > SEND_BYTES_MAX {
        return Err(too_much(step.send.len()));
    }
    let ended = step.ended.into_iter().map(|outcome| Outcome {
        hit: outcome.hit,
        status: outcome.status,
        error: outcome.error.as_deref().map(short),
    });
    Ok(Turn::Step(Box::new(Step {
        send: step.send,
        payload: step.payload,
        need: step.need.map(Need::new).transpose().map_err(Fault)?,
        ended: ended.collect(),
        wake_at_ns: step.wake_at_ns,
        hold: step.hold,
        close: step.close,
    })))
}

fn too_much(bytes: usize) -> Fault {
    let (mib, max) = (bytes.div_ceil(1 << 20), SEND_BYTES_MAX >> 20);
    Fault(format!(
        "the guest sends {mib} MiB at once: {max} MiB are possible"
    ))
}
