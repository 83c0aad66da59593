//! The allocator of both programs.
//!
//! The memory of a call is counted in the account until it is dropped. If the allocator
//! kept it for later, the process would be larger than the account says: twice as large
//! with parameters and results of 60 MiB. So a large block is a mapping of its own. It
//! goes back to the kernel at once, whichever thread drops it, and it grows without being
//! copied. All other blocks are mimalloc's, which gives memory back after a peak.

#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout};
use std::ptr;

use mimalloc::MiMalloc;
use rustix::mm::{MapFlags, MremapFlags, ProtFlags, mmap_anonymous, mremap, munmap};

/// Blocks of at least this size are mappings. The kernel allows 65,530 mappings by
/// default, and merges adjacent ones.
const MAPPED_BYTES_MIN: usize = 1 << 20;

/// The smallest page size of a system. No allocation here needs more alignment.
const ALIGN_MAX: usize = 4 << 10;

/// See the [module](self).
#[derive(Debug)]
pub struct Allocator;

/// Whether blocks of this layout are mappings. It depends on the layout alone.
fn is_mapped(layout: Layout) -> bool {
    layout.size() >= MAPPED_BYTES_MIN && layout.align() <= ALIGN_MAX
}

// SAFETY: the layout alone decides which of the two allocators has a block, so the same
// one allocates and frees it. mimalloc keeps its contract. Mappings are private,
// readable, writable, at least as long as asked, aligned to pages, and overlap with
// nothing. Neither unwinds.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !is_mapped(layout) {
            // SAFETY: the caller's promise is mimalloc's requirement.
            return unsafe { MiMalloc.alloc(layout) };
        }
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at a place that the kernel chooses touches no other.
        let mapped =
            unsafe { mmap_anonymous(ptr::null_mut(), layout.size(), access, MapFlags::PRIVATE) };
        mapped.map_or(ptr::null_mut(), |block| block.cast())
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if !is_mapped(layout) {
            // SAFETY: the block is mimalloc's, since its layout is the same.
            return unsafe { MiMalloc.dealloc(block, layout) };
        }
        // SAFETY: the block is a mapping of that length, and nobody uses it any more. It
        // can't fail but for want of memory for the kernel itself; then it is leaked.
        let _ = unsafe { munmap(block.cast(), layout.size()) };
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if is_mapped(layout) {
            // SAFETY: as the caller promises. A new mapping is zero.
            return unsafe { self.alloc(layout) };
        }
        // SAFETY: the caller's promise is mimalloc's requirement.
        unsafe { MiMalloc.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller promises that this is a valid layout.
        let new = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        match (is_mapped(layout), is_mapped(new)) {
            // SAFETY: the old block is mimalloc's, and so is the new one.
            (false, false) => unsafe { MiMalloc.realloc(block, layout, size) },
            (true, true) => {
                let (before, may) = (layout.size(), MremapFlags::MAYMOVE);
                // SAFETY: the block is a mapping of that length, and the caller uses only
                // what this returns; if it fails, nothing has changed.
                let moved = unsafe { mremap(block.cast(), before, size, may) };
                moved.map_or(ptr::null_mut(), |block| block.cast())
            }
            // SAFETY: the new block is another one, and both are at least as long as the
            // copied bytes.
            _ => unsafe {
                let moved = self.alloc(new);
                if !moved.is_null() {
                    ptr::copy_nonoverlapping(block, moved, layout.size().min(size));
                    self.dealloc(block, layout);
                }
                moved
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::alloc::{GlobalAlloc as _, Layout};

    use super::{Allocator, MAPPED_BYTES_MIN};

    /// Checks that a block keeps its bytes when it is resized, and that zeroed memory is
    /// zero.
    #[test]
    fn blocks_keep_their_bytes_while_they_grow_and_shrink() {
        let layout = |size| Layout::from_size_align(size, 8).expect("a layout");
        let sizes = [
            100,
            MAPPED_BYTES_MIN - 1,
            MAPPED_BYTES_MIN,
            3 * MAPPED_BYTES_MIN + 17,
            40 * MAPPED_BYTES_MIN,
            MAPPED_BYTES_MIN + 1,
            5000,
            64,
        ];
        let byte = |index: usize| (index % 251) as u8;
        let mut size = sizes[0];
        // SAFETY: each block is used within its length, by the layout that it has, and
        // given back once.
        unsafe {
            let mut block = Allocator.alloc_zeroed(layout(size));
            assert!(
                std::slice::from_raw_parts(block, size)
                    .iter()
                    .all(|&byte| byte == 0)
            );
            for next in sizes {
                for index in 0..size {
                    block.add(index).write(byte(index));
                }
                block = Allocator.realloc(block, layout(size), next);
                assert!(!block.is_null() && block.align_offset(8) == 0);
                let kept = std::slice::from_raw_parts(block, size.min(next));
                assert!(
                    kept.iter()
                        .enumerate()
                        .all(|(index, &found)| found == byte(index))
                );
                size = next;
            }
            Allocator.dealloc(block, layout(size));
            let aligned = Layout::from_size_align(MAPPED_BYTES_MIN, 1 << 16).expect("a layout");
            let block = Allocator.alloc(aligned);
            assert_eq!(block.align_offset(1 << 16), 0);
            Allocator.dealloc(block, aligned);
            let zeroed = Allocator.alloc_zeroed(layout(3 * MAPPED_BYTES_MIN));
            let bytes = std::slice::from_raw_parts(zeroed, 3 * MAPPED_BYTES_MIN);
            assert!(bytes.iter().all(|&byte| byte == 0));
            Allocator.dealloc(zeroed, layout(3 * MAPPED_BYTES_MIN));
        }
    }

    /// Parameters are dropped by another thread than the one that received them.
    #[test]
    fn a_large_block_goes_back_at_once_whoever_drops_it() {
        const BYTES: usize = 256 << 20;
        let resident = || {
            let text = std::fs::read_to_string("/proc/self/statm").expect("Linux");
            let pages = text
                .split(' ')
                .nth(1)
                .and_then(|pages| pages.parse::<usize>().ok());
            pages.expect("a number") * rustix::param::page_size()
        };
        let layout = Layout::from_size_align(BYTES, 1).expect("a layout");
        // SAFETY: it is used within its length, and given back once.
        let block = unsafe {
            let block = Allocator.alloc(layout);
            block.write_bytes(1, BYTES);
            block
        };
        let there = resident();
        let address = block.expose_provenance();
        let dropping = move || {
            // SAFETY: nobody else has it.
            unsafe { Allocator.dealloc(std::ptr::with_exposed_provenance_mut(address), layout) };
        };
        std::thread::spawn(dropping).join().expect("it is dropped");
        // Other tests allocate memory at the same time.
        assert!(resident() + BYTES / 2 < there, "{} of {there}", resident());
    }
}
