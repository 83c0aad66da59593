//! The protocols `wrpc` and `wrpc-http`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use encarno_nib::{
    BadOption, Factory, Form, Kind, NetworkSettings, Options, Prepare, Protocol, Scheme, Seat,
    SetUpError,
};
use encarno_wrpc::Headers;
use encarno_wrpc_caller::Transport;

use crate::function::{Called, Calls};
use crate::nib::{Work, Wrpc};
use crate::options::{self, OPTIONS};
use crate::request::Requests;

const SCHEMES: &[Scheme] = &[
    Scheme::new("wrpc+nats", Some(4222)),
    Scheme::with_tls("wrpc+nats+tls", Some(4222)),
    Scheme::new("wrpc+tcp", Some(7761)),
    Scheme::with_tls("wrpc+tcp+tls", Some(7761)),
];

/// Whether a URL's path says that HTTP is meant.
pub fn is_http_path(path: &str) -> bool {
    path.trim_end_matches('/').rsplit('/').next() == Some("http")
}

/// What both protocols were asked for.
#[derive(Clone, Debug)]
pub struct WrpcSettings {
    network: NetworkSettings,
    transport: Transport,
    streams: u32,
    work: Asked,
    /// The files of WIT that it reads.
    wit_files: Vec<PathBuf>,
}

#[derive(Clone, Debug)]
enum Asked {
    Function { called: Called, headers: Headers },
    Http,
}

impl WrpcSettings {
    /// What an event loop gets.
    fn nib(&self, work: Work, seat: &Seat<'_>) -> Wrpc {
        Wrpc::new(&self.transport, self.streams, work, seat)
    }
}

/// Calls of a function.
#[derive(Debug)]
pub struct WrpcProtocol {
    settings: WrpcSettings,
    calls: Arc<Calls>,
    headers: Headers,
}

impl Factory for WrpcProtocol {
    type Settings = WrpcSettings;

    fn settings(options: Options) -> Result<WrpcSettings, BadOption> {
        let transport = options::transport(Self::KIND, &options, false)?;
        let called = options::called(&options)?;
        Ok(WrpcSettings {
            wit_files: called.wit_files(),
            work: Asked::Function {
                called,
                headers: options::headers(&options, &transport)?,
            },
            transport,
            streams: options.streams(1)?,
            network: options.network,
        })
    }

    fn streams_of(settings: &WrpcSettings) -> u32 {
        settings.streams
    }

    fn network_of(settings: &WrpcSettings) -> Option<&NetworkSettings> {
        Some(&settings.network)
    }

    fn files_of(settings: &WrpcSettings) -> Vec<(&'static str, &Path)> {
        let files = settings.wit_files.iter();
        files.map(|file| ("the WIT", &**file)).collect()
    }

    fn set_up(settings: WrpcSettings) -> Result<Self, SetUpError> {
        let Asked::Function { called, headers } = settings.work.clone() else {
            let text = "HTTP over wRPC isn't a call of a function";
            return Err(SetUpError::Protocol(text.to_owned()));
        };
        let calls = Calls::set_up(called).map_err(SetUpError::Protocol)?;
        Ok(Self {
            settings,
            calls: Arc::new(calls),
            headers,
        })
    }
}

impl Protocol for WrpcProtocol {
    type Nib = Wrpc;

    const KIND: &'static Kind = &Kind {
        name: "wrpc",
        aliases: &[],
        schemes: SCHEMES,
        form: Form::Arguments,
        tls: Some(&[]),
        network: true,
        options: OPTIONS,
    };

    fn nib(&self, seat: &Seat<'_>) -> Wrpc {
        let work = Work::Function {
            calls: Arc::clone(&self.calls),
            headers: self.headers.clone(),
        };
        self.settings.nib(work, seat)
    }

    fn network(&self) -> Option<&NetworkSettings> {
        Some(&self.settings.network)
    }

    fn prepare(&self) -> Option<Arc<dyn Prepare>> {
        Some(Arc::clone(&self.calls) as Arc<dyn Prepare>)
    }

    fn streams(&self) -> u32 {
        self.settings.streams
    }
}

/// HTTP requests to components.
#[derive(Debug)]
pub struct WrpcHttpProtocol {
    settings: WrpcSettings,
}

impl Factory for WrpcHttpProtocol {
    type Settings = WrpcSettings;

    fn settings(options: Options) -> Result<WrpcSettings, BadOption> {
        options::check_http(&options)?;
        Ok(WrpcSettings {
            transport: options::transport(Self::KIND, &options, true)?,
            streams: options.streams(1)?,
            work: Asked::Http,
            wit_files: Vec::new(),
            network: options.network,
        })
    }

    fn streams_of(settings: &WrpcSettings) -> u32 {
        settings.streams
    }

    fn network_of(settings: &WrpcSettings) -> Option<&NetworkSettings> {
        Some(&settings.network)
    }

    fn set_up(settings: WrpcSettings) -> Result<Self, SetUpError> {
        Ok(Self { settings })
    }
}

impl Protocol for WrpcHttpProtocol {
    type Nib = Wrpc;

    const KIND: &'static Kind = &Kind {
        name: "wrpc-http",
        aliases: &[],
        form: Form::Http,
        ..*WrpcProtocol::KIND
    };

    fn nib(&self, seat: &Seat<'_>) -> Wrpc {
        self.settings.nib(Work::Http, seat)
    }

    fn network(&self) -> Option<&NetworkSettings> {
        Some(&self.settings.network)
    }

    fn prepare(&self) -> Option<Arc<dyn Prepare>> {
        Some(Arc::new(Requests))
    }

    fn streams(&self) -> u32 {
        self.settings.streams
    }
}
