//! Memory that is really there.

use std::hint::black_box;

const MIB: u64 = 1 << 20;

/// Memory that is given back when this is dropped.
pub(crate) struct Held(Vec<u8>);

/// Takes that many MiB and writes to all of it: the kernel gives a page only
/// when it is first written. Traps when the host doesn't give the memory.
pub(crate) fn hold(mib: u64) -> Held {
    let mut memory = Vec::new();
    let bytes = mib.checked_mul(MIB).and_then(|bytes| usize::try_from(bytes).ok());
    match bytes {
        Some(bytes) if memory.try_reserve_exact(bytes).is_ok() => memory.resize(bytes, 0x5a),
        _ => memory_that_the_blast_asked_for_is_not_to_be_had(),
    }
    Held(memory)
}

impl Drop for Held {
    /// Lets the memory escape to the end, or the compiler would give it back,
    /// or never take it, as nobody reads it.
    fn drop(&mut self) {
        black_box(&mut self.0);
    }
}

/// Traps. A guest without output and without a result has one way to say why:
/// the name of the function in the backtrace that the host reports.
#[inline(never)]
fn memory_that_the_blast_asked_for_is_not_to_be_had() -> ! {
    std::process::abort()
}
