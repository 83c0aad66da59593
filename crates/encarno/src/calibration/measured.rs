//! The measurements of a protocol, and the result of one run.

use encarno_engine::meter::Summary;
use encarno_record::notes::Judgement;

use super::{Entry, Quantiles};

/// What is calibrated.
pub const MEASURED: [Measured; 9] = [
    Measured::new("http", "http", "http", &[]),
    Measured::new("https", "http", "https", &[]),
    Measured::new("http2", "http2", "http", &["--http2"]),
    Measured::new("http2-tls", "http2", "https", &["--http2"]),
    Measured::new("tcp", "tcp", "tcp", &BYTES),
    Measured::new("tls", "tcp", "tls", &BYTES),
    Measured::new("ws", "websocket", "ws", &["--data", "hello"]),
    Measured::new("wss", "websocket", "wss", &["--data", "hello"]),
    Measured::new("udp", "udp", "udp", &["--data", "hello"]),
];
/// A request of HTTP/1.1 as bytes, and the end of its answer, which is a head.
const BYTES: [&str; 4] = [
    "--data",
    r"GET / HTTP/1.1\r\n\r\n",
    "--answer-until",
    r"\r\n\r\n",
];

/// A protocol, with TLS or without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measured {
    /// Its name in the file and on the command line.
    pub name: &'static str,
    /// The protocol's name, as in a configuration.
    pub protocol: &'static str,
    /// Of its URLs.
    scheme: &'static str,
    /// What `encarno hit` needs besides the URL.
    arguments: &'static [&'static str],
}

/// The number of hits at a time on each connection, where connections are shared.
pub const STREAMS: usize = 16;
/// The first rate is this part of the rate of a closed run. Each next rate lies between a
/// rate at which hits were on time and one at which they weren't.
const FIRST_PART: f64 = 0.75;
/// The number of rates that are tried.
const TRIES: usize = 4;

/// A point to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// The protocol.
    pub measured: Measured,
    /// The number of event loops.
    pub loops: usize,
    /// The number of hits that may run at a time.
    pub workers: usize,
}

/// The result of one run.
#[derive(Clone, Debug)]
pub struct Shown {
    /// Hits per second.
    pub rate: f64,
    /// Whether hits were on time, so that the figures describe the target.
    pub sound: bool,
    /// Why hits weren't on time.
    pub reasons: Vec<String>,
    /// How late hits were.
    pub lag_s: Quantiles,
    /// CPU time of the event loops for one hit, s.
    pub cpu_s: f64,
    /// The share of its core that the busiest event loop used.
    pub busy: f64,
}

impl Measured {
    const fn new(
        name: &'static str,
        protocol: &'static str,
        scheme: &'static str,
        arguments: &'static [&'static str],
    ) -> Self {
        Self {
            name,
            protocol,
            scheme,
            arguments,
        }
    }

    /// What a run with this protocol, as a configuration names it, is compared with;
    /// none if it wasn't calibrated.
    pub fn of(protocol: &str, tls: bool) -> Option<Self> {
        MEASURED
            .into_iter()
            .find(|measured| measured.protocol == protocol && measured.is_tls() == tls)
    }

    /// Whether its streams are encrypted.
    pub fn is_tls(&self) -> bool {
        matches!(self.scheme, "https" | "tls" | "wss")
    }
}

impl Point {
    /// The arguments of `encarno hit` that make this point's hits at an address.
    pub fn arguments(&self, address: std::net::SocketAddr) -> Vec<String> {
        let Measured {
            protocol, scheme, ..
        } = self.measured;
        let mut arguments = vec![format!("{scheme}://{address}")];
        let more = self.measured.arguments.iter();
        arguments.extend(more.map(|&text| text.to_owned()));
        if self.measured.is_tls() {
            arguments.push("--insecure".to_owned());
        }
        let mut connections = self.workers;
        if matches!(protocol, "http2" | "tcp") && self.workers >= STREAMS {
            connections /= STREAMS;
            let streams = STREAMS.to_string();
            match protocol {
                "http2" => arguments.extend(["--streams".to_owned(), streams]),
                // Answers come in the order of their requests.
                _ => arguments.extend(["-O".to_owned(), format!("streams={streams}")]),
            }
        }
        arguments.extend(["--connections".to_owned(), connections.to_string()]);
        arguments.extend(["--threads".to_owned(), self.loops.to_string()]);
        arguments
    }
}

impl Shown {
    /// The result of a run whose loops used this much CPU time, and whose busiest loop
    /// was busy for this share.
    pub fn of(summary: &Summary, cpu_ns: u64, busy: f64) -> Self {
        let hits = summary.total.hits;
        let seconds = summary.span_ns.max(1) as f64 * 1e-9;
        let lag = |part| summary.total.lag_ns.quantile(part) as f64 * 1e-9;
        Self {
            rate: hits as f64 / seconds,
            sound: summary.verdict.judgement == Judgement::Sound && summary.total.failed == 0,
            reasons: summary.verdict.reasons.clone(),
            lag_s: Quantiles {
                p50: lag(0.5),
                p99: lag(0.99),
                p999: lag(0.999),
            },
            cpu_s: cpu_ns as f64 * 1e-9 / hits.max(1) as f64,
            busy,
        }
    }
}

/// Measures a point: `run` makes a run, closed or at a rate.
pub fn measure<E>(
    point: &Point,
    mut run: impl FnMut(Option<f64>) -> Result<Shown, E>,
) -> Result<Entry, E> {
    let closed = run(None)?;
    let (mut low, mut high, mut part) = (0.0, 1.0, FIRST_PART);
    let mut best: Option<(f64, Shown)> = None;
    let mut worst = closed.clone();
    for _ in 0..TRIES {
        let rate = (closed.rate * part).max(1.0);
        let shown = run(Some(rate))?;
        if shown.sound {
            low = part;
            best = Some((rate, shown));
        } else {
            high = part;
            worst = shown;
        }
        part = (low + high) / 2.0;
    }
    let shown = best.as_ref().map_or(&worst, |(_, shown)| shown);
    Ok(Entry {
        protocol: point.measured.name.to_owned(),
        loops: point.loops,
        workers: point.workers,
        closed_rate: closed.rate,
        lag_s: shown.lag_s,
        cpu_s: shown.cpu_s,
        busy: shown.busy,
        open_rate: best.map(|(rate, _)| rate),
    })
}

#[cfg(test)]
mod tests {
    use super::{Entry, MEASURED, Point, Quantiles, Shown, TRIES, measure};

    /// The measurement of a machine that is on time up to a rate.
    fn measured(closed_rate: f64, on_time: f64) -> (Entry, Vec<f64>) {
        let point = Point {
            measured: MEASURED[0],
            loops: 1,
            workers: 16,
        };
        let mut rates = Vec::new();
        let entry = measure::<()>(&point, |rate| {
            rates.extend(rate);
            let rate = rate.unwrap_or(closed_rate);
            Ok(Shown {
                rate,
                sound: rate <= on_time,
                reasons: Vec::new(),
                lag_s: Quantiles::default(),
                cpu_s: 1.0 / closed_rate,
                busy: rate / closed_rate,
            })
        });
        (entry.expect("it is measured"), rates)
    }

    #[test]
    fn the_highest_rate_on_time_is_found() {
        for on_time in [90.0, 70.0, 43.0, 20.0] {
            let (entry, rates) = measured(100.0, on_time);
            let found = entry.open_rate.expect("a rate");
            assert!(
                found <= on_time && found > on_time - 25.0,
                "{on_time}: {found}"
            );
            assert_eq!((entry.closed_rate, entry.busy), (100.0, found / 100.0));
            assert_eq!(rates.len(), TRIES);
        }
        let (entry, _) = measured(1000.0, 3.0);
        assert_eq!(entry.open_rate, None);
    }
}
