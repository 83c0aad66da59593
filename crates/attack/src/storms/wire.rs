//! TCP messages written by hand.

use encarno_wrpc::value::Write as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::failure::Failure;
use crate::neighbours::INSTANCE;

pub(super) use encarno_wrpc::tcp::fuzz::PREFACE;
/// The kinds of messages on a shared connection.
pub(super) const CALL: u8 = 1;
pub(super) const CALL_BEGINS: u8 = 2;

/// A shared connection, after its prefaces.
pub(super) async fn shared(addr: &str) -> Result<TcpStream, Failure> {
    let mut stream = TcpStream::connect(addr).await?;
    stream.write_all(PREFACE).await?;
    let mut answer = [0; PREFACE.len()];
    stream.read_exact(&mut answer).await?;
    Ok(stream)
}

/// A message on a shared connection.
pub(super) fn message(kind: u8, call: u64, function: &str, params: &[u8]) -> Vec<u8> {
    let mut payload = Vec::new();
    payload.bytes(INSTANCE.as_bytes());
    payload.bytes(function.as_bytes());
    payload.extend_from_slice(params);
    encarno_wrpc::tcp::fuzz::message(kind, call, &payload)
}

/// A call on its own connection.
pub(super) fn single(function: &str, params: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0];
    bytes.bytes(INSTANCE.as_bytes());
    bytes.bytes(function.as_bytes());
    bytes.push(0);
    bytes.bytes(params);
    bytes.extend([0, 0]);
    bytes
}
