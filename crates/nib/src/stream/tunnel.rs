//! The tunnel through an HTTP proxy to a target with TLS.

use encarno_http1::head_end;
use rustix::io::Errno;

use super::StreamError;
use crate::proxy::ProxySettings;
use crate::socket::Socket;

/// The longest answer of a proxy to CONNECT.
const HEAD_BYTES_MAX: usize = 16 << 10;

/// A tunnel that is being requested.
#[derive(Debug)]
pub(super) struct Tunnel {
    request: Vec<u8>,
    sent: usize,
    head: Vec<u8>,
}

impl Tunnel {
    /// A tunnel to this host and port.
    pub(super) fn new(settings: &ProxySettings, authority: &str) -> Self {
        let authorization = settings.authorization_line();
        let request =
            format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{authorization}\r\n");
        Self {
            request: request.into_bytes(),
            sent: 0,
            head: Vec::new(),
        }
    }

    /// Continues the request; true once the tunnel is open.
    pub(super) fn advance(&mut self, socket: &Socket) -> Result<bool, StreamError> {
        while self.sent < self.request.len() {
            match socket.send(&self.request[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(Errno::AGAIN) => return Ok(false),
                Err(errno) => return Err(StreamError::System(errno)),
            }
        }
        loop {
            // The target doesn't send before we do, so all bytes are the proxy's.
            let mut buffer = [0; 1024];
            let count = match socket.receive(&mut buffer) {
                Ok(0) => return Err(refused("it closed the connection")),
                Ok(count) => count,
                Err(Errno::AGAIN) => return Ok(false),
                Err(errno) => return Err(StreamError::System(errno)),
            };
            self.head.extend_from_slice(&buffer[..count]);
            if let Some(end) = head_end(&self.head, 0) {
                return self.is_open(end);
            }
            if self.head.len() > HEAD_BYTES_MAX {
                return Err(refused("it answers with a head that is too long"));
            }
        }
    }

    fn is_open(&self, end: usize) -> Result<bool, StreamError> {
        let line = self.head.split(|&byte| byte == b'\n').next();
        let line = String::from_utf8_lossy(line.unwrap_or_default());
        let line: String = line.trim().chars().take(100).collect();
        let status = line.strip_prefix("HTTP/1.").and_then(|rest| {
            let (_, rest) = rest.split_once(' ')?;
            rest.get(..3)?.parse::<u16>().ok()
        });
        match status {
            Some(200..=299) if end == self.head.len() => Ok(true),
            Some(200..=299) => Err(refused("it sends more than its answer")),
            Some(407) => Err(refused(
                "it asks for a user: write http://USER:PASSWORD@HOST:PORT",
            )),
            Some(_) => Err(refused(&format!("it answers CONNECT with {line:?}"))),
            None => Err(refused(&format!("it isn't a proxy: it answers {line:?}"))),
        }
    }
}

fn refused(reason: &str) -> StreamError {
    StreamError::Proxy(reason.to_owned())
}
