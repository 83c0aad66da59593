//! Lines over TCP that the peer sends back, many of them on one connection. This is `tcp`
//! whose records and answers are lines, and each answer is compared with its request.

use std::sync::Arc;

use encarno_nib::{BadOption, Dialer, Form, Kind, NetworkProtocol, Options, Prepare, Scheme, Seat};
use encarno_record::Payload;

use crate::tcp::{ANSWER_BYTES_MAX, Answers, Ending, Tcp};

/// The default number of hits on one link at a time.
const STREAMS: u32 = 16;

/// The echo protocol.
#[derive(Clone, Copy, Debug)]
pub struct EchoProtocol {
    /// The number of workers that share a connection.
    pub streams: u32,
}

impl NetworkProtocol for EchoProtocol {
    type Nib = Tcp;

    const KIND: &'static Kind = &Kind {
        name: "echo",
        aliases: &[],
        schemes: &[Scheme::new("echo", None)],
        form: Form::Bytes,
        tls: None,
        network: true,
        options: &["streams"],
    };

    fn new(options: &Options) -> Result<Self, BadOption> {
        let streams = options.streams(STREAMS)?;
        Ok(Self { streams })
    }

    fn nib(&self, dialer: Dialer, seat: &Seat<'_>) -> Tcp {
        let answers = Answers {
            ending: Ending::Until(b"\n"[..].into()),
            bytes_max: ANSWER_BYTES_MAX,
            are_echoes: true,
        };
        Tcp::new(dialer, seat, self.streams, answers)
    }

    fn prepare(&self) -> Option<Arc<dyn Prepare>> {
        Some(Arc::new(Line))
    }

    fn streams(&self) -> u32 {
        self.streams
    }
}

/// Makes a payload a line.
#[derive(Debug)]
struct Line;

impl Prepare for Line {
    fn prepare(&self, payload: Payload) -> Result<Payload, String> {
        let Payload::Memory(bytes) = payload else {
            return Err("a line this long isn't held in memory".to_owned());
        };
        match memchr::memchr(b'\n', &bytes) {
            Some(at) if at + 1 == bytes.len() => Ok(Payload::Memory(bytes)),
            Some(_) => Err("an echo is of one line: this record has more".to_owned()),
            None => {
                let line = [&bytes[..], b"\n"].concat();
                Ok(Payload::Memory(line.into()))
            }
        }
    }
}
