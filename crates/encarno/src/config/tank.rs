//! Configurations of Yandex.Tank (`load.yaml`, `load.ini`) and of pandora, as ours.
//!
//! The text is parsed into keys, and the keys of phantom or pandora are translated into
//! keys of our configuration, which is then read as usual. A key that can't be honoured
//! and changes the measurement gives a note; one that would change the load is an error.
//!
//! - [`ini`]: the older form of the file
//! - [`keys`]: a section whose keys are taken one by one, so that the remaining keys can
//!   be reported
//! - [`phantom`], [`pandora`]: their keys

mod ini;
mod keys;
mod pandora;
mod phantom;

use std::io::Write;
use std::os::fd::IntoRawFd;

use keys::Keys;
use rustix::fs::{MemfdFlags, memfd_create};
use serde_json::Value;

/// A configuration in our own keys.
#[derive(Debug)]
pub(super) struct Translated {
    /// As JSON, which is YAML.
    pub(super) text: String,
    /// Notes about keys that aren't honoured.
    pub(super) notes: Vec<String>,
}

/// Sections of Tank that affect neither the load nor its results.
const SILENT: [&str; 10] = [
    "aggregator",
    "console",
    "core",
    "jsonreport",
    "log",
    "monitoring",
    "rcassert",
    "rcheck",
    "tank",
    "version",
];

/// Translates the text into our keys; `None` if it is neither Tank's nor pandora's.
pub(super) fn translated(text: &str) -> Result<Option<Translated>, String> {
    let whole = match ini::is_ini(text) {
        true => ini::parse(text)?,
        false => match serde_saphyr::from_str::<Value>(text) {
            Ok(whole) => whole,
            // Our own reader reports what is wrong.
            Err(_) => return Ok(None),
        },
    };
    let Value::Object(sections) = &whole else {
        return Ok(None);
    };
    let is_ours = ["input", "workers", "protocol"];
    if !ini::is_ini(text) && is_ours.iter().any(|key| sections.contains_key(*key)) {
        return Ok(None);
    }
    let is_of = |plugin: &str, name: &str, section: &Value| {
        let package = section.get("package").and_then(Value::as_str);
        name == plugin
            || package.is_some_and(|package| {
                let last = package.rsplit(['.', ' ']).next().unwrap_or_default();
                last.eq_ignore_ascii_case(plugin)
            })
    };
    let guns = ["phantom", "pandora", "bfg", "jmeter"];
    let mut generators = Vec::new();
    let mut others = Vec::new();
    if sections.contains_key("pools") {
        generators.push(("pandora", whole.clone()));
    } else {
        for (name, section) in sections {
            let mut known = guns.iter();
            match known.find(|gun| is_of(gun, name, section)) {
                Some(_) if !is_enabled(section) => {}
                Some(gun) => generators.push((gun, section.clone())),
                None => others.push((name, section)),
            }
        }
        // A file that isn't about hits.
        if generators.is_empty() && !ini::is_ini(text) {
            return Ok(None);
        }
    }
    let mut notes = Vec::new();
    let mut configuration = match generators.pop() {
        None => return Err("no section phantom or pandora is enabled".to_owned()),
        Some(_) if !generators.is_empty() => {
            return Err("several load generators are enabled: enable one of them".to_owned());
        }
        Some(("phantom", section)) => phantom::translated(section, &mut notes)?,
        Some(("pandora", section)) => pandora::translated(section, &mut notes)?,
        Some((other, _)) => {
            return Err(format!(
                "{other}: encarno replaces only phantom and pandora"
            ));
        }
    };
    for (name, section) in others {
        if is_of("autostop", name, section) {
            configuration["run"]["stopif"] = autostop(section.clone(), &mut notes)?;
        } else if !SILENT.contains(&name.as_str()) && is_enabled(section) {
            let most = name.split('-').next().unwrap_or_default();
            if most == "phantom" {
                return Err(format!("{name}: make a run for each target"));
            }
            notes.push(format!("{name}: encarno has no equivalent"));
        }
    }
    let text = serde_json::to_string_pretty(&configuration).map_err(|error| error.to_string())?;
    Ok(Some(Translated { text, notes }))
}

fn is_enabled(section: &Value) -> bool {
    match section.get("enabled") {
        Some(Value::Bool(enabled)) => *enabled,
        Some(Value::String(text)) => !matches!(text.trim(), "false" | "0" | "no"),
        _ => true,
    }
}

/// Tank's conditions are valid here without change.
fn autostop(section: Value, notes: &mut Vec<String>) -> Result<Value, String> {
    if !is_enabled(&section) {
        return Ok(Value::Array(Vec::new()));
    }
    let mut keys = Keys::of("autostop", section)?;
    let conditions = keys.list("autostop")?;
    keys.ignore(&["enabled", "package", "report_file"]);
    keys.name_rest(notes);
    Ok(conditions.into())
}

/// The URL for an `address`.
fn url(address: &str, port: Option<&str>, tls: bool) -> String {
    let address = address.trim();
    let scheme = if tls { "https" } else { "http" };
    let address = address
        .strip_prefix("http://")
        .or_else(|| address.strip_prefix("https://"))
        .unwrap_or(address)
        .trim_end_matches('/');
    let address = match address.parse::<std::net::Ipv6Addr>() {
        Ok(_) => format!("[{address}]"),
        Err(_) => address.to_owned(),
    };
    match port {
        None => format!("{scheme}://{address}"),
        Some(port) => {
            let host = match address.rsplit_once(':') {
                Some((host, old)) if old.parse::<u16>().is_ok() => host,
                _ => &address,
            };
            format!("{scheme}://{host}:{port}")
        }
    }
}

/// The name and the value of `[Name: value]`, with or without brackets.
fn header(text: &str) -> Result<(String, String), String> {
    let inner = text.trim().trim_start_matches('[').trim_end_matches(']');
    let parts = inner.split_once(':');
    let (name, value) = parts.ok_or_else(|| format!("{text:?}: write 'Name: value'"))?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

/// A file with this text, which the input can read. The file has no name and ends with
/// the program. The input opens it again by its descriptor, so the descriptor must stay
/// open.
fn file_of(text: &str) -> Result<String, String> {
    let open = || -> std::io::Result<i32> {
        let mut file = std::fs::File::from(memfd_create("records", MemfdFlags::CLOEXEC)?);
        file.write_all(text.as_bytes())?;
        Ok(file.into_raw_fd())
    };
    let number = open().map_err(|error| format!("can't keep the records in memory: {error}"))?;
    Ok(format!("/proc/self/fd/{number}"))
}
