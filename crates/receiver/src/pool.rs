//! The pool of instances: what it needs, and what the kernel allows.

use std::time::Duration;

use wasmtime::component::Component;
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Result, bail,
};

use crate::limits::{GUEST_BYTES, TABLE_ELEMENTS_MAX};
use crate::needs::Needs;

/// A page of the system, or a part of it.
const OS_PAGE: usize = 4 << 10;

/// A wasm page.
const PAGE_BYTES: usize = 64 << 10;

/// What each memory reserves of the address space: with 4 GiB and the guard
/// behind them, guests need no bounds checks.
const MEMORY_RESERVATION_BYTES: u64 = 4 << 30;

/// Of the 128 TiB that a process has on x86-64, what memories may reserve.
const ADDRESS_SPACE_BYTES_MAX: u64 = 100 << 40;

/// The stack of a call: wasmtime's default of 512 KiB for the guest, and as
/// much for the host functions that it calls.
const STACK_BYTES: usize = 1 << 20;

/// What a stack that nobody uses keeps: as much as most calls touch.
const STACK_KEPT_BYTES: usize = 32 << 10;

/// What a memory that nobody uses may keep of what its last guest touched.
const KEPT_BYTES_MAX: usize = 256 << 10;

/// Of the memory of all calls together: what memories keep that nobody uses, and as much
/// again that waits to be handed back to the kernel. It isn't counted as any call's.
const KEPT_PART: usize = 16;

/// The same for stacks.
const STACKS_KEPT_PART: usize = 8;

/// So many are handed back to the kernel at a time, at most.
const DECOMMIT_BATCH: u32 = 16;

/// What every guest gets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GuestLimits {
    /// Calls that run at the same time.
    pub(crate) concurrency: u32,
    /// Of all memories of a guest together.
    pub(crate) memory_bytes: usize,
    /// Of all calls together.
    pub(crate) total_bytes: usize,
    /// Of a call, while it runs.
    pub(crate) cpu: Option<Duration>,
    /// Whether it may send HTTP requests.
    pub(crate) outgoing: bool,
}

/// What one instance needs of the pool.
#[derive(Clone, Copy)]
pub(crate) struct Pool {
    memories: u32,
    tables: u32,
    /// Of the largest memory, at the start.
    memory_bytes: usize,
}

impl Pool {
    /// What the component will need, as far as its bytes tell.
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

    /// What the component needs, unless that is more than the limits allow.
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

    /// What a guest takes from its start on, if each of its memories is as large as the
    /// largest; if not, less.
    pub(crate) fn guest_bytes(self) -> usize {
        let memories = self.memory_bytes.saturating_mul(self.memories as usize);
        memories.saturating_add(GUEST_BYTES)
    }

    /// Whether the kernel's limits allow that many instances.
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
        // A memory in use is up to four mappings (image, heap, room to grow,
        // guard), a stack two, tables and all else few.
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

/// More than may run: what a thread is handing back to the kernel at the moment is
/// no instance's any more, and can't be another's yet.
fn spare() -> u32 {
    (2 * DECOMMIT_BATCH).saturating_mul(u32::try_from(threads()).unwrap_or(u32::MAX))
}

/// Each of which collects what it hands back.
fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// How many memories each thread may collect before it hands them back: they are no
/// large part of all, even if each is as large as one may be.
fn decommit_batch(limits: GuestLimits) -> usize {
    let collected = limits.memory_bytes.saturating_mul(threads()).max(1);
    (limits.total_bytes / KEPT_PART / collected).clamp(1, DECOMMIT_BATCH as usize)
}

/// Whether stacks are cleared and handed back after each call. A guest that recurses deeply
/// leaves 512 KiB otherwise. That it costs each call 2 µs is worth it only where as many
/// stacks as there are would be a large part of all.
fn hands_stacks_back(instances: u32, limits: GuestLimits) -> bool {
    let stacks = (instances as usize).saturating_mul(GUEST_BYTES);
    stacks > limits.total_bytes / STACKS_KEPT_PART
}

/// An engine with such a pool for as many instances as may run.
pub(crate) fn engine(pool: Pool, limits: GuestLimits) -> wasmtime::Result<Engine> {
    let instances = limits.concurrency.saturating_add(spare());
    let knows_touched = PoolingAllocationConfig::is_pagemap_scan_available();
    let memories = instances.saturating_mul(pool.memories.max(1)) as usize;
    let kept = (limits.total_bytes / KEPT_PART / memories).min(KEPT_BYTES_MAX) / OS_PAGE * OS_PAGE;
    let mut pooling = PoolingAllocationConfig::new();
    pooling
        // An instance of the component for each call, and a stack.
        .total_component_instances(instances)
        .total_stacks(instances)
        // Only counted, so many are free: a component may have several core
        // modules and the adapters between them.
        .total_core_instances(instances.saturating_mul(100))
        .max_core_instances_per_component(100)
        .max_core_instance_size(16 << 20)
        .max_component_instance_size(16 << 20)
        // These reserve address space, so there are as many as are needed.
        .total_memories(instances.saturating_mul(pool.memories.max(1)))
        .total_tables(instances.saturating_mul(pool.tables.max(1)))
        .table_elements(TABLE_ELEMENTS_MAX)
        // A component that needs more than the pool has is compiled all the
        // same, and then the pool is made anew.
        .max_memories_per_component(1000)
        .max_memories_per_module(1000)
        .max_tables_per_component(1000)
        .max_tables_per_module(1000)
        // All that is reserved. `MemoryLimit` says how much of it a guest gets.
        .max_memory_size(MEMORY_RESERVATION_BYTES as usize)
        // One component means that every slot fits every call: none is ever
        // handed back to the kernel for want of a matching module.
        .max_unused_warm_slots(instances)
        // Kernels since 6.7 tell which pages a guest has touched. Those are
        // cleared by hand, up to this much, which is cheaper than handing them
        // back and faulting them in again (11 against 20 µs a call, all told).
        // Other kernels don't tell, and clearing this much always takes longer.
        .pagemap_scan(if knows_touched {
            Enabled::Yes
        } else {
            Enabled::No
        })
        .linear_memory_keep_resident(if knows_touched { kept } else { 0 })
        .table_keep_resident(64 << 10)
        .async_stack_keep_resident(STACK_KEPT_BYTES)
        // What is beyond that goes back to the kernel, with one call for many.
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
