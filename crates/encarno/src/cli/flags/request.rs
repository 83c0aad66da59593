//! Flags for the request and the expected answer.

mod message;

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use clap::Args;
use encarno_engine::settings::{RuleSettings, Source};
use encarno_input::{InputSettings, basic_of};
use encarno_nib::{Encoding, Form, Kind, NetworkSettings, Opening, Options};
use encarno_record::files::read_whole;
use encarno_record::script::Script;
use encarno_record::{Expected, parse_duration};
use encarno_secret::Secret;
use encarno_wrpc_nib::is_http_path;

use super::connection::ConnectionArguments;
use super::duration_text;
use super::records::RecordsArguments;
use crate::cli::Failure;
use crate::files::Files;
use crate::protocols::{self, Protocol};
use crate::scenario::{Common, Decides, Scenario};
use crate::url_text::{HeaderText, Target, UrlText, ValueText};

/// The most redirects that are followed, as in most browsers and clients.
const REDIRECTS_MAX: u32 = 10;

/// The protocol of HTTP requests to components.
const WRPC_HTTP: &str = "wrpc-http";

/// The longest body; it is held in memory.
const BODY_BYTES_MAX: u64 = 1 << 30;

/// The request, or the file of records, and the protocol's options.
#[derive(Debug, Args)]
#[command(next_help_heading = "Request")]
pub(crate) struct RequestArguments {
    /// http://…, https://…, tcp://host:port, tls://host:port, udp://host:port, ws://…, wss://…, grpc://host:port/pkg.Service/Method, grpcs://…, wrpc+nats://host/prefix, wrpc+tcp://host:port, echo://host:port, http+unix:///path, or dummy: (no network at all).
    /// Without it, the records of --input go to the hosts that their URLs name.
    #[arg(index = 1, help_heading = None::<&'static str>, required_unless_present = "input")]
    url: Option<UrlText>,
    /// wrpc+nats://host/prefix/http and wrpc+tcp://host:port/http: the path that is asked for
    /// [default: /].
    #[arg(index = 2, help_heading = None::<&'static str>, value_parser = path, requires = "url")]
    path: Option<String>,
    /// The request's method [default: GET, or POST with --data]. It also applies to records
    /// that are URLs.
    #[arg(short = 'X', visible_short_alias = 'm', long)]
    method: Option<String>,
    /// Add a header, 'Name: value'.
    #[arg(short = 'H', long = "header", value_name = "HEADER")]
    headers: Vec<HeaderText>,
    /// Send these credentials by basic authentication.
    #[arg(
        short = 'u',
        visible_short_alias = 'a',
        long,
        value_name = "USER:PASSWORD"
    )]
    user: Option<Secret>,
    /// Follow up to ten redirects. A hit ends with the last response.
    #[arg(short = 'L', long = "location", visible_alias = "follow")]
    follow: bool,
    /// Speak HTTP/1.1 [default].
    #[arg(long = "http1.1", conflicts_with = "http2")]
    http1: bool,
    /// Speak HTTP/2: with https:// by ALPN, with http:// by prior knowledge (h2c).
    #[arg(long)]
    http2: bool,
    /// Speak HTTP/3, over QUIC: for https:// only, because QUIC always uses TLS.
    #[arg(long, conflicts_with_all = ["http1", "http2"])]
    http3: bool,
    /// Speak the protocol that this wasm component is, over tcp, tls or a unix socket.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["http2", "http3"])]
    nib: Option<PathBuf>,
    /// http2, http3, grpc, tcp, tls, ws: make N hits at a time on each connection. -c 8 --streams 10 makes 80
    /// hits at a time.
    #[arg(long, value_name = "N")]
    streams: Option<u32>,
    /// The request's body, or the bytes to send. @FILE reads it from a file. It also applies to
    /// records that are URLs. With tcp, tls and udp, \r \n \t \0 \\ and \xHH are escapes. With
    /// grpc it is the message as JSON, or several one after the other for a stream. ${n} is the
    /// number of the hit, from 0.
    #[arg(short, long)]
    data: Option<Secret>,
    /// grpc: the .proto file that declares the service. Give it again for further files. Without
    /// it and --descriptors, the server is asked (reflection).
    #[arg(long, value_name = "FILE")]
    proto: Vec<String>,
    /// grpc: a folder in which the files are found that --proto imports.
    #[arg(long, value_name = "FOLDER", visible_alias = "import-path")]
    proto_path: Vec<String>,
    /// grpc: a descriptor set that declares the service, as protoc and buf write it.
    #[arg(long, value_name = "FILE", visible_alias = "protoset")]
    descriptors: Vec<String>,
    /// The label of the hits.
    #[arg(long, default_value = "")]
    label: String,
    /// The statuses that count as success, such as 200,404 or 200-299. A hit with another
    /// status has failed.
    #[arg(long = "expect", value_name = "STATUSES", default_value_t)]
    pub(crate) expected: Expected,
    /// tcp, tls: an answer ends with these bytes, such as '\r\n'.
    #[arg(long, value_name = "BYTES")]
    answer_until: Option<String>,
    /// tcp, tls: an answer ends as soon as it contains this regular expression. ws: the answer
    /// is the first message that contains it.
    #[arg(long, value_name = "REGEX")]
    answer_match: Option<String>,
    /// tcp, tls: an answer contains its own length. LENGTH is the number of bytes that the
    /// length takes, such as 4, or 'size=4 offset=2 little adjust=-4 max=1000'.
    #[arg(long, value_name = "LENGTH")]
    answer_length: Option<String>,
    /// tcp, tls: an answer has N bytes.
    #[arg(long, value_name = "N")]
    answer_bytes: Option<u64>,
    /// tcp, tls: an answer ends when the peer closes the connection.
    #[arg(long)]
    answer_close: bool,
    /// tcp, tls: an answer ends when nothing has arrived for this long.
    #[arg(long, value_name = "DURATION", value_parser = duration_text)]
    answer_silence: Option<String>,
    /// udp, tcp, tls, ws: expect no answer. A hit ends when it is sent.
    #[arg(long)]
    no_answer: bool,
    /// wrpc: call this function, such as xk6:wrpc/blaster@0.0.1.blast. --data has its arguments as
    /// JSON: the argument itself, or an array of several. Without --call, a hit is a blast, and
    /// --data is its payload.
    #[arg(long, value_name = "FUNCTION")]
    call: Option<String>,
    /// wrpc: the file or the folder of the WIT that declares the function.
    #[arg(long, value_name = "PATH", requires = "call")]
    wit: Option<PathBuf>,
    /// wrpc: let each blast burn so many milliseconds of CPU.
    #[arg(long, value_name = "N", conflicts_with = "call")]
    cpu_burn_ms: Option<u64>,
    /// wrpc: let each blast hold so many MiB of memory.
    #[arg(long, value_name = "N", conflicts_with = "call")]
    mem_burn_mb: Option<u64>,
    /// wrpc: let each blast sleep so many milliseconds.
    #[arg(long, value_name = "N", conflicts_with = "call")]
    wait_ms: Option<u64>,
    /// dummy: the delay of an answer, such as 10ms, exponential:10ms, uniform:1ms:5ms,
    /// gaussian:10ms:2ms or bimodal:1ms:100ms:0.05.
    #[arg(long, value_name = "DELAY")]
    delay: Option<String>,
    /// dummy: the share of hits that fail, such as 0.01.
    #[arg(long, value_name = "PART")]
    error_rate: Option<f64>,
    /// An option of the protocol, such as streams=32 with echo://.
    #[arg(short = 'O', long = "option", value_name = "NAME=VALUE")]
    options: Vec<ValueText>,

    #[command(flatten)]
    pub(crate) records: RecordsArguments,
}

/// The path of a request.
fn path(text: &str) -> Result<String, String> {
    match text.starts_with('/') && !text.contains(char::is_whitespace) {
        true => Ok(text.to_owned()),
        false => Err("there is one URL, and a path beside it begins with /".to_owned()),
    }
}

/// The limits of a source: the most hits, and whether one worker makes them all.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SourceLimits {
    pub(crate) hits_max: Option<NonZeroU64>,
    pub(crate) one_worker: bool,
}

impl RequestArguments {
    /// The address to which hits go, and the credentials.
    pub(crate) fn target(&self) -> Result<Target, Failure> {
        let usual = protocols::KINDS[0];
        let mut target = match &self.url {
            Some(url) => url.target(usual).map_err(Failure::usage)?,
            None => Target::of_records(usual),
        };
        if let Some(user) = &self.user {
            if !user.expose().contains(':') {
                let text = "-u is USER:PASSWORD; the number of users is -c N, or --vus N";
                return Err(Failure::usage(text));
            }
            target.authorization = Some(basic_of(user));
        }
        Ok(target)
    }

    /// The rules for responses.
    pub(crate) fn rules(&self) -> Vec<RuleSettings> {
        let follow = self.follow.then(|| RuleSettings {
            label: String::new(),
            script: Script {
                follow: Some(REDIRECTS_MAX),
                ..Script::default()
            },
        });
        follow.into_iter().collect()
    }

    /// A hint if flags were probably meant for something else.
    pub(crate) fn hint(&self) -> Option<String> {
        if let Some(method) = self.method.as_ref().filter(|it| it.parse::<f64>().is_ok()) {
            return Some(format!(
                "-m is the request's method, which is now {method:?}: how long a hit may take is \
                 --timeout {method}s"
            ));
        }
        let data = self.data.as_ref()?.expose();
        let is_duration = data.ends_with(['s', 'm', 'h']) && parse_duration(data).is_some();
        is_duration.then(|| {
            format!(
                "-d is the request's body, which is now {data:?}: how long a run takes is -z {data}"
            )
        })
    }

    /// The protocol of the URL, with its options. Random options use `seed`.
    pub(crate) fn protocol(
        &self,
        target: &Target,
        connection: &ConnectionArguments,
        keep_answer_bytes_max: usize,
        seed: u64,
    ) -> Result<Protocol, Failure> {
        let kind = protocols::of_scheme(&target.scheme).map_err(Failure::usage)?;
        let kind = match &self.nib {
            Some(file) => self.nib_kind(file, &target.scheme)?,
            None if self.http2 => self.http2_kind(kind)?,
            None if self.http3 => self.http3_kind(kind, &target.scheme)?,
            None => self.wrpc_kind(kind, target),
        };
        if let Some(path) = self.path.as_ref().filter(|_| kind.name != WRPC_HTTP) {
            let text = format!(
                "{path}: a path beside the URL is for HTTP over wRPC, such as wrpc+nats://host/prefix/http {path}"
            );
            return Err(Failure::usage(text));
        }
        let address = kind.network.then(|| target.address.clone());
        let address = address.filter(|address| !address.is_empty());
        let network: NetworkSettings = connection.settings(address, keep_answer_bytes_max)?;
        let mut own = BTreeMap::new();
        for option in &self.options {
            let (name, value) = option.parts().map_err(Failure::usage)?;
            own.insert(name, value.expose().to_owned());
        }
        let mut add = |name: &str, value: Option<String>| {
            own.extend(value.map(|value| (name.to_owned(), value)));
        };
        let nib = self.nib.as_ref();
        add("wasm", nib.map(|file| file.display().to_string()));
        add("streams", self.streams.map(|streams| streams.to_string()));
        add("delay", self.delay.clone());
        add("errorrate", self.error_rate.map(|rate| rate.to_string()));
        add("answer", self.no_answer.then(|| "false".to_owned()));
        add("answer-until", self.answer_until.clone());
        add("answer-match", self.answer_match.clone());
        add("answer-length", self.answer_length.clone());
        add(
            "answer-bytes",
            self.answer_bytes.map(|count| count.to_string()),
        );
        add("answer-close", self.answer_close.then(|| "true".to_owned()));
        add("answer-silence", self.answer_silence.clone());
        let list = |files: &[String]| (!files.is_empty()).then(|| files.join(","));
        add("proto", list(&self.proto));
        add("proto-path", list(&self.proto_path));
        add("descriptors", list(&self.descriptors));
        add("call", self.call.clone());
        let wit = self.wit.as_ref();
        add("wit", wit.map(|wit| wit.to_string_lossy().into_owned()));
        let number = |number: Option<u64>| number.map(|number| number.to_string());
        add("cpu-burn-ms", number(self.cpu_burn_ms));
        add("mem-burn-mb", number(self.mem_burn_mb));
        add("wait-ms", number(self.wait_ms));
        if kind.options.contains(&"seed") {
            add("seed", Some(seed.to_string()));
        }
        let opening = match kind.form {
            Form::Messages | Form::Calls => self.opening(target, kind)?,
            Form::Arguments => self.calls(target)?,
            Form::Http if kind.name == WRPC_HTTP => self.connection_opening(target)?,
            Form::Http | Form::Bytes => Opening::default(),
        };
        let options = Options {
            network,
            own,
            opening,
        };
        Protocol::new(kind, options).map_err(|bad| match &*bad.option {
            "errorrate" => Failure::usage(format!("--error-rate: {}", bad.reason)),
            "streams" if self.streams.is_some() => match kind.options.contains(&"streams") {
                true => Failure::usage(format!("--streams: {}", bad.reason)),
                false => {
                    let hint =
                        "HTTP/1.1 has one hit at a time on a connection: write --http2 or --http3, or -c N";
                    let is_http = kind.form == Form::Http;
                    Failure::usage(format!(
                        "--streams: {}",
                        if is_http { hint } else { &bad.reason }
                    ))
                }
            },
            "headers" => Failure::usage(format!("-H: {}", bad.reason)),
            "call" | "wit" | "cpu-burn-ms" | "mem-burn-mb" | "wait-ms" | "resolve"
            | "resolve-every" | "source-address" => Failure::usage(format!("--{bad}")),
            "answer" => Failure::usage(format!("--no-answer: {}", bad.reason)),
            "delay" => Failure::usage(format!("--delay: {}", bad.reason)),
            flag @ ("proto" | "proto-path" | "descriptors") => {
                Failure::usage(format!("--{flag}: {}", bad.reason))
            }
            _ => Failure::usage(bad),
        })
    }

    /// The request with which a connection begins.
    fn opening(&self, target: &Target, kind: &Kind) -> Result<Opening, Failure> {
        if let Some(method) = &self.method {
            let why = match kind.form {
                Form::Calls => "the path of a gRPC URL names the method",
                _ => "a WebSocket begins with GET",
            };
            let text = format!("-X {method}: {why}: leave it out");
            return Err(Failure::usage(text));
        }
        Ok(Opening {
            path: target.path.clone(),
            headers: self.all_headers(target)?,
        })
    }

    /// What is said of calls: the prefix, their headers, and the user.
    fn calls(&self, target: &Target) -> Result<Opening, Failure> {
        if let Some(method) = &self.method {
            let text = format!(
                "-X {method}: a call has no method: leave it out, or write …/http at the end of the URL"
            );
            return Err(Failure::usage(text));
        }
        Ok(Opening {
            path: target.path.clone(),
            headers: self.all_headers(target)?,
        })
    }

    /// What is said of a connection over which HTTP goes: the URL names prefix and user, and
    /// `-u` is the request's.
    fn connection_opening(&self, target: &Target) -> Result<Opening, Failure> {
        let of_url = match &self.url {
            Some(url) => url.target(protocols::KINDS[0]).map_err(Failure::usage)?,
            None => target.clone(),
        };
        let user = of_url.authorization;
        Ok(Opening {
            path: of_url.path,
            headers: Vec::from_iter(user.map(|user| ("Authorization".to_owned(), user))),
        })
    }

    /// What an HTTP request is asked of, where the URL is that of a connection to NATS or to a
    /// receiver.
    fn within_wrpc(&self, target: &Target) -> Target {
        Target {
            host: "localhost".to_owned(),
            path: self.path.clone().unwrap_or_else(|| "/".to_owned()),
            authorization: self.user.as_ref().map(basic_of),
            ..target.clone()
        }
    }

    /// Calls of a function, or HTTP where the URL's path ends with `http`.
    fn wrpc_kind(&self, kind: &'static Kind, target: &Target) -> &'static Kind {
        let is_http =
            kind.form == Form::Arguments && self.call.is_none() && is_http_path(&target.path);
        match is_http {
            true => protocols::named(WRPC_HTTP).unwrap_or(kind),
            false => kind,
        }
    }

    fn own_headers(&self) -> Result<Vec<(String, Secret)>, Failure> {
        let headers = self.headers.iter().map(HeaderText::parts);
        let headers = headers.collect::<Result<Vec<_>, _>>();
        headers.map_err(Failure::usage)
    }

    /// The headers, with credentials of the URL.
    fn all_headers(&self, target: &Target) -> Result<Vec<(String, Secret)>, Failure> {
        let mut headers = self.own_headers()?;
        let is_authorization =
            |(name, _): &(String, Secret)| name.eq_ignore_ascii_case("authorization");
        if let Some(authorization) = &target.authorization
            && !headers.iter().any(is_authorization)
        {
            headers.push(("Authorization".to_owned(), authorization.clone()));
        }
        Ok(headers)
    }

    /// HTTP/2 has the same URLs as HTTP/1.1.
    fn http2_kind(&self, kind: &'static Kind) -> Result<&'static Kind, Failure> {
        let http2 = protocols::named("http2").filter(|http2| http2.schemes == kind.schemes);
        http2.ok_or_else(|| {
            let text = format!(
                "--http2 is for http:// and https://, and not for {}",
                kind.name
            );
            Failure::usage(text)
        })
    }

    fn http3_kind(&self, kind: &'static Kind, scheme: &str) -> Result<&'static Kind, Failure> {
        let http3 = protocols::named("http3");
        let http3 = http3.filter(|http3| {
            self.url.is_none() && kind.form == Form::Http || http3.has_scheme(scheme)
        });
        http3.ok_or_else(|| {
            let why = match scheme {
                "http" => "HTTP/3 has no form without TLS",
                _ if kind
                    .schemes
                    .iter()
                    .any(|known| known.unix && known.name == scheme) =>
                {
                    "HTTP/3 goes over UDP, and not over unix sockets"
                }
                _ => "it is another protocol",
            };
            Failure::usage(format!(
                "--http3 is for https://, and not for {scheme}://: {why}"
            ))
        })
    }

    /// A component speaks over streams of bytes.
    fn nib_kind(&self, file: &Path, scheme: &str) -> Result<&'static Kind, Failure> {
        let kind = protocols::of_component()
            .map_err(|text| Failure::usage(format!("--nib {}: {text}", file.display())))?;
        match self.url.is_none() || kind.has_scheme(scheme) {
            true => Ok(kind),
            false => Err(Failure::usage(format!(
                "--nib is for {}, and not for {scheme}://",
                kind.beginnings()
            ))),
        }
    }

    /// The one request, or the file of records.
    pub(crate) fn source(
        &self,
        target: &Target,
        protocol: &Protocol,
        limits: SourceLimits,
    ) -> Result<Source, Failure> {
        let body = self.body()?;
        let form = protocol.kind().form;
        let within_wrpc;
        let target = match protocol.kind().name {
            WRPC_HTTP => {
                within_wrpc = self.within_wrpc(target);
                &within_wrpc
            }
            _ => target,
        };
        if let Some(file) = &self.records.input {
            // The headers of a handshake aren't those of records.
            let headers = match form {
                Form::Messages | Form::Arguments => Vec::new(),
                Form::Http | Form::Calls | Form::Bytes => self.all_headers(target)?,
            };
            return self.file(file, target, headers, body, limits);
        }
        let payload = match form {
            Form::Http | Form::Calls => {
                let headers = self.own_headers()?;
                message::bytes(target, self.method.as_deref(), &headers, body)?
            }
            Form::Bytes => self.bytes(body.unwrap_or_default())?,
            // JSON has its own backslashes.
            Form::Messages | Form::Arguments => body.unwrap_or_default(),
        };
        Ok(Source::Request {
            payload: Bytes::from(payload),
            label: self.label.clone(),
            hits_max: limits.hits_max.map(NonZeroU64::get),
        })
    }

    /// What a scenario makes of the request or the records.
    pub(crate) fn decided(
        &self,
        scenario: &Scenario,
        target: &Target,
        protocol: &Protocol,
        limits: SourceLimits,
    ) -> Result<Source, Failure> {
        let unfit = |text: &str| Failure::usage(format!("--scenario: {text}"));
        if scenario.decides() == Decides::Users {
            let is_given = [
                (self.records.input.is_some(), "--input"),
                (self.method.is_some(), "-X"),
                (self.data.is_some(), "--data"),
                (!self.label.is_empty(), "--label"),
                (self.follow, "--location"),
            ];
            if let Some((_, flag)) = is_given.into_iter().find(|(given, _)| *given) {
                let text = format!("its users say what they send: leave {flag} out");
                return Err(unfit(&text));
            }
        }
        let common = Common {
            form: protocol.kind().form,
            host: target.host.clone(),
            headers: self.all_headers(target)?,
        };
        let source = self.source(target, protocol, limits)?;
        let hits_max = limits.hits_max.map(NonZeroU64::get);
        let decided = scenario.source(source, common, hits_max);
        decided.map_err(|text| unfit(&text))
    }

    fn file(
        &self,
        file: &Path,
        target: &Target,
        headers: Vec<(String, Secret)>,
        body: Option<Vec<u8>>,
        limits: SourceLimits,
    ) -> Result<Source, Failure> {
        let has_body = body.is_some();
        if has_body || self.method.is_some() {
            self.records.check_urls_only(file)?;
        }
        let method = self.method.clone();
        let method = method.or(has_body.then(|| message::default_method(true).to_owned()));
        method.as_deref().map_or(Ok(()), message::check_method)?;
        Ok(Source::File(InputSettings {
            one_worker: limits.one_worker,
            records_max: limits.hits_max,
            host: target.host.clone(),
            headers,
            method,
            body: body.map(Bytes::from),
            ..self.records.settings(file, self.url.is_none())?
        }))
    }

    /// The bytes to send. Escapes stand for bytes, but not in data from a file.
    fn bytes(&self, data: Vec<u8>) -> Result<Vec<u8>, Failure> {
        let is_file = |data: &Secret| data.expose().starts_with('@');
        if self.data.as_ref().is_some_and(is_file) {
            return Ok(data);
        }
        let bytes = Encoding::Escaped.decode(&data);
        bytes.map_err(|reason| Failure::usage(format!("--data: {reason}")))
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

    /// Notes the files that only the command line names.
    pub(crate) fn note_files(&self, files: &mut Files) {
        let data = self.data.as_ref();
        if let Some(body) = data.and_then(|data| data.expose().strip_prefix('@')) {
            files.reads("the body", Path::new(body));
        }
    }
}
