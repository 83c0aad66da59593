//! What a user asked for, to validated. Names and meanings of the connection's options are
//! those of k6's clients, which `encarno-wrpc-caller` reads.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use encarno_nib::address::{Address, Host};
use encarno_nib::{BadOption, Kind, NetworkSettings, Options};
use encarno_secret::FileOrText;
use encarno_wrpc::Headers;
use encarno_wrpc_caller::Transport;
use serde_json::{Map, Value, json};

use crate::function::Called;

/// The options of a connection over NATS, with `-` for the `_` that k6 has.
const OF_NATS: &[&str] = &[
    "name",
    "user",
    "password",
    "token",
    "credentials",
    "nkey",
    "jwt",
    "inbox-prefix",
    "connect-timeout",
    "ping-interval",
    "max-reconnects",
    "reconnect-delay",
];

/// The one that a connection over TCP has, too …
const OF_BOTH: &str = "connect-timeout";

/// … and those that it has alone.
const OF_TCP: &[&str] = &["nodelay", "keepalive", "half-close", "pool"];

/// What is called.
const OF_CALL: &[&str] = &["call", "wit"];

/// The parts of a blast.
const OF_BLAST: &[&str] = &["id", "mem-burn-mb", "cpu-burn-ms", "wait-ms"];

/// The names of all options.
pub const OPTIONS: &[&str] = &joined::<23>(&[&["streams"], OF_CALL, OF_BLAST, OF_NATS, OF_TCP]);

/// The lists one after the other. Another number than `N` doesn't compile.
const fn joined<const N: usize>(lists: &[&[&'static str]]) -> [&'static str; N] {
    let mut all = [""; N];
    let (mut count, mut list) = (0, 0);
    while list < lists.len() {
        let mut at = 0;
        while at < lists[list].len() {
            all[count] = lists[list][at];
            count += 1;
            at += 1;
        }
        list += 1;
    }
    assert!(count == N);
    all
}

/// The names of those whose values nobody may see.
pub const SECRET_OPTIONS: &[&str] = &["user", "password", "token", "credentials", "nkey", "jwt"];

/// The way to the receiver.
pub(crate) fn transport(
    kind: &Kind,
    options: &Options,
    is_http: bool,
) -> Result<Transport, BadOption> {
    let network = &options.network;
    let bad_address = |reason: String| BadOption::new("address", reason);
    let Some(address) = &network.address else {
        return Err(bad_address(format!(
            "{} needs the address of the receiver or of its NATS server: {}",
            kind.name,
            kind.beginnings()
        )));
    };
    let parsed = Address::parse(address, kind.schemes);
    let parsed = parsed.map_err(|error| bad_address(error.to_string()))?;
    let is_nats = address.starts_with("wrpc+nats");
    check_network(kind, network, is_nats)?;
    let Host::Internet { .. } = &parsed.host else {
        return Err(bad_address("wRPC has no unix sockets".to_owned()));
    };
    let authority = parsed.authority();
    let (here, there, other) = match is_nats {
        true => (OF_NATS, OF_TCP, "TCP"),
        false => (OF_TCP, OF_NATS, "NATS"),
    };
    let mut own = Map::new();
    for (name, value) in &options.own {
        if name == OF_BOTH || here.contains(&name.as_str()) {
            own.insert(name.replace('-', "_"), typed(value));
        } else if there.contains(&name.as_str()) {
            let reason = format!("it is one of wRPC over {other}");
            return Err(BadOption::new(name, reason));
        }
    }
    let prefix = prefix(&options.opening.path, is_nats, is_http).map_err(bad_address)?;
    let text = |file: &Option<FileOrText>| file.as_ref().map(|file| json!(text_of(file)));
    let mut tls = Map::new();
    let settings = &network.tls;
    for (name, value) in [
        ("ca", text(&settings.ca_file)),
        ("cert", text(&settings.certificate_file)),
        ("key", text(&settings.key_file)),
    ] {
        tls.extend(value.map(|value| (name.to_owned(), value)));
    }
    let (user, password) = credentials(options)?;
    let json = if is_nats {
        let scheme = if parsed.tls { "tls" } else { "nats" };
        own.insert("url".to_owned(), json!(format!("{scheme}://{authority}")));
        own.insert("prefix".to_owned(), json!(prefix));
        match (user, password) {
            (Some(user), Some(password)) => {
                own.insert("user".to_owned(), json!(user));
                own.insert("password".to_owned(), json!(password));
            }
            (Some(token), None) => {
                own.insert("token".to_owned(), json!(token));
            }
            (None, _) => {}
        }
        if settings.insecure || settings.server_name.is_some() {
            let reason = "wRPC over NATS has no --insecure and no --server-name: give --ca-file";
            return Err(BadOption::new("tls", reason));
        }
        if !tls.is_empty() {
            own.insert("tls".to_owned(), Value::Object(tls));
        }
        json!({ "nats": own })
    } else {
        if user.is_some() {
            return Err(bad_address(
                "a receiver over TCP takes no credentials".to_owned(),
            ));
        }
        own.insert("addr".to_owned(), json!(authority));
        if let [source] = &*network.source_addresses {
            own.insert("source_addr".to_owned(), json!(source.to_string()));
        }
        if settings.insecure {
            tls.insert("insecure_skip_verify".to_owned(), json!(true));
        }
        if let Some(name) = &settings.server_name {
            tls.insert("server_name".to_owned(), json!(name));
        }
        match (parsed.tls, tls.is_empty()) {
            (true, _) => drop(own.insert("tls".to_owned(), Value::Object(tls))),
            (false, true) => {}
            (false, false) => {
                let reason = "wrpc+tcp:// has no TLS: write wrpc+tcp+tls://";
                return Err(BadOption::new("tls", reason));
            }
        }
        json!({ "tcp": own })
    };
    let parsed = encarno_wrpc_caller::Options::parse(json.to_string().as_bytes());
    let parsed = parsed.map_err(|reason| renamed(&reason))?;
    Ok(parsed.transport)
}

/// The function that hits call.
pub(crate) fn called(options: &Options) -> Result<Called, BadOption> {
    let number = |name: &str| options.own::<u64>(name, "a whole number");
    let numbers = [
        number("mem-burn-mb")?,
        number("cpu-burn-ms")?,
        number("wait-ms")?,
    ];
    let id = options.own.get("id");
    let wit = options.own.get("wit").map(PathBuf::from);
    match options.own.get("call") {
        Some(name) => {
            if let Some(given) = given(options, OF_BLAST) {
                let reason = "it is a blast's: leave it out, or leave --call out";
                return Err(BadOption::new(given, reason));
            }
            Ok(Called::Named {
                name: name.clone(),
                wit,
            })
        }
        None if wit.is_some() => {
            let reason = "name the function by --call NAMESPACE:PACKAGE/INTERFACE@VERSION.FUNCTION";
            Err(BadOption::new("call", reason))
        }
        None => {
            let [mem_burn_mb, cpu_burn_ms, wait_ms] = numbers.map(Option::unwrap_or_default);
            Ok(Called::Blast {
                id: id.cloned().unwrap_or_default(),
                mem_burn_mb,
                cpu_burn_ms,
                wait_ms,
            })
        }
    }
}

/// That HTTP has no function's options.
pub(crate) fn check_http(options: &Options) -> Result<(), BadOption> {
    let given = given(options, OF_CALL).or_else(|| given(options, OF_BLAST));
    given.map_or(Ok(()), |given| {
        let reason = "HTTP over wRPC always calls the same function: leave it out";
        Err(BadOption::new(given, reason))
    })
}

/// The first of these options that there is.
fn given(options: &Options, names: &[&'static str]) -> Option<&'static str> {
    let mut names = names.iter().copied();
    names.find(|name| options.own.contains_key(*name))
}

/// The headers of calls.
pub(crate) fn headers(options: &Options, transport: &Transport) -> Result<Headers, BadOption> {
    let mut headers = Headers::default();
    for (name, value) in &options.opening.headers {
        if name.eq_ignore_ascii_case("authorization") {
            continue;
        }
        let added = headers.add(name, value.expose());
        added.map_err(|error| BadOption::new("headers", error.message))?;
    }
    if !headers.is_empty() && matches!(transport, Transport::Tcp(_)) {
        let reason = "wRPC over TCP has no place for the headers of a call: leave them out";
        return Err(BadOption::new("headers", reason));
    }
    Ok(headers)
}

/// What a URL's path names: the prefix, and perhaps `http`.
fn prefix(path: &str, is_nats: bool, is_http: bool) -> Result<String, String> {
    let path = path.strip_prefix('/').unwrap_or(path);
    let path = match path.strip_suffix("http") {
        Some(rest) if is_http && (rest.is_empty() || rest.ends_with('/')) => {
            rest.strip_suffix('/').unwrap_or(rest)
        }
        _ => path.strip_suffix('/').unwrap_or(path),
    };
    match (is_nats, path) {
        (false, "") => Ok(String::new()),
        (false, _) => Err(format!("over TCP there is no prefix: leave /{path} out")),
        (true, path) if path.contains('/') => Err(format!(
            "/{path} isn't a prefix: write wrpc+nats://HOST/PREFIX, or wrpc+nats://HOST/PREFIX/http"
        )),
        (true, path) => Ok(path.to_owned()),
    }
}

/// What such connections don't have.
fn check_network(kind: &Kind, network: &NetworkSettings, is_nats: bool) -> Result<(), BadOption> {
    let not = |option: &str, what: &str| {
        Err(BadOption::new(
            option,
            format!("{} has no {what}: leave it out", kind.name),
        ))
    };
    if network.proxy.is_some() {
        return not("proxy", "proxies");
    }
    if !network.hosts.is_empty() {
        return not("resolve", "addresses of its own for names");
    }
    if network.resolve_every.is_some() {
        return not("resolve-every", "names that are looked up again");
    }
    match network.source_addresses.len() {
        0 => Ok(()),
        1 if !is_nats => Ok(()),
        _ if is_nats => not("source-address", "source addresses over NATS"),
        _ => not("source-address", "more than one source address"),
    }
}

/// Who the URL, or `-u`, says we are.
fn credentials(options: &Options) -> Result<(Option<String>, Option<String>), BadOption> {
    let mut headers = options.opening.headers.iter();
    let basic = headers.find(|(name, _)| name.eq_ignore_ascii_case("authorization"));
    let Some((_, basic)) = basic else {
        return Ok((None, None));
    };
    let decoded = basic.expose().strip_prefix("Basic ");
    let decoded = decoded.and_then(|basic| STANDARD.decode(basic).ok());
    let decoded = decoded.and_then(|decoded| String::from_utf8(decoded).ok());
    let pair = decoded
        .as_deref()
        .and_then(|decoded| decoded.split_once(':'));
    match pair {
        Some((user, "")) => Ok((Some(user.to_owned()), None)),
        Some((user, password)) => Ok((Some(user.to_owned()), Some(password.to_owned()))),
        None => {
            let reason = "an Authorization header isn't one of a call: give -u USER:PASSWORD";
            Err(BadOption::new("headers", reason))
        }
    }
}

/// The name of a file, or what it would hold.
fn text_of(file: &FileOrText) -> String {
    match file.file() {
        Some(file) => file.to_string_lossy().into_owned(),
        None => file.read().unwrap_or_default(),
    }
}

/// A text as the value that it stands for: a number, a truth or a text.
fn typed(text: &str) -> Value {
    match text.trim() {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        number => match number.parse::<u64>() {
            Ok(number) => json!(number),
            Err(_) => json!(text),
        },
    }
}

/// An error about `nats.inbox_prefix: …` or `unknown field …` by the names of here.
fn renamed(reason: &str) -> BadOption {
    let (path, reason) = reason.split_once(": ").unwrap_or(("", reason));
    let name = path.rsplit('.').next().unwrap_or_default();
    match (path, name) {
        (_, "url" | "addr" | "prefix" | "") => BadOption::new("address", reason),
        (path, _) if path.contains(".tls") => BadOption::new("tls", reason),
        (_, "source_addr") => BadOption::new("source-address", reason),
        (_, name) => BadOption::new(&name.replace('_', "-"), reason),
    }
}
