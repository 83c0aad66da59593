//! Translates pandora's pools: in Tank's section `pandora`, or in a file of their own.

use encarno_record::files::read_whole;
use serde_json::{Map, Value, json};

use super::keys::Keys;
use super::{file_of, header, url};

/// The most bytes of a configuration of pandora.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// Translates the pool into our keys.
pub(super) fn translated(section: Value, notes: &mut Vec<String>) -> Result<Value, String> {
    let mut keys = Keys::of("pandora", section)?;
    let mut content = match keys.text("config_file")? {
        None if keys.has("pools") => keys,
        None => keys.section("config_content")?,
        Some(file) => {
            let read = read_whole(file.as_ref(), FILE_BYTES_MAX);
            let bytes = read.map_err(|error| format!("can't read {file}: {error}"))?;
            let value = serde_saphyr::from_slice::<Value>(&bytes)
                .map_err(|error| format!("{file}: {}", error.without_snippet()))?;
            Keys::of("pandora", value)?
        }
    };
    let mut pools = content.sections("pools")?;
    content.ignore(&["enabled", "package", "log", "monitoring"]);
    let pool = pools.pop();
    let mut pool = pool.ok_or_else(|| content.bad("pools", "there is none"))?;
    if !pools.is_empty() {
        return Err(content.bad("pools", "make a run for each pool"));
    }
    content.name_rest(notes);
    let configuration = of_pool(&mut pool, notes)?;
    pool.ignore(&["id"]);
    pool.name_rest(notes);
    Ok(configuration)
}

fn of_pool(pool: &mut Keys, notes: &mut Vec<String>) -> Result<Value, String> {
    let mut gun = pool.section("gun")?;
    let kind = gun.needed("type")?;
    if !matches!(&*kind, "http" | "https" | "uri") {
        let reason = format!("{kind:?}: encarno has pandora's http gun");
        return Err(gun.bad("type", &reason));
    }
    let mut input = records(pool, kind == "uri", notes)?;
    let mut tagging = gun.section("auto-tag")?;
    if tagging.flag("enabled")? {
        let count = tagging.count("uri-elements")?.unwrap_or(2);
        input.insert("autolabel".to_owned(), count.to_string().into());
        tagging.ignore(&["no-tag-only"]);
    }
    let tls = gun.flag("ssl")? || kind == "https";
    let timeout = gun.text("response-header-timeout")?;
    if timeout.is_none() {
        notes.push(
            "pandora.pools.gun: pandora waits for an answer for ever; here a hit fails after 60s \
             (--set protocol.timeout=…)"
                .to_owned(),
        );
    }
    if gun.flag("disable-keep-alives")? {
        let headers = input.entry("headers").or_insert_with(|| json!({}));
        headers["Connection"] = "close".into();
    }
    if tls {
        notes.push("pandora.pools.gun.ssl: the target's certificate isn't verified".to_owned());
    }
    let target = gun.needed("target")?;
    gun.ignore(&[
        "max-idle-conns",
        "max-idle-conns-per-host",
        "shared-client",
        "idle-conn-timeout",
    ]);
    gun.name_rest(notes);
    let protocol = json!({
        "driver": "http",
        "address": url(&target, None, tls),
        "timeout": timeout.unwrap_or_else(|| "60s".to_owned()),
        "tlsconf": {"insecureskipverify": tls},
    });
    let mut output = Map::new();
    let mut result = pool.section("result")?;
    match result.text("type")?.as_deref() {
        Some("phout") => {
            let file = result.text("destination")?;
            output.insert(
                "phoutfile".to_owned(),
                file.unwrap_or_else(|| "phout.log".into()).into(),
            );
            result.ignore(&["id"]);
            result.name_rest(notes);
        }
        None | Some("discard") => {}
        Some(other) => notes.push(format!(
            "pandora.pools.result.type: {other:?} isn't written; -o FILE records every hit"
        )),
    }
    let workers = workers(pool)?;
    Ok(json!({"input": input, "workers": workers, "protocol": protocol, "output": output}))
}

/// Translates what is sent.
fn records(
    pool: &mut Keys,
    is_uri_gun: bool,
    notes: &mut Vec<String>,
) -> Result<Map<String, Value>, String> {
    let mut ammo = pool.section("ammo")?;
    let mut input = Map::new();
    let mut set = |key: &str, value: Value| {
        input.insert(key.to_owned(), value);
    };
    let kind = match ammo.text("type")? {
        None if is_uri_gun => "uri".to_owned(),
        None => return Err(ammo.bad("type", "it is missing")),
        Some(kind) => kind,
    };
    let format = match &*kind {
        "uri" | "uripost" | "raw" => &*kind,
        "http/json" | "jsonline" | "http/jsonline" => "jsonline",
        other => {
            let reason = format!("{other:?}: write uri, uripost, raw or http/json");
            return Err(ammo.bad("type", &reason));
        }
    };
    set("format", format.into());
    let mut source = ammo.section("source")?;
    let inline = source.text("data")?;
    let path = source.text("path")?;
    source.ignore(&["type"]);
    source.name_rest(notes);
    let uris = ammo.list("uris")?;
    let file = ammo.text("file")?.or(path);
    let file = match (file, inline, uris.is_empty()) {
        (Some(file), None, true) => file,
        (None, Some(data), true) => file_of(&data)?,
        (None, None, false) => file_of(&(uris.join("\n") + "\n"))?,
        (None, None, true) => return Err(ammo.bad("file", "name the file with what is sent")),
        _ => return Err(ammo.bad("file", "there are several sources: use one of them")),
    };
    set("payloadfile", file.into());
    let mut headers = Map::new();
    for text in ammo.list("headers")? {
        let (name, value) = header(&text).map_err(|reason| ammo.bad("headers", &reason))?;
        headers.insert(name, value.into());
    }
    set("headers", headers.into());
    if let Some(passes) = ammo.count("passes")? {
        set("iterationlimit", passes.into());
    }
    if let Some(limit) = ammo.count("limit")? {
        set("recordlimit", limit.into());
    }
    set("chosenlabels", ammo.list("chosencases")?.into());
    ammo.ignore(&["maxammosize", "preload", "buffer-size", "continue-on-error"]);
    ammo.name_rest(notes);
    Ok(input)
}

/// Translates when hits start: at a rate, or as fast as the instances can.
fn workers(pool: &mut Keys) -> Result<Map<String, Value>, String> {
    if pool.flag("rps-per-instance")? {
        return Err(pool.bad(
            "rps-per-instance",
            "give the rate of all instances together",
        ));
    }
    let mut startup = Vec::new();
    let mut instances = 0.0;
    for mut part in pool.sections("startup")? {
        let text = match &*part.needed("type")? {
            "once" => {
                let count = part.number("times")?;
                instances += count;
                format!("start({count})")
            }
            "const" => {
                let duration = part.needed("duration")?;
                let seconds = seconds(&part, &duration)?;
                let count = (part.number("ops")? * seconds).floor();
                instances += count;
                format!("ramp({count},{duration})")
            }
            "instance_step" => {
                let (from, to) = (part.number("from")?, part.number("to")?);
                let (step, duration) = (part.number("step")?, part.needed("stepduration")?);
                instances = to;
                format!("step({from},{to},{step},{duration})")
            }
            other => {
                let reason = format!("{other:?}: write once, const or instance_step");
                return Err(part.bad("type", &reason));
            }
        };
        startup.push(text);
    }
    let mut workers = Map::new();
    let mut set = |key: &str, value: Value| {
        workers.insert(key.to_owned(), value);
    };
    let mut parts = Vec::new();
    let mut unlimited = None;
    for mut part in pool.sections("rps")? {
        let kind = part.needed("type")?;
        let duration = part.needed("duration")?;
        match &*kind {
            "unlimited" => {
                unlimited = Some(duration);
                continue;
            }
            "const" => parts.push(format!("const({},{duration})", part.number("ops")?)),
            "line" => {
                let (from, to) = (part.number("from")?, part.number("to")?);
                parts.push(format!("line({from},{to},{duration})"));
            }
            "step" => {
                let (from, to) = (part.number("from")?, part.number("to")?);
                let step = part.number("step")?;
                parts.push(format!("step({from},{to},{step},{duration})"));
            }
            other => {
                let reason = format!("{other:?}: write const, line, step or unlimited");
                return Err(part.bad("type", &reason));
            }
        }
    }
    match (parts.is_empty(), unlimited) {
        (false, None) => {
            set("mode", "open".into());
            set("schedule", parts.join(" ").into());
            set("maxworkers", (instances.max(1.0) as u64).into());
            set("keepbacklog", true.into());
        }
        (true, Some(duration)) => {
            set("mode", "closed".into());
            startup.push(format!("wait({duration})"));
            set("schedule", startup.join(" ").into());
            set("duration", duration.into());
        }
        (true, None) => return Err(pool.bad("rps", "it is missing")),
        (false, Some(_)) => {
            return Err(pool.bad("rps", "unlimited can't be combined with a rate"));
        }
    }
    Ok(workers)
}

fn seconds(part: &Keys, duration: &str) -> Result<f64, String> {
    let ns = encarno_record::parse_duration(duration);
    let ns = ns.ok_or_else(|| part.bad("duration", "write a duration such as 10s"))?;
    Ok(ns as f64 / 1e9)
}
