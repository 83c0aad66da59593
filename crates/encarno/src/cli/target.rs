//! `encarno target`: starts the scripted server.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use encarno_capacity::usl::Usl;
use encarno_nib::delay::Delay;
use encarno_record::statistics::counted;
use encarno_target::{Target, TargetSettings};
use rustix::process::Pid;
use signal_hook::flag;

use super::flags::duration;
use super::{Failure, parent, process};
use crate::exit;

/// The arguments of `encarno target`.
#[derive(Debug, Args)]
pub(super) struct TargetArguments {
    /// The address to listen at. Port 0 is any free one. PORT, :PORT and localhost:PORT listen
    /// at the loopback interface.
    #[arg(default_value = "127.0.0.1:8070", value_parser = listen)]
    listen: SocketAddr,
    /// Listen at this unix socket, too, without TLS. Hit it with http+unix://PATH, grpc+unix://PATH,
    /// ws+unix://PATH or tcp+unix://PATH.
    #[arg(long, value_name = "PATH", conflicts_with = "udp")]
    unix: Option<PathBuf>,
    /// Answer datagrams instead of HTTP/1.1, HTTP/2, HTTP/3, WebSocket and gRPC (encarno.Echo).
    #[arg(long)]
    udp: bool,
    /// Speak TLS, and HTTP/3 over UDP at the same port. Without --cert, the target makes a
    /// certificate that signs itself: hit it with --insecure.
    #[arg(long, conflicts_with = "udp")]
    tls: bool,
    /// Speak TLS with this certificate chain, a PEM file. The client chooses HTTP/1.1,
    /// HTTP/2 or HTTP/3.
    #[arg(long, value_name = "FILE", requires = "key", conflicts_with = "udp")]
    cert: Option<PathBuf>,
    /// The key of the certificate, a PEM file.
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// How long an answer takes: none, fixed:10ms, exponential:10ms, uniform:1ms:5ms,
    /// gaussian:10ms:2ms or bimodal:1ms:100ms:0.05.
    #[arg(long, default_value = "none")]
    delay: Delay,
    /// Follow the Universal Scalability Law, with the throughput of one worker per second,
    /// contention and coherency, such as 100,0.02,0.0001. N workers that wait for their answers
    /// reach LAMBDA*N/(1+SIGMA*(N-1)+KAPPA*N*(N-1)) answers per second.
    #[arg(long, value_name = "LAMBDA,SIGMA,KAPPA", value_parser = usl, allow_hyphen_values = true)]
    usl: Option<Usl>,
    /// Serve M requests at a time, each for as long as --delay says. With an exponential delay
    /// this is the queue M/M/m.
    #[arg(long, value_name = "M", conflicts_with = "usl", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    servers: Option<u32>,
    /// Answer with status 503 at once when N requests are being served or wait.
    #[arg(long, value_name = "N")]
    cap: Option<usize>,
    /// Answer nothing for LENGTH. The stall begins at AFTER, counted from the first request.
    #[arg(long, value_name = "AFTER:LENGTH", value_parser = stall)]
    stall: Option<(Duration, Duration)>,
    /// The share of answers that have status 500, such as 0.01.
    #[arg(long, default_value_t = 0.0, value_parser = part)]
    error_rate: f64,
    /// The share of answers whose connection is reset in the middle of the body.
    #[arg(long, default_value_t = 0.0, value_parser = part)]
    reset_rate: f64,
    /// The share of requests that are never answered.
    #[arg(long, default_value_t = 0.0, value_parser = part)]
    silent_rate: f64,
    /// The share of answers after which the connection is closed, as their head announces.
    #[arg(long, default_value_t = 0.0, value_parser = part)]
    close_rate: f64,
    /// The share of answers after which the connection is closed without an announcement.
    #[arg(long, default_value_t = 0.0, value_parser = part)]
    rude_close_rate: f64,
    /// HTTP/2, HTTP/3: the most requests at a time on a connection [default: 65536].
    #[arg(long, value_name = "N", conflicts_with = "udp", value_parser = clap::value_parser!(u32).range(1..))]
    streams: Option<u32>,
    /// Send each answer one byte at a time.
    #[arg(long)]
    drip: bool,
    /// Send bodies in chunks.
    #[arg(long)]
    chunked: bool,
    /// The length of an answer's body, up to 1 GiB.
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u64).range(..=1 << 30))]
    body_bytes: u64,
    /// The seed of all random numbers.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Log each request to this file: its number, its connection, and its instants on
    /// CLOCK_MONOTONIC.
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// Keep a core busy, so that the instants in the log don't contain a wake-up.
    #[arg(long)]
    spin: bool,
    /// End after this time.
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    duration: Option<Duration>,
    /// End when this process has ended.
    #[arg(long, value_name = "PID", value_parser = process)]
    parent: Option<Pid>,
}

impl TargetArguments {
    pub(super) fn run(&self) -> Result<u8, Failure> {
        let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        for signal in super::ending_signals() {
            flag::register(signal, std::sync::Arc::clone(&stop)).map_err(Failure::setup)?;
        }
        parent::end_with(self.parent)?;
        let target = Target::start(TargetSettings {
            listen: Some(self.listen),
            unix: self.unix.clone(),
            udp: self.udp,
            tls: self.tls,
            identity: self.cert.clone().zip(self.key.clone()),
            delay: self.delay,
            usl: self.usl,
            servers: self.servers.map(|servers| servers as usize),
            in_service_max: self.cap,
            stall: self.stall,
            error_rate: self.error_rate,
            reset_rate: self.reset_rate,
            silent_rate: self.silent_rate,
            close_rate: self.close_rate,
            rude_close_rate: self.rude_close_rate,
            streams_max: self.streams,
            drip: self.drip,
            chunked: self.chunked,
            body_bytes: self.body_bytes as usize,
            seed: self.seed,
            spin: self.spin,
            log: self.log.clone(),
        })
        .map_err(Failure::setup)?;
        let scheme = match self.udp {
            true => "udp",
            false if self.tls || self.cert.is_some() => "https",
            false => "http",
        };
        let mut output = std::io::stdout();
        writeln!(output, "listening on {scheme}://{}", target.address()).map_err(Failure::setup)?;
        if let Some(path) = &self.unix {
            writeln!(output, "listening on http+unix://{}", path.display())
                .map_err(Failure::setup)?;
        }
        output.flush().map_err(Failure::setup)?;
        let started = Instant::now();
        let is_over = || {
            self.duration
                .is_some_and(|duration| started.elapsed() >= duration)
        };
        while !stop.load(std::sync::atomic::Ordering::Relaxed) && !is_over() && !target.has_failed()
        {
            std::thread::sleep(Duration::from_millis(20));
        }
        let summary = target.stop().map_err(Failure::setup)?;
        writeln!(
            output,
            "{}, {}, {}",
            counted(summary.connections, "connection"),
            counted(summary.requests, "request"),
            counted(summary.answers, "answer")
        )
        .map_err(Failure::setup)?;
        Ok(exit::OK)
    }
}

fn listen(text: &str) -> Result<SocketAddr, String> {
    let port = text.strip_prefix("localhost").unwrap_or(text);
    let port = port.strip_prefix(':').unwrap_or(port);
    let address = match port.parse() {
        Ok(port) => Some(SocketAddr::from(([127, 0, 0, 1], port))),
        Err(_) => text.parse().ok(),
    };
    address.ok_or_else(|| "write PORT, :PORT, or IP:PORT such as 0.0.0.0:8070".to_owned())
}

fn stall(text: &str) -> Result<(Duration, Duration), String> {
    let (after, length) = text
        .split_once(':')
        .ok_or("expected AFTER:LENGTH, such as 2s:1s")?;
    Ok((duration(after)?, duration(length)?))
}

fn usl(text: &str) -> Result<Usl, String> {
    let shape = "expected LAMBDA,SIGMA,KAPPA, such as 100,0.02,0.0001";
    let numbers: Result<Vec<f64>, _> = text.split(',').map(|part| part.trim().parse()).collect();
    let [lambda, sigma, kappa] = numbers.map_err(|_| shape)?[..] else {
        return Err(shape.to_owned());
    };
    if !(lambda > 0.0 && lambda <= 1e6) {
        return Err("LAMBDA is above 0, and 1000000 at most".to_owned());
    }
    for (name, part) in [("SIGMA", sigma), ("KAPPA", kappa)] {
        if !(0.0..1.0).contains(&part) {
            return Err(format!("{name} is a part: from 0 on, and below 1"));
        }
    }
    Ok(Usl {
        lambda,
        sigma,
        kappa,
    })
}

fn part(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|part| (0.0..=1.0).contains(part))
        .ok_or_else(|| "expected a part, 0 … 1".to_owned())
}
