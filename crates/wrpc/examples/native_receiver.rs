//! A receiver of blasts without wasm: it decodes the packet, reads the payload,
//! spins and sleeps as asked, and answers. `make bench` uses it as the measure of what the receiver's
//! transport costs, and tests as a peer that is always there.
//!
//! `native_receiver URL PREFIX`
//!
//! URL is that of NATS, or `tcp://HOST:PORT` to listen at; then PREFIX isn't used.

#![allow(clippy::print_stdout, clippy::expect_used, clippy::unwrap_used)]

use std::time::{Duration, Instant};

use bytes::Bytes;
use encarno_wrpc::blaster::{self, Packet};
use encarno_wrpc::nats::{Connection, Options, Server};
use encarno_wrpc::serve::{Export, Invocation, Limits, Respond};
use encarno_wrpc::value::DecodeError;
use encarno_wrpc::{Error, ErrorCode, tcp};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, prefix] = &arguments[..] else {
        panic!("usage: native_receiver URL PREFIX");
    };
    let export = Export {
        instance: blaster::INSTANCE.into(),
        function: blaster::FUNCTION.into(),
        check: Box::new(|params| Packet::decode(params).map(drop)),
        has_streams: false,
    };
    let limits = Limits::new(64 << 20, Duration::from_secs(10));
    let stop = async {
        tokio::signal::ctrl_c().await.unwrap();
    };
    if let Some(addr) = url.strip_prefix("tcp://") {
        let settings = tcp::serve::Settings::default();
        let server = tcp::Server::bind(addr, vec![export], limits, settings)
            .await
            .expect("listen");
        println!("ready at {}", server.local_addr().expect("address"));
        server.run(stop, serve).await;
    } else {
        let connection = Connection::connect(&Options::new(url).expect("URL"))
            .await
            .expect("connect");
        let server = Server::new(connection, prefix, None, vec![export], limits)
            .await
            .expect("subscribe");
        println!("ready");
        server.run(stop, serve).await;
    }
}

fn serve(invocation: Invocation<impl Respond>) {
    tokio::spawn(async move {
        let mut responder = invocation.responder;
        let params = invocation.parameters.receive(&mut responder).await;
        let result = match params {
            Ok(params) => work(&params, &mut responder).await,
            Err(error) => Err(error),
        };
        responder.finish(result).await;
    });
}

/// Reads the payload, spins, and sleeps, as the packet asks.
async fn work(params: &[u8], responder: &mut impl Respond) -> Result<Bytes, Error> {
    let packet = Packet::decode(params).map_err(|error: DecodeError| {
        Error::new(ErrorCode::ProtocolViolation, error.to_string())
    })?;
    let bytes = packet.payload.iter().map(|&byte| u64::from(byte));
    std::hint::black_box(bytes.sum::<u64>());
    if packet.cpu_burn_ms == 0 && packet.wait_ms == 0 {
        return Ok(Bytes::new()); // accepted and answered in one go
    }
    responder.accept().await;
    let end = Instant::now() + Duration::from_millis(packet.cpu_burn_ms);
    while Instant::now() < end {
        std::hint::spin_loop();
    }
    tokio::time::sleep(Duration::from_millis(packet.wait_ms)).await;
    Ok(Bytes::new())
}
