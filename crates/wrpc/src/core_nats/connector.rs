//! Makes a session with a server.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;

use bytes::BytesMut;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;

use super::error::{Error, ErrorKind};
use super::hello::{self, Info};
use super::options::{Options, ServerAddr};
use super::parse::{Found, Op, parse};
use super::session::{Milestone, Session};
use super::shared::Shared;
use crate::socket::{Stream, tls_reason};
use crate::{lock, tls};

/// Makes a session that is up, or fails within [`Options::connect_timeout`].
pub(super) async fn connect(
    options: &Options,
    server: &ServerAddr,
    shared: &Shared,
) -> Result<Session, Error> {
    let limit = options.connect_timeout;
    let deadline = Instant::now() + limit;
    let connected = timeout_at(deadline, begin(options, server, shared, deadline)).await;
    connected.unwrap_or_else(|_| {
        let text = format!("{server}: no answer within {limit:?}");
        Err(Error::new(ErrorKind::TimedOut, text))
    })
}

async fn begin(
    options: &Options,
    server: &ServerAddr,
    shared: &Shared,
    deadline: Instant,
) -> Result<Session, Error> {
    let named = |error: Error| Error::new(error.kind, format!("{server}: {}", error.message));
    let tcp = connect_tcp(server, deadline).await.map_err(named)?;
    let (stream, info, inbox) = introduce(options, server, tcp).await.map_err(named)?;
    let is_tls = matches!(stream, Stream::Tls(_));
    let mut hello = hello::connect(options, &info, is_tls)?;
    hello.push_str(&lock(&shared.subscriptions).lines());
    shared.learn(server, &info);
    let interval = options.ping_interval;
    let mut session = Session::new(stream, server.clone(), inbox, &hello, interval);
    match poll_fn(|context| session.poll(shared, context)).await {
        Milestone::Up => Ok(session),
        Milestone::Lost(error) => Err(named(error)),
        Milestone::Done => Err(named(Error::new(
            ErrorKind::Closed,
            "it isn't needed any more",
        ))),
    }
}

/// The connection, encrypted if either end wants that, the server's introduction, and the
/// bytes after it.
async fn introduce(
    options: &Options,
    server: &ServerAddr,
    tcp: TcpStream,
) -> Result<(Stream, Info, BytesMut), Error> {
    let is_required = server.tls || options.require_tls;
    let mut stream = Stream::Plain(tcp);
    let mut inbox = BytesMut::new();
    let info = match is_required {
        false => Some(read_info(&mut stream, &mut inbox).await?),
        // A server may want TLS before anything else; then it sends nothing.
        true => {
            let silence = options.connect_timeout / 4;
            let info = timeout(silence, read_info(&mut stream, &mut inbox)).await;
            info.ok().transpose()?
        }
    };
    if !is_required && !info.as_ref().is_some_and(|info| info.tls_required) {
        let info = info.unwrap_or_default();
        return Ok((stream, info, inbox));
    }
    if !inbox.is_empty() {
        // Bytes before TLS could come from anyone, so they don't count as the server's.
        let text = "the server sends more than INFO before TLS";
        return Err(Error::new(ErrorKind::Protocol, text));
    }
    let mut stream = encrypt(options, server, stream).await?;
    let info = match info {
        Some(info) => info,
        None => read_info(&mut stream, &mut inbox).await?,
    };
    Ok((stream, info, inbox))
}

async fn encrypt(options: &Options, server: &ServerAddr, stream: Stream) -> Result<Stream, Error> {
    let failed = |reason: String| Error::new(ErrorKind::Tls, format!("TLS failed: {reason}"));
    let make = Arc::clone(&options.tls);
    let config = tokio::task::spawn_blocking(move || make()).await;
    let config = config
        .map_err(|error| failed(error.to_string()))?
        .map_err(failed)?;
    let name = tls::server_name(server.tls_name()).map_err(|error| failed(error.message))?;
    let Stream::Plain(tcp) = stream else {
        return Ok(stream);
    };
    match TlsConnector::from(config).connect(name, tcp).await {
        Ok(stream) => Ok(Stream::Tls(Box::new(stream.into()))),
        Err(error) => Err(failed(tls_reason(&error))),
    }
}

/// Reads the server's introduction.
async fn read_info(stream: &mut Stream, inbox: &mut BytesMut) -> Result<Info, Error> {
    loop {
        match parse(inbox) {
            Ok(Found::Op(Op::Info(json), length)) => {
                let line = inbox.split_to(length as usize);
                return Info::read(&line[json]);
            }
            // For example, it has too many connections.
            Ok(Found::Op(Op::Err(text), _)) => {
                return Err(Error::refused(&String::from_utf8_lossy(&inbox[text])));
            }
            Ok(Found::Beginning(_)) => {}
            Ok(Found::Op(..)) | Err(_) => {
                let text = "it doesn't answer like a NATS server";
                return Err(Error::new(ErrorKind::Protocol, text));
            }
        }
        let read = stream.read_buf(inbox).await;
        if read.map_err(|error| Error::of_socket(&error))? == 0 {
            let text = "the server closed it before it sent anything";
            return Err(Error::new(ErrorKind::Io, text));
        }
    }
}

async fn connect_tcp(server: &ServerAddr, deadline: Instant) -> Result<TcpStream, Error> {
    let lookup = tokio::net::lookup_host((server.host.as_str(), server.port));
    let addresses: Vec<_> = match lookup.await {
        Ok(addresses) => addresses.collect(),
        Err(error) => return Err(Error::new(ErrorKind::Resolve, error.to_string())),
    };
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for (index, address) in addresses.iter().enumerate() {
        // The remaining addresses share the remaining time.
        let left = deadline.saturating_duration_since(Instant::now());
        let share = left / (addresses.len() - index) as u32;
        last = match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(tcp)) => {
                tcp.set_nodelay(true)
                    .map_err(|error| Error::of_socket(&error))?;
                return Ok(tcp);
            }
            Ok(Err(error)) => error,
            Err(_) => io::ErrorKind::TimedOut.into(),
        };
    }
    Err(Error::of_socket(&last))
}
