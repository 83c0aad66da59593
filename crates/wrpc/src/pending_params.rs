//! Parameters that didn't come with their call, while they arrive.

use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use crate::Error;
use crate::memory::{Arriving, Source};
use crate::serve::Limits;

/// Up to this much is held by the call itself.
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
    /// Of which that much is known to come.
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

    /// More of them.
    pub(crate) fn push(&mut self, chunk: &[u8]) {
        if let Coming::More = self.state
            && let Err(error) = self.gathered.push(chunk)
        {
            self.turn(Coming::Refused(error));
        }
    }

    /// That was all.
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

    /// Takes what arrived, once nothing more is expected.
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
    bytes: Vec<u8>,
    announced: usize,
    limits: Limits,
    source: Source,
    /// Of more than [`UNCOUNTED_BYTES_MAX`].
    arriving: Option<Arriving>,
}

impl Gathered {
    pub(crate) fn new(limits: &Limits, source: Source) -> Self {
        Self {
            bytes: Vec::new(),
            announced: 0,
            limits: limits.clone(),
            source,
            arriving: None,
        }
    }

    /// That much is known to come altogether, or more.
    pub(crate) fn announce(&mut self, bytes: usize) {
        self.announced = bytes;
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Adds a chunk, unless that is more than may be, or no memory is left. Then all
    /// is thrown away.
    pub(crate) fn push(&mut self, chunk: &[u8]) -> Result<(), Error> {
        let pushed = self.make_room(chunk.len());
        match pushed {
            Ok(()) => self.bytes.extend_from_slice(chunk),
            Err(_) => self.clear(),
        }
        pushed
    }

    fn make_room(&mut self, more: usize) -> Result<(), Error> {
        let length = self.bytes.len() + more;
        let bytes_max = self.limits.params_bytes_max;
        if length > bytes_max {
            return Err(self.limits.too_large());
        }
        if length <= self.bytes.capacity() && !self.is_given_up() {
            return Ok(());
        }
        // Four times as much each time, but no more than will come: all that is outgrown
        // stays with the allocator for a while.
        let end = match self.announced {
            announced if announced >= length => announced,
            _ => bytes_max,
        };
        let capacity = (4 * self.bytes.capacity()).clamp(length, end.max(length));
        if capacity > UNCOUNTED_BYTES_MAX {
            let arriving = (self.arriving)
                .get_or_insert_with(|| Arriving::new(&self.limits.memory, self.source));
            if !arriving.grow_to(capacity) {
                return Err(self.limits.memory.used_up());
            }
        }
        self.bytes.reserve_exact(capacity - self.bytes.len());
        Ok(())
    }

    fn is_given_up(&self) -> bool {
        self.arriving.as_ref().is_some_and(Arriving::is_given_up)
    }

    /// The refusal, if what arrived had to make room for others. If not, `context` is
    /// woken when it has to.
    pub(crate) fn poll_given_up(&mut self, context: &Context<'_>) -> Option<Error> {
        if !self.arriving.as_ref()?.poll_given_up(context) {
            return None;
        }
        self.clear();
        Some(self.limits.memory.used_up())
    }

    /// All that arrived; the memory is reserved as long as it is there.
    pub(crate) fn take(&mut self) -> Result<Bytes, Error> {
        let mut bytes = std::mem::take(&mut self.bytes);
        if bytes.capacity() - bytes.len() > bytes.len() / 4 {
            bytes.shrink_to_fit();
        }
        let bytes = Bytes::from(bytes);
        match self.arriving.take().map(Arriving::finish) {
            None => Ok(bytes),
            Some(Some(held)) => Ok(held.keep_for(bytes)),
            Some(None) => Err(self.limits.memory.used_up()),
        }
    }

    fn clear(&mut self) {
        self.bytes = Vec::new();
        self.arriving = None;
    }
}
