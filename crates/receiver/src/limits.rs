//! The limits of a call: memory, tables and CPU.

use std::cell::Cell;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::thread::{self, Thread};
use std::time::Duration;

use encarno_wrpc::memory::Reservation;
use encarno_wrpc::{Error, ErrorCode};
use rustix::time::{ClockId, clock_gettime};
use wasmtime::{Engine, ResourceLimiter};

/// The memory of a guest besides its memories: the stack, up to
/// `wasmtime::Config::max_wasm_stack`, and its instance and store.
pub(crate) const GUEST_BYTES: usize = (512 << 10) + (64 << 10);

/// How long a guest runs before other guests have their turn. Timer slack and a busy
/// machine make it longer.
pub(crate) const TICK: Duration = Duration::from_millis(1);

/// After this many ticks without a call, the ticker sleeps.
const IDLE_TICKS_MAX: u32 = 100;

/// The most elements of all tables of an instance together. With a pointer for each, that
/// is 8 MiB, which each table reserves in the address space.
pub(crate) const TABLE_ELEMENTS_MAX: usize = 1 << 20;

/// The call used more CPU time than it may.
#[derive(Debug, thiserror::Error)]
#[error("the CPU limit of {} ms is used up (--max-cpu-ms)", .0.as_millis())]
pub(crate) struct CpuLimit(pub(crate) Duration);

/// The most handles of a guest: of the host's resources, and of its own.
pub(crate) const HANDLES_MAX: usize = 4096;

/// The memory of a table's element.
const ELEMENT_BYTES: usize = size_of::<usize>();

/// The reservation for one guest. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Ledger(Arc<Mutex<Reservation>>);

impl Ledger {
    pub(crate) fn new(reserved: Reservation) -> Self {
        Self(Arc::new(Mutex::new(reserved)))
    }

    fn reserved(&self) -> MutexGuard<'_, Reservation> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts the memory of one guest: its memories, its tables, and what the host keeps for
/// it.
pub(crate) struct MemoryLimit {
    /// The bytes of all memories.
    bytes: usize,
    bytes_max: usize,
    /// The elements of all tables.
    elements: usize,
    /// The bytes of the host's resources.
    host_bytes: usize,
    /// The bytes of the last import's values.
    import_bytes: usize,
    reserved: Ledger,
    denied: Option<Denied>,
}

/// The request of a guest that was denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Denied {
    Memory,
    Table,
    /// The memory for all calls together was used up.
    Total,
}

impl MemoryLimit {
    /// A limit for a guest whose memory at the start is already reserved.
    pub(crate) fn new(bytes_max: usize, reserved: Ledger) -> Self {
        Self {
            bytes: 0,
            bytes_max,
            elements: 0,
            host_bytes: 0,
            import_bytes: 0,
            reserved,
            denied: None,
        }
    }

    /// A guest that is denied memory sees -1 and usually traps. This is the error behind
    /// that trap.
    pub(crate) fn reached(&self) -> Option<Error> {
        let text = match self.denied? {
            Denied::Memory => format!(
                "the memory limit of {} MiB is reached (--max-memory-mb)",
                self.bytes_max >> 20
            ),
            Denied::Table => format!("the limit of {TABLE_ELEMENTS_MAX} table elements is reached"),
            Denied::Total => return Some(self.reserved.reserved().used_up()),
        };
        Some(Error::new(ErrorCode::GuestLimit, text))
    }

    /// Sets the bytes that the host keeps for the guest now. Returns whether there is
    /// memory for them.
    pub(crate) fn keep_on_host(&mut self, bytes: usize) -> bool {
        let before = std::mem::replace(&mut self.host_bytes, bytes);
        let fits = self.reserve(self.bytes, self.elements);
        if !fits {
            self.host_bytes = before;
        }
        fits
    }

    /// Sets the bytes of an import's values. Returns whether there is memory for them.
    pub(crate) fn keep_for_import(&mut self, bytes: usize) -> bool {
        self.import_bytes = bytes;
        self.reserve(self.bytes, self.elements)
    }

    fn reserve(&mut self, bytes: usize, elements: usize) -> bool {
        let tables = elements.saturating_mul(ELEMENT_BYTES);
        let all = GUEST_BYTES
            .saturating_add(bytes)
            .saturating_add(tables)
            .saturating_add(self.host_bytes)
            .saturating_add(self.import_bytes);
        let fits = self.reserved.reserved().grow_to(all);
        if !fits {
            self.denied = Some(Denied::Total);
        }
        fits
    }
}

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let total = self.bytes.saturating_add(desired.saturating_sub(current));
        if total > self.bytes_max {
            self.denied = Some(Denied::Memory);
            return Ok(false);
        }
        let fits = self.reserve(total, self.elements);
        if fits {
            self.bytes = total;
        }
        Ok(fits)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let total = self
            .elements
            .saturating_add(desired.saturating_sub(current));
        if total > TABLE_ELEMENTS_MAX {
            self.denied = Some(Denied::Table);
            return Ok(false);
        }
        let fits = self.reserve(self.bytes, total);
        if fits {
            self.elements = total;
        }
        Ok(fits)
    }
}

thread_local! {
    /// The thread's CPU clock at which the call that is being polled here would have
    /// begun if it had run without a break; `None` if it wasn't measured yet.
    static CPU_START: Cell<Option<Duration>> = const { Cell::new(None) };
}

fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The CPU time of the call that is being polled on this thread.
///
/// The first slice of a call isn't measured, so that a short call has no cost. If the
/// call takes longer, that slice counts as one tick.
pub(crate) fn cpu_used() -> Duration {
    let now = thread_cpu();
    let start = CPU_START.get().unwrap_or_else(|| {
        let start = now.saturating_sub(TICK);
        CPU_START.set(Some(start));
        start
    });
    now.saturating_sub(start)
}

/// Measures the CPU time of a future for [`cpu_used`].
pub(crate) struct CpuMeter<F> {
    future: Pin<Box<F>>,
    used: Option<Duration>,
}

impl<F: Future> CpuMeter<F> {
    pub(crate) fn new(future: F) -> Self {
        Self {
            future: Box::pin(future),
            used: None,
        }
    }
}

impl<F: Future> Future for CpuMeter<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        CPU_START.set(self.used.map(|used| thread_cpu().saturating_sub(used)));
        let poll = self.future.as_mut().poll(context);
        if poll.is_pending() {
            let start = CPU_START.get();
            self.used =
                Some(start.map_or(Duration::ZERO, |start| thread_cpu().saturating_sub(start)));
        }
        poll
    }
}

/// A thread that advances the engine's epoch while there are calls.
pub(crate) struct Ticker {
    calls: AtomicUsize,
    is_asleep: AtomicBool,
    thread: std::sync::OnceLock<Thread>,
}

impl Ticker {
    pub(crate) fn start(engine: Engine) -> std::io::Result<Arc<Self>> {
        let ticker = Arc::new(Self {
            calls: AtomicUsize::new(0),
            is_asleep: AtomicBool::new(false),
            thread: std::sync::OnceLock::new(),
        });
        let this = Arc::clone(&ticker);
        let thread = thread::Builder::new()
            .name("ticker".into())
            .spawn(move || this.run(&engine))?;
        // A call before this finds no thread to wake. That is harmless, because the
        // thread doesn't sleep before IDLE_TICKS_MAX ticks have passed.
        let _ = ticker.thread.set(thread.thread().clone());
        Ok(ticker)
    }

    fn run(&self, engine: &Engine) {
        let mut idle_ticks = 0;
        loop {
            thread::sleep(TICK);
            engine.increment_epoch();
            if self.calls.load(Ordering::SeqCst) > 0 {
                idle_ticks = 0;
                continue;
            }
            idle_ticks += 1;
            if idle_ticks < IDLE_TICKS_MAX {
                continue;
            }
            idle_ticks = 0;
            self.is_asleep.store(true, Ordering::SeqCst);
            // A call in this moment has seen no sleeper.
            while self.calls.load(Ordering::SeqCst) == 0 && self.is_asleep.load(Ordering::SeqCst) {
                thread::park();
            }
            self.is_asleep.store(false, Ordering::SeqCst);
        }
    }

    /// Ticks as long as the guard lives.
    pub(crate) fn call(self: &Arc<Self>) -> Ticking {
        self.calls.fetch_add(1, Ordering::SeqCst);
        if self.is_asleep.load(Ordering::SeqCst)
            && self.is_asleep.swap(false, Ordering::SeqCst)
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
        Ticking(Arc::clone(self))
    }
}

/// A call that keeps the [`Ticker`] awake.
pub(crate) struct Ticking(Arc<Ticker>);

impl Drop for Ticking {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Ordering::SeqCst);
    }
}
