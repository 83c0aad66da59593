//! gRPC, with TLS by ALPN and without TLS by prior knowledge: a hit is a call, of one
//! message or of a stream of them, over HTTP/2.
//!
//! A record is an HTTP request whose path names the method and whose body is JSON, one
//! object for each message. It becomes messages on the thread that reads the input. An
//! answer becomes JSON only if something needs its content.
//!
//! - calls: makes requests from payloads
//! - reflection: asks a server for its descriptors
//! - answers: records received data in the hits
//! - texts: the texts of errors

mod answers;
mod calls;
mod reflection;
mod texts;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use answers::Answers;
use calls::Calls;
use encarno_grpc::Schema;
use encarno_nib::{
    BadOption, Dialer, Form, Kind, Network, NetworkProtocol, Opening, Options, Prepare, Scheme,
    Seat, SetUpError,
};

use crate::http2::{Http2, Http2Protocol};

/// The default for the longest accepted message, as in other clients of gRPC.
const MESSAGE_BYTES_MAX: u32 = 4 << 20;
/// The largest descriptor set, which is held in memory.
const SET_BYTES_MAX: u64 = 256 << 20;

/// The protocol gRPC.
#[derive(Clone, Debug)]
pub struct GrpcProtocol {
    http2: Http2Protocol,
    protos: Vec<PathBuf>,
    folders: Vec<PathBuf>,
    sets: Vec<PathBuf>,
    message_bytes_max: u32,
    /// Whether messages are sent compressed.
    compresses: bool,
    /// The deadline for servers.
    timeout: Option<Duration>,
    /// The metadata of questions for descriptors.
    opening: Opening,
    /// The methods, after set-up.
    schema: Option<Arc<Schema>>,
}

impl NetworkProtocol for GrpcProtocol {
    type Nib = Http2<Answers>;

    const KIND: &'static Kind = &Kind {
        name: "grpc",
        aliases: &["grpcs"],
        schemes: &[
            Scheme::new("grpc", None),
            Scheme::with_tls("grpcs", Some(443)),
            Scheme::unix("grpc+unix"),
        ],
        form: Form::Calls,
        tls: Some(&[b"h2"]),
        network: true,
        options: &[
            "streams",
            "proto",
            "proto-path",
            "descriptors",
            "compression",
            "answer-max",
            "deadline",
            "window",
            "hpack",
        ],
    };

    fn new(options: &Options) -> Result<Self, BadOption> {
        let files = |name: &str| -> Vec<PathBuf> {
            let text = options.own.get(name).map_or("", String::as_str);
            let names = text.split(',').map(str::trim);
            names
                .filter(|it| !it.is_empty())
                .map(PathBuf::from)
                .collect()
        };
        let (protos, folders, sets) = (files("proto"), files("proto-path"), files("descriptors"));
        if !protos.is_empty() && !sets.is_empty() {
            let reason = "the .proto files say the same: leave one of them out";
            return Err(BadOption::new("descriptors", reason));
        }
        if protos.is_empty() && !folders.is_empty() {
            let reason = "name the file that declares the service, too: --proto FILE";
            return Err(BadOption::new("proto-path", reason));
        }
        let compresses = match options.own.get("compression").map(String::as_str) {
            None | Some("identity" | "none") => false,
            Some("gzip") => true,
            Some(_) => return Err(BadOption::new("compression", "write gzip or none")),
        };
        let message_bytes_max = options.own("answer-max", "a number of bytes up to 4294967295")?;
        let tells_deadline = options.own("deadline", "true or false")? != Some(false);
        Ok(Self {
            http2: Http2Protocol::new(options)?,
            protos,
            folders,
            sets,
            message_bytes_max: message_bytes_max.unwrap_or(MESSAGE_BYTES_MAX),
            compresses,
            timeout: tells_deadline.then_some(options.network.timeout),
            opening: options.opening.clone(),
            schema: None,
        })
    }

    fn files(&self) -> Vec<(&'static str, &Path)> {
        let protos = self.protos.iter().map(|file| ("the .proto file", &**file));
        let sets = self.sets.iter();
        protos
            .chain(sets.map(|file| ("the descriptor set", &**file)))
            .collect()
    }

    fn set_up(self, network: &Network) -> Result<Self, SetUpError> {
        let schema = if !self.protos.is_empty() {
            Schema::of_protos(&self.protos, &self.folders)
                .map_err(|reason| format!("--proto: {reason}"))
        } else if !self.sets.is_empty() {
            self.read_sets()
                .map_err(|reason| format!("--descriptors: {reason}"))
        } else {
            reflection::schema(&self.http2, &self.opening, network)
        };
        let schema = schema.and_then(|schema| match schema.is_empty() {
            true => Err("no service is declared there: nothing can be called".to_owned()),
            false => Ok(schema),
        });
        Ok(Self {
            schema: Some(Arc::new(schema.map_err(SetUpError::Protocol)?)),
            ..self
        })
    }

    fn nib(&self, dialer: Dialer, seat: &Seat<'_>) -> Http2<Answers> {
        let answers = Answers::new(self.schema.clone(), self.message_bytes_max, seat);
        self.http2.nib_of(answers, dialer, seat)
    }

    fn prepare(&self) -> Option<Arc<dyn Prepare>> {
        let schema = self.schema.clone()?;
        Some(Arc::new(Calls {
            schema,
            compresses: self.compresses,
            timeout: self.timeout,
        }))
    }

    fn streams(&self) -> u32 {
        self.http2.streams
    }
}

impl GrpcProtocol {
    fn read_sets(&self) -> Result<Schema, String> {
        let read = |file: &PathBuf| -> Result<Vec<u8>, String> {
            let bad = |reason: String| format!("{}: {reason}", file.display());
            let length = std::fs::metadata(file)
                .map_err(|error| bad(error.to_string()))?
                .len();
            if length > SET_BYTES_MAX {
                return Err(bad(format!("it is longer than {SET_BYTES_MAX} bytes")));
            }
            std::fs::read(file).map_err(|error| bad(error.to_string()))
        };
        let sets = self.sets.iter().map(|file| Ok((&**file, read(file)?)));
        let sets = sets.collect::<Result<Vec<(&Path, Vec<u8>)>, String>>()?;
        Schema::of_sets(sets)
    }
}
