//! `encarno hit`: a run from flags alone.

mod request;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use clap::{Args, ValueEnum};
use encarno_engine::schedule::{Level, Schedule};
use encarno_engine::settings::{
    Arrivals, ClosedSettings, OpenSettings, OutputSettings, RunSettings, ScriptSettings, Source,
    Workload,
};
use encarno_input::{AutoLabel, BadLimit, InputFormat, InputSettings, Scripts, Sharing};
use encarno_nib::{Form, HEAD_BYTES_MAX, NetworkSettings, Options, TlsSettings};
use encarno_record::files::read_whole;
use encarno_record::formats::{GoBinarySettings, TraceSettings};
use encarno_record::mask::Shown;
use encarno_record::{Expected, parse_duration};
use encarno_secret::Secret;

use super::Failure;
use super::habits::Rate;
use crate::console::Progress;
use crate::protocols::{self, Protocol, Run};
use crate::url_text::{HeaderText, Target, UrlText, ValueText};

/// The body is held in memory.
const BODY_BYTES_MAX: u64 = 1 << 30;

/// What `encarno hit` understands.
#[derive(Debug, Args)]
pub(super) struct HitArguments {
    /// http://…, https://…, udp://host:port, echo://host:port, http+unix:///path, or dummy: (no network at all).
    url: UrlText,

    /// Open workload: hits per second over time, such as 'line(1,5000,30s) const(5000,1m)'.
    /// A number is a rate that holds for as long as --for says: 500, 500/s, 30/m, 1k.
    #[arg(short, long, value_name = "SCHEDULE")]
    rate: Option<Rate>,
    /// Connections: closed, so many workers; open, at most so many (1000).
    #[arg(short, long, value_name = "N")]
    connections: Option<u32>,
    /// Closed workload: workers over time, such as 'ramp(100,30s) wait(1m) line(100,0,30s)'.
    #[arg(long, value_name = "SCHEDULE", conflicts_with_all = ["rate", "connections"])]
    workers: Option<Schedule>,
    /// How long; in an open workload the schedule ends then.
    #[arg(short = 'z', long = "for", visible_alias = "duration", value_name = "DURATION", value_parser = duration)]
    duration: Option<Duration>,
    /// How hits of an open workload are spread.
    #[arg(long, value_enum, default_value = "uniform")]
    arrivals: ArrivalsArgument,
    /// The seed of everything random.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Drop hits that would start later than that after their instant; without it they wait.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    late_limit: Option<Duration>,
    /// Make hits that wait for a connection at the schedule's end all the same; without it they
    /// are dropped.
    #[arg(long, requires = "rate")]
    keep_backlog: bool,
    /// Start hits to the microsecond, at the price of busy cores.
    #[arg(long)]
    spin: bool,
    /// Event loops [default: one a core].
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    /// At most so many hits.
    #[arg(short = 'n', long, value_name = "N")]
    hits: Option<NonZeroU64>,

    /// Send the records of this file instead of one request; - is the standard input.
    #[arg(short, long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// The file's format, when it isn't recognised: payload, raw, stpd, uri, uripost, access,
    /// jsonline, urls, vegeta, native.
    #[arg(long, value_name = "FORMAT", requires = "input")]
    format: Option<InputFormat>,
    /// The strings file (.istr) of an indexed payload file.
    #[arg(long, value_name = "FILE", requires = "input")]
    strings: Option<PathBuf>,
    /// A text for ${NAME} in the records.
    #[arg(long = "value", value_name = "NAME=TEXT", requires = "input")]
    values: Vec<ValueText>,
    /// Send records to the hosts that their URLs name, and not only to URL.
    #[arg(long, requires = "input")]
    record_hosts: bool,
    /// Labels for records without one: so many segments of the path, uri, or uniq.
    #[arg(long, value_name = "N", requires = "input")]
    auto_label: Option<AutoLabel>,
    /// Send only records with this label.
    #[arg(long = "choose", value_name = "LABEL", requires = "input")]
    chosen_labels: Vec<String>,
    /// Read the file so many times.
    #[arg(long = "loop", value_name = "N", requires = "input")]
    passes: Option<NonZeroU64>,
    /// Every worker reads the file for itself.
    #[arg(long, requires = "input")]
    per_worker: bool,
    /// End the run after more broken records than that: a number, or a share of all records.
    #[arg(long, value_name = "N", default_value = "10%")]
    max_bad: BadLimit,

    /// The request's method [default: GET, or POST with --data]; also of records that are URLs.
    #[arg(short = 'X', visible_short_alias = 'm', long)]
    method: Option<String>,
    /// A header, 'Name: value'.
    #[arg(short = 'H', long = "header", value_name = "HEADER")]
    headers: Vec<HeaderText>,
    /// The request's body, or the datagram; @FILE reads it from a file. Also of records that are URLs.
    #[arg(short, long)]
    data: Option<Secret>,
    /// The hits' label.
    #[arg(long, default_value = "")]
    label: String,
    /// A hit that takes longer fails.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    timeout: Duration,
    /// The statuses that count as success, such as 200,404 or 200-299; hits with others have failed.
    #[arg(long = "expect", value_name = "STATUSES", default_value_t)]
    expected: Expected,
    /// Source addresses, taken in turn.
    #[arg(long = "source-address", value_name = "IP")]
    source_addresses: Vec<IpAddr>,
    /// Connect to these addresses instead of looking the name up.
    #[arg(long = "resolve", value_name = "NAME=IP,…", value_parser = known_host)]
    hosts: Vec<(String, Vec<IpAddr>)>,
    /// Look names up again that often [default: once].
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    resolve_every: Option<Duration>,
    /// Refuse responses whose head is longer than that.
    #[arg(long, value_name = "BYTES", default_value_t = HEAD_BYTES_MAX)]
    max_head_bytes: usize,
    /// UDP: a hit ends when it is sent.
    #[arg(long)]
    no_answer: bool,

    /// Accept any certificate.
    #[arg(short = 'k', long)]
    insecure: bool,
    /// Trust the certificates in this PEM file instead of the system's.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// The client's certificate chain, PEM.
    #[arg(long, value_name = "FILE", requires = "key")]
    certificate: Option<PathBuf>,
    /// The client's key, PEM.
    #[arg(long, value_name = "FILE", requires = "certificate")]
    key: Option<PathBuf>,
    /// Make a full TLS handshake for each connection.
    #[arg(long)]
    no_tls_resumption: bool,
    /// Ask for and verify this name instead of the URL's.
    #[arg(long, value_name = "NAME")]
    server_name: Option<String>,

    /// dummy: the delay, such as 10ms, exponential:10ms, uniform:1ms:5ms, gaussian:10ms:2ms, bimodal:1ms:100ms:0.05.
    #[arg(long, value_name = "DELAY")]
    delay: Option<String>,
    /// dummy: the part of hits that fails.
    #[arg(long, value_name = "PART")]
    error_rate: Option<f64>,
    /// An option of the protocol, such as streams=32 with echo://.
    #[arg(short = 'O', long = "option", value_name = "NAME=VALUE")]
    options: Vec<ValueText>,

    /// Write all hits to this file.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write phout too.
    #[arg(long, value_name = "FILE")]
    phout: Option<PathBuf>,
    /// Write LDJSON too.
    #[arg(long, value_name = "FILE")]
    ldjson: Option<PathBuf>,
    /// Write Go-encarno's binary format too, with its strings in a file beside it (.ostr).
    #[arg(long, value_name = "FILE")]
    go_binary: Option<PathBuf>,
    /// Write requests and answers to this file.
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// … of hits whose status is at least that: 0, 400, 500, or 600 for network errors only.
    #[arg(long, value_name = "STATUS", default_value_t = 0, requires = "trace")]
    trace_level: u16,
    /// … with the value of this header readable; query and body stand for those. What is shown of
    /// all: paths, names, and the values of headers such as Host, Content-Type and User-Agent.
    #[arg(long = "trace-show", value_name = "NAME", requires = "trace")]
    trace_shown: Vec<String>,
    /// … with everything readable, passwords and cookies too.
    #[arg(long, requires = "trace")]
    trace_secrets: bool,

    /// Running hits get so long after a stop.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    grace: Duration,
    /// Exit with 6 if the generator itself was the limit.
    #[arg(long)]
    strict: bool,
    /// Show nothing while it runs.
    #[arg(short, long)]
    quiet: bool,
    /// Log lines even on a terminal.
    #[arg(long, conflicts_with = "quiet")]
    lines: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ArrivalsArgument {
    /// Evenly.
    Uniform,
    /// A Poisson process.
    Poisson,
}

impl HitArguments {
    /// Checks what the flags say together.
    pub(super) fn settings(&self) -> Result<Run, Failure> {
        let target = self.url.target().map_err(Failure::usage)?;
        let protocol = self.protocol(&target)?;
        let workload = self.workload(protocol.streams())?;
        let one_worker = workload.workers_max() == 1;
        let settings = RunSettings {
            source: self.source(&target, &protocol, one_worker)?,
            workload,
            script: ScriptSettings {
                seed: self.seed,
                ..ScriptSettings::default()
            },
            output: self.output_settings(),
            expected: self.expected,
            threads: self.threads,
            grace: self.grace,
        };
        Ok(Run {
            settings,
            protocol,
            strict: self.strict,
            progress: match (self.quiet, self.lines) {
                (true, _) => Progress::Quiet,
                (_, true) => Progress::Lines,
                _ => Progress::Auto,
            },
        })
    }

    /// A worker has one hit at a time: there are so many to a connection.
    fn workload(&self, streams: u32) -> Result<Workload, Failure> {
        let open = |arrivals| {
            Workload::Open(OpenSettings {
                arrivals,
                workers_start: 0,
                workers_max: self.connections.unwrap_or(1000) as usize * streams as usize,
                late_limit: self.late_limit,
                duration_max: self.duration,
                spin: self.spin,
                keep_backlog: self.keep_backlog,
            })
        };
        if let Some(rate) = &self.rate {
            let schedule = rate.schedule(self.duration).map_err(Failure::usage)?;
            return Ok(open(match self.arrivals {
                ArrivalsArgument::Uniform => Arrivals::Uniform(schedule),
                ArrivalsArgument::Poisson => Arrivals::Poisson {
                    schedule,
                    seed: self.seed,
                },
            }));
        }
        // The records' own instants count, however many connections they may use.
        if self.workers.is_none() && self.is_stepped() {
            return Ok(open(Arrivals::Recorded));
        }
        let workers = match (&self.workers, self.connections) {
            (Some(schedule), _) => schedule.clone(),
            (None, Some(0)) => return Err(Failure::usage("--connections is 0")),
            (None, connections) => {
                let workers = connections.unwrap_or(10).saturating_mul(streams);
                Schedule::constant(Level::whole(workers), 0)
            }
        };
        let bounded = self.hits.is_some() || self.passes.is_some();
        if self.duration.is_none() && workers.duration_ns() == 0 && !bounded {
            let text = "for how long? Give --for DURATION, --hits N, --loop N, or a schedule with --rate or --workers";
            return Err(Failure::usage(text));
        }
        Ok(Workload::Closed(ClosedSettings {
            workers,
            duration: self.duration,
            workers_max: 0,
        }))
    }

    /// Whether the records carry instants of their own. The standard input
    /// can't be looked at beforehand: there the format must be named.
    fn is_stepped(&self) -> bool {
        let Some(file) = self
            .input
            .as_ref()
            .filter(|file| file.is_file() || self.format.is_some())
        else {
            return false;
        };
        let settings = InputSettings {
            format: self.format,
            ..InputSettings::of_file(file)
        };
        matches!(encarno_input::format_of(&settings), Ok(InputFormat::Stpd))
    }

    fn protocol(&self, target: &Target) -> Result<Protocol, Failure> {
        let kind = protocols::of_scheme(&target.scheme).map_err(Failure::usage)?;
        let network = NetworkSettings {
            address: kind.network.then(|| target.address.clone()),
            timeout: self.timeout,
            source_addresses: self.source_addresses.clone(),
            hosts: self.hosts.iter().cloned().collect(),
            resolve_every: self.resolve_every,
            head_bytes_max: self.max_head_bytes,
            tls: TlsSettings {
                insecure: self.insecure,
                ca_file: self.ca_file.clone(),
                certificate_file: self.certificate.clone(),
                key_file: self.key.clone(),
                server_name: self.server_name.clone(),
                no_resumption: self.no_tls_resumption,
                ..TlsSettings::default()
            },
            keep_answer_bytes_max: if self.trace.is_some() { 1 << 20 } else { 0 },
        };
        let mut own = BTreeMap::new();
        for option in &self.options {
            let (name, value) = option.parts().map_err(Failure::usage)?;
            own.insert(name, value.expose().to_owned());
        }
        let mut add = |name: &str, value: Option<String>| {
            own.extend(value.map(|value| (name.to_owned(), value)));
        };
        add("delay", self.delay.clone());
        add("errorrate", self.error_rate.map(|rate| rate.to_string()));
        add("answer", self.no_answer.then(|| "false".to_owned()));
        if kind.options.contains(&"seed") {
            add("seed", Some(self.seed.to_string()));
        }
        let options = Options { network, own };
        Protocol::new(kind, options).map_err(|bad| match &*bad.option {
            "errorrate" => Failure::usage(format!("--error-rate: {}", bad.reason)),
            "answer" => Failure::usage(format!("--no-answer: {}", bad.reason)),
            "delay" => Failure::usage(format!("--delay: {}", bad.reason)),
            _ => Failure::usage(bad),
        })
    }

    fn source(
        &self,
        target: &Target,
        protocol: &Protocol,
        one_worker: bool,
    ) -> Result<Source, Failure> {
        let headers = self.headers.iter().map(HeaderText::parts);
        let mut headers = headers
            .collect::<Result<Vec<_>, _>>()
            .map_err(Failure::usage)?;
        let body = self.body()?;
        if let Some(file) = &self.input {
            let has_body = body.is_some();
            if has_body || self.method.is_some() {
                self.check_urls_only(file)?;
            }
            let method = self.method.clone();
            let method = method.or(has_body.then(|| request::default_method(true).to_owned()));
            method.as_deref().map_or(Ok(()), request::check_method)?;
            let is_authorization =
                |(name, _): &(String, Secret)| name.eq_ignore_ascii_case("authorization");
            if let Some(authorization) = &target.authorization
                && !headers.iter().any(is_authorization)
            {
                headers.push(("Authorization".to_owned(), authorization.clone()));
            }
            let values = self.values.iter().map(ValueText::parts);
            return Ok(Source::File(InputSettings {
                format: self.format,
                strings_file: self.strings.clone(),
                values: values.collect::<Result<_, _>>().map_err(Failure::usage)?,
                auto_label: self.auto_label.unwrap_or_default(),
                chosen_labels: self.chosen_labels.clone(),
                sharing: if self.per_worker {
                    Sharing::PerWorker
                } else {
                    Sharing::Shared
                },
                one_worker,
                passes: self.passes,
                records_max: self.hits,
                host: target.host.clone(),
                record_hosts: self.record_hosts,
                headers,
                method,
                body: body.map(Bytes::from),
                bad_limit: self.max_bad,
                scripts: Scripts::Run,
                ..InputSettings::of_file(file)
            }));
        }
        let payload = match protocol.kind().form {
            Form::Http => request::bytes(target, self.method.as_deref(), &headers, body)?,
            Form::Bytes => body.unwrap_or_default(),
        };
        let hits_max = self.hits.map(NonZeroU64::get);
        Ok(Source::Request {
            payload: Bytes::from(payload),
            label: self.label.clone(),
            hits_max,
        })
    }

    fn body(&self) -> Result<Option<Vec<u8>>, Failure> {
        let Some(data) = &self.data else {
            return Ok(None);
        };
        let body = match data.expose().strip_prefix('@') {
            None => data.expose().as_bytes().to_vec(),
            Some(path) => read_whole(Path::new(path), BODY_BYTES_MAX)
                .map_err(|error| Failure::setup(format!("can't read {path}: {error}")))?,
        };
        Ok(Some(body))
    }

    /// Records of most formats say method and body themselves. What can't be
    /// looked at beforehand is what its format says.
    fn check_urls_only(&self, file: &Path) -> Result<(), Failure> {
        let settings = InputSettings {
            format: self.format,
            ..InputSettings::of_file(file)
        };
        let format = if self.format.is_some() || file.is_file() {
            encarno_input::format_of(&settings).map_err(Failure::setup)?
        } else {
            InputFormat::Urls
        };
        if format.has_urls_only() {
            return Ok(());
        }
        let text = "--method and --data are for records that are URLs: those of this file say both themselves";
        Err(Failure::usage(text))
    }

    /// The file of the request's body.
    pub(super) fn body_file(&self) -> Option<&Path> {
        let data = self.data.as_ref()?.expose().strip_prefix('@')?;
        Some(Path::new(data))
    }

    fn output_settings(&self) -> OutputSettings {
        OutputSettings {
            native: self.output.clone(),
            go_binary: self.go_binary.clone().map(|file| GoBinarySettings {
                strings_file: file.with_extension("ostr"),
                file,
                input_strings_file: self.strings.clone(),
            }),
            ldjson: self.ldjson.clone(),
            phout: self.phout.clone(),
            trace: self.trace.clone().map(|file| TraceSettings {
                file,
                level: self.trace_level,
                shown: if self.trace_secrets {
                    Shown::all()
                } else {
                    Shown::of(&self.trace_shown)
                },
            }),
            settings_text: format!("{self:?}"),
        }
    }
}

fn known_host(text: &str) -> Result<(String, Vec<IpAddr>), String> {
    let shape = || "expected NAME=IP, or several addresses with commas between them".to_owned();
    let (name, addresses) = text.split_once('=').ok_or_else(shape)?;
    let addresses = addresses
        .split(',')
        .map(|ip| ip.parse().map_err(|_| shape()));
    Ok((
        name.to_ascii_lowercase(),
        addresses.collect::<Result<_, _>>()?,
    ))
}

/// A duration, as schedules write it.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let parsed = parse_duration(text).map(Duration::from_nanos);
    parsed.ok_or_else(|| "expected a duration such as 30s, 1m30s or 200ms".to_owned())
}
