//! Parameters that arrive after their call.

use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use crate::Error;
use crate::memory::{Arriving, Source};
use crate::serve::Limits;

/// Up to this many bytes aren't counted in the account.
const UNCOUNTED_BYTES_MAX: usize = 8 << 10;

pub(crate) struct PendingParams {
    gathered: Gathered,
    state: Coming,
    waker: Option<Waker>,
}

enum Coming {
    More,
    Whole,
    Refused(Error),
}

impl PendingParams {
    /// Parameters of which `announced` bytes are known to come.
    pub(crate) fn new(beginning: &[u8], announced: usize, limits: &Limits, source: Source) -> Self {
        let mut params = Self {
            gathered: Gathered::new(limits, source),
            state: Coming::More,
            waker: None,
        };
        params.gathered.announce(announced);
        params.push(beginning);
        params
    }

    /// Takes more of them.
    pub(crate) fn push(&mut self, chunk: &[u8]) {
        if let Coming::More = self.state
            && let Err(error) = self.gathered.push(chunk)
        {
            self.turn(Coming::Refused(error));
        }
    }

    /// Notes their end.
    pub(crate) fn end(&mut self) {
        if let Coming::More = self.state {
            self.turn(Coming::Whole);
        }
    }

    fn turn(&mut self, state: Coming) {
        self.state = state;
        self.wake();
    }

    pub(crate) fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Takes the bytes once no more are expected.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Bytes, Error>> {
        match &self.state {
            Coming::More => match self.gathered.poll_given_up(context) {
                Some(error) => {
                    self.state = Coming::Refused(error.clone());
                    Poll::Ready(Err(error))
                }
                None => {
                    self.waker = Some(context.waker().clone());
                    Poll::Pending
                }
            },
            Coming::Whole => Poll::Ready(self.gathered.take()),
            Coming::Refused(error) => Poll::Ready(Err(error.clone())),
        }
    }
}

/// The bytes of parameters that have arrived, within their limits.
pub(crate) struct Gathered {
    bytes: Place,
    length: usize,
    capacity: usize,
    announced: usize,
    limits: Limits,
    source: Source,
}

/// The place of the bytes.
enum Place {
    /// Up to [`UNCOUNTED_BYTES_MAX`].
    Few(Vec<u8>),
    Counted(Arriving),
}

impl Gathered {
    pub(crate) fn new(limits: &Limits, source: Source) -> Self {
        Self {
            bytes: Place::Few(Vec::new()),
            length: 0,
            capacity: 0,
            announced: 0,
            limits: limits.clone(),
            source,
        }
    }

    /// Notes that at least this many bytes will come in all.
    pub(crate) fn announce(&mut self, bytes: usize) {
        self.announced = bytes;
    }

    /// Reads the bytes that have arrived; none if they were given up to make room for
    /// others.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&[u8]) -> T) -> T {
        match &self.bytes {
            Place::Few(bytes) => look(bytes),
            Place::Counted(arriving) => arriving.look(look),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.length
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Adds a chunk. If that exceeds the limit, or no memory is left, all bytes are
    /// dropped.
    pub(crate) fn push(&mut self, chunk: &[u8]) -> Result<(), Error> {
        let pushed = self.try_push(chunk);
        if pushed.is_err() {
            drop(self.clear());
        }
        pushed
    }

    fn try_push(&mut self, chunk: &[u8]) -> Result<(), Error> {
        let length = self.length + chunk.len();
        let bytes_max = self.limits.params_bytes_max;
        if length > bytes_max {
            return Err(self.limits.too_large());
        }
        let mut capacity = self.capacity;
        if length > capacity {
            // Grow by a factor of four, but not beyond the announced length: the
            // allocator keeps outgrown buffers for a while.
            let end = match self.announced {
                announced if announced >= length => announced,
                _ => bytes_max,
            };
            capacity = (4 * capacity).clamp(length, end.max(length));
        }
        if let Place::Few(bytes) = &mut self.bytes {
            if capacity <= UNCOUNTED_BYTES_MAX {
                bytes.reserve_exact(capacity - bytes.len());
                bytes.extend_from_slice(chunk);
                (self.length, self.capacity) = (length, capacity);
                return Ok(());
            }
            let few = std::mem::take(bytes);
            let arriving = Arriving::with(&self.limits.memory, self.source, few);
            self.bytes = Place::Counted(arriving);
        }
        if let Place::Counted(arriving) = &mut self.bytes
            && !(arriving.grow_to(capacity) && arriving.push(chunk, capacity))
        {
            return Err(self.limits.memory.used_up());
        }
        (self.length, self.capacity) = (length, capacity);
        Ok(())
    }

    /// The error if the bytes were given up to make room for others. If not, `context` is
    /// woken when they are.
    pub(crate) fn poll_given_up(&mut self, context: &Context<'_>) -> Option<Error> {
        match &self.bytes {
            Place::Counted(arriving) if arriving.poll_given_up(context) => {}
            _ => return None,
        }
        drop(self.clear());
        Some(self.limits.memory.used_up())
    }

    /// Takes all bytes. Their memory stays reserved as long as they live.
    pub(crate) fn take(&mut self) -> Result<Bytes, Error> {
        let (mut bytes, mut held) = match self.clear() {
            Place::Few(bytes) => (bytes, None),
            Place::Counted(arriving) => match arriving.finish() {
                Some((bytes, held)) => (bytes, Some(held)),
                None => return Err(self.limits.memory.used_up()),
            },
        };
        let (length, capacity) = (bytes.len(), bytes.capacity());
        // Shrinking copies the bytes, and for a moment both copies exist.
        let is_roomy = capacity - length > length / 4;
        if is_roomy
            && held
                .as_mut()
                .is_none_or(|held| held.grow_to(capacity + length))
        {
            bytes.shrink_to_fit();
        }
        Ok(match held {
            None => bytes.into(),
            Some(held) => held.keep_for(bytes.into()),
        })
    }

    /// Drops the bytes, and returns where they were.
    fn clear(&mut self) -> Place {
        (self.length, self.capacity) = (0, 0);
        std::mem::replace(&mut self.bytes, Place::Few(Vec::new()))
    }
}
