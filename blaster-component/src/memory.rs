//! Memory that is really there.

use std::hint::black_box;

const MIB: u64 = 1 << 20;

/// Memory is taken in blocks, since one allocation of a 32-bit guest ends at
/// 2 GiB, and its memory at 4.
const BLOCK_BYTES: u64 = 64 * MIB;

/// Memory that is given back when this is dropped.
pub(crate) struct Held(Vec<Vec<u8>>);

/// Takes that many MiB and writes to all of it: the kernel gives a page only
/// when it is first written. Traps when the host doesn't give the memory.
pub(crate) fn hold(mib: u64) -> Held {
    let mut blocks = Vec::new();
    // All is taken before any is written: what can't be had is known at once,
    // and by a refusal of the host, who can say which limit it was.
    let mut left = mib.saturating_mul(MIB);
    while left > 0 {
        let bytes = left.min(BLOCK_BYTES);
        blocks.push(take(bytes as usize));
        left -= bytes;
    }
    for block in &mut blocks {
        block.resize(block.capacity(), 0x5a);
    }
    Held(blocks)
}

fn take(bytes: usize) -> Vec<u8> {
    let mut block = Vec::new();
    match block.try_reserve_exact(bytes) {
        Ok(()) => block,
        Err(_) => the_host_refused_the_memory_that_the_packet_asks_for(),
    }
}

impl Drop for Held {
    /// Lets the memory escape here, or the compiler would give it back earlier,
    /// or never take it, as nobody reads it.
    fn drop(&mut self) {
        black_box(&mut self.0);
    }
}

/// Traps. A guest without output and without a result has one way to say why:
/// the name of this function, in the backtrace that the host has.
#[inline(never)]
fn the_host_refused_the_memory_that_the_packet_asks_for() -> ! {
    std::process::abort()
}
