//! What every guest has of the host, and its bounds.

use std::time::Duration;

use encarno_nib::clock::thread_cpu_ns;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng as _, SeedableRng as _};
use wasmtime::component::{HasData, Linker, Resource};
use wasmtime::{Engine, ResourceLimiter, Store, UpdateDeadline, bail};
use wasmtime_wasi::p2::DynPollable;
use wasmtime_wasi::{
    HostMonotonicClock, HostWallClock, ResourceTable, WasiCtx, WasiCtxView, WasiView,
};

use crate::bindings::nib::encarno::nib::host::{Host, Level};
use crate::component::said;

/// A call takes so much of a core at most …
pub(crate) const CALL_CPU: Duration = Duration::from_millis(10);
/// … and so much if it isn't one of a hit.
pub(crate) const SETUP_CPU: Duration = Duration::from_secs(5);
/// What the memories of a scenario may have.
pub(crate) const MEMORY_BYTES: usize = 256 << 20;
/// What a guest hands over in one call at most: 16 MiB of bytes to send, and what else there is.
const CALL_BYTES_MAX: usize = 32 << 20;
/// The elements of all its tables.
const TABLE_ELEMENTS_MAX: usize = 1 << 20;
/// The handles of WASI that it may have.
const HANDLES_MAX: usize = 1 << 10;
/// Random bytes that it gets at a time.
const RANDOM_BYTES_MAX: u64 = 1 << 20;
/// Lines that a guest may say, and how long one is.
const LINES_MAX: u32 = 100;
const LINE_CHARS_MAX: usize = 500;

/// What is allowed to a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// Of all its memories.
    pub(crate) memory_bytes: usize,
    /// What its random numbers begin with.
    pub(crate) seed: u64,
    /// It has no clocks, so that it always says the same.
    pub(crate) timeless: bool,
}

/// The guest did what it may not do; its store is of no use any more.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0}")]
pub(crate) struct Fault(pub(crate) String);

impl From<wasmtime::Error> for Fault {
    fn from(error: wasmtime::Error) -> Self {
        Self(said(&error))
    }
}

/// The data of a store.
pub(crate) struct State {
    memory_bytes: usize,
    memory_bytes_max: usize,
    elements: usize,
    /// What the running call may take of a core.
    cpu_ns_max: u64,
    /// The thread's CPU when the running call was first looked at.
    looked_cpu_ns: Option<u64>,
    wasi: WasiCtx,
    table: ResourceTable,
    random: Xoshiro256PlusPlus,
    lines: u32,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl ResourceLimiter for State {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let bytes = self.memory_bytes.saturating_add(desired - current);
        let fits = bytes <= self.memory_bytes_max;
        if fits {
            self.memory_bytes = bytes;
        }
        Ok(fits)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let elements = self.elements.saturating_add(desired - current);
        let fits = elements <= TABLE_ELEMENTS_MAX;
        if fits {
            self.elements = elements;
        }
        Ok(fits)
    }
}

impl Host for State {
    fn log(&mut self, level: Level, text: String) {
        if self.lines >= LINES_MAX {
            return;
        }
        self.lines += 1;
        let text: String = text.chars().take(LINE_CHARS_MAX).collect();
        let text = text.escape_debug();
        match level {
            Level::Debug => tracing::debug!("guest: {text}"),
            Level::Info => tracing::info!("guest: {text}"),
            Level::Warn => tracing::warn!("guest: {text}"),
            Level::Error => tracing::error!("guest: {text}"),
        }
    }

    fn random(&mut self) -> u64 {
        self.random.next_u64()
    }
}

/// A store within those bounds.
pub(crate) fn store(engine: &Engine, bounds: Bounds) -> Store<State> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(bounds.seed);
    let mut table = ResourceTable::new();
    table.set_max_capacity(HANDLES_MAX);
    let mut wasi = WasiCtx::builder();
    // Nothing of it leads anywhere: no files, no sockets, no environment, output that nobody
    // reads. Random numbers follow from the seed.
    wasi.allow_tcp(false)
        .allow_udp(false)
        .max_random_size(RANDOM_BYTES_MAX)
        .secure_random(Xoshiro256PlusPlus::seed_from_u64(random.next_u64()))
        .insecure_random(Xoshiro256PlusPlus::seed_from_u64(random.next_u64()))
        .insecure_random_seed(random.next_u64().into());
    if bounds.timeless {
        wasi.wall_clock(Stopped).monotonic_clock(Stopped);
    }
    let state = State {
        memory_bytes: 0,
        memory_bytes_max: bounds.memory_bytes,
        elements: 0,
        cpu_ns_max: 0,
        looked_cpu_ns: None,
        wasi: wasi.build(),
        table,
        random,
        lines: 0,
    };
    let mut store = Store::new(engine, state);
    store.limiter(|state| state);
    store.set_hostcall_fuel(CALL_BYTES_MAX);
    // Time is the thread's: a machine that has no core for this thread isn't the guest's fault.
    store.epoch_deadline_callback(|mut context| {
        let state = context.data_mut();
        let cpu_ns = thread_cpu_ns();
        let since_ns = cpu_ns - *state.looked_cpu_ns.get_or_insert(cpu_ns);
        if since_ns >= state.cpu_ns_max {
            let allowed = Duration::from_nanos(state.cpu_ns_max);
            bail!("the guest ran for more than {allowed:?} in one call");
        }
        Ok(UpdateDeadline::Continue(1))
    });
    store
}

/// A clock that shows nothing.
struct Stopped;

impl HostWallClock for Stopped {
    fn resolution(&self) -> Duration {
        Duration::from_nanos(1)
    }

    fn now(&self) -> Duration {
        Duration::ZERO
    }
}

impl HostMonotonicClock for Stopped {
    fn resolution(&self) -> u64 {
        1
    }

    fn now(&self) -> u64 {
        0
    }
}

/// The next call may take so much of a core.
pub(crate) fn allow(store: &mut Store<State>, cpu: Duration) {
    store.set_epoch_deadline(1);
    let state = store.data_mut();
    state.cpu_ns_max = cpu.as_nanos() as u64;
    state.looked_cpu_ns = None;
}

/// What guests may import of WASI: all of it is there, and nothing can be waited for.
pub(crate) fn add_wasi(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_sync(linker)?;
    linker.allow_shadowing(true);
    let mut poll = linker.instance("wasi:io/poll@0.2.12")?;
    poll.func_wrap(
        "[method]pollable.block",
        |_, (_pollable,): (Resource<DynPollable>,)| -> wasmtime::Result<()> { bail!(WAITS) },
    )?;
    poll.func_wrap(
        "poll",
        |_, (_pollables,): (Vec<Resource<DynPollable>>,)| -> wasmtime::Result<(Vec<u32>,)> {
            bail!(WAITS)
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}

const WAITS: &str = "the guest waits, which holds all hits up: a step has an instant to wake at";

/// What functions of the host get of a store: its data.
pub(crate) struct HasState;

impl HasData for HasState {
    type Data<'a> = &'a mut State;
}
