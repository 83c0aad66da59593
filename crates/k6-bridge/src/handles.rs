//! Opaque numbers for bridges and clients. A number holds a place and a
//! generation, so that one used after its close is found out.

use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use slotmap::{DefaultKey, Key as _, KeyData, SlotMap};

use crate::bridge::Bridge;
use crate::client::Client;

#[derive(Clone)]
pub(crate) enum Entry {
    Bridge(Arc<Bridge>),
    Client(Arc<Client>),
}

/// All that is open in this process: it was opened, and is closed, by the caller.
static OPEN: LazyLock<RwLock<SlotMap<DefaultKey, Entry>>> = LazyLock::new(RwLock::default);

/// A handle for `entry`. It is never 0.
pub(crate) fn insert(entry: Entry) -> u64 {
    let mut open = OPEN.write().unwrap_or_else(PoisonError::into_inner);
    open.insert(entry).data().as_ffi()
}

pub(crate) fn bridge(handle: u64) -> Option<Arc<Bridge>> {
    let open = OPEN.read().unwrap_or_else(PoisonError::into_inner);
    match open.get(key(handle)) {
        Some(Entry::Bridge(bridge)) => Some(Arc::clone(bridge)),
        _ => None,
    }
}

pub(crate) fn client(handle: u64) -> Option<Arc<Client>> {
    let open = OPEN.read().unwrap_or_else(PoisonError::into_inner);
    match open.get(key(handle)) {
        Some(Entry::Client(client)) => Some(Arc::clone(client)),
        _ => None,
    }
}

/// Takes the client out, if the handle is that of a client.
pub(crate) fn remove_client(handle: u64) -> Option<Arc<Client>> {
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

/// Takes out the bridge, if the handle is that of a bridge, and its clients.
pub(crate) fn remove_bridge(handle: u64) -> Option<Arc<Bridge>> {
    let mut open = OPEN.write().unwrap_or_else(PoisonError::into_inner);
    let bridge = match open.get(key(handle)) {
        Some(Entry::Bridge(bridge)) => Arc::clone(bridge),
        _ => return None,
    };
    open.remove(key(handle));
    open.retain(|_, entry| match entry {
        Entry::Client(client) => !client.is_of(&bridge),
        Entry::Bridge(_) => true,
    });
    Some(bridge)
}

fn key(handle: u64) -> DefaultKey {
    KeyData::from_ffi(handle).into()
}
