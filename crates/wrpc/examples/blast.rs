//! The bare client: blasts as fast as it can with a number of calls in flight,
//! and prints what that cost. `make bench` uses it as the measure of the Rust
//! side without k6.
//!
//! `blast URL PREFIX IN_FLIGHT PAYLOAD_BYTES SECONDS`
//!
//! URL is that of NATS, or `tcp://HOST:PORT` of a receiver. There, PREFIX is `shared`
//! for one connection, `single` for a connection for each call, or `upstream` for
//! upstream's own client, without its encoding and decoding of values.

#![allow(clippy::print_stdout, clippy::expect_used, clippy::unwrap_used)]

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use encarno_wrpc::blaster::{self, Packet};
use encarno_wrpc::nats::{Connection, Options, Subject, subject};
use encarno_wrpc::tcp;
use tokio::io::AsyncReadExt as _;
use wrpc_transport::Invoke as _;

enum Target {
    Nats(Connection, Subject),
    Tcp(tcp::Remote, tcp::FunctionNames),
    Upstream(wrpc_transport::tcp::Client<String>),
}

impl Target {
    async fn new(url: &str, prefix: &str) -> Self {
        let Some(addr) = url.strip_prefix("tcp://") else {
            let options = Options::new(url).expect("URL");
            let connection = Connection::connect(&options).await.expect("connect");
            let function = subject::function(prefix, blaster::INSTANCE, blaster::FUNCTION);
            return Self::Nats(connection, function.expect("PREFIX"));
        };
        if prefix == "upstream" {
            return Self::Upstream(addr.to_owned().into());
        }
        let mut options = tcp::Options::new(addr).expect("URL");
        options.reuse = match prefix {
            "shared" => true,
            "single" => false,
            _ => panic!("over TCP, PREFIX is `shared`, `single` or `upstream`"),
        };
        let function = tcp::FunctionNames::new(blaster::INSTANCE, blaster::FUNCTION);
        Self::Tcp(tcp::Remote::new(options), function)
    }

    async fn call(&self, params: Bytes, deadline: Instant) -> Result<(), String> {
        let outcome = match self {
            Self::Nats(connection, function) => {
                connection.call(function.clone(), params, deadline).await
            }
            Self::Tcp(client, function) => client.call(function, params, deadline).await,
            Self::Upstream(client) => {
                return call_upstream(client, params)
                    .await
                    .map_err(|error| format!("{error:#}"));
            }
        };
        match outcome.result {
            Ok(_) => Ok(()),
            Err(error) => Err(format!("{}: {error}", error.code)),
        }
    }
}

async fn call_upstream(
    client: &wrpc_transport::tcp::Client<String>,
    params: Bytes,
) -> Result<(), Box<dyn std::error::Error>> {
    let no_paths = [[None::<usize>; 0]; 0];
    let (outgoing, mut incoming) = client
        .invoke((), blaster::INSTANCE, blaster::FUNCTION, params, no_paths)
        .await?;
    drop(outgoing); // the end of the parameters
    incoming.read_to_end(&mut Vec::new()).await?;
    Ok(())
}

fn cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, prefix, in_flight, payload_bytes, seconds] = &arguments[..] else {
        panic!("usage: blast URL PREFIX IN_FLIGHT PAYLOAD_BYTES SECONDS");
    };
    let in_flight: usize = in_flight.parse().expect("IN_FLIGHT");
    let payload = vec![0x5a; payload_bytes.parse().expect("PAYLOAD_BYTES")];
    let seconds: u64 = seconds.parse().expect("SECONDS");

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("runtime");
    let tasks = tokio::task::LocalSet::new();
    tasks.block_on(&runtime, async {
        let target = Rc::new(Target::new(url, prefix).await);
        let params = Bytes::from(
            Packet {
                payload: &payload,
                ..Packet::default()
            }
            .encode(),
        );
        let latencies_us = Rc::new(RefCell::new(
            hdrhistogram::Histogram::<u64>::new_with_bounds(1, 60_000_000, 3).unwrap(),
        ));
        let failed = Rc::new(Cell::new(0u64));
        let (started, cpu_started) = (Instant::now(), cpu_seconds());
        let end = started + Duration::from_secs(seconds);
        let workers: Vec<_> = (0..in_flight)
            .map(|_| {
                let (target, params) = (Rc::clone(&target), params.clone());
                let (latencies_us, failed) = (Rc::clone(&latencies_us), Rc::clone(&failed));
                tokio::task::spawn_local(async move {
                    loop {
                        let begin = Instant::now();
                        if begin >= end {
                            return;
                        }
                        let deadline = begin + Duration::from_secs(10);
                        if let Err(error) = target.call(params.clone(), deadline).await {
                            failed.set(failed.get() + 1);
                            eprintln!("{error}");
                        }
                        let took = begin.elapsed().as_micros() as u64;
                        latencies_us.borrow_mut().saturating_record(took.max(1));
                    }
                })
            })
            .collect();
        for worker in workers {
            worker.await.unwrap();
        }
        let (wall, cpu) = (started.elapsed().as_secs_f64(), cpu_seconds() - cpu_started);
        let latencies_us = latencies_us.borrow();
        let calls = latencies_us.len();
        println!(
            "{{\"calls\": {calls}, \"calls_per_s\": {:.0}, \"cpu_us_per_call\": {:.2}, \"p50_us\": {}, \"p99_us\": {}, \"failed\": {}}}",
            calls as f64 / wall,
            cpu * 1e6 / calls as f64,
            latencies_us.value_at_quantile(0.5),
            latencies_us.value_at_quantile(0.99),
            failed.get(),
        );
    });
}
