//! The configuration as YAML has it: keys and types, without further checks.

use std::collections::BTreeMap;

use encarno_record::script::{JsonAssert, JsonExtract};
use encarno_secret::{MASK, Secret};
use encarno_wrpc_nib::SECRET_OPTIONS;
use serde::{Deserialize, Serialize, Serializer};
use serde_saphyr::Spanned;

use crate::url_text::UrlText;

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Raw {
    pub(super) input: RawInput,
    pub(super) output: RawOutput,
    pub(super) workers: RawWorkers,
    pub(super) protocol: RawProtocol,
    pub(super) run: RawRun,
    // The keys from here on are ours.
    pub(super) rules: Vec<RawRule>,
    pub(super) capacity: Option<RawCapacity>,
    pub(super) nib: Option<Spanned<RawComponent>>,
    pub(super) scenario: Option<Spanned<RawComponent>>,
}

/// A wasm component that is the protocol, or decides the load.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawComponent {
    pub(super) wasm: String,
    #[serde(default)]
    pub(super) sha256: Option<String>,
    #[serde(default)]
    pub(super) settings: Option<Secret>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawCapacity {
    pub(super) workers: Option<Spanned<RawNumber>>,
    pub(super) goal: Option<Spanned<String>>,
    pub(super) within: Option<Spanned<String>>,
    pub(super) connections: Option<u32>,
    pub(super) precision: Option<Spanned<String>>,
    pub(super) trial: Option<Spanned<String>>,
    pub(super) jsonfile: Option<String>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRule {
    pub(super) label: Spanned<String>,
    #[serde(default)]
    pub(super) extracts: BTreeMap<String, JsonExtract>,
    #[serde(default)]
    pub(super) asserts: Vec<JsonAssert>,
    #[serde(default)]
    pub(super) think: Option<String>,
    #[serde(default)]
    pub(super) follow: Option<u32>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawData {
    pub(super) file: Spanned<String>,
    #[serde(default)]
    pub(super) delimiter: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) quoted: Option<bool>,
    #[serde(default)]
    pub(super) names: Vec<String>,
    #[serde(default)]
    pub(super) order: Option<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawInput {
    pub(super) payloadfile: Option<String>,
    pub(super) stringsfile: Option<String>,
    pub(super) iterationlimit: Option<u64>,
    pub(super) enableregexes: bool,
    // The keys from here on are ours.
    pub(super) format: Option<Spanned<String>>,
    pub(super) sharing: Option<Spanned<String>>,
    pub(super) recordlimit: Option<u64>,
    pub(super) headers: BTreeMap<String, Secret>,
    pub(super) autolabel: Option<Spanned<String>>,
    pub(super) enumerate: bool,
    pub(super) chosenlabels: Vec<String>,
    pub(super) maxbad: Option<Spanned<RawNumber>>,
    pub(super) recordhosts: Option<bool>,
    pub(super) method: Option<String>,
    pub(super) body: Option<Secret>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawOutput {
    pub(super) ldjsonfile: Option<String>,
    pub(super) reqrespfile: Option<String>,
    pub(super) reqrespfilelevel: u16,
    pub(super) binaryfile: Option<String>,
    pub(super) stringsfile: Option<String>,
    // The keys from here on are ours.
    pub(super) nativefile: Option<String>,
    pub(super) phoutfile: Option<String>,
    pub(super) secrets: bool,
    /// What the trace shows in addition to what it always shows.
    pub(super) show: Vec<String>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawWorkers {
    pub(super) mode: Option<Spanned<String>>,
    pub(super) workloadschedule: Option<Spanned<Vec<RawLevel>>>,
    pub(super) startingworkers: usize,
    pub(super) maxworkers: Option<usize>,
    pub(super) values: BTreeMap<String, Secret>,
    // The keys from here on are ours.
    pub(super) schedule: Option<Spanned<String>>,
    pub(super) arrivals: Option<Spanned<String>>,
    pub(super) seed: u64,
    pub(super) latelimit: Option<Spanned<String>>,
    pub(super) duration: Option<Spanned<String>>,
    pub(super) spin: bool,
    pub(super) keepbacklog: bool,
    pub(super) cookies: bool,
    pub(super) sameuser: bool,
    pub(super) data: Vec<RawData>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLevel {
    #[serde(default = "zero")]
    pub(super) levelstart: Spanned<f64>,
    #[serde(default = "zero")]
    pub(super) levelend: Spanned<f64>,
    pub(super) duration: Spanned<String>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawProtocol {
    pub(super) driver: Option<Spanned<String>>,
    /// Accepted without effect: each worker has its own connection.
    #[serde(rename = "maxconnections")]
    pub(super) _maxconnections: Option<u64>,
    pub(super) timeout: Option<Spanned<String>>,
    pub(super) tlsconf: RawTls,
    // The keys from here on are ours.
    pub(super) address: Option<Spanned<UrlText>>,
    pub(super) proxy: Option<Spanned<UrlText>>,
    pub(super) sourceaddresses: Vec<Spanned<String>>,
    pub(super) resolveevery: Option<Spanned<String>>,
    pub(super) maxheadbytes: Option<usize>,
    /// Names with their addresses, which aren't looked up.
    pub(super) hosts: BTreeMap<String, Vec<std::net::IpAddr>>,
    pub(super) answer: Option<bool>,
    pub(super) delay: Option<Spanned<String>>,
    pub(super) errorrate: Option<Spanned<f64>>,
    pub(super) seed: Option<u64>,
    /// The number of hits at a time on each connection.
    pub(super) streams: Option<u32>,
    /// The protocol's own options by name; the keys above are also such options.
    #[serde(serialize_with = "shown_options")]
    pub(super) options: BTreeMap<String, String>,
}

/// What a protocol's options say, but for secrets.
fn shown_options<S: Serializer>(
    options: &BTreeMap<String, String>,
    to: S,
) -> Result<S::Ok, S::Error> {
    let shown = options.iter().map(|(name, value)| {
        let is_secret = SECRET_OPTIONS.contains(&name.as_str());
        (name, if is_secret { MASK } else { value.as_str() })
    });
    to.collect_map(shown)
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawTls {
    pub(super) insecureskipverify: bool,
    pub(super) minversion: Option<Spanned<u16>>,
    pub(super) maxversion: Option<Spanned<u16>>,
    pub(super) tlsciphersuites: Vec<String>,
    // The keys from here on are ours.
    pub(super) cafile: Option<Secret>,
    pub(super) certificatefile: Option<Secret>,
    pub(super) keyfile: Option<Secret>,
    pub(super) servername: Option<String>,
    pub(super) noresumption: bool,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawRun {
    pub(super) threads: Option<usize>,
    pub(super) grace: Option<Spanned<String>>,
    pub(super) strict: bool,
    pub(super) quiet: bool,
    pub(super) lines: bool,
    /// Whether to write the Go tool's health lines, which Taurus's console reads.
    pub(super) health: bool,
    pub(super) expect: Option<Spanned<String>>,
    pub(super) failif: Vec<Spanned<String>>,
    pub(super) stopif: Vec<Spanned<String>>,
    pub(super) summaryfile: Option<String>,
    pub(super) junitfile: Option<String>,
}

/// A number, or a text such as `10%`.
#[derive(Debug, Deserialize, Serialize)]
#[serde(untagged)]
pub(super) enum RawNumber {
    Whole(u64),
    Text(String),
}

impl std::fmt::Display for RawNumber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Whole(number) => number.fmt(f),
            Self::Text(text) => text.fmt(f),
        }
    }
}

fn zero() -> Spanned<f64> {
    let nowhere = serde_saphyr::Location::UNKNOWN;
    Spanned {
        value: 0.0,
        referenced: nowhere,
        defined: nowhere,
    }
}
