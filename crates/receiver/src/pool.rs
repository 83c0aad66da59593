//! The pool of instances: its needs, and the limits of the kernel.

use std::time::Duration;

use wasmtime::component::Component;
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Result, bail,
};

use crate::limits::{GUEST_BYTES, TABLE_ELEMENTS_MAX};
use crate::needs::Needs;

/// The smallest page size of a system.
const OS_PAGE: usize = 4 << 10;

/// A wasm page.
const PAGE_BYTES: usize = 64 << 10;

/// The address space of each memory. With 4 GiB and the guard after them, guests need no
/// bounds checks.
const MEMORY_RESERVATION_BYTES: u64 = 4 << 30;

/// The address space that memories may reserve, of the 128 TiB of a process on x86-64.
const ADDRESS_SPACE_BYTES_MAX: u64 = 100 << 40;

/// The stack of a call: wasmtime's default of 512 KiB for the guest, and the same for the
/// host functions that it calls.
const STACK_BYTES: usize = 1 << 20;

/// The bytes that an unused stack keeps: as much as most calls touch.
const STACK_KEPT_BYTES: usize = 32 << 10;

/// The most bytes that an unused memory keeps of what its last guest touched.
const KEPT_BYTES_MAX: usize = 256 << 10;

/// The part of the memory of all calls that unused memories may keep; as much again may
/// wait to be handed back to the kernel. No call's account contains it.
const KEPT_PART: usize = 16;

/// The part that unused stacks may keep.
const STACKS_KEPT_PART: usize = 8;

/// The most memories that are handed back to the kernel at once.
const DECOMMIT_BATCH: u32 = 16;

/// The limits of every guest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GuestLimits {
    /// Calls that run at the same time.
    pub(crate) concurrency: u32,
    /// The bytes of all memories of a guest together.
    pub(crate) memory_bytes: usize,
    /// The bytes of all calls together.
    pub(crate) total_bytes: usize,
    /// The CPU time of a call.
    pub(crate) cpu: Option<Duration>,
    /// Whether guests may send HTTP requests.
    pub(crate) outgoing: bool,
}

/// The needs of one instance in the pool.
#[derive(Clone, Copy)]
pub(crate) struct Pool {
    memories: u32,
    tables: u32,
    /// The largest memory's size at the start.
    memory_bytes: usize,
}

impl Pool {
    /// The needs of the component, as far as its bytes show them.
    pub(crate) fn expected(wasm: &[u8]) -> Self {
        let needs = Needs::of(wasm).unwrap_or_default();
        Self {
            memories: needs.memories.max(1),
            tables: needs.tables.max(1),
            memory_bytes: 0,
        }
    }

    pub(crate) fn holds(self, needed: Self) -> bool {
        needed.memories <= self.memories && needed.tables <= self.tables
    }

    /// The needs of the component; an error if they exceed the limits.
    pub(crate) fn needed(component: &Component, limits: GuestLimits) -> Result<Self> {
        let Some(needed) = component.resources_required() else {
            bail!("it imports core modules, which can't be provided");
        };
        let pages = needed.max_initial_memory_size.unwrap_or(0) as usize;
        let needed = Self {
            memories: needed.num_memories,
            tables: needed.num_tables,
            memory_bytes: pages.saturating_mul(PAGE_BYTES),
        };
        for (bytes, limit, option) in [
            (needed.memory_bytes, limits.memory_bytes, "--max-memory-mb"),
            (
                needed.guest_bytes(),
                limits.total_bytes,
                "--max-total-memory-mb",
            ),
        ] {
            if bytes > limit {
                bail!(
                    "it starts with {} MiB of memory, more than {option} allows",
                    bytes.div_ceil(1 << 20)
                );
            }
        }
        Ok(needed)
    }

    /// The memory of a guest at its start, if each of its memories is as large as the
    /// largest; otherwise it is less.
    pub(crate) fn guest_bytes(self) -> usize {
        let memories = self.memory_bytes.saturating_mul(self.memories as usize);
        memories.saturating_add(GUEST_BYTES)
    }

    /// Checks whether the kernel's limits allow this many instances.
    pub(crate) fn check(self, limits: GuestLimits) -> Result<()> {
        let (asked, spare) = (u64::from(limits.concurrency), u64::from(spare()));
        let memories = u64::from(self.memories.max(1));
        let instances_max = ADDRESS_SPACE_BYTES_MAX / (MEMORY_RESERVATION_BYTES * memories);
        let asked_max = instances_max.saturating_sub(spare);
        if asked > asked_max {
            bail!(
                "{asked} instances of it exceed the address space: at most {asked_max} are \
                 possible, lower --max-concurrency"
            );
        }
        // A memory in use takes up to four mappings (image, heap, room to grow, guard), a
        // stack two, and everything else few.
        let maps = (asked + spare) * (memories * 4 + 2) + 1000;
        let Ok(text) = std::fs::read_to_string("/proc/sys/vm/max_map_count") else {
            return Ok(()); // not Linux, or hidden: nothing to compare with
        };
        match text.trim().parse::<u64>() {
            Ok(maps_max) if maps > maps_max => bail!(
                "{asked} instances of it need up to {maps} memory mappings and the kernel allows \
                 {maps_max}: lower --max-concurrency or raise the sysctl vm.max_map_count"
            ),
            _ => Ok(()),
        }
    }
}

/// The number of additional instances. A memory that a thread is handing back to the
/// kernel belongs to no instance, and isn't available for another one yet.
fn spare() -> u32 {
    (2 * DECOMMIT_BATCH).saturating_mul(u32::try_from(threads()).unwrap_or(u32::MAX))
}

/// The number of threads, each of which collects memories to hand back.
fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The number of memories that each thread may collect before it hands them back.
/// Together they are a small part of all memory, even if each has the largest size.
fn decommit_batch(limits: GuestLimits) -> usize {
    let collected = limits.memory_bytes.saturating_mul(threads()).max(1);
    (limits.total_bytes / KEPT_PART / collected).clamp(1, DECOMMIT_BATCH as usize)
}

/// Whether stacks are cleared and handed back after each call. Otherwise a guest that
/// recurses deeply leaves 512 KiB. Clearing costs each call 2 µs, so it is used only if
/// all stacks together would be a large part of the memory.
fn hands_stacks_back(instances: u32, limits: GuestLimits) -> bool {
    let stacks = (instances as usize).saturating_mul(GUEST_BYTES);
    stacks > limits.total_bytes / STACKS_KEPT_PART
}

/// An engine with such a pool, for as many instances as may run.
pub(crate) fn engine(pool: Pool, limits: GuestLimits) -> wasmtime::Result<Engine> {
    let instances = limits.concurrency.saturating_add(spare());
    let knows_touched = PoolingAllocationConfig::is_pagemap_scan_available();
    let memories = instances.saturating_mul(pool.memories.max(1)) as usize;
    let kept = (limits.total_bytes / KEPT_PART / memories).min(KEPT_BYTES_MAX) / OS_PAGE * OS_PAGE;
    let mut pooling = PoolingAllocationConfig::new();
    pooling
        // Each call needs an instance of the component, and a stack.
        .total_component_instances(instances)
        .total_stacks(instances)
        // These are only counted, so the number can be large: a component may have
        // several core modules and adapters between them.
        .total_core_instances(instances.saturating_mul(100))
        .max_core_instances_per_component(100)
        .max_core_instance_size(16 << 20)
        .max_component_instance_size(16 << 20)
        // These reserve address space, so there are only as many as needed.
        .total_memories(instances.saturating_mul(pool.memories.max(1)))
        .total_tables(instances.saturating_mul(pool.tables.max(1)))
        .table_elements(TABLE_ELEMENTS_MAX)
        // A component that needs more than the pool has is compiled all the same; then
        // the pool is made again.
        .max_memories_per_component(1000)
        .max_memories_per_module(1000)
        .max_tables_per_component(1000)
        .max_tables_per_module(1000)
        // The size of the whole reservation. `MemoryLimit` decides how much of it a guest
        // gets.
        .max_memory_size(MEMORY_RESERVATION_BYTES as usize)
        // There is one component, so every slot fits every call, and none has to be
        // handed back to the kernel for another module.
        .max_unused_warm_slots(instances)
        // Since version 6.7, the kernel tells which pages a guest has touched. Up to this
        // many bytes of them are cleared by hand, which is cheaper than handing them back
        // and faulting them in again (11 against 20 µs a call, in total). Older kernels
        // don't tell, and then clearing this much always takes longer.
        .pagemap_scan(if knows_touched {
            Enabled::Yes
        } else {
            Enabled::No
        })
        .linear_memory_keep_resident(if knows_touched { kept } else { 0 })
        .table_keep_resident(64 << 10)
        .async_stack_keep_resident(STACK_KEPT_BYTES)
        // Pages beyond that go back to the kernel, many with one call.
        .decommit_batch_size(decommit_batch(limits));
    let mut config = Config::new();
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pooling))
        .memory_reservation(MEMORY_RESERVATION_BYTES)
        .async_stack_size(STACK_BYTES)
        .async_stack_zeroing(hands_stacks_back(instances, limits))
        .epoch_interruption(true);
    Engine::new(&config)
}
