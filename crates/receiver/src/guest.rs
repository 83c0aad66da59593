//! What a guest has of the host: the data of its store.

use std::time::{Duration, Instant};

use http_body_util::BodyExt;
use wasmtime_wasi::{ResourceTable, WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{
    Error as HttpError, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks,
    WasiHttpView, default_send_request,
};

use crate::limits::MemoryLimit;

/// What a guest has of the host: the data of its store.
pub(crate) struct Guest {
    /// The end of the call, also of the calls that it makes.
    pub(crate) deadline: Instant,
    pub(crate) memory: MemoryLimit,
    pub(crate) cpu: Option<Duration>,
    /// Whether it may send HTTP requests.
    pub(crate) may_send_requests: bool,
    /// Made when the guest first asks for it: seeding its random numbers and
    /// boxing its clocks would cost every call a microsecond.
    pub(crate) wasi: Option<Box<Wasi>>,
}

/// WASI's side of a guest.
pub(crate) struct Wasi {
    context: WasiCtx,
    table: ResourceTable,
    http: WasiHttpCtx,
    hooks: HttpHooks,
}

/// What a guest may do by wasi:http.
struct HttpHooks {
    may_send_requests: bool,
}

/// A request that a guest sends; what it resolves to.
type Sent = Result<
    (
        http::Response<WasiBody>,
        Box<dyn Future<Output = Result<(), HttpError>> + Send>,
    ),
    HttpError,
>;

impl WasiHttpHooks for HttpHooks {
    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _sent: Box<dyn Future<Output = Result<(), HttpError>> + Send>,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        let may_send = self.may_send_requests;
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
    fn wasi(&mut self) -> &mut Wasi {
        let may_send_requests = self.may_send_requests;
        self.wasi.get_or_insert_with(|| {
            Box::new(Wasi {
                context: WasiCtx::builder()
                    .stdout(wasmtime_wasi::cli::stderr())
                    .stderr(wasmtime_wasi::cli::stderr())
                    .allow_tcp(false)
                    .allow_udp(false)
                    .build(),
                table: ResourceTable::new(),
                http: WasiHttpCtx::new(),
                hooks: HttpHooks { may_send_requests },
            })
        })
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
