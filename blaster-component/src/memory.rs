//! Memory that the kernel has really provided.

use std::hint::black_box;

const MIB: u64 = 1 << 20;

/// The size of a block. Memory is allocated in blocks, because a 32-bit guest can
/// allocate at most 2 GiB at once, of 4 GiB in all.
const BLOCK_BYTES: u64 = 64 * MIB;

/// Memory that is freed when this is dropped.
pub(crate) struct Held(Vec<Vec<u8>>);

/// Allocates this many MiB and writes to all pages, because the kernel provides a page
/// only when it is first written. Traps if the host doesn't give the memory.
pub(crate) fn hold(mib: u64) -> Held {
    let mut blocks = Vec::new();
    // Allocate everything before writing, so that missing memory is noticed at once, by a
    // refusal of the host, which knows the limit.
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
    /// Lets the memory escape, because otherwise the compiler could free it earlier or
    /// never allocate it, as nothing reads it.
    fn drop(&mut self) {
        black_box(&mut self.0);
    }
}

/// Traps. A guest without output and result can give a reason only by the name of this
/// function, which the host sees in the backtrace.
#[inline(never)]
fn the_host_refused_the_memory_that_the_packet_asks_for() -> ! {
    std::process::abort()
}
