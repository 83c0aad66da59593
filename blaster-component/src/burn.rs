//! CPU time, measured by a guest that has only a wall clock.
//!
//! The wall clock also runs while the operating system or the host suspends a guest. On a
//! busy host, spinning for the asked time would burn far less CPU. So the work is divided
//! into equal chunks, much shorter than a scheduler's time slice, and each is timed. A
//! chunk that took much longer than the fastest one was interrupted, and counts only as
//! much as the fastest. This may count too little, so that the burn is never shorter than
//! asked.

use std::hint::black_box;

/// Rounds of one chunk, which takes 15 to 20 µs on current machines. That is more than a
/// hundred times the cost of reading the clock through the host, and at most 2 % of the
/// shortest burn, which the last chunk can exceed by that much.
const CHUNK_ROUNDS: u32 = 8_192;

/// The number of latest chunks among which the fastest one is the measure. Not all chunks
/// are compared: when the CPU slows down (heat, a busy sibling thread), the fastest of
/// all would make every later chunk look interrupted, and the burn would take too long.
/// These chunks take about a millisecond together, so a scheduler can't have interrupted
/// each of them.
const CHUNKS_COMPARED: usize = 64;

/// The number of chunks that run before any is counted. The first chunk has cold caches
/// and may be interrupted, so it must not be its own measure.
const CHUNKS_AHEAD: usize = 8;

/// Keeps the CPU busy for this many nanoseconds of CPU time, by the clock `now`.
pub(crate) fn cpu(duration_ns: u64, now: impl Fn() -> u64) {
    if duration_ns == 0 {
        return;
    }
    let mut burnt = Burnt::new();
    let mut state = 1;
    let mut begin = now();
    while burnt.ns < duration_ns {
        state = chunk(state);
        // The end of a chunk is the start of the next one, because reading the clock
        // burns CPU too.
        let end = now();
        burnt.count(end.saturating_sub(begin));
        begin = end;
    }
}

/// One chunk: steps that depend on each other and take the same time for all numbers
/// (Marsaglia's xorshift64), so that no compiler shortens them and all chunks are equally
/// fast.
#[inline(never)]
fn chunk(mut state: u64) -> u64 {
    for _ in 0..CHUNK_ROUNDS {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
    }
    black_box(state)
}

/// The CPU time of the chunks so far.
struct Burnt {
    ns: u64,
    chunks: usize,
    /// The times of the latest chunks by the wall clock, as a ring.
    latest_ns: [u64; CHUNKS_COMPARED],
}

impl Burnt {
    fn new() -> Self {
        Self {
            ns: 0,
            chunks: 0,
            latest_ns: [u64::MAX; CHUNKS_COMPARED],
        }
    }

    /// Counts a chunk with this time by the wall clock.
    fn count(&mut self, took_ns: u64) {
        self.latest_ns[self.chunks % CHUNKS_COMPARED] = took_ns;
        self.chunks += 1;
        let fastest_ns = self.latest_ns.iter().copied().min().unwrap_or(took_ns);
        if self.chunks == CHUNKS_AHEAD {
            let ahead = &self.latest_ns[..CHUNKS_AHEAD];
            self.ns = ahead.iter().map(|&took| ran_ns(took, fastest_ns)).sum();
        } else if self.chunks > CHUNKS_AHEAD {
            self.ns = self.ns.saturating_add(ran_ns(took_ns, fastest_ns));
        }
    }
}

/// The CPU time of a chunk that took `took_ns`, as far as it is certain. Caches,
/// interrupts and the CPU's frequency explain up to a quarter more than the fastest chunk
/// on an idle core. In the time beyond that, the chunk wasn't running.
fn ran_ns(took_ns: u64, fastest_ns: u64) -> u64 {
    if took_ns > fastest_ns.saturating_add(fastest_ns / 4) {
        fastest_ns
    } else {
        took_ns
    }
}

#[cfg(test)]
mod tests {
    use super::cpu;
    use std::cell::Cell;

    /// Runs a burn with a clock that advances by `chunk_ns` in each chunk, and returns
    /// the number of chunks.
    fn chunks_of(duration_ns: u64, chunk_ns: impl Fn(u64) -> u64) -> u64 {
        let (time_ns, chunks) = (Cell::new(0), Cell::new(0));
        cpu(duration_ns, || {
            let now = time_ns.get();
            time_ns.set(now + chunk_ns(chunks.get()));
            chunks.set(chunks.get() + 1);
            now
        });
        chunks.get() - 1 // the first reading ends no chunk
    }

    #[test]
    fn an_idle_core_burns_what_was_asked() {
        assert_eq!(chunks_of(1_000_000, |_| 10_000), 100);
        assert_eq!(chunks_of(1_000_001, |_| 10_000), 101);
    }

    #[test]
    fn nothing_asked_reads_no_clock() {
        cpu(0, || unreachable!("the clock was read"));
    }

    #[test]
    fn time_spent_suspended_is_not_burnt() {
        // Every tenth chunk is suspended for 4 ms.
        let suspended = |chunk: u64| if chunk % 10 == 3 { 4_010_000 } else { 10_000 };
        assert_eq!(chunks_of(10_000_000, suspended), 1_000);
    }

    #[test]
    fn a_first_chunk_that_was_suspended_is_not_its_own_measure() {
        let first = |chunk: u64| if chunk == 0 { 50_000_000 } else { 10_000 };
        assert_eq!(chunks_of(1_000_000, first), 100);
    }

    #[test]
    fn small_differences_are_counted_as_they_are() {
        let uneven = |chunk: u64| 10_000 + chunk % 2 * 2_000;
        assert_eq!(chunks_of(1_100_000, uneven), 100);
    }

    #[test]
    fn a_cpu_that_slows_down_for_good_becomes_the_measure() {
        // 1,000 fast chunks take 10 ms. The first 63 slow ones count as fast ones,
        // because a fast one is still among the latest chunks.
        let slower = |chunk: u64| if chunk < 1_000 { 10_000 } else { 30_000 };
        let chunks = chunks_of(40_000_000, slower);
        assert_eq!(chunks, 1_000 + 63 + 979);
    }
}
