//! The protocols that users can name: the one place that knows them all.

use std::path::Path;
use std::sync::Arc;

use encarno_engine::RunError;
use encarno_engine::progress::{Progress, Summary};
use encarno_engine::settings::{RunSettings, Source};
use encarno_engine::workers::Control;
use encarno_nib::NetworkSettings;
use encarno_nibs::dummy::DummySettings;
use encarno_nibs::http::HttpProtocol;
use encarno_nibs::udp::{UdpProtocol, UdpSettings};

use crate::files::Files;

/// One run, whole.
#[derive(Clone, Debug)]
pub struct Run {
    /// What the engine does.
    pub settings: RunSettings,
    /// How it is sent.
    pub protocol: Protocol,
    /// Whether a run that the generator itself limited is a failure.
    pub strict: bool,
    /// What is shown meanwhile.
    pub progress: Progress,
}

impl Run {
    /// The files that it reads and writes.
    pub fn files(&self) -> Files {
        let mut files = Files::default();
        let mut reads = |what, path: Option<&Path>| {
            path.map(|path| files.reads(what, path));
        };
        if let Source::File(input) = &self.settings.source {
            reads("the input", Some(&input.file));
            reads("the strings file", input.strings_file.as_deref());
        }
        for data in &self.settings.script.data {
            reads("the data", Some(&data.file));
        }
        if let Protocol::Http(network) = &self.protocol {
            reads("the CA file", network.tls.ca_file.as_deref());
            reads("the certificate", network.tls.certificate_file.as_deref());
            reads("the key", network.tls.key_file.as_deref());
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
        files
    }
}

/// How hits are sent.
#[derive(Clone, Debug)]
pub enum Protocol {
    /// No network at all: a scripted delay.
    Dummy(DummySettings),
    /// HTTP/1.1, with TLS if the address says `https`.
    Http(NetworkSettings),
    /// Datagrams.
    Udp(UdpSettings),
}

/// Runs to the end. `stop` is called with the control once the run is on, to
/// connect it with signals.
pub fn run(run: &Run, stop: impl FnOnce(Arc<Control>)) -> Result<Summary, RunError> {
    let Run {
        settings, progress, ..
    } = run;
    match run.protocol.clone() {
        Protocol::Dummy(dummy) => encarno_engine::run(settings, &dummy, *progress, stop),
        Protocol::Http(network) => {
            encarno_engine::run(settings, &HttpProtocol::set_up(network)?, *progress, stop)
        }
        Protocol::Udp(udp) => {
            encarno_engine::run(settings, &UdpProtocol::set_up(udp)?, *progress, stop)
        }
    }
}
