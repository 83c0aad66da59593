//! The protocols that users can name; no other module lists them all.
//!
//! Each protocol describes itself by a [`Kind`]: its name, its URLs and options, and what
//! it can't do. Command line, configuration and engine use that.

use std::path::Path;
use std::sync::Arc;

use encarno_engine::RunError;
use encarno_engine::control::Control;
use encarno_engine::meter::{Summary, Window};
use encarno_engine::pilot::Pilot;
use encarno_engine::settings::{RunSettings, Source, Workload};
#[cfg(feature = "wasm")]
use encarno_guest::nib::WasmProtocol;
use encarno_nib::{BadOption, Factory, Kind, NetworkSettings, Networked, Options, Protocol as _};
use encarno_nibs::dummy::DummySettings;
use encarno_nibs::echo::EchoProtocol;
#[cfg(feature = "grpc")]
use encarno_nibs::grpc::GrpcProtocol;
use encarno_nibs::http::HttpProtocol;
use encarno_nibs::http2::Http2Protocol;
use encarno_nibs::http3::Http3Protocol;
use encarno_nibs::tcp::TcpProtocol;
use encarno_nibs::udp::UdpProtocol;
use encarno_nibs::websocket::WebSocketProtocol;
use encarno_record::mask::masked_url;
use encarno_record::notes::{self, Notes};
use encarno_secret::FileOrText;
use encarno_wrpc_nib::{WrpcHttpProtocol, WrpcProtocol};

use crate::capacity::Asked;
use crate::console::Progress;
use crate::criteria::Judging;
use crate::files::Files;
use crate::scenario::Scenario;

/// A complete run.
#[derive(Clone, Debug)]
pub struct Run {
    /// The settings of the engine.
    pub settings: RunSettings,
    /// The protocol that sends hits.
    pub protocol: Protocol,
    /// How the run is judged.
    pub judging: Judging,
    /// What is shown during the run.
    pub progress: Progress,
    /// The component that decides the load, if there is one.
    pub scenario: Option<Scenario>,
    /// The capacity measurement whose trials are the load, if there is one.
    pub capacity: Option<Asked>,
}

impl Run {
    /// The settings, with the notes that the result file has at the start of the run.
    fn with_notes(&self) -> RunSettings {
        let mut settings = self.settings.clone();
        settings.output.notes = Notes {
            program: Some(format!("encarno {}", env!("CARGO_PKG_VERSION"))),
            open: Some(matches!(settings.workload, Workload::Open(_))),
            environment: notes::environment(),
            ..settings.output.notes
        };
        settings
    }

    /// The target, in a word.
    pub fn title(&self) -> String {
        let address = self.protocol.network().and_then(|it| it.address.as_deref());
        address.map_or_else(|| self.protocol.kind().name.to_owned(), masked_url)
    }

    /// The number of hits after which the run ends; `None` if there is no such limit.
    pub fn hits_max(&self) -> Option<u64> {
        match &self.settings.source {
            Source::Request { hits_max, .. } | Source::Users { hits_max, .. } => *hits_max,
            Source::File(_) | Source::Chosen { .. } => None,
        }
    }

    /// The files that the run reads and writes.
    pub fn files(&self) -> Files {
        let mut files = Files::default();
        let mut reads = |what, path: Option<&Path>| {
            path.map(|path| files.reads(what, path));
        };
        if let Some(input) = self.settings.source.input() {
            reads("the input", Some(&input.file));
            reads("the strings file", input.strings_file.as_deref());
        }
        for data in &self.settings.script.data {
            reads("the data", Some(&data.file));
        }
        let schedule = self.settings.workload.schedule();
        for file in schedule.into_iter().flat_map(|schedule| schedule.files()) {
            reads("the schedule's file", Some(file));
        }
        if let Some(network) = self.protocol.network() {
            reads(
                "the CA file",
                network.tls.ca_file.as_ref().and_then(FileOrText::file),
            );
            reads(
                "the certificate",
                network
                    .tls
                    .certificate_file
                    .as_ref()
                    .and_then(FileOrText::file),
            );
            reads(
                "the key",
                network.tls.key_file.as_ref().and_then(FileOrText::file),
            );
        }
        if let Some(scenario) = &self.scenario {
            files.reads("the scenario", scenario.file());
        }
        for (what, path) in self.protocol.files() {
            files.reads(what, path);
        }
        let output = &self.settings.output;
        let mut writes = |what, path: Option<&Path>| {
            path.map(|path| files.writes(what, path));
        };
        writes("the result file", output.native.as_deref());
        writes("the LDJSON file", output.ldjson.as_deref());
        writes("the phout file", output.phout.as_deref());
        writes("the trace", output.trace.as_ref().map(|trace| &*trace.file));
        if let Some(binary) = &output.go_binary {
            writes("the binary file", Some(&binary.file));
            writes("the strings of the binary file", Some(&binary.strings_file));
        }
        let judging = &self.judging;
        let mut writes = |what, path: Option<&Path>| {
            path.map(|path| files.writes(what, path));
        };
        writes("the summary", judging.summary_file.as_deref());
        writes("the JUnit file", judging.junit_file.as_deref());
        let capacity = self.capacity.as_ref();
        writes(
            "the capacity",
            capacity.and_then(|asked| asked.json_file.as_deref()),
        );
        files
    }
}

macro_rules! protocols {
    ($($(#[$doc:meta])+ $variant:ident: $factory:ty $(= $feature:literal)?,)+) => {
        /// A protocol that was parsed but not set up.
        #[derive(Clone, Debug)]
        pub enum Protocol {
            $($(#[$doc])+ $(#[cfg(feature = $feature)])? $variant(<$factory as Factory>::Settings),)+
        }

        /// All protocols, the default one first.
        pub const KINDS: &[&Kind] = &[$($(#[cfg(feature = $feature)])? <$factory>::KIND),+];

        impl Protocol {
            /// The description of the protocol.
            pub fn kind(&self) -> &'static Kind {
                match self {
                    $($(#[cfg(feature = $feature)])? Self::$variant(_) => <$factory>::KIND,)+
                }
            }

            /// The number of hits that a connection carries at a time.
            pub fn streams(&self) -> u32 {
                match self {
                    $($(#[cfg(feature = $feature)])? Self::$variant(settings) => <$factory>::streams_of(settings),)+
                }
            }

            /// The network settings of its connections; `None` for a protocol without a
            /// network.
            pub fn network(&self) -> Option<&NetworkSettings> {
                match self {
                    $($(#[cfg(feature = $feature)])? Self::$variant(settings) => <$factory>::network_of(settings),)+
                }
            }

            /// The files of its own that it reads, with what they are.
            pub fn files(&self) -> Vec<(&'static str, &Path)> {
                match self {
                    $($(#[cfg(feature = $feature)])? Self::$variant(settings) => <$factory>::files_of(settings),)+
                }
            }

            /// The protocol of a kind from [`KINDS`], with these options.
            pub fn new(kind: &Kind, options: Options) -> Result<Self, BadOption> {
                options.check(kind)?;
                $($(#[cfg(feature = $feature)])? if kind == <$factory>::KIND {
                    return <$factory>::settings(options).map(Self::$variant);
                })+
                Err(BadOption::new("driver", format!("{} isn't known", kind.name)))
            }
        }

        /// Makes the run. `observe` is called with each second of the run, and `stop`
        /// with the control once the run has started.
        pub fn run_observed(
            run: &Run,
            observe: &mut dyn FnMut(&Window),
            stop: impl FnOnce(Arc<Control>),
        ) -> Result<Summary, RunError> {
            steer(run, &mut |window: &Window| observe(window), stop)
        }

        /// Makes the run under the control of a pilot.
        pub fn steer(
            run: &Run,
            pilot: &mut dyn Pilot,
            stop: impl FnOnce(Arc<Control>),
        ) -> Result<Summary, RunError> {
            let settings = &run.with_notes();
            match run.protocol.clone() {
                $($(#[cfg(feature = $feature)])? Protocol::$variant(protocol) => {
                    encarno_engine::steer(settings, &<$factory>::set_up(protocol)?, pilot, stop)
                })+
            }
        }

        /// Reads the whole input without sending anything, and returns the number of
        /// records.
        pub fn read_through(run: &Run) -> Result<u64, RunError> {
            match run.protocol.clone() {
                $($(#[cfg(feature = $feature)])? Protocol::$variant(protocol) => {
                    encarno_engine::read_through(&run.settings, &<$factory>::set_up(protocol)?)
                })+
            }
        }
    };
}

protocols! {
    /// HTTP/1.1, with TLS if the address says `https`.
    Http: Networked<HttpProtocol>,
    /// HTTP/2, with TLS by ALPN, without TLS by prior knowledge.
    Http2: Networked<Http2Protocol>,
    /// HTTP/3, over QUIC.
    Http3: Networked<Http3Protocol>,
    /// Calls over HTTP/2.
    Grpc: Networked<GrpcProtocol> = "grpc",
    /// Datagrams.
    Udp: Networked<UdpProtocol>,
    /// Streams of bytes, with TLS if the address says `tls`.
    Tcp: Networked<TcpProtocol>,
    /// Streams of bytes, which a wasm component makes and reads.
    Wasm: Networked<WasmProtocol> = "wasm",
    /// WebSocket messages, over a connection that begins as HTTP/1.1.
    WebSocket: Networked<WebSocketProtocol>,
    /// Calls of wasm components over wRPC.
    Wrpc: WrpcProtocol,
    /// HTTP requests to wasm components over wRPC.
    WrpcHttp: WrpcHttpProtocol,
    /// Lines that come back, many on one connection.
    Echo: Networked<EchoProtocol>,
    /// No network: a scripted delay.
    Dummy: DummySettings,
}

/// Makes the run without an observer.
pub fn run(run: &Run, stop: impl FnOnce(Arc<Control>)) -> Result<Summary, RunError> {
    run_observed(run, &mut |_| {}, stop)
}

/// The protocol with this name.
pub fn named(name: &str) -> Option<&'static Kind> {
    KINDS.iter().copied().find(|kind| kind.is_named(name))
}

/// The protocol of wasm components.
pub fn of_component() -> Result<&'static Kind, String> {
    named("wasm").ok_or_else(|| WITHOUT_WASM.to_owned())
}

/// The message about components in a build without them.
pub(crate) const WITHOUT_WASM: &str = "this encarno was built without wasm components: \
    `make encarno` builds one with them, and so does `cargo install --path crates/encarno --features wasm`";

/// The protocol of URLs with this scheme.
pub fn of_scheme(scheme: &str) -> Result<&'static Kind, String> {
    let found = KINDS.iter().copied().find(|kind| kind.has_scheme(scheme));
    found.ok_or_else(|| {
        let mut known = Vec::new();
        for scheme in KINDS.iter().flat_map(|kind| kind.schemes) {
            // Several protocols may have one scheme.
            if !known.contains(&scheme.name) {
                known.push(scheme.name);
            }
        }
        let known = known.join(", ");
        format!("no protocol has URLs that begin with {scheme}: write {known}")
    })
}

/// The names of all protocols, for messages.
pub fn names() -> String {
    let names: Vec<_> = KINDS.iter().map(|kind| kind.name).collect();
    names.join(", ")
}
