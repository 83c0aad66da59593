//! Sends the bodies of requests, as far as the peer's windows allow.

use std::collections::VecDeque;

use bytes::Bytes;
use encarno_http2::Connection;

/// The size of a piece that is built at once.
const PIECE_BYTES: usize = 256 << 10;
/// The number of bodies without a stream from which on they are removed.
const VACANT_MAX: usize = 64;

/// Bodies that aren't sent completely.
#[derive(Debug, Default)]
pub(super) struct Bodies {
    ready: VecDeque<Body>,
    /// Bodies for which the windows have no room. They aren't visited until there is
    /// room.
    blocked: Vec<Body>,
}

#[derive(Debug)]
pub(super) struct Body {
    pub(super) stream: u32,
    pub(super) worker: u32,
    pub(super) payload: Bytes,
    pub(super) taken: usize,
}

/// A piece that was put into the outbox.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) stream: u32,
    pub(super) worker: u32,
    /// Bytes of the outbox, including the heads of frames.
    pub(super) bytes: usize,
    pub(super) is_last: bool,
}

impl Bodies {
    pub(super) fn push(&mut self, body: Body) {
        self.ready.push_back(body);
    }

    /// Puts the next piece into the outbox; `None` if nothing may be sent.
    pub(super) fn send_next(&mut self, http: &mut Connection<u32>) -> Option<Piece> {
        if http.take_room() {
            self.ready.extend(self.blocked.drain(..));
        }
        while let Some(mut body) = self.ready.pop_front() {
            if http.user(body.stream).is_none() {
                continue;
            }
            let before = http.outbox().len();
            let piece = &body.payload[body.taken..];
            let piece = &piece[..piece.len().min(PIECE_BYTES)];
            let is_last = body.taken + piece.len() == body.payload.len();
            let taken = http.data(body.stream, piece, is_last);
            let is_blocked = taken < piece.len();
            body.taken += taken;
            let sent = Piece {
                stream: body.stream,
                worker: body.worker,
                bytes: http.outbox().len() - before,
                is_last: is_last && !is_blocked,
            };
            if is_blocked {
                self.block(body, http);
            } else if !is_last {
                self.ready.push_back(body);
            }
            if taken > 0 || sent.is_last {
                return Some(sent);
            }
        }
        None
    }

    /// If the peer gives no room, bodies without a waiting hit must not accumulate.
    fn block(&mut self, body: Body, http: &mut Connection<u32>) {
        self.blocked.push(body);
        if self.blocked.len() > VACANT_MAX + 2 * http.streams() {
            self.blocked.retain(|body| http.user(body.stream).is_some());
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test that fails here says enough

    use bytes::Bytes;
    use encarno_http2::{Connection, ErrorCode, Handler, Head, Limits, Prepared, Reset, Role};

    use super::{Bodies, Body, VACANT_MAX};

    struct Nobody;

    impl Handler<u32> for Nobody {
        fn wants_text(&mut self, _: &u32) -> bool {
            false
        }

        fn head(&mut self, _: u32, _: &mut u32, _: &Head<'_>, _: bool) {}

        fn data(&mut self, _: u32, _: &mut u32, _: &[u8], _: usize, _: bool) {}

        fn reset(&mut self, _: u32, _: u32, _: Reset) {}
    }

    /// A connection to a server with windows of this size, and with this number of
    /// bodies.
    fn connection(window: u32, bodies: u32) -> (Connection<u32>, Bodies) {
        let mut http = Connection::new(Role::Client, Limits::default());
        let window = window.to_be_bytes();
        let settings = [&[0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4][..], &window].concat();
        http.receive(&settings, &mut Nobody).unwrap();
        let mut all = Bodies::default();
        for worker in 0..bodies {
            all.push(open(&mut http, worker));
        }
        (http, all)
    }

    fn open(http: &mut Connection<u32>, worker: u32) -> Body {
        let request = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n0123456789";
        let prepared = Prepared::of_text(request).unwrap();
        let prepared = Prepared::read(&prepared).unwrap();
        Body {
            stream: http.open(&prepared, false, worker),
            worker,
            payload: Bytes::copy_from_slice(prepared.body),
            taken: 0,
        }
    }

    fn window_update(stream: u32, bytes: u32) -> Vec<u8> {
        let (stream, bytes) = (stream.to_be_bytes(), bytes.to_be_bytes());
        [&[0, 0, 4, 8, 0][..], &stream, &bytes].concat()
    }

    #[test]
    fn bodies_that_wait_for_windows_are_looked_at_when_there_is_room() {
        let (mut http, mut bodies) = connection(4, 100);
        for worker in 0..100 {
            let piece = bodies.send_next(&mut http).unwrap();
            assert_eq!(
                (piece.worker, piece.bytes, piece.is_last),
                (worker, 13, false)
            );
        }
        assert_eq!(bodies.send_next(&mut http), None);
        // Until an event comes, a turn doesn't visit them.
        assert_eq!((bodies.ready.len(), bodies.blocked.len()), (0, 100));
        assert_eq!(bodies.send_next(&mut http), None);
        http.receive(&window_update(7, 100), &mut Nobody).unwrap();
        let piece = bodies.send_next(&mut http).unwrap();
        assert_eq!((piece.stream, piece.worker, piece.is_last), (7, 3, true));
        assert_eq!(bodies.send_next(&mut http), None);
        assert_eq!(bodies.blocked.len(), 99);
    }

    #[test]
    fn a_server_that_gives_no_room_costs_no_memory() {
        let (mut http, mut bodies) = connection(0, 0);
        for worker in 0..5000 {
            let body = open(&mut http, worker);
            let stream = body.stream;
            bodies.push(body);
            assert_eq!(bodies.send_next(&mut http), None);
            http.reset(stream, ErrorCode::CANCEL);
            http.sent(http.outbox().len());
        }
        assert!(bodies.blocked.len() <= VACANT_MAX + 2);
    }
}
