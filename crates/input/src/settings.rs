//! The settings of an input. They are validated here, and not again later.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::path::PathBuf;

use bytes::Bytes;
use encarno_secret::Secret;

/// The source of records, and how often it is read.
#[derive(Clone, Debug, PartialEq)]
pub struct InputSettings {
    /// The file; `-` is the standard input.
    pub file: PathBuf,
    /// The named format; `None` means that the content shows it.
    pub format: Option<InputFormat>,
    /// The strings file (`.istr`) that indexed payload records refer to.
    pub strings_file: Option<PathBuf>,
    /// How workers share records.
    pub sharing: Sharing,
    /// Whether there is one worker, which gets all records in order, shared or not.
    pub one_worker: bool,
    /// How many times the whole file is read; `None` means as often as needed (once for
    /// `stpd`).
    pub passes: Option<NonZeroU64>,
    /// The most records in all.
    pub records_max: Option<NonZeroU64>,
    /// The Host header for formats that contain URLs and not requests, unless the file
    /// gives another one.
    pub host: String,
    /// Whether a record without an address goes to the host of its Host header, because
    /// there is no default address.
    pub address_from_host: bool,
    /// Whether a record goes to the host that its URL names. Otherwise only the `address`
    /// key of a payload record decides that, and the host of a URL goes into the Host
    /// header only, so that a file can't choose its targets.
    pub record_hosts: bool,
    /// Whether requests of an access log may go to the hosts that it names. Anyone who reaches
    /// a server writes into its log, so that such a log may name any host.
    pub log_hosts: bool,
    /// Headers that are added to requests made from URLs, unless the file gives others.
    pub headers: Vec<(String, Secret)>,
    /// The method of requests made from URLs, instead of GET.
    pub method: Option<String>,
    /// The body of requests made from URLs.
    pub body: Option<Bytes>,
    /// Values for `${name}` in payload, label and address.
    pub values: BTreeMap<String, Secret>,
    /// Labels for records without one.
    pub auto_label: AutoLabel,
    /// Whether records without a label of their own are numbered: `label#7`.
    pub enumerate: bool,
    /// The labels of the chosen records; empty means all.
    pub chosen_labels: Vec<String>,
    /// How records with a script are handled.
    pub scripts: Scripts,
    /// How many records may be broken before the run ends.
    pub bad_limit: BadLimit,
    /// Longer payloads are sent from the file, piece by piece.
    pub memory_payload_bytes_max: u64,
}

impl InputSettings {
    /// Whether a worker gets the records in order, so that a record can use values from
    /// earlier answers.
    pub fn in_order(&self) -> bool {
        self.sharing == Sharing::PerWorker || self.one_worker
    }

    /// Settings for a file that is recognised by its content and read as often as needed.
    pub fn of_file(file: impl Into<PathBuf>) -> Self {
        Self {
            file: file.into(),
            format: None,
            strings_file: None,
            sharing: Sharing::Shared,
            one_worker: false,
            passes: None,
            records_max: None,
            host: String::new(),
            address_from_host: false,
            record_hosts: false,
            log_hosts: false,
            headers: Vec::new(),
            method: None,
            body: None,
            values: BTreeMap::new(),
            auto_label: AutoLabel::None,
            enumerate: false,
            chosen_labels: Vec::new(),
            scripts: Scripts::Refuse,
            bad_limit: BadLimit::default(),
            memory_payload_bytes_max: 1 << 20,
        }
    }
}

/// How many records may be broken before the input ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum BadLimit {
    /// This number of records.
    Records(u64),
    /// This share of all records, from 0 to 1. While the input is read, it is evaluated once a
    /// thousand records were read; at the end of the first pass, always.
    Share(f64),
}

impl BadLimit {
    /// The fewest records for which a share is evaluated before the end of the input.
    const RECORDS_MIN: u64 = 1000;

    /// Whether this many broken records are too many, of all that were read so far.
    pub fn is_exceeded(self, bad: u64, all: u64) -> bool {
        match self {
            Self::Share(_) if all < Self::RECORDS_MIN => false,
            limit => limit.is_exceeded_at_end(bad, all),
        }
    }

    /// Whether this many broken records are too many, of all that there are.
    pub fn is_exceeded_at_end(self, bad: u64, all: u64) -> bool {
        match self {
            Self::Records(max) => bad > max,
            Self::Share(share) => bad as f64 > all as f64 * share,
        }
    }
}

impl Default for BadLimit {
    fn default() -> Self {
        Self::Share(0.1)
    }
}

impl std::fmt::Display for BadLimit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Records(max) => write!(f, "{max} broken records"),
            Self::Share(share) => write!(f, "{} % broken records", share * 100.0),
        }
    }
}

/// Parses `100`, or `10%`.
impl std::str::FromStr for BadLimit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let limit = match text.strip_suffix('%') {
            None => text.parse().ok().map(Self::Records),
            Some(percent) => percent
                .trim_end()
                .parse()
                .ok()
                .filter(|percent| (0.0..=100.0).contains(percent))
                .map(|percent: f64| Self::Share(percent / 100.0)),
        };
        limit.ok_or_else(|| "write a number of records, or a share such as 10%".to_owned())
    }
}

/// The input formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum InputFormat {
    /// Go-encarno's payload records: a line of JSON, then the bytes.
    Payload,
    /// phantom's raw ammo: `LEN[ TAG]`, then the bytes.
    Raw,
    /// phantom's stepped ammo: `LEN MSEC[ TAG]`, then the bytes.
    Stpd,
    /// Header lines and URIs.
    Uri,
    /// Header lines, and URIs with bodies.
    UriPost,
    /// A web server's access log.
    Access,
    /// JSON objects: one on each line, spread over lines, or in an array.
    JsonLine,
    /// Plain URLs, each with an optional label before it.
    Urls,
    /// vegeta's targets: `METHOD URL`, headers, `@BODY`; or JSON objects.
    Vegeta,
    /// Our own binary format.
    Native,
}

impl InputFormat {
    /// Each format with its name for users.
    pub const NAMES: [(&str, Self); 10] = [
        ("payload", Self::Payload),
        ("raw", Self::Raw),
        ("stpd", Self::Stpd),
        ("uri", Self::Uri),
        ("uripost", Self::UriPost),
        ("access", Self::Access),
        ("jsonline", Self::JsonLine),
        ("urls", Self::Urls),
        ("vegeta", Self::Vegeta),
        ("native", Self::Native),
    ];
}

impl InputFormat {
    /// All names, for a message.
    pub fn names() -> String {
        Self::NAMES.map(|(name, _)| name).join(", ")
    }

    /// Whether records have only URLs, so that method and body can be chosen.
    pub fn has_urls_only(self) -> bool {
        matches!(self, Self::Uri | Self::Urls | Self::Access)
    }
}

impl std::str::FromStr for InputFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::NAMES
            .iter()
            .find(|(name, _)| *name == text || *name == "raw" && text == "phantom");
        known
            .map(|&(_, format)| format)
            .ok_or_else(|| format!("{text:?} isn't a format: write {}", Self::names()))
    }
}

/// How workers share the records of an input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sharing {
    /// Each record goes to one worker: the file is read once for all of them.
    #[default]
    Shared,
    /// Each record goes to every worker: each reads the whole file.
    PerWorker,
}

/// How records with a script are handled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scripts {
    /// Values that are known from the start are filled in. A record whose answer must be
    /// inspected ends the input.
    #[default]
    Refuse,
    /// Scripts stay with their records.
    Keep,
    /// Workers run the scripts. Values that are the same for all are filled in before.
    Run,
}

/// Labels for records without one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AutoLabel {
    /// Leave them empty.
    #[default]
    None,
    /// The first segments of the request's path, this many.
    Segments(u8),
    /// The whole path of the request, in the form of Yandex.Tank: `_a_b`.
    Uri,
    /// A unique id for each record, in hex.
    Unique,
}

impl std::str::FromStr for AutoLabel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "uri" => Ok(Self::Uri),
            "uniq" => Ok(Self::Unique),
            number => number
                .parse()
                .map(Self::Segments)
                .map_err(|_| "write a number of path segments, uri or uniq".to_owned()),
        }
    }
}
