//! CPU time, measured by a guest that has just a wall clock.
//!
//! The wall clock runs on while the operating system or the host has a guest
//! suspended: on a busy host, spinning until it has moved on by the time asked
//! would burn far less than that. So the work is cut into chunks that are all
//! equal and far shorter than what a scheduler gives at once, and each is
//! timed. One that took much longer than the fastest was interrupted, and
//! counts as no more than the fastest took: rather too little than too much,
//! since the burn must not be less than asked.

use std::hint::black_box;

/// Rounds of one chunk: 15 to 20 µs on the machines of today. That is more
/// than a hundred times the cost of reading the clock through the host, and
/// at most 2 % of the shortest burn, which is what the last chunk can exceed.
const CHUNK_ROUNDS: u32 = 8_192;

/// The latest chunks, of which the fastest is the measure of the others. Not
/// all there were: when the CPU slows down (heat, a busy sibling thread), the
/// fastest of all would make every later chunk look interrupted, and the burn
/// would go on for too long. These take about a millisecond, too little for a
/// scheduler to interrupt each of them.
const CHUNKS_COMPARED: usize = 64;

/// Chunks that have run before any is counted, so that the first, which finds
/// cold caches and may be interrupted, isn't its own measure.
const CHUNKS_AHEAD: usize = 8;

/// Keeps the CPU busy for that many nanoseconds of its time, by the clock `now`.
pub(crate) fn cpu(duration_ns: u64, now: impl Fn() -> u64) {
    if duration_ns == 0 {
        return;
    }
    let mut burnt = Burnt::new();
    let mut state = 1;
    let mut begin = now();
    while burnt.ns < duration_ns {
        state = chunk(state);
        // The end of a chunk is the beginning of the next one: reading the
        // clock burns CPU too.
        let end = now();
        burnt.count(end.saturating_sub(begin));
        begin = end;
    }
}

/// One chunk: steps that wait for one another and take the same time whatever
/// the numbers (Marsaglia's xorshift64), so that no compiler shortens them and
/// no chunk is faster than another.
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
    /// What the latest chunks took by the wall clock, as a ring.
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

    /// Counts a chunk that took that long by the wall clock.
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

/// How long a chunk ran that took `took_ns`, as far as that is sure. A quarter
/// above the fastest is what caches, interrupts and the CPU's frequency bring
/// on an idle core; it was not running for what is above that.
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

    /// Runs a burn by a clock that goes on by what `chunk_ns` says for each
    /// chunk, and says how many chunks it ran.
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
        // 1,000 fast chunks are 10 ms. Of the slow ones the first 63 count as
        // fast ones, since one of those is still among the latest.
        let slower = |chunk: u64| if chunk < 1_000 { 10_000 } else { 30_000 };
        let chunks = chunks_of(40_000_000, slower);
        assert_eq!(chunks, 1_000 + 63 + 979);
    }
}
