//! What a guest has of the host: the data of its store.

use std::time::{Duration, Instant};

use wasmtime_wasi::{ResourceTable, WasiCtx, WasiCtxView, WasiView};

use crate::limits::MemoryLimit;

/// What a guest has of the host: the data of its store.
pub(crate) struct Guest {
    /// The end of the call, also of the calls that it makes.
    pub(crate) deadline: Instant,
    pub(crate) memory: MemoryLimit,
    pub(crate) cpu: Option<Duration>,
    /// Made when the guest first asks for it: seeding its random numbers and
    /// boxing its clocks would cost every call a microsecond.
    pub(crate) wasi: Option<Box<Wasi>>,
}

/// WASI's side of a guest.
pub(crate) struct Wasi {
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
