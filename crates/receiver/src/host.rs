//! Guests: the component compiled and linked once, instantiated for each call.

use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use encarno_wrpc::nats::Connection;
use encarno_wrpc::value::DecodeError;
use encarno_wrpc::{Error, ErrorCode};
use wasmtime::component::{Component, ComponentExportIndex, InstancePre, Linker};
use wasmtime::error::Context as _;
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Result, Store,
    Trap, UpdateDeadline, bail,
};
use wasmtime_wasi::{I32Exit, ResourceTable, WasiCtx, WasiCtxView, WasiView};

use crate::codec::{Params, ResultTooLarge, Results};
use crate::exports::{Function, Interface};
use crate::imports::{self, ImportFailed};
use crate::limits::{CpuLimit, MemoryLimit, TABLE_ELEMENTS_MAX, cpu_used};

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

/// What every guest gets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GuestLimits {
    /// Calls that run at the same time.
    pub(crate) concurrency: u32,
    /// Of all memories of a guest together.
    pub(crate) memory_bytes: usize,
    /// Of a call, while it runs.
    pub(crate) cpu: Option<Duration>,
}

/// A component that is compiled.
pub(crate) struct Workload {
    component: Component,
    interface: Interface,
    limits: GuestLimits,
}

/// A component that is linked: calls can be made.
pub(crate) struct Host {
    linked: InstancePre<Guest>,
    exports: Vec<ComponentExportIndex>,
    limits: GuestLimits,
}

/// What a guest has of the host: the data of its store.
pub(crate) struct Guest {
    /// The end of the call, also of the calls that it makes.
    pub(crate) deadline: Instant,
    memory: MemoryLimit,
    cpu: Option<Duration>,
    /// Made when the guest first asks for it: seeding its random numbers and
    /// boxing its clocks would cost every call a microsecond.
    wasi: Option<Box<Wasi>>,
}

struct Wasi {
    context: WasiCtx,
    table: ResourceTable,
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let wasi = self.wasi.get_or_insert_with(|| {
            Box::new(Wasi {
                context: WasiCtx::builder()
                    .stdout(wasmtime_wasi::cli::stderr())
                    .stderr(wasmtime_wasi::cli::stderr())
                    .allow_tcp(false)
                    .allow_udp(false)
                    .build(),
                table: ResourceTable::new(),
            })
        });
        WasiCtxView {
            ctx: &mut wasi.context,
            table: &mut wasi.table,
        }
    }
}

impl Workload {
    /// Reads and compiles the component at `path`, and makes sure that so many
    /// instances of it fit.
    pub(crate) fn load(path: &Path, limits: GuestLimits) -> Result<Self> {
        let what = || format!("cannot load the component {}", path.display());
        let wasm = std::fs::read(path).with_context(what)?;
        expect_component(&wasm).with_context(what)?;
        // The pool must be sized before the component is compiled, and what it
        // needs is known afterwards. One memory and one table are the rule.
        let mut pool = Pool {
            memories: 1,
            tables: 1,
        };
        loop {
            pool.check(limits).with_context(what)?;
            let engine = engine(pool, limits).with_context(|| {
                format!(
                    "cannot reserve address space for {} instances: lower --max-concurrency",
                    limits.concurrency
                )
            })?;
            let component = Component::from_binary(&engine, &wasm).with_context(what)?;
            let needed = Pool::needed(&component, limits).with_context(what)?;
            if needed.memories <= pool.memories && needed.tables <= pool.tables {
                let interface = Interface::of(&engine, &component).with_context(what)?;
                return Ok(Self {
                    component,
                    interface,
                    limits,
                });
            }
            pool = needed;
        }
    }

    /// What the component exports.
    pub(crate) fn exports(&self) -> &[Function] {
        &self.interface.exports
    }

    /// Advances the epoch of this engine to end time slices.
    pub(crate) fn engine(&self) -> &Engine {
        self.component.engine()
    }

    /// Provides the imports: WASI here, all others over `connection`.
    pub(crate) fn link(&self, connection: &Connection, import_prefix: &str) -> Result<Host> {
        let mut linker = Linker::new(self.engine());
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        imports::link(
            &mut linker,
            connection,
            import_prefix,
            &self.interface.imports,
        )?;
        let linked = linker
            .instantiate_pre(&self.component)
            .context("cannot provide what the component imports")?;
        let exports = (self.interface.exports.iter())
            .map(|export| self.index(export))
            .collect::<Option<_>>()
            .context("an export isn't where the component's type says")?;
        Ok(Host {
            linked,
            exports,
            limits: self.limits,
        })
    }

    fn index(&self, export: &Function) -> Option<ComponentExportIndex> {
        let instance = match export.instance.as_str() {
            "" => None,
            name => Some(self.component.get_export_index(None, name)?),
        };
        self.component
            .get_export_index(instance.as_ref(), &export.name)
    }
}

/// What wasmtime says about other files needs an expert to be understood.
fn expect_component(wasm: &[u8]) -> Result<()> {
    // A magic number, then the version and the layer, two bytes each.
    match (wasm.starts_with(b"\0asm"), wasm.get(6..8)) {
        (true, Some([1, 0])) => Ok(()),
        (true, Some([0, 0])) => bail!("it is a core module, not a component"),
        _ => bail!("it is not a WebAssembly binary"),
    }
}

/// What one instance needs of the pool.
#[derive(Clone, Copy)]
struct Pool {
    memories: u32,
    tables: u32,
}

impl Pool {
    fn needed(component: &Component, limits: GuestLimits) -> Result<Self> {
        let Some(needed) = component.resources_required() else {
            bail!("it imports core modules, which can't be provided");
        };
        let initial = needed.max_initial_memory_size.unwrap_or(0) as usize;
        if initial.saturating_mul(PAGE_BYTES) > limits.memory_bytes {
            bail!(
                "it starts with {} MiB of memory, more than --max-memory-mb allows",
                initial.saturating_mul(PAGE_BYTES).div_ceil(1 << 20)
            );
        }
        Ok(Self {
            memories: needed.num_memories,
            tables: needed.num_tables,
        })
    }

    /// Whether the kernel's limits allow that many instances.
    fn check(self, limits: GuestLimits) -> Result<()> {
        let instances = u64::from(limits.concurrency);
        let memories = u64::from(self.memories.max(1));
        let instances_max = ADDRESS_SPACE_BYTES_MAX / (MEMORY_RESERVATION_BYTES * memories);
        if instances > instances_max {
            bail!(
                "{instances} instances of it exceed the address space: at most {instances_max} are \
                 possible, lower --max-concurrency"
            );
        }
        // A memory in use is up to four mappings (image, heap, room to grow,
        // guard), a stack two, tables and all else few.
        let maps = instances * (memories * 4 + 2) + 1000;
        let Ok(text) = std::fs::read_to_string("/proc/sys/vm/max_map_count") else {
            return Ok(()); // not Linux, or hidden: nothing to compare with
        };
        match text.trim().parse::<u64>() {
            Ok(maps_max) if maps > maps_max => bail!(
                "{instances} instances of it need up to {maps} memory mappings and the kernel allows \
                 {maps_max}: lower --max-concurrency or raise the sysctl vm.max_map_count"
            ),
            _ => Ok(()),
        }
    }
}

fn engine(pool: Pool, limits: GuestLimits) -> wasmtime::Result<Engine> {
    let instances = limits.concurrency;
    let knows_touched = PoolingAllocationConfig::is_pagemap_scan_available();
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
        .linear_memory_keep_resident(if knows_touched { 256 << 10 } else { 0 })
        .table_keep_resident(64 << 10)
        // What is beyond that goes back to the kernel, with one call for many.
        .decommit_batch_size(16);
    let mut config = Config::new();
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pooling))
        .memory_reservation(MEMORY_RESERVATION_BYTES)
        .async_stack_size(STACK_BYTES)
        .epoch_interruption(true);
    Engine::new(&config)
}

impl Host {
    /// Calls an export with encoded parameters; returns its encoded results.
    pub(crate) async fn call(
        &self,
        export: usize,
        params: Bytes,
        deadline: Instant,
    ) -> std::result::Result<Bytes, Error> {
        let guest = Guest {
            deadline,
            memory: MemoryLimit::new(self.limits.memory_bytes),
            cpu: self.limits.cpu,
            wasi: None,
        };
        let mut store = Store::new(self.linked.engine(), guest);
        store.limiter(|guest| &mut guest.memory);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|store| match store.data().cpu {
            Some(cpu_max) if cpu_used() > cpu_max => Err(CpuLimit(cpu_max).into()),
            _ => Ok(UpdateDeadline::Yield(1)),
        });
        let call = async {
            let instance = self.linked.instantiate_async(&mut store).await?;
            let function =
                instance.get_typed_func::<Params, Results>(&mut store, self.exports[export])?;
            function.call_async(&mut store, Params(params)).await
        };
        match call.await {
            Ok(Results(encoded)) => Ok(encoded.into()),
            Err(error) => Err(failure(&error, &store.data().memory)),
        }
    }
}

/// What went wrong in a guest, in a line.
fn failure(error: &wasmtime::Error, memory: &MemoryLimit) -> Error {
    tracing::debug!("a call failed: {error:?}");
    if let Some(limit) = error.downcast_ref::<CpuLimit>() {
        return Error::new(ErrorCode::GuestLimit, limit.to_string());
    }
    if let Some(limit) = error.downcast_ref::<ResultTooLarge>() {
        return Error::new(ErrorCode::GuestLimit, limit.to_string());
    }
    if let Some(invalid) = error.downcast_ref::<DecodeError>() {
        let text = format!("the parameters can't be decoded: {invalid}");
        return Error::new(ErrorCode::ProtocolViolation, text);
    }
    if let Some(failed) = error.downcast_ref::<ImportFailed>() {
        return Error::new(ErrorCode::GuestTrap, failed.to_string());
    }
    if let Some(reached) = memory.reached() {
        return Error::new(ErrorCode::GuestLimit, reached);
    }
    let reason = if let Some(exit) = error.downcast_ref::<I32Exit>() {
        format!("it exited with status {}", exit.0)
    } else if let Some(trap) = error.downcast_ref::<Trap>() {
        trap.to_string()
    } else {
        error.root_cause().to_string()
    };
    let reason = reason.lines().next().unwrap_or_default();
    Error::new(ErrorCode::GuestTrap, format!("the guest trapped: {reason}"))
}
