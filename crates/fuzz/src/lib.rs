//! Fuzz targets: a function for each parser of data from peers and files.
//!
//! A target takes any bytes. It panics if an invariant is violated: a parser's result
//! doesn't depend on how its bytes arrive, two ways to read give the same result, data
//! that are read, written and read again are the same, and no length is trusted.
//!
//! Two drivers use them. `tests/seeds.rs` runs each with its seeds and some thousand
//! mutations of them, always the same. The program `fuzz` is guided by coverage, and runs
//! as long as you like: `make fuzz TIME=10m`.
//!
//! - memory_file: a file in memory, for parsers that read files
//! - targets: the functions

mod memory_file;
mod targets;

use std::path::{Path, PathBuf};

/// A fuzz target of a parser.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, which is also the name of its folder of seeds.
    pub name: &'static str,
    /// Runs the parser with any bytes.
    pub run: fn(&[u8]),
}

impl Target {
    /// The folder of its seeds.
    pub fn seeds(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("seeds")
            .join(self.name)
    }
}

const fn target(name: &'static str, run: fn(&[u8])) -> Target {
    Target { name, run }
}

/// All targets.
pub const TARGETS: &[Target] = &[
    target("http1-response", targets::http1::response),
    target("http1-request", targets::http1::request),
    target("encodings", targets::http1::encodings),
    target("http2-heads", targets::hpack::heads),
    target("websocket-frames", targets::websocket::frames),
    target("websocket-deflate", targets::websocket::deflated),
    target("websocket-handshake", targets::websocket::handshake),
    target("tcp-answers", targets::http1::tcp_answers),
    target("http2", targets::http2::connection),
    target("http3", targets::http3::streams),
    target("grpc-messages", targets::grpc::bodies),
    target("grpc-told", targets::grpc::told),
    target("certificates", targets::http2::certificates),
    target("input", targets::input::records),
    target("results", targets::results::blocks),
    target("results-damaged", targets::results::any),
    target("config", targets::texts::config),
    target("schedule", targets::texts::schedule),
    target("arguments", targets::texts::arguments),
    target("addresses", targets::texts::addresses),
    target("templates", targets::scripts::templates),
    target("jsonpath", targets::scripts::jsonpath),
    target("patterns", targets::scripts::patterns),
    target("conditions", targets::scripts::conditions),
    target("cookies", targets::scripts::cookies),
    target("redirects", targets::scripts::redirects),
    target("data", targets::scripts::data),
    target("wrpc-frames", targets::wrpc::frames),
    target("wrpc-messages", targets::wrpc::messages),
    target("nats-operations", targets::wrpc::nats_operations),
    target("wrpc-values", targets::wrpc::values),
    target("wrpc-json", targets::json::values),
    target("wrpc-http", targets::wrpc::http),
    target("wrpc-options", targets::wrpc::options),
    #[cfg(feature = "receiver")]
    target("codec", targets::codec::parameters),
    #[cfg(feature = "receiver")]
    target("nib-needs", targets::needs::parts),
];
