//! One connection, as the nib uses it.

use std::fmt::Debug;

use encarno_nib::stream::StreamError;
use encarno_nib::{Hits, Io};
use encarno_record::notes::Transport;
use encarno_record::{Hit, Strings};

use super::{Dialect, On, Place, Queue, Texts};
use crate::links::{self, Phase, note_handshake};

/// A connection with many streams, for what is sent over it.
pub trait Lane<D: Dialect>: links::Link + Debug + Send + 'static {
    /// What a connection begins with.
    type Settings: Clone + Debug + Send + 'static;

    /// The name of the protocol, for messages.
    const NAME: &'static str;

    /// Begins the protocol on a new socket.
    fn begin(&mut self, settings: &Self::Settings);

    /// The hits that wait for a stream.
    fn queue(&mut self) -> &mut Queue;

    /// When the peer was last heard; 0 if it never was.
    fn heard_ns(&self) -> u64;

    /// Notes that one of the waiting hits was given up.
    fn waits_no_more(&mut self) {
        self.queue().one_left();
        // A connection that is still being opened isn't needed any more, and a peer that
        // was silent all the time isn't asked again.
        let is_asked = self.dialed().phase == Phase::Open && self.heard_ns() > 0;
        if self.queue().is_empty() && !is_asked {
            self.let_down();
        }
    }

    /// Whether an answer has come on it.
    fn is_reused(&self) -> bool;

    /// Gives a stream up; its answer is ignored.
    fn give_up(&mut self, stream: u32, opened_ns: u64);

    /// Notes that it is visited now. Returns why it must be closed, if it must.
    fn take_change(&mut self) -> Option<Broken>;

    /// Continues to connect.
    fn go_on(&mut self, closed: bool, now_ns: u64) -> Result<(), Broken>;

    /// Whether it can be read and written.
    fn can_turn(&self) -> bool;

    /// Reads; true if there may be more to read.
    fn read(
        &mut self,
        link: u32,
        dialect: &mut D,
        texts: &Texts,
        strings: &Strings,
        hits: &mut dyn Hits<Place<D::Answer>>,
        io: &mut Io<'_>,
    ) -> Result<bool, Broken>;

    /// Assigns streams to hits, and sends as much as there is room for; true if there is
    /// more to send and room for it.
    fn write(
        &mut self,
        link: u32,
        dialect: &mut D,
        texts: &Texts,
        strings: &Strings,
        hits: &mut dyn Hits<Place<D::Answer>>,
        io: &Io<'_>,
    ) -> Result<bool, Broken>;

    /// Sends the last words to the peer, if there is room for them.
    fn say_last(&mut self);

    /// Closes it, and returns the workers whose hits were on it.
    fn close(&mut self, link: u32, hits: &mut dyn Hits<Place<D::Answer>>) -> Vec<u32>;

    /// An instant at which it must be visited without an event, if it isn't known yet.
    fn alarm_ns(&mut self) -> Option<u64> {
        None
    }

    /// Whether such an instant has come.
    fn is_due(&self, now_ns: u64) -> bool {
        let _ = now_ns;
        false
    }

    /// Whether hits wait on it although it is full.
    fn is_too_full(&self) -> bool {
        false
    }

    /// Lets hits that were sent before the handshake ended wait again, because the handshake
    /// begins again elsewhere.
    fn take_back(&mut self, link: u32, hits: &mut dyn Hits<Place<D::Answer>>) {
        let _ = (link, hits);
    }

    /// What its connections have counted, if the kernel doesn't count it.
    fn transport(&self) -> Transport {
        Transport::default()
    }

    /// A readable form of a payload.
    fn shown(dialect: &D, payload: &[u8]) -> Option<Vec<u8>>;
}

/// Records when a hit got a stream. `handshake` is the start and the end of the
/// connection's, and `full_ns` the instant at which a hit last found no free stream.
pub(crate) fn note_stream(
    hit: &mut Hit,
    handshake: Option<(u64, u64)>,
    full_ns: u64,
    is_tls: bool,
    now_ns: u64,
) {
    let (since_ns, opened_ns) = handshake.unwrap_or_default();
    // The connection was open, and had a free stream at once.
    let at_once = hit.started_ns >= opened_ns.max(full_ns);
    hit.connected_ns = if at_once { hit.started_ns } else { now_ns };
    if is_tls && hit.started_ns < opened_ns {
        note_handshake(hit, since_ns, opened_ns);
    }
}

/// Keeps the workers whose hits are on streams of this link.
pub(crate) fn keep_own<A>(workers: &mut Vec<u32>, link: u32, hits: &mut dyn Hits<Place<A>>) {
    workers.retain(|&worker| {
        let place = hits.get(worker).map(|(place, _)| place.on);
        matches!(place, Some(On::Stream(number, _)) if number == link)
    });
}

/// Why a link can't be used any more.
#[derive(Debug)]
pub enum Broken {
    /// An error of the operating system, the peer or TLS.
    Stream(StreamError),
    /// An error of the protocol.
    Failed(Failed),
    /// The peer chose no protocol in TLS, or another one.
    Alpn,
    /// It isn't needed any more.
    GivenUp,
}

/// An error of a protocol, as a hit records it.
#[derive(Debug)]
pub struct Failed {
    /// The net code.
    pub(crate) code: u16,
    /// What happened.
    pub(crate) text: String,
    /// Whether the peer has only closed the connection.
    pub(crate) is_gone: bool,
}

impl From<StreamError> for Broken {
    fn from(error: StreamError) -> Self {
        Self::Stream(error)
    }
}
