//! Hits, from their start to their end.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use encarno_nib::poll::Poller;
use encarno_nib::{Hits, Io, Kept, Nib, Readiness, Response, Seat, Shot, Step};
use encarno_record::{Payload, StringId, Strings, code};
use encarno_wrpc::http::Field;
use encarno_wrpc::{Counters, Error, ErrorCode, Headers, Outcome, http};
use encarno_wrpc_caller::{Call, Function, HttpCall, HttpReply, Link, Reading, Reply, Transport};
use rustix::event::epoll::Event;
use rustix::io::Errno;

use crate::function::Calls;
use crate::instants::Instants;
use crate::request;
use crate::runtime::{Done, Runtime};

/// The statuses of calls: their results, and results that say `err`.
const OK: u16 = 200;
const ERR: u16 = 500;

/// What peers say is told in so many ways; then by its code alone.
const TEXTS_MAX: usize = 1000;

/// The engine ends hits in time. A call whose hit forgot it ends after this.
const CALL_MAX: Duration = Duration::from_secs(24 * 3600);

/// What hits do.
#[derive(Clone, Debug)]
pub(crate) enum Work {
    /// They call a function.
    Function { calls: Arc<Calls>, headers: Headers },
    /// They make HTTP requests.
    Http,
}

/// The nib of one event loop.
pub struct Wrpc {
    /// Or why there is none.
    runtime: Result<Runtime, StringId>,
    transport: Transport,
    /// So many workers share a link.
    streams: u32,
    links: Vec<Way>,
    work: Work,
    /// Known at the first hit.
    instants: Option<Instants>,
    strings: Strings,
    texts: Texts,
    /// Calls that have ended; empty between uses.
    done: Vec<Done>,
}

/// A link, and what hits call over it.
struct Way {
    link: Arc<Link>,
    function: Result<Function, StringId>,
    counters: Arc<Counters>,
    /// It has been connected once.
    was_connected: bool,
}

#[derive(Debug)]
struct Texts {
    count: usize,
    elsewhere: StringId,
    in_file: StringId,
}

/// What belongs to one worker.
#[derive(Debug, Default)]
pub struct Place {
    worker: u32,
    kept: Kept,
    /// The text of its answer, to be kept; empty between uses.
    text: Vec<u8>,
}

impl Wrpc {
    pub(crate) fn new(transport: &Transport, streams: u32, work: Work, seat: &Seat<'_>) -> Self {
        let strings = seat.strings.clone();
        let runtime = Runtime::new();
        Self {
            runtime: runtime.map_err(|error| {
                strings.intern(&format!(
                    "the runtime of this event loop can't be made: {error}"
                ))
            }),
            transport: transport.clone(),
            streams: streams.max(1),
            links: Vec::new(),
            work,
            instants: None,
            texts: Texts {
                count: 0,
                elsewhere: strings.intern(
                    "wRPC goes to the receivers of the URL: a record's own address isn't used",
                ),
                in_file: strings
                    .intern("with wRPC a payload is held in memory, and this one is too long"),
            },
            strings,
            done: Vec::new(),
        }
    }

    /// The link of a worker's.
    fn way(&mut self, worker: u32) -> &mut Way {
        let number = (worker / self.streams) as usize;
        while self.links.len() <= number {
            let counters = Arc::<Counters>::default();
            let link = Link::new(self.transport.clone(), Arc::clone(&counters));
            let function = match &self.work {
                Work::Function { calls, .. } => {
                    link.function(calls.function.instance(), calls.function.name())
                }
                Work::Http => link.function(http::INSTANCE, http::FUNCTION),
            };
            let function = function.map_err(|error| self.strings.intern(&error.message));
            self.links.push(Way {
                link: Arc::new(link),
                function,
                counters,
                was_connected: false,
            });
        }
        &mut self.links[number]
    }

    /// The text of an error.
    fn explain(&mut self, error: &Error) -> StringId {
        self.texts.count += 1;
        match self.texts.count <= TEXTS_MAX {
            true => self
                .strings
                .intern(&format!("{}: {}", error.code, error.message)),
            false => self.strings.intern(error.code.name()),
        }
    }

    /// Ends a hit as its call did.
    fn end(&mut self, place: &mut Place, shot: &mut Shot, outcome: Outcome<Reply>, io: &Io<'_>) {
        let Outcome {
            result,
            timing,
            traffic,
        } = outcome;
        let instants = *self.instants.get_or_insert_with(|| Instants::new(io.clock));
        let hit = &mut shot.hit;
        let ended_ns = timing
            .finished
            .map_or_else(|| io.clock.now_ns(), |it| instants.ns(it));
        hit.ended_ns = ended_ns.max(hit.started_ns);
        // Instants that a hit doesn't know are 0; they never go back.
        let within = |instant, from_ns: u64| instants.ns(instant).clamp(from_ns, hit.ended_ns);
        let sent_ns = timing.sent.map(|sent| within(sent, hit.started_ns));
        hit.connected_ns = sent_ns.unwrap_or(0);
        hit.sent_ns = sent_ns.unwrap_or(0);
        if let (Some(sent_ns), Some(uploaded)) = (sent_ns, timing.uploaded) {
            hit.sent_ns = within(uploaded, sent_ns);
        }
        hit.sent_bytes = traffic.bytes_sent;
        hit.received_bytes = traffic.bytes_received;
        let error = match result {
            Ok(Reply::Results(results)) => {
                hit.first_byte_ns = timing
                    .accepted
                    .map_or(hit.ended_ns, |accepted| within(accepted, hit.sent_ns));
                self.results(place, shot, &results)
            }
            Ok(Reply::Http(reply)) => {
                hit.first_byte_ns = within(reply.head_at, hit.sent_ns);
                hit.protocol_code = reply.status;
                keep_http(&mut place.kept, &reply);
                None
            }
            Err(error) => {
                if let Some(accepted) = timing.accepted {
                    hit.first_byte_ns = within(accepted, hit.sent_ns);
                }
                Some(error)
            }
        };
        if let Some(error) = error {
            shot.hit.net_code = net_code(error.code);
            shot.hit.error = self.explain(&error);
        }
    }

    /// Looks at the results of a call, and keeps what is asked for. An error is what they
    /// break.
    fn results(&self, place: &mut Place, shot: &mut Shot, results: &[u8]) -> Option<Error> {
        let Work::Function { calls, .. } = &self.work else {
            return None;
        };
        let function = &calls.function;
        let keep = shot.keep.body_bytes_max.max(shot.keep.wire_bytes_max);
        place.text.clear();
        let read = function.decode_results(results, &mut place.text, keep);
        let error = read.err().map(|error| {
            let instance = function.instance();
            let dot = if instance.is_empty() { "" } else { "." };
            let name = function.name();
            let text = format!("the results of {instance}{dot}{name} can't be decoded: {error}");
            Error::new(ErrorCode::ProtocolViolation, text)
        });
        if error.is_none() {
            let is_err = function.is_err(results);
            let status = if is_err { ERR } else { OK };
            shot.hit.protocol_code = status;
            place.kept.head(status, b"");
            place.kept.body(&place.text);
            place.kept.wire(&place.text);
        }
        if place.text.capacity() > 256 << 10 {
            place.text = Vec::new();
        }
        error
    }
}

impl Drop for Wrpc {
    /// Nobody is told that connections are lost which aren't wanted any more.
    fn drop(&mut self) {
        self.links.clear();
        if let Ok(runtime) = &mut self.runtime {
            runtime.close();
        }
    }
}

/// The code of a hit whose call failed so.
fn net_code(error: ErrorCode) -> u16 {
    match error {
        ErrorCode::Timeout => code::TIMEOUT,
        ErrorCode::Cancelled => code::CANCELLED,
        other => code::WRPC + other as u16,
    }
}

fn keep_http(kept: &mut Kept, reply: &HttpReply) {
    let mut head = format!("HTTP/wRPC {}\r\n", reply.status).into_bytes();
    let fields = |head: &mut Vec<u8>, fields: &[Field]| {
        for field in fields {
            for part in [field.name.as_bytes(), b": ", &field.value, b"\r\n"] {
                head.extend_from_slice(part);
            }
        }
    };
    fields(&mut head, &reply.headers);
    head.extend_from_slice(b"\r\n");
    kept.wire(&head);
    kept.head(reply.status, &head);
    for piece in &reply.body {
        kept.wire(piece);
        kept.body(piece);
    }
    if !reply.trailers.is_empty() {
        let mut trailers = Vec::new();
        fields(&mut trailers, &reply.trailers);
        kept.wire(&trailers);
    }
}

impl Nib for Wrpc {
    type Connection = Place;

    const SHARED: bool = true;

    fn connection(&mut self) -> Place {
        Place::default()
    }

    fn start(&mut self, place: &mut Place, shot: &mut Shot, io: &mut Io<'_>) -> Step {
        place.worker = io.worker;
        place.kept.expect(shot.keep);
        if shot.address.0 != 0 {
            return shot.fail(code::ADDRESS, self.texts.elsewhere, io);
        }
        let Payload::Memory(payload) = &shot.payload else {
            return shot.fail(code::PAYLOAD, self.texts.in_file, io);
        };
        let payload = payload.clone();
        let instants = *self.instants.get_or_insert_with(|| Instants::new(io.clock));
        let deadline = instants.after(shot.hit.started_ns, CALL_MAX);
        let way = self.way(io.worker);
        if !way.was_connected {
            way.was_connected = way.counters.counted().connects > 0;
        }
        if way.was_connected {
            // What a hit that times out is said to wait for; its end says more.
            shot.hit.connected_ns = shot.hit.started_ns;
            shot.hit.sent_ns = shot.hit.started_ns;
        }
        let (link, function) = (Arc::clone(&way.link), way.function.clone());
        let function = match function {
            Ok(function) => function,
            Err(text) => return shot.fail(code::PROTOCOL, text, io),
        };
        let runtime = match &mut self.runtime {
            Ok(runtime) => runtime,
            Err(text) => return shot.fail(code::WRPC + ErrorCode::Internal as u16, *text, io),
        };
        match &self.work {
            Work::Function { headers, .. } => {
                let call = Call {
                    function,
                    params: payload,
                    headers: headers.clone(),
                };
                runtime.start(io.worker, link, call, deadline);
            }
            Work::Http => {
                let call = match http_call(function, &payload, shot) {
                    Ok(call) => call,
                    Err(reason) => {
                        let text = self.strings.intern(&reason);
                        return shot.fail(code::PAYLOAD, text, io);
                    }
                };
                runtime.start(io.worker, link, call, deadline);
            }
        }
        Step::Running
    }

    /// Workers have no sockets of their own.
    fn ready(&mut self, _: &mut Place, _: Option<&mut Shot>, _: Readiness, _: &mut Io<'_>) -> Step {
        Step::Running
    }

    fn wake(&mut self, _: &mut Place, _: &mut Shot, _: &mut Io<'_>) -> Step {
        Step::Running
    }

    fn abandon(&mut self, place: &mut Place) {
        if let Ok(runtime) = &mut self.runtime {
            runtime.abandon(place.worker);
        }
    }

    fn wait(
        &mut self,
        poller: &Poller,
        events: &mut Vec<Event>,
        timeout_ns: u64,
    ) -> Result<bool, Errno> {
        let Ok(runtime) = &mut self.runtime else {
            return poller.wait(events, timeout_ns).map(|()| false);
        };
        let woken = runtime.wait(poller, events, timeout_ns)?;
        runtime.take_ended(&mut self.done);
        Ok(woken)
    }

    fn next_instant(&self) -> u64 {
        match self.done.is_empty() {
            true => u64::MAX,
            false => 0,
        }
    }

    fn due(&mut self, _: u64, hits: &mut dyn Hits<Place>, io: &mut Io<'_>) {
        let mut done = std::mem::take(&mut self.done);
        for Done {
            worker, outcome, ..
        } in done.drain(..)
        {
            if let Some((place, shot)) = hits.get(worker) {
                self.end(place, shot, outcome, io);
                hits.end(worker);
            }
        }
        self.done = done;
    }

    fn response<'a>(&self, place: &'a Place) -> Response<'a> {
        place.kept.response()
    }

    fn received<'a>(&self, place: &'a Place) -> &'a [u8] {
        place.kept.received()
    }

    fn peer(&self, _: &Place) -> Option<String> {
        Some(match &self.transport {
            Transport::Nats { options, .. } => options.peers(),
            Transport::Tcp(options) => options.peer(),
        })
    }

    fn shown(&self, payload: &[u8]) -> Option<Vec<u8>> {
        let Work::Function { calls, .. } = &self.work else {
            return None;
        };
        let mut text = Vec::new();
        let decoded = calls.function.decode_params(payload, &mut text, usize::MAX);
        decoded.ok().map(|()| text)
    }
}

fn http_call(function: Function, payload: &Bytes, shot: &Shot) -> Result<HttpCall, String> {
    let (head, body) = request::read(payload)?;
    let keep = shot.keep.body_bytes_max.max(shot.keep.wire_bytes_max);
    Ok(HttpCall {
        function,
        head,
        body,
        reading: match keep {
            0 => Reading::Discard,
            keep => Reading::KeepBeginning(keep),
        },
    })
}
