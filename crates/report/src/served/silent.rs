//! Connections that haven't sent a request yet. They never keep a new connection out: the
//! one that has been silent longest is closed.

use std::collections::VecDeque;
use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

/// The most connections at a time that haven't sent a request.
const SILENT_MAX: usize = 32;

#[derive(Default)]
pub(crate) struct Silent(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    /// The number of the next connection.
    next: u64,
    /// The streams with their numbers, the oldest first.
    streams: VecDeque<(u64, TcpStream)>,
}

/// A connection's place among the silent ones, until it is dropped.
pub(crate) struct Place {
    silent: Arc<Silent>,
    number: u64,
}

impl Silent {
    /// Takes one in. If there are too many, the oldest is closed.
    pub(crate) fn enter(self: &Arc<Self>, stream: &TcpStream) -> io::Result<Place> {
        let stream = stream.try_clone()?;
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let number = waiting.next;
        waiting.next += 1;
        waiting.streams.push_back((number, stream));
        if waiting.streams.len() > SILENT_MAX
            && let Some((_, oldest)) = waiting.streams.pop_front()
        {
            // This wakes the thread that waits for the request. A peer that is gone is no
            // error.
            let _ = oldest.shutdown(Shutdown::Both);
        }
        Ok(Place {
            silent: Arc::clone(self),
            number,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut waiting = self.silent.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.streams.retain(|(number, _)| *number != self.number);
    }
}
