//! Opaque numbers for bridges and clients. A number contains a place and a generation, so
//! that its use after closing is detected.

use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use encarno_wrpc::{Error, blaster, http};
use encarno_wrpc_caller::{Client, Function, Options};
use slotmap::{DefaultKey, Key as _, KeyData, SlotMap};

use crate::bridge::Bridge;

/// An open client, and the functions that it calls.
pub(crate) struct OpenClient {
    bridge: u64,
    pub(crate) client: Arc<Client>,
    pub(crate) blast: Function,
    pub(crate) http: Function,
    /// The open functions by their numbers, with their names.
    functions: RwLock<Vec<(String, String, Function)>>,
}

impl OpenClient {
    pub(crate) fn new(bridge: u64, of: &Bridge, options: Options) -> Result<Self, Error> {
        let client = of.caller().client(options);
        Ok(Self {
            bridge,
            blast: client.function(blaster::INSTANCE, blaster::FUNCTION)?,
            http: client.function(http::INSTANCE, http::FUNCTION)?,
            client,
            functions: RwLock::default(),
        })
    }

    /// The number of a function, which is always the same for the same names.
    pub(crate) fn open_function(&self, interface: &str, name: &str) -> Result<u64, Error> {
        let function = self.client.function(interface, name)?;
        let functions = &self.functions;
        let mut functions = functions.write().unwrap_or_else(PoisonError::into_inner);
        let known = functions
            .iter()
            .position(|(of, known, _)| of == interface && known == name);
        let number = known.unwrap_or_else(|| {
            functions.push((interface.to_owned(), name.to_owned(), function));
            functions.len() - 1
        });
        Ok(number as u64)
    }

    pub(crate) fn function(&self, number: u64) -> Option<Function> {
        let functions = &self.functions;
        let functions = functions.read().unwrap_or_else(PoisonError::into_inner);
        let (_, _, function) = functions.get(usize::try_from(number).ok()?)?;
        Some(function.clone())
    }
}

#[derive(Clone)]
enum Entry {
    Bridge(Arc<Bridge>),
    Client(Arc<OpenClient>),
}

/// All open bridges and clients of this process. The caller opened them, and closes them.
static OPEN: LazyLock<RwLock<SlotMap<DefaultKey, Entry>>> = LazyLock::new(RwLock::default);

/// A handle for a bridge. It is never 0.
pub(crate) fn insert_bridge(bridge: Bridge) -> u64 {
    insert(Entry::Bridge(Arc::new(bridge)))
}

/// A handle for a client. It is never 0.
pub(crate) fn insert_client(client: OpenClient) -> u64 {
    insert(Entry::Client(Arc::new(client)))
}

pub(crate) fn bridge(handle: u64) -> Option<Arc<Bridge>> {
    let open = OPEN.read().unwrap_or_else(PoisonError::into_inner);
    match open.get(key(handle)) {
        Some(Entry::Bridge(bridge)) => Some(Arc::clone(bridge)),
        _ => None,
    }
}

pub(crate) fn client(handle: u64) -> Option<Arc<OpenClient>> {
    let open = OPEN.read().unwrap_or_else(PoisonError::into_inner);
    match open.get(key(handle)) {
        Some(Entry::Client(client)) => Some(Arc::clone(client)),
        _ => None,
    }
}

/// Removes a client, if the handle is that of a client.
pub(crate) fn remove_client(handle: u64) -> Option<Arc<OpenClient>> {
    let mut open = OPEN.write().unwrap_or_else(PoisonError::into_inner);
    match open.get(key(handle)) {
        Some(Entry::Client(_)) => {}
        _ => return None,
    }
    match open.remove(key(handle)) {
        Some(Entry::Client(client)) => Some(client),
        _ => None,
    }
}

/// Removes a bridge and its clients, if the handle is that of a bridge.
pub(crate) fn remove_bridge(handle: u64) -> Option<Arc<Bridge>> {
    let mut open = OPEN.write().unwrap_or_else(PoisonError::into_inner);
    let bridge = match open.get(key(handle)) {
        Some(Entry::Bridge(bridge)) => Arc::clone(bridge),
        _ => return None,
    };
    open.remove(key(handle));
    open.retain(|_, entry| match entry {
        Entry::Client(client) => client.bridge != handle,
        Entry::Bridge(_) => true,
    });
    Some(bridge)
}

fn insert(entry: Entry) -> u64 {
    let mut open = OPEN.write().unwrap_or_else(PoisonError::into_inner);
    open.insert(entry).data().as_ffi()
}

fn key(handle: u64) -> DefaultKey {
    KeyData::from_ffi(handle).into()
}
