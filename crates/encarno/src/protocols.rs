//! The protocols that users can name: the one place that knows them all.

use std::sync::Arc;

use encarno_engine::RunError;
use encarno_engine::progress::{Progress, Summary};
use encarno_engine::settings::RunSettings;
use encarno_engine::workers::Control;
use encarno_nib::NetworkSettings;
use encarno_nibs::dummy::DummySettings;
use encarno_nibs::http::HttpProtocol;
use encarno_nibs::udp::{UdpProtocol, UdpSettings};

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
