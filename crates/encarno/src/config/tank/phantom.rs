//! Translates Tank's section `phantom`.

use encarno_record::parse_duration;
use serde_json::{Map, Value, json};

use super::keys::Keys;
use super::{file_of, header, url};

/// Keys that concern only Tank's own operation.
const WITHOUT_MEANING: [&str; 17] = [
    "additional_libs",
    "affinity",
    "buffered_seconds",
    "cache_dir",
    "connection_test",
    "enabled",
    "file_cache",
    "force_stepping",
    "method_options",
    "method_prefix",
    "package",
    "phantom_http_entity",
    "phantom_http_field_num",
    "phantom_http_line",
    "phantom_modules_path",
    "phantom_path",
    "use_caching",
];

/// How long the last number of instances stays: until the records end.
const UNTIL_THE_END: &str = "wait(365d)";

/// Translates the section into our keys.
pub(super) fn translated(section: Value, notes: &mut Vec<String>) -> Result<Value, String> {
    let mut keys = Keys::of("phantom", section)?;
    if !keys.sections("multi")?.is_empty() {
        return Err(keys.bad("multi", "make a run for each target"));
    }
    if let Some(kind) = keys.text("tank_type")?.filter(|kind| kind != "http") {
        let reason = format!("{kind:?}: for bytes over TCP write a configuration with driver: tcp");
        return Err(keys.bad("tank_type", &reason));
    }
    if keys.text("config")?.is_some() {
        return Err(keys.bad("config", "phantom's own configuration can't be read"));
    }
    let mut headers = Map::new();
    for text in headers_of(&mut keys)? {
        let (name, value) = header(&text).map_err(|reason| keys.bad("headers", &reason))?;
        headers.insert(name, value.into());
    }
    let (mut input, are_urls) = records(&mut keys, &mut headers, notes)?;
    if are_urls {
        input.insert("headers".to_owned(), headers.into());
    } else if !headers.is_empty() {
        notes.push("phantom.headers: records that are whole requests have their own".to_owned());
    }
    let workers = workers(&mut keys, &mut input)?;
    let protocol = protocol(&mut keys, notes)?;
    let mut run = Map::new();
    if let Some(threads) = keys.count("threads")? {
        run.insert("threads".to_owned(), threads.into());
    }
    let mut output = Map::new();
    if let Some(file) = keys.text("phout_file")? {
        output.insert("phoutfile".to_owned(), file.into());
    }
    match keys.text("writelog")?.as_deref() {
        None | Some("0" | "none") => {}
        Some(_) => notes.push(
            "phantom.writelog: name a file with --set output.reqrespfile=FILE instead".to_owned(),
        ),
    }
    keys.ignore(&WITHOUT_MEANING);
    keys.name_rest(notes);
    Ok(
        json!({"input": input, "workers": workers, "protocol": protocol, "run": run, "output": output}),
    )
}

/// Takes the headers. In an INI file, one line may have several, each in brackets.
fn headers_of(keys: &mut Keys) -> Result<Vec<String>, String> {
    let mut headers = Vec::new();
    for line in keys.list("headers")? {
        match line.starts_with('[') {
            true => headers.extend(line.split(']').map(|one| one.trim().to_owned())),
            false => headers.push(line),
        }
    }
    headers.retain(|header| !header.is_empty());
    Ok(headers)
}

/// Translates what is sent, and returns whether requests are made from URLs.
fn records(
    keys: &mut Keys,
    headers: &mut Map<String, Value>,
    notes: &mut Vec<String>,
) -> Result<(Map<String, Value>, bool), String> {
    let mut input = Map::new();
    let mut set = |key: &str, value: Value| input.insert(key.to_owned(), value);
    let uris = keys.list("uris")?;
    let kind = keys.text("ammo_type")?;
    let mut are_urls = !uris.is_empty();
    match (keys.text("ammofile")?, uris.is_empty()) {
        (Some(_), false) => {
            return Err(keys.bad("uris", "there is an ammofile, too: use one of them"));
        }
        (Some(file), true) => {
            if file.contains("://") {
                return Err(keys.bad("ammofile", "fetch the file, and name it here"));
            }
            let path = std::path::Path::new(&file).to_owned();
            set("payloadfile", file.into());
            match kind.as_deref() {
                // phantom is the default, and then the file may have any format.
                None | Some("phantom") => {}
                Some(kind @ ("uri" | "uripost" | "access")) => {
                    are_urls = true;
                    set("format", kind.into());
                }
                Some(kind) => {
                    let reason = format!("{kind:?}: write phantom, uri, uripost or access");
                    return Err(keys.bad("ammo_type", &reason));
                }
            }
            let first = std::fs::File::open(path).ok().and_then(|mut file| {
                let mut first = [0];
                std::io::Read::read_exact(&mut file, &mut first).ok()?;
                Some(first[0])
            });
            // Tank decides in the same way.
            are_urls |= first.is_some_and(|first| !first.is_ascii_digit() && first != 0x1f);
        }
        (None, false) => {
            set("format", "uri".into());
            set("payloadfile", file_of(&(uris.join("\n") + "\n"))?.into());
        }
        // An stpd file is named as the schedule.
        (None, true) => {}
    }
    let version = keys.text("header_http")?;
    if are_urls && version.as_deref().unwrap_or("1.0") == "1.0" {
        let has = |name: &str| headers.keys().any(|key| key.eq_ignore_ascii_case(name));
        if !has("connection") {
            headers.insert("Connection".to_owned(), "close".into());
        }
        notes.push(
            "phantom.header_http: requests are HTTP/1.1; as with 1.0 (Tank's default), each hit \
             has a new connection"
                .to_owned(),
        );
    }
    if let Some(limit) = keys.count("loop")? {
        set("iterationlimit", limit.into());
    }
    if let Some(limit) = keys.count("ammo_limit")? {
        set("recordlimit", limit.into());
    }
    match keys.text("autocases")?.as_deref() {
        None | Some("0") => {}
        Some(label) => {
            set("autolabel", label.into());
        }
    }
    if keys.flag("enum_ammo")? {
        set("enumerate", true.into());
    }
    let chosen = keys.text("chosen_cases")?.unwrap_or_default();
    let chosen: Vec<&str> = chosen.split_whitespace().collect();
    set("chosenlabels", chosen.into());
    Ok((input, are_urls))
}

fn workers(keys: &mut Keys, input: &mut Map<String, Value>) -> Result<Map<String, Value>, String> {
    let mut profile = keys.section("load_profile")?;
    let schedule = |texts: Vec<String>| Some(texts.join(" ")).filter(|text| !text.is_empty());
    let rps = schedule(keys.list("rps_schedule")?);
    let instances = schedule(keys.list("instances_schedule")?);
    let kind = profile.text("load_type")?;
    let text = schedule(profile.list("schedule")?);
    let (kind, text) = match (kind.as_deref(), text, rps, instances) {
        (Some(kind @ ("rps" | "instances" | "stpd_file")), Some(text), None, None) => {
            (kind.to_owned(), text)
        }
        (None, None, Some(text), None) => ("rps".to_owned(), text),
        (None, None, None, Some(text)) => ("instances".to_owned(), text),
        (Some("rps" | "instances" | "stpd_file"), None, _, _) => {
            return Err(profile.bad("schedule", "it is missing"));
        }
        (Some(kind), _, None, None) => {
            let reason = format!("{kind:?}: write rps, instances or stpd_file");
            return Err(profile.bad("load_type", &reason));
        }
        (None, None, None, None) => return Err(keys.bad("load_profile", "it is missing")),
        _ => return Err(keys.bad("load_profile", "there is more than one schedule")),
    };
    let mut workers = Map::new();
    let mut set = |key: &str, value: Value| workers.insert(key.to_owned(), value);
    let instances_max = keys.count("instances")?.unwrap_or(1000);
    match &*kind {
        "rps" => {
            set("mode", "open".into());
            set("maxworkers", instances_max.into());
            set("schedule", text.into());
            set("keepbacklog", true.into());
        }
        "instances" => {
            set("mode", "closed".into());
            // Instances go on until the records end, by default after one pass.
            set("schedule", format!("{text} {UNTIL_THE_END}").into());
            if !input.contains_key("iterationlimit") && !input.contains_key("recordlimit") {
                input.insert("iterationlimit".to_owned(), 1.into());
            }
        }
        _ => {
            set("mode", "open".into());
            set("arrivals", "recorded".into());
            set("maxworkers", instances_max.into());
            input.insert("payloadfile".to_owned(), text.into());
            input.insert("format".to_owned(), "stpd".into());
            input.insert("iterationlimit".to_owned(), 1.into());
        }
    }
    Ok(workers)
}

fn protocol(keys: &mut Keys, notes: &mut Vec<String>) -> Result<Map<String, Value>, String> {
    let mut protocol = Map::new();
    let mut set = |key: &str, value: Value| protocol.insert(key.to_owned(), value);
    let tls = keys.flag("ssl")?;
    let address = keys.needed("address")?;
    let port = keys.text("port")?;
    set("driver", "http".into());
    set("address", url(&address, port.as_deref(), tls).into());
    let timeout = keys.text("timeout")?.unwrap_or_else(|| "11s".to_owned());
    // In Tank, a number without a unit is milliseconds.
    let timeout = match timeout.parse::<f64>() {
        Ok(_) => format!("{timeout}ms"),
        Err(_) => timeout,
    };
    if parse_duration(&timeout).is_none() {
        return Err(keys.bad("timeout", "write a duration such as 11s"));
    }
    set("timeout", timeout.into());
    let sources = keys.text("gatling_ip")?.unwrap_or_default();
    let sources: Vec<&str> = sources.split([' ', ',', '\n']).collect();
    let sources: Vec<&str> = sources.into_iter().filter(|ip| !ip.is_empty()).collect();
    set("sourceaddresses", sources.into());
    if let Some(bytes) = keys.text("phantom_http_field")? {
        notes.push(format!(
            "phantom.phantom_http_field: {bytes} isn't taken over; protocol.maxheadbytes bounds the whole head"
        ));
    }
    let mut tlsconf = Map::new();
    // phantom verifies no certificate.
    if tls {
        tlsconf.insert("insecureskipverify".to_owned(), true.into());
        notes.push("phantom.ssl: as in Tank, the target's certificate isn't verified".to_owned());
    }
    for (theirs, ours) in [
        ("client_certificate", "certificatefile"),
        ("client_key", "keyfile"),
    ] {
        if let Some(file) = keys.text(theirs)? {
            tlsconf.insert(ours.to_owned(), file.into());
        }
    }
    set("tlsconf", tlsconf.into());
    Ok(protocol)
}
