//! Guests: the component compiled and linked once, instantiated for each call.

use std::path::Path;
use std::time::Instant;

use bytes::Bytes;
use encarno_wrpc::nats::Connection;
use encarno_wrpc::value::DecodeError;
use encarno_wrpc::{Error, ErrorCode};
use wasmtime::component::{Component, ComponentExportIndex, InstancePre, Linker};
use wasmtime::error::Context as _;
use wasmtime::{Engine, Result, Store, Trap, UpdateDeadline, bail};
use wasmtime_wasi::I32Exit;

use crate::codec::{Params, ResultTooLarge, Results};
use crate::exports::{Function, Interface};
use crate::guest::Guest;
use crate::imports::{self, ImportFailed};
use crate::limits::{CpuLimit, MemoryLimit, cpu_used};
use crate::pool::{self, GuestLimits, Pool};

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

impl Workload {
    /// Reads and compiles the component at `path`, and makes sure that so many
    /// instances of it fit.
    pub(crate) fn load(path: &Path, limits: GuestLimits) -> Result<Self> {
        let what = || format!("cannot load the component {}", path.display());
        let wasm = std::fs::read(path).with_context(what)?;
        expect_component(&wasm).with_context(what)?;
        // The pool must be sized before the component is compiled, and what it
        // needs is known afterwards.
        let mut pool = Pool::usual();
        loop {
            pool.check(limits).with_context(what)?;
            let engine = pool::engine(pool, limits).with_context(|| {
                format!(
                    "cannot reserve address space for {} instances: lower --max-concurrency",
                    limits.concurrency
                )
            })?;
            let component = Component::from_binary(&engine, &wasm).with_context(what)?;
            let needed = Pool::needed(&component, limits).with_context(what)?;
            if pool.holds(needed) {
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

    /// Provides the imports: WASI here, all others over the connection, under the
    /// prefix. Without a connection there may be no others.
    pub(crate) fn link(&self, others: Option<(&Connection, &str)>) -> Result<Host> {
        let mut linker = Linker::new(self.engine());
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        let imports = &self.interface.imports;
        match others {
            Some((connection, prefix)) => {
                imports::link(&mut linker, connection, prefix, imports)?;
            }
            None if imports.is_empty() => {}
            None => {
                let names: Vec<_> = imports.iter().map(Function::path).collect();
                bail!(
                    "the component imports {}: over TCP there is nobody to provide that; \
                     serve it by wrpc-wasmtime-nats",
                    names.join(", ")
                );
            }
        }
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
