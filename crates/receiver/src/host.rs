//! Guests: the component is compiled and linked once, and instantiated for each call.

use std::future::poll_fn;
use std::path::Path;
use std::pin::pin;
use std::time::Instant;

use bytes::Bytes;
use encarno_wrpc::memory::Reservation;
use encarno_wrpc::nats::Connection;
use encarno_wrpc::value::DecodeError;
use encarno_wrpc::{Error, ErrorCode};
use tokio::sync::oneshot;
use wasmtime::component::{Component, ComponentExportIndex, InstancePre, Linker, Resource};
use wasmtime::error::Context as _;
use wasmtime::{Engine, Result, Store, Trap, UpdateDeadline, bail};
use wasmtime_wasi::{I32Exit, ResourceTableError};
use wasmtime_wasi_http::WasiHttpView as _;
use wasmtime_wasi_http::p2::types::{HostIncomingRequest, HostResponseOutparam};

use crate::cache::Cache;
use crate::codec::{self, Params, ResultTooLarge, Results};
use crate::exports::{Function, Interface, Kind};
use crate::guest::Guest;
use crate::http::{Answer, Failure, Request};
use crate::imports::{self, ImportFailed};
use crate::limits::{CpuLimit, HANDLES_MAX, Ledger, MemoryLimit, cpu_used};
use crate::pool::{self, GuestLimits, Pool};

/// The most bytes that a guest may hand to WASI at once. Streams and HTTP headers take at
/// most 128 KiB.
const WASI_BYTES_MAX: usize = 4 << 20;

/// The most bytes that a guest may hand to another import at once, as dynamic values.
/// These take about forty times the memory of their encoding.
const IMPORT_BYTES_MAX: usize = 128 << 20;

/// A compiled component.
pub(crate) struct Workload {
    component: Component,
    interface: Interface,
    pool: Pool,
    limits: GuestLimits,
}

/// A linked component, which can be called.
pub(crate) struct Host {
    linked: InstancePre<Guest>,
    exports: Vec<ComponentExportIndex>,
    pool: Pool,
    limits: GuestLimits,
    /// The most bytes that a guest may hand to the host at once.
    hostcall_bytes: usize,
}

impl Workload {
    /// Reads and compiles the component at `path`, or loads it from the `cache`, and
    /// checks that enough instances of it fit.
    pub(crate) fn load(
        path: &Path,
        limits: GuestLimits,
        cache: Option<&Cache>,
        calls: &[String],
    ) -> Result<Self> {
        let what = || format!("cannot load the component {}", path.display());
        let wasm = std::fs::read(path).with_context(what)?;
        expect_component(&wasm).with_context(what)?;
        // The pool must be sized before the component is compiled, but its needs are
        // certain only afterwards.
        let mut pool = Pool::expected(&wasm);
        loop {
            pool.check(limits).with_context(what)?;
            let engine = pool::engine(pool, limits).with_context(|| {
                format!(
                    "cannot reserve address space for {} instances: lower --max-concurrency",
                    limits.concurrency
                )
            })?;
            let component = compile(&engine, &wasm, cache).with_context(what)?;
            let needed = Pool::needed(&component, limits).with_context(what)?;
            if pool.holds(needed) {
                let interface = Interface::of(&engine, &component, calls).with_context(what)?;
                return Ok(Self {
                    component,
                    interface,
                    pool: needed,
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

    /// The engine, whose epoch the ticker advances to end time slices.
    pub(crate) fn engine(&self) -> &Engine {
        self.component.engine()
    }

    /// Links the imports: WASI here, and all others over the connection, under the
    /// prefix. Without a connection, other imports are an error.
    pub(crate) fn link(&self, others: Option<(&Connection, &str)>) -> Result<Host> {
        let mut linker = Linker::new(self.engine());
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
        let imports = &self.interface.imports;
        match others {
            Some((connection, prefix)) => {
                imports::link(&mut linker, connection, prefix, imports)?;
            }
            None if imports.is_empty() => {}
            None => {
                let names: Vec<_> = imports.iter().map(Function::path).collect();
                bail!(
                    "the component imports {}: over TCP nothing can provide that; serve it with \
                     wrpc-wasmtime-nats",
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
            pool: self.pool,
            limits: self.limits,
            hostcall_bytes: match self.interface.imports.is_empty() {
                true => WASI_BYTES_MAX,
                false => IMPORT_BYTES_MAX,
            },
        })
    }

    fn index(&self, export: &Function) -> Option<ComponentExportIndex> {
        let instance = match &export.kind {
            Kind::Http(instance) => instance,
            Kind::Values(_) => &export.instance,
        };
        let instance = match instance.as_str() {
            "" => None,
            name => Some(self.component.get_export_index(None, name)?),
        };
        self.component
            .get_export_index(instance.as_ref(), &export.name)
    }
}

fn compile(engine: &Engine, wasm: &[u8], cache: Option<&Cache>) -> Result<Component> {
    if let Some(component) = cache.and_then(|cache| cache.load(engine, wasm)) {
        tracing::debug!("the compiled component was taken from the cache");
        return Ok(component);
    }
    let mib = wasm.len() >> 20;
    match (mib, cache) {
        (0, _) => tracing::debug!("compiling the component"),
        (_, None) => tracing::info!(
            "compiling the component, {mib} MiB: this may take a while (--cache keeps the result)"
        ),
        (_, Some(_)) => tracing::info!("compiling the component, {mib} MiB: this may take a while"),
    }
    let component = Component::from_binary(engine, wasm)?;
    if let Some(cache) = cache {
        cache.store(&component, wasm);
    }
    Ok(component)
}

/// wasmtime's own message about other files is hard to understand.
fn expect_component(wasm: &[u8]) -> Result<()> {
    // The file begins with a magic number, then the version and the layer, two bytes
    // each.
    match (wasm.starts_with(b"\0asm"), wasm.get(6..8)) {
        (true, Some([1, 0])) => Ok(()),
        (true, Some([0, 0])) => bail!("it is a core module, not a component"),
        _ => bail!("it is not a WebAssembly binary"),
    }
}

impl Host {
    /// The limits of every guest.
    pub(crate) fn limits(&self) -> GuestLimits {
        self.limits
    }

    /// The memory of a guest at its start.
    pub(crate) fn guest_bytes(&self) -> usize {
        self.pool.guest_bytes()
    }

    /// Calls an export with encoded parameters, and returns its encoded results. The
    /// guest's memory is reserved in `memory`, and that of the results in addition.
    pub(crate) async fn call(
        &self,
        export: usize,
        params: Bytes,
        traceparent: Option<Box<str>>,
        deadline: Instant,
        memory: Reservation,
    ) -> std::result::Result<Bytes, Error> {
        let mut held = Some(memory.nothing());
        let memory = Ledger::new(memory);
        let mut store = self.store(deadline, traceparent, &memory);
        let called = {
            let mut call = pin!(async {
                let instance = self.linked.instantiate_async(&mut store).await?;
                let function =
                    instance.get_typed_func::<Params, Results>(&mut store, self.exports[export])?;
                function.call_async(&mut store, Params::new(params)).await
            });
            poll_fn(|context| codec::within(&mut held, || call.as_mut().poll(context))).await
        };
        match called {
            Ok(Results { encoded, .. }) if encoded.is_empty() => Ok(Bytes::new()),
            Ok(Results { mut encoded, held }) => {
                let (Some(mut held), length) = (held, encoded.len()) else {
                    return Ok(encoded.into());
                };
                // Shrinking copies the bytes, and for a moment both copies exist.
                if length < encoded.capacity() / 5 * 4 && held.grow_to(encoded.capacity() + length)
                {
                    encoded.shrink_to_fit();
                }
                Ok(held.keep_for(encoded.into()))
            }
            Err(error) => Err(failure(&error, &store.data().memory)),
        }
    }

    /// Hands a request to an export that handles requests. The guest's response goes to
    /// `answer`. This ends when the guest does.
    pub(crate) async fn handle(
        &self,
        export: usize,
        request: Request,
        answer: oneshot::Sender<Answer>,
        deadline: Instant,
        memory: Reservation,
    ) -> std::result::Result<(), Failure> {
        let memory = Ledger::new(memory);
        let traceparent = request.request.headers().get("traceparent");
        let traceparent = traceparent.and_then(|value| value.to_str().ok());
        let mut store = self.store(deadline, traceparent.map(Box::from), &memory);
        let handled = async {
            let mut http = store.data_mut().http();
            let request = http.new_incoming_request(request.scheme, request.request)?;
            let answer = http.new_response_outparam(answer)?;
            let instance = self.linked.instantiate_async(&mut store).await?;
            let function = instance.get_typed_func::<(
                Resource<HostIncomingRequest>,
                Resource<HostResponseOutparam>,
            ), ()>(&mut store, self.exports[export])?;
            function.call_async(&mut store, (request, answer)).await
        };
        match handled.await {
            Ok(()) => Ok(()),
            Err(error) => Err(Failure {
                error: failure(&error, &store.data().memory),
                has_open_body: store.data_mut().has_open_body(),
            }),
        }
    }

    /// A store for a guest. Drop it before `memory`, so that the memory is given back
    /// before its reservation.
    fn store(
        &self,
        deadline: Instant,
        traceparent: Option<Box<str>>,
        memory: &Ledger,
    ) -> Store<Guest> {
        let guest = Guest {
            deadline,
            memory: MemoryLimit::new(self.limits.memory_bytes, memory.clone()),
            cpu: self.limits.cpu,
            may_send_requests: self.limits.outgoing,
            traceparent,
            wasi: None,
        };
        let mut store = Store::new(self.linked.engine(), guest);
        store.limiter(|guest| &mut guest.memory);
        store.set_max_component_handles(HANDLES_MAX);
        store.set_hostcall_fuel(self.hostcall_bytes);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|store| match store.data().cpu {
            Some(cpu_max) if cpu_used() > cpu_max => Err(CpuLimit(cpu_max).into()),
            _ => Ok(UpdateDeadline::Yield(1)),
        });
        store
    }
}

/// The failure of a guest, as one line.
fn failure(error: &wasmtime::Error, memory: &MemoryLimit) -> Error {
    tracing::debug!("a call failed: {error:?}");
    if let Some(limit) = error.downcast_ref::<CpuLimit>() {
        return Error::new(ErrorCode::GuestLimit, limit.to_string());
    }
    if let Some(refused) = error.downcast_ref::<Error>() {
        return refused.clone();
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
        return reached;
    }
    if let Some(ResourceTableError::Full) = error.downcast_ref() {
        let text = format!("the limit of {HANDLES_MAX} handles of the host is reached");
        return Error::new(ErrorCode::GuestLimit, text);
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
