//! Parameters that arrive in pieces, of all connections together, with their memory. This
//! module decides which of them are given up when no memory is left.
//!
//! A caller may announce much and send little, or send slowly. So nothing is reserved for
//! announced bytes. Arrived bytes are reserved. If that fails, the slowest call of the
//! source that holds the most is given up: callers that begin many calls and don't
//! continue them pay for it themselves.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::time::Instant;

use slotmap::{DefaultKey, SlotMap};

use super::{Memory, Reservation};
use crate::lock;

/// Parameters that hold less than this aren't given up.
const WORTH_BYTES: usize = 16 << 10;

/// All arriving parameters.
#[derive(Default)]
pub(crate) struct Arrivals {
    entries: Mutex<SlotMap<DefaultKey, Arc<Entry>>>,
    /// The bytes that all of them hold.
    held: AtomicUsize,
}

/// The source of parameters: a connection, or the inbox of a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Source(pub(crate) u64);

/// Arriving parameters with their memory. When they are given up, the bytes are dropped
/// at once.
pub(crate) struct Arriving {
    memory: Memory,
    key: DefaultKey,
    entry: Arc<Entry>,
}

struct Entry {
    source: Source,
    began: Instant,
    state: Mutex<State>,
}

struct State {
    /// `None` if they were given up.
    held: Option<Held>,
    waker: Option<Waker>,
}

struct Held {
    /// The bytes that have arrived.
    bytes: Vec<u8>,
    reservation: Reservation,
}

impl Arriving {
    #[cfg(test)]
    fn new(memory: &Memory, source: Source) -> Self {
        Self::with(memory, source, Vec::new())
    }

    /// Arriving parameters, of which these bytes have arrived already.
    pub(crate) fn with(memory: &Memory, source: Source, bytes: Vec<u8>) -> Self {
        let held = Held {
            bytes,
            reservation: memory.nothing(),
        };
        let state = State {
            held: Some(held),
            waker: None,
        };
        let entry = Arc::new(Entry {
            source,
            began: Instant::now(),
            state: Mutex::new(state),
        });
        let key = lock(&memory.arrivals().entries).insert(Arc::clone(&entry));
        Self {
            memory: memory.clone(),
            key,
            entry,
        }
    }

    /// Reserves this many bytes in all, if necessary at the expense of others. `false` if
    /// that wasn't possible.
    pub(crate) fn grow_to(&mut self, bytes: usize) -> bool {
        loop {
            match &mut lock(&self.entry.state).held {
                None => return false,
                Some(Held { reservation, .. }) => {
                    let before = reservation.bytes();
                    if bytes <= before || reservation.try_resize(bytes) {
                        let more = bytes.saturating_sub(before);
                        self.all().held.fetch_add(more, Ordering::Relaxed);
                        return true;
                    }
                }
            }
            if !self.all().give_one_up(Some(self.key)) {
                return false;
            }
        }
    }

    /// Adds a chunk, with room for `capacity` bytes in all, for which memory was
    /// reserved. `false` if the parameters were given up.
    pub(crate) fn push(&mut self, chunk: &[u8], capacity: usize) -> bool {
        match &mut lock(&self.entry.state).held {
            None => false,
            Some(Held { bytes, .. }) => {
                if capacity > bytes.capacity() {
                    bytes.reserve_exact(capacity - bytes.len());
                }
                bytes.extend_from_slice(chunk);
                true
            }
        }
    }

    /// Reads the bytes that have arrived; none if they were given up.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&[u8]) -> T) -> T {
        let state = lock(&self.entry.state);
        look(state.held.as_ref().map_or(&[], |held| &held.bytes))
    }

    fn all(&self) -> &Arrivals {
        self.memory.arrivals()
    }

    /// Whether they were given up. If not, `context` is woken when they are.
    pub(crate) fn poll_given_up(&self, context: &Context<'_>) -> bool {
        let mut state = lock(&self.entry.state);
        if state.held.is_some() {
            state.waker = Some(context.waker().clone());
        }
        state.held.is_none()
    }

    /// Takes the complete bytes; `None` if they were given up.
    pub(crate) fn finish(self) -> Option<(Vec<u8>, Reservation)> {
        let held = self.all().take_from(&self.entry)?;
        Some((held.bytes, held.reservation))
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        self.all().take_from(&self.entry);
        lock(&self.all().entries).remove(self.key);
    }
}

impl Arrivals {
    fn take_from(&self, entry: &Entry) -> Option<Held> {
        let held = lock(&entry.state).held.take();
        let bytes = held.as_ref().map_or(0, |held| held.reservation.bytes());
        self.held.fetch_sub(bytes, Ordering::Relaxed);
        held
    }

    /// Gives up the slowest of the source that holds the most. `false` if there is none,
    /// or if it is `own`.
    pub(crate) fn give_one_up(&self, own: Option<DefaultKey>) -> bool {
        if self.held.load(Ordering::Relaxed) < WORTH_BYTES {
            return false;
        }
        let entries = lock(&self.entries);
        let mut sources: Vec<(Source, usize)> = Vec::new();
        let mut all = Vec::with_capacity(entries.len());
        for (key, entry) in entries.iter() {
            let held = entry.held();
            all.push((key, entry, held));
            match sources
                .iter_mut()
                .find(|(source, _)| *source == entry.source)
            {
                Some((_, sum)) => *sum += held,
                None => sources.push((entry.source, held)),
            }
        }
        let Some(&(most, _)) = sources.iter().max_by_key(|&&(_, sum)| sum) else {
            return false;
        };
        let now = Instant::now();
        let rate = |entry: &Entry, held: usize| {
            let seconds = now.duration_since(entry.began).as_secs_f64();
            held as f64 / seconds.max(1e-6)
        };
        let slowest = (all.iter())
            .filter(|(key, entry, held)| {
                entry.source == most && (*held >= WORTH_BYTES || Some(*key) == own)
            })
            .min_by(|(_, a, a_held), (_, b, b_held)| rate(a, *a_held).total_cmp(&rate(b, *b_held)));
        match slowest {
            Some((key, entry, _)) if Some(*key) != own => {
                // Free the bytes here, because the task that owns them may run much
                // later.
                if let Some(Held { bytes, reservation }) = self.take_from(entry) {
                    drop(bytes);
                    drop(reservation);
                }
                if let Some(waker) = lock(&entry.state).waker.take() {
                    waker.wake();
                }
                true
            }
            _ => false,
        }
    }
}

impl Entry {
    fn held(&self) -> usize {
        let state = lock(&self.state);
        state
            .held
            .as_ref()
            .map_or(0, |held| held.reservation.bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::{Arriving, Source};
    use crate::memory::Memory;

    const MIB: usize = 1 << 20;

    fn is_given_up(arriving: &Arriving) -> bool {
        crate::lock(&arriving.entry.state).held.is_none()
    }

    /// Before any task polls it.
    #[test]
    fn what_is_given_up_is_dropped_at_once() {
        let memory = Memory::new(10 * MIB);
        let mut slow = Arriving::new(&memory, Source(1));
        assert!(slow.grow_to(8 * MIB) && slow.push(&[7; 100], 8 * MIB));
        assert!(Arriving::new(&memory, Source(2)).grow_to(4 * MIB));
        assert_eq!(slow.look(<[u8]>::len), 0);
        assert!(!slow.push(&[7; 100], 8 * MIB));
        assert!(slow.finish().is_none());
    }

    #[test]
    fn the_slowest_of_the_greediest_source_goes() {
        let memory = Memory::new(10 * MIB);
        let new = |source| Arriving::new(&memory, Source(source));
        let (mut modest, mut slow, mut fast) = (new(1), new(2), new(2));
        std::thread::sleep(std::time::Duration::from_millis(5));
        assert!(modest.grow_to(MIB) && slow.grow_to(2 * MIB) && fast.grow_to(6 * MIB));
        // The modest source keeps its call, although that is the slowest.
        let mut newcomer = new(3);
        assert!(newcomer.grow_to(2 * MIB));
        assert!(is_given_up(&slow) && !is_given_up(&modest) && !is_given_up(&fast));
        // The greediest one is given up itself, and others stay.
        assert!(!fast.grow_to(9 * MIB));
        assert!(!is_given_up(&modest) && !is_given_up(&newcomer) && !is_given_up(&fast));
        drop((modest, slow, fast));
        assert_eq!(
            newcomer.finish().map(|(_, held)| held.bytes()),
            Some(2 * MIB)
        );
        assert_eq!(memory.reserved(), 0);
    }

    #[test]
    fn what_was_announced_takes_nothing() {
        let memory = Memory::new(10 * MIB);
        let begun: Vec<_> = (0..10_000)
            .map(|_| Arriving::new(&memory, Source(1)))
            .collect();
        assert!(Arriving::new(&memory, Source(2)).grow_to(9 * MIB));
        assert!(begun.iter().all(|begun| !is_given_up(begun)));
    }

    #[test]
    fn memory_that_others_hold_is_a_refusal() {
        let memory = Memory::new(10 * MIB);
        let _guest = memory.reserve(10 * MIB);
        assert!(!Arriving::new(&memory, Source(1)).grow_to(MIB));
    }
}
