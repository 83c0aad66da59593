//! A server of HTTP/2 that answers with whatever bytes a test wants.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use super::peer::peer;

/// A frame of that kind.
pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    let head = [length[1], length[2], length[3], kind, flags];
    [&head[..], &stream.to_be_bytes(), payload].concat()
}

/// Lets `answer` write to the client when a head has come.
pub(super) fn http2_peer(
    answer: impl Fn(&mut TcpStream) -> io::Result<()> + Send + Sync + 'static,
) -> SocketAddr {
    peer(move |mut stream| {
        let mut reader = stream.try_clone()?;
        stream.write_all(&frame(4, 0, 0, &[]))?;
        reader.read_exact(&mut [0; 24])?;
        loop {
            let mut head = [0; 9];
            reader.read_exact(&mut head)?;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            reader.read_exact(&mut vec![0; length as usize])?;
            if head[3] == 1 {
                answer(&mut stream)?;
            }
        }
    })
}
