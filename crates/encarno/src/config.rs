//! The configuration file: Go-encarno's YAML as it is, and keys of ours.
//!
//! File → [`raw`] (types and known keys) → [`Run`], validated. Each
//! error says file, line, key and what to write instead.
//!
//! Of Go-encarno: `input {payloadfile, stringsfile, iterationlimit, enableregexes}`,
//! `output {ldjsonfile, reqrespfile, reqrespfilelevel, binaryfile, stringsfile}`,
//! `workers {mode, workloadschedule, startingworkers, maxworkers, values}`, `protocol
//! {driver, maxconnections, timeout, tlsconf {insecureskipverify, minversion, maxversion,
//! tlsciphersuites}}`. Ours are beside them in [`raw`]; `workers {cookies, data}` and
//! `rules` are read by [`script`]. `maxconnections` limited Go-encarno's idle
//! connections. Here each worker has its own connection, so the key is accepted and has
//! no effect.

mod capacity;
mod raw;
mod scenario;
mod script;
mod tank;
mod workload;

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::time::Duration;

use encarno_engine::settings::{OutputSettings, Part, RunSettings, Source};
use encarno_input::{AutoLabel, BadLimit, InputFormat, InputSettings, Scripts, Sharing};
use encarno_nib::{Form, HEAD_BYTES_MAX, NetworkSettings, Opening, Options, TlsSettings};
use encarno_record::files::read_whole;
use encarno_record::formats::{GoBinarySettings, TraceSettings};
use encarno_record::mask::Shown;
use encarno_record::{Expected, parse_duration};
use encarno_secret::{FileOrText, Secret};
use raw::{Raw, RawComponent, RawInput, RawOutput, RawProtocol, RawRun, RawTls};
use serde_saphyr::Spanned;

use crate::console::Progress;
use crate::criteria::{Criteria, Judging, StopRules};
use crate::protocols::{self, Protocol, Run};
use crate::scenario::{Decides, Scenario};
use crate::url_text::Target;

/// The most bytes of a configuration file.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// Reads a configuration file.
pub fn read(file: &Path) -> Result<Run, ConfigError> {
    read_with(file, &[]).map(|read| read.run)
}

/// The content of a configuration file.
#[derive(Clone, Debug)]
pub struct Read {
    /// The run.
    pub run: Run,
    /// The settings of a file of Yandex.Tank or pandora that aren't honoured.
    pub notes: Vec<String>,
}

/// Reads a configuration file, also one of Yandex.Tank or pandora. The overrides,
/// `KEY=VALUE`, replace values of the file; their keys are ours.
pub fn read_with(file: &Path, overrides: &[String]) -> Result<Read, ConfigError> {
    let error = |reason: String| ConfigError {
        file: file.into(),
        line: 0,
        key: String::new(),
        reason,
    };
    let bytes = read_whole(file, FILE_BYTES_MAX).map_err(|source| error(source.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|source| error(source.to_string()))?;
    let translated = tank::translated(text.trim_start_matches('\u{feff}')).map_err(error)?;
    let is_foreign = translated.is_some();
    let (mut text, notes) = match translated {
        None => (text, Vec::new()),
        Some(translated) => (translated.text, translated.notes),
    };
    if !overrides.is_empty() {
        text = overridden(&text, overrides).map_err(error)?;
    }
    match parse(&text, file) {
        Ok(run) => Ok(Read { run, notes }),
        // The line is one of the translated text, which the user doesn't see.
        Err(bad) if is_foreign => Err(ConfigError { line: 0, ..bad }),
        Err(bad) => Err(bad),
    }
}

/// The configuration with the overrides applied, as JSON, which is also YAML.
fn overridden(text: &str, overrides: &[String]) -> Result<String, String> {
    use serde_json::Value;
    let value = |text: &str| {
        serde_saphyr::from_str::<Value>(text).map_err(|error| error.without_snippet().to_string())
    };
    let mut whole = value(text.trim_start_matches('\u{feff}'))?;
    for one in overrides {
        let shape = || "--set: write KEY=VALUE, such as workers.latelimit=500ms".to_owned();
        let (key, text) = one.split_once('=').ok_or_else(shape)?;
        let mut place = &mut whole;
        for part in key.split('.') {
            if part.is_empty() {
                return Err(shape());
            }
            if place.is_null() {
                *place = Value::Object(serde_json::Map::new());
            }
            let Value::Object(keys) = place else {
                return Err(format!("--set {key}: the part before {part:?} has no keys"));
            };
            place = keys.entry(part).or_insert(Value::Null);
        }
        *place = value(text).map_err(|reason| format!("--set {key}: {reason}"))?;
    }
    serde_json::to_string_pretty(&whole).map_err(|error| error.to_string())
}

/// Parses the text of a configuration. `file` is for messages.
pub fn parse(text: &str, file: &Path) -> Result<Run, ConfigError> {
    let text = text.trim_start_matches('\u{feff}');
    let raw: Raw = serde_saphyr::from_str(text).map_err(|error| ConfigError {
        file: file.into(),
        line: error.location().map_or(0, |location| location.line()),
        key: String::new(),
        reason: error.without_snippet().to_string(),
    })?;
    settings(raw).map_err(|bad| ConfigError {
        file: file.into(),
        line: bad.line,
        key: bad.key.into(),
        reason: bad.reason,
    })
}

/// An error in a configuration file.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{place}{reason}", place = place(file, *line, key))]
pub struct ConfigError {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1; 0 means the whole file.
    pub line: u64,
    /// The key, as `section.key`; may be empty.
    pub key: String,
    /// What is wrong, and what to write instead.
    pub reason: String,
}

fn place(file: &Path, line: u64, key: &str) -> String {
    let file = file.display();
    match (line, key) {
        (0, "") => format!("{file}: "),
        (0, key) => format!("{file}: {key}: "),
        (line, "") => format!("{file}, line {line}: "),
        (line, key) => format!("{file}, line {line}: {key}: "),
    }
}

/// A value that can't be used.
#[derive(Debug)]
struct BadValue {
    line: u64,
    key: &'static str,
    reason: String,
}

impl BadValue {
    fn at<T>(value: &Spanned<T>, key: &'static str, reason: impl Into<String>) -> Self {
        Self {
            line: value.referenced.line(),
            key,
            reason: reason.into(),
        }
    }

    fn missing(key: &'static str, reason: &str) -> Self {
        Self {
            line: 0,
            key,
            reason: reason.into(),
        }
    }
}

fn settings(raw: Raw) -> Result<Run, BadValue> {
    let target = target(&raw.protocol)?;
    let asked = capacity::asked(&raw)?;
    let scenario = scenario::scenario(&raw)?;
    let mut input = input(&raw, target.as_ref(), scenario.as_ref())?;
    let shaped = match &scenario {
        Some(scenario) => scenario::workload(scenario, &raw)?,
        None => None,
    };
    let workload = match (&asked, shaped) {
        (Some(asked), _) => capacity::workload(asked, &raw)?,
        (None, Some(shaped)) => shaped,
        (None, None) => workload::workload(&raw.workers, &input, script::is_bounded(&raw))?,
    };
    input.one_worker = asked.is_none() && workload.workers_max() == 1;
    let script = script::script(&raw, input.in_order())?;
    let run = &raw.run;
    let traced = raw.output.reqrespfile.is_some();
    let protocol = protocol(&raw, target, input.headers.clone(), traced)?;
    match protocol.kind().form {
        // The headers belong to the handshake, or to the calls.
        Form::Messages | Form::Arguments => input.headers.clear(),
        Form::Http if protocol.kind().has_scheme("wrpc+nats") => {
            input.host = "localhost".to_owned();
            input.headers = raw.input.headers.clone().into_iter().collect();
        }
        Form::Http | Form::Calls | Form::Bytes => {}
    }
    let settings = RunSettings {
        workload,
        output: output(&raw.output, &raw.input, settings_text(&raw))?,
        script,
        source: match &scenario {
            Some(scenario) => scenario::source(scenario, &raw, input, protocol.kind().form)?,
            None => Source::File(input),
        },
        expected: expected(&run.expect)?,
        threads: run.threads.and_then(NonZeroUsize::new),
        grace: duration(&run.grace, "run.grace")?.unwrap_or(Duration::from_secs(10)),
        part: Part::default(),
        calibrated_rate: None,
    };
    Ok(Run {
        settings,
        protocol,
        judging: judging(run)?,
        progress: match (run.quiet, run.health, run.lines) {
            (true, _, _) => Progress::Quiet,
            (_, true, _) => Progress::Health,
            (_, _, true) => Progress::Lines,
            _ => Progress::Auto,
        },
        scenario,
        capacity: asked,
    })
}

fn expected(raw: &Option<Spanned<String>>) -> Result<Expected, BadValue> {
    match raw {
        None => Ok(Expected::default()),
        Some(text) => text
            .value
            .parse()
            .map_err(|reason: String| BadValue::at(text, "run.expect", reason)),
    }
}

fn judging(run: &RawRun) -> Result<Judging, BadValue> {
    let mut criteria = Criteria::default();
    for text in &run.failif {
        let condition = text.value.parse();
        let condition =
            condition.map_err(|reason: String| BadValue::at(text, "run.failif", reason))?;
        criteria.fail_if.push(condition);
    }
    for text in &run.stopif {
        let rules = text.value.parse::<StopRules>();
        let rules = rules.map_err(|reason| BadValue::at(text, "run.stopif", reason))?;
        criteria.stop_if.0.extend(rules.0);
    }
    Ok(Judging {
        criteria,
        strict: run.strict,
        summary_file: given(&run.summaryfile),
        junit_file: given(&run.junitfile),
        json: false,
        silent: false,
    })
}

/// The address to which hits go.
fn target(raw: &RawProtocol) -> Result<Option<Target>, BadValue> {
    let Some(address) = &raw.address else {
        return Ok(None);
    };
    let driver = raw
        .driver
        .as_ref()
        .and_then(|driver| protocols::named(&driver.value));
    let target = address.value.target(driver.unwrap_or(protocols::KINDS[0]));
    target
        .map(Some)
        .map_err(|reason| BadValue::at(address, "protocol.address", reason))
}

/// The settings that were given, as text, without secrets.
fn settings_text(raw: &Raw) -> String {
    let value = serde_json::to_value(raw).map(said);
    let text = value.and_then(|value| serde_json::to_string_pretty(&value));
    text.unwrap_or_default()
}

fn said(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    let is_said = |value: &Value| match value {
        Value::Null | Value::Bool(false) => false,
        Value::Array(values) => !values.is_empty(),
        Value::Object(values) => !values.is_empty(),
        _ => true,
    };
    match value {
        Value::Object(values) => {
            let values = values.into_iter().map(|(key, value)| (key, said(value)));
            Value::Object(values.filter(|(_, value)| is_said(value)).collect())
        }
        Value::Array(values) => Value::Array(values.into_iter().map(said).collect()),
        value => value,
    }
}

fn input(
    whole: &Raw,
    target: Option<&Target>,
    scenario: Option<&Scenario>,
) -> Result<InputSettings, BadValue> {
    let raw = &whole.input;
    let values = whole.workers.values.clone();
    let needs_none = scenario.is_some_and(|it| it.decides() == Decides::Users);
    let file = given(&raw.payloadfile).or_else(|| needs_none.then(PathBuf::new));
    let file = file.ok_or_else(|| {
        BadValue::missing(
            "input.payloadfile",
            "name the file with the records to send",
        )
    })?;
    let format = raw.format.as_ref().map(|format| {
        format
            .value
            .parse::<InputFormat>()
            .map_err(|reason| BadValue::at(format, "input.format", reason))
    });
    let sharing = match raw
        .sharing
        .as_ref()
        .map(|sharing| (sharing, &*sharing.value))
    {
        // With scripts, each of Go-encarno's workers reads the whole file.
        None if script::needs_order(whole) => Sharing::PerWorker,
        None | Some((_, "shared")) => Sharing::Shared,
        Some((_, "per-worker")) => Sharing::PerWorker,
        Some((sharing, _)) => {
            return Err(BadValue::at(
                sharing,
                "input.sharing",
                "write shared or per-worker",
            ));
        }
    };
    let auto_label = raw.autolabel.as_ref().map(|label| {
        let parsed = label.value.parse::<AutoLabel>();
        parsed.map_err(|reason| BadValue::at(label, "input.autolabel", reason))
    });
    let bad_limit = raw.maxbad.as_ref().map(|limit| {
        let parsed = limit.value.to_string().parse::<BadLimit>();
        parsed.map_err(|reason| BadValue::at(limit, "input.maxbad", reason))
    });
    let body = raw.body.as_ref().map(|body| body.expose().as_bytes());
    let post = body.map(|_| "POST".to_owned());
    let defaults = InputSettings::of_file(file);
    Ok(InputSettings {
        format: format.transpose()?,
        strings_file: given(&raw.stringsfile),
        sharing,
        passes: raw.iterationlimit.and_then(NonZeroU64::new),
        records_max: raw.recordlimit.and_then(NonZeroU64::new),
        host: target.map(|target| target.host.clone()).unwrap_or_default(),
        address_from_host: target.is_none(),
        // Without a target, records can go only to the hosts that they name.
        record_hosts: raw.recordhosts.unwrap_or(target.is_none()),
        log_hosts: raw.recordhosts == Some(true),
        headers: headers(raw, target),
        method: raw.method.clone().or(post),
        body: body.map(bytes::Bytes::copy_from_slice),
        values,
        auto_label: auto_label.transpose()?.unwrap_or_default(),
        enumerate: raw.enumerate,
        chosen_labels: raw.chosenlabels.clone(),
        scripts: Scripts::Run,
        bad_limit: bad_limit.transpose()?.unwrap_or(defaults.bad_limit),
        ..defaults
    })
}

fn output(
    raw: &RawOutput,
    input: &RawInput,
    settings_text: String,
) -> Result<OutputSettings, BadValue> {
    let go_binary = match (given(&raw.binaryfile), given(&raw.stringsfile)) {
        (Some(file), Some(strings_file)) => Some(GoBinarySettings {
            file,
            strings_file,
            input_strings_file: given(&input.stringsfile),
        }),
        (Some(_), None) => {
            let reason = "binaryfile needs it: labels and errors are in it";
            return Err(BadValue::missing("output.stringsfile", reason));
        }
        (None, _) => None,
    };
    let trace = given(&raw.reqrespfile).map(|file| TraceSettings {
        file,
        level: raw.reqrespfilelevel,
        shown: if raw.secrets {
            Shown::all()
        } else {
            Shown::of(&raw.show)
        },
    });
    Ok(OutputSettings {
        native: given(&raw.nativefile),
        go_binary,
        ldjson: given(&raw.ldjsonfile),
        phout: given(&raw.phoutfile),
        trace,
        settings_text,
        ..OutputSettings::default()
    })
}

/// The headers of requests, with the credentials of the URL.
fn headers(raw: &RawInput, target: Option<&Target>) -> Vec<(String, Secret)> {
    let mut headers: Vec<_> = raw.headers.clone().into_iter().collect();
    let is_authorization =
        |(name, _): &(String, Secret)| name.eq_ignore_ascii_case("authorization");
    if let Some(authorization) = target.and_then(|target| target.authorization.clone())
        && !headers.iter().any(is_authorization)
    {
        headers.push(("Authorization".to_owned(), authorization));
    }
    headers
}

fn protocol(
    whole: &Raw,
    target: Option<Target>,
    headers: Vec<(String, Secret)>,
    traced: bool,
) -> Result<Protocol, BadValue> {
    let raw = &whole.protocol;
    let user = target
        .as_ref()
        .and_then(|target| target.authorization.clone());
    let path = target.as_ref().map(|target| target.path.clone());
    let path = path.unwrap_or_default();
    let network = || -> Result<NetworkSettings, BadValue> {
        let mut source_addresses = Vec::new();
        for address in &raw.sourceaddresses {
            let parsed = address.value.parse();
            source_addresses.push(parsed.map_err(|_| {
                BadValue::at(address, "protocol.sourceaddresses", "write an IP address")
            })?);
        }
        let proxy = raw.proxy.as_ref().map(|url| {
            let proxy = url.value.proxy();
            proxy.map_err(|reason| BadValue::at(url, "protocol.proxy", reason))
        });
        Ok(NetworkSettings {
            address: target.as_ref().map(|target| target.address.clone()),
            timeout: duration(&raw.timeout, "protocol.timeout")?.unwrap_or(Duration::from_secs(1)),
            source_addresses,
            hosts: raw.hosts.clone(),
            resolve_every: duration(&raw.resolveevery, "protocol.resolveevery")?,
            proxy: proxy.transpose()?,
            head_bytes_max: raw.maxheadbytes.unwrap_or(HEAD_BYTES_MAX),
            tls: tls(&raw.tlsconf)?,
            keep_answer_bytes_max: if traced { 1 << 20 } else { 0 },
        })
    };
    let driver = match &whole.nib {
        Some(nib) => Some(nib_driver(nib, raw)?),
        None => raw.driver.clone(),
    };
    let Some(driver) = &driver else {
        let reason = format!("write one of {}", protocols::names());
        return Err(BadValue::missing("protocol.driver", &reason));
    };
    let Some(kind) = protocols::named(&driver.value) else {
        let reason = format!(
            "{:?} isn't known: write one of {}",
            driver.value,
            protocols::names()
        );
        return Err(BadValue::at(driver, "protocol.driver", reason));
    };
    let mut own = raw.options.clone();
    let mut add = |name: &str, value: Option<String>| {
        own.extend(value.map(|value| (name.to_owned(), value)));
    };
    add("answer", raw.answer.map(|answer| answer.to_string()));
    add("delay", raw.delay.as_ref().map(|delay| delay.value.clone()));
    add(
        "errorrate",
        raw.errorrate.as_ref().map(|rate| rate.value.to_string()),
    );
    if let Some(Spanned { value: nib, .. }) = &whole.nib {
        add("wasm", Some(nib.wasm.clone()));
        add("sha256", nib.sha256.clone());
        let settings = nib.settings.as_ref();
        add("settings", settings.map(|text| text.expose().to_owned()));
    }
    add("seed", raw.seed.map(|seed| seed.to_string()));
    add("streams", raw.streams.map(|streams| streams.to_string()));
    let network = if kind.network {
        network()?
    } else {
        NetworkSettings::default()
    };
    let opening = match kind.form {
        Form::Messages | Form::Calls | Form::Arguments => Opening { path, headers },
        // The user that the URL names is the connection's.
        Form::Http if kind.has_scheme("wrpc+nats") => Opening {
            path,
            headers: Vec::from_iter(user.map(|user| ("Authorization".to_owned(), user))),
        },
        Form::Http | Form::Bytes => Opening::default(),
    };
    let options = Options {
        network,
        own,
        opening,
    };
    Protocol::new(kind, options).map_err(|bad| {
        let (key, line) = match &*bad.option {
            "delay" => ("protocol.delay", raw.delay.as_ref().map(line)),
            "errorrate" => ("protocol.errorrate", raw.errorrate.as_ref().map(line)),
            "address" => ("protocol.address", raw.address.as_ref().map(line)),
            "answer" => ("protocol.answer", None),
            "seed" => ("protocol.seed", None),
            "streams" if raw.streams.is_some() => ("protocol.streams", None),
            "nib" => ("nib.wasm", whole.nib.as_ref().map(line)),
            "tls" => ("protocol.tlsconf", None),
            "proxy" => ("protocol.proxy", raw.proxy.as_ref().map(line)),
            _ => ("protocol.options", None),
        };
        let reason = match key {
            "protocol.options" => bad.to_string(),
            _ => bad.reason,
        };
        let line = line.unwrap_or_else(|| self::line(driver));
        BadValue { line, key, reason }
    })
}

/// The driver that a component is.
fn nib_driver(nib: &Spanned<RawComponent>, raw: &RawProtocol) -> Result<Spanned<String>, BadValue> {
    let kind = protocols::of_component().map_err(|text| BadValue::at(nib, "nib", text))?;
    if let Some(driver) = &raw.driver
        && !kind.is_named(&driver.value)
        && driver.value != "tcp"
    {
        let reason = format!(
            "{:?}: the protocol is the nib's: leave it out",
            driver.value
        );
        return Err(BadValue::at(driver, "protocol.driver", reason));
    }
    Ok(Spanned {
        value: kind.name.to_owned(),
        referenced: nib.referenced,
        defined: nib.defined,
    })
}

fn line<T>(value: &Spanned<T>) -> u64 {
    value.referenced.line()
}

fn tls(raw: &RawTls) -> Result<TlsSettings, BadValue> {
    let version = |value: &Option<Spanned<u16>>, key| match value {
        None => Ok(0),
        Some(version) if version.value == 0 || (769..=772).contains(&version.value) => {
            Ok(version.value)
        }
        Some(version) => Err(BadValue::at(
            version,
            key,
            "TLS versions are numbers: 769 … 772 = 1.0 … 1.3",
        )),
    };
    Ok(TlsSettings {
        no_resumption: raw.noresumption,
        insecure: raw.insecureskipverify,
        version_min: version(&raw.minversion, "protocol.tlsconf.minversion")?,
        version_max: version(&raw.maxversion, "protocol.tlsconf.maxversion")?,
        cipher_suites: raw.tlsciphersuites.clone(),
        ca_file: file_or_text(&raw.cafile),
        certificate_file: file_or_text(&raw.certificatefile),
        key_file: file_or_text(&raw.keyfile),
        server_name: raw.servername.clone(),
    })
}

/// A duration with units, as Go writes it.
fn duration(
    value: &Option<Spanned<String>>,
    key: &'static str,
) -> Result<Option<Duration>, BadValue> {
    let Some(value) = value else { return Ok(None) };
    let text = value.value.trim();
    if text != "0" && !text.ends_with(|end: char| end.is_ascii_alphabetic()) {
        let reason = format!("{text:?} has no unit: write for example 1m30s, 0.5s or 200ms");
        return Err(BadValue::at(value, key, reason));
    }
    parse_duration(text)
        .map(|ns| Some(Duration::from_nanos(ns)))
        .ok_or_else(|| {
            BadValue::at(
                value,
                key,
                format!("{text:?} isn't a duration: write for example 1m30s, 0.5s or 200ms"),
            )
        })
}

/// A file, or the PEM text in its place. An empty path means none, as in Go-encarno.
fn file_or_text(given: &Option<Secret>) -> Option<FileOrText> {
    given
        .as_ref()
        .filter(|given| !given.expose().is_empty())
        .map(|given| given.expose().into())
}

fn given(path: &Option<String>) -> Option<PathBuf> {
    path.as_deref()
        .filter(|path| !path.is_empty())
        .map(PathBuf::from)
}
