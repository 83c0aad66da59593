//! The host's state of a guest: the data of its store.

use std::any::Any;
use std::time::{Duration, Instant};

use http::{HeaderName, HeaderValue};
use http_body_util::BodyExt;
use wasmtime_wasi::{ResourceTable, WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::p2::body::HostOutgoingBody;
use wasmtime_wasi_http::p2::types::{
    HostIncomingRequest, HostIncomingResponse, HostOutgoingRequest, HostOutgoingResponse,
};
use wasmtime_wasi_http::{
    Error as HttpError, FieldMap, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView,
    WasiHttpHooks, WasiHttpView, default_send_request,
};

use crate::limits::{HANDLES_MAX, MemoryLimit};
use crate::output::guest::GuestOutput;

/// The host's state of a guest: the data of its store.
pub(crate) struct Guest {
    /// The end of the call, and of the calls that it makes.
    pub(crate) deadline: Instant,
    pub(crate) memory: MemoryLimit,
    pub(crate) cpu: Option<Duration>,
    /// Whether it may send HTTP requests.
    pub(crate) may_send_requests: bool,
    /// The trace of its call. The guest finds it in the variable `TRACEPARENT` of its
    /// environment; the calls and requests that it makes belong to it, too.
    pub(crate) traceparent: Option<Box<str>>,
    /// Made when the guest first uses it, because seeding its random numbers and boxing
    /// its clocks takes a microsecond.
    pub(crate) wasi: Option<Box<Wasi>>,
}

/// After this many calls of WASI, the memory that the host keeps for the guest is
/// counted.
const COUNT_EVERY: u32 = 32;

/// The memory of a handle on the host, without HTTP fields.
const HANDLE_BYTES: usize = 1 << 10;

/// The most bytes that a guest may write to a body at once. The host keeps one such
/// piece.
const BODY_PIECE_BYTES: usize = 128 << 10;

/// The most random bytes that a guest may ask for at once.
const RANDOM_BYTES_MAX: u64 = 1 << 20;

/// WASI's side of a guest.
pub(crate) struct Wasi {
    context: WasiCtx,
    table: ResourceTable,
    http: WasiHttpCtx,
    hooks: HttpHooks,
    calls: u32,
}

impl Wasi {
    /// The bytes that the host keeps for the guest.
    fn bytes(&mut self) -> usize {
        self.table
            .iter_mut()
            .map(|entry| resource_bytes(entry))
            .sum()
    }
}

fn resource_bytes(entry: &mut dyn Any) -> usize {
    let fields = |fields: &FieldMap| -> usize {
        let field = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
            name.as_str().len() + value.len() + FIELD_BYTES
        };
        fields.iter().map(field).sum()
    };
    HANDLE_BYTES
        + if let Some(own) = entry.downcast_ref::<FieldMap>() {
            fields(own)
        } else if let Some(request) = entry.downcast_ref::<HostOutgoingRequest>() {
            fields(&request.headers) + BODY_PIECE_BYTES
        } else if let Some(response) = entry.downcast_ref::<HostOutgoingResponse>() {
            fields(&response.headers) + BODY_PIECE_BYTES
        } else if let Some(response) = entry.downcast_ref::<HostIncomingResponse>() {
            fields(&response.headers) + BODY_PIECE_BYTES
        } else if entry.is::<HostIncomingRequest>() {
            BODY_PIECE_BYTES
        } else {
            0
        }
}

/// The memory of a field, besides its name and value.
const FIELD_BYTES: usize = 64;

/// The limits of a guest's wasi:http.
struct HttpHooks {
    may_send_requests: bool,
    /// For requests that have no such header.
    traceparent: Option<HeaderValue>,
}

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The future response to a request that a guest sends.
type Sent = Result<
    (
        http::Response<WasiBody>,
        Box<dyn Future<Output = Result<(), HttpError>> + Send>,
    ),
    HttpError,
>;

impl WasiHttpHooks for HttpHooks {
    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        BODY_PIECE_BYTES
    }

    fn send_request(
        &mut self,
        mut request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _sent: Box<dyn Future<Output = Result<(), HttpError>> + Send>,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        let may_send = self.may_send_requests;
        if let Some(traceparent) = &self.traceparent {
            let headers = request.headers_mut();
            headers
                .entry(TRACEPARENT)
                .or_insert_with(|| traceparent.clone());
        }
        Box::new(async move {
            if !may_send {
                return Err(HttpError::HttpRequestDenied);
            }
            let (response, io) = default_send_request(request, options).await?;
            let io: Box<dyn Future<Output = Result<(), HttpError>> + Send> = Box::new(io);
            Ok((response.map(BodyExt::boxed_unsync), io))
        })
    }
}

impl Guest {
    /// Whether the guest has begun a body and not finished it.
    pub(crate) fn has_open_body(&mut self) -> bool {
        let wasi = self.wasi.as_deref_mut();
        wasi.is_some_and(|wasi| {
            wasi.table
                .iter_mut()
                .any(|entry| entry.is::<HostOutgoingBody>())
        })
    }

    fn wasi(&mut self) -> &mut Wasi {
        let may_send_requests = self.may_send_requests;
        let traceparent = self.traceparent.as_deref();
        let wasi = self.wasi.get_or_insert_with(|| {
            let mut table = ResourceTable::new();
            table.set_max_capacity(HANDLES_MAX);
            let mut context = WasiCtx::builder();
            context
                .stdout(GuestOutput)
                .stderr(GuestOutput)
                .allow_tcp(false)
                .allow_udp(false)
                .max_random_size(RANDOM_BYTES_MAX);
            if let Some(traceparent) = traceparent {
                context.env("TRACEPARENT", traceparent);
            }
            Box::new(Wasi {
                context: context.build(),
                table,
                http: WasiHttpCtx::new(),
                hooks: HttpHooks {
                    may_send_requests,
                    traceparent: traceparent.and_then(|value| value.parse().ok()),
                },
                calls: 0,
            })
        });
        wasi.calls += 1;
        if wasi.calls == COUNT_EVERY {
            wasi.calls = 0;
            // If there is no memory, the table takes no more handles, and a guest that
            // needs more ends.
            let capacity = match self.memory.keep_on_host(wasi.bytes()) {
                true => HANDLES_MAX,
                false => 0,
            };
            wasi.table.set_max_capacity(capacity);
        }
        wasi
    }
}

impl WasiHttpView for Guest {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        let wasi = self.wasi();
        WasiHttpCtxView {
            hooks: &mut wasi.hooks,
            table: &mut wasi.table,
            ctx: &mut wasi.http,
        }
    }
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let wasi = self.wasi();
        WasiCtxView {
            ctx: &mut wasi.context,
            table: &mut wasi.table,
        }
    }
}
