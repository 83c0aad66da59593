//! What is read, and how: validated, and not validated again further on.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::path::PathBuf;

use bytes::Bytes;
use encarno_secret::Secret;

/// Where records come from, and how often.
#[derive(Clone, Debug, PartialEq)]
pub struct InputSettings {
    /// The file; `-` is the standard input.
    pub file: PathBuf,
    /// Its format, when it was named; otherwise it is recognised by content.
    pub format: Option<InputFormat>,
    /// The strings file (`.istr`) that indexed payload records refer to.
    pub strings_file: Option<PathBuf>,
    /// Who gets a record.
    pub sharing: Sharing,
    /// There is one worker: it gets all records in their order, shared or not.
    pub one_worker: bool,
    /// How often the file is read, whole; none = as often as needed (once,
    /// for `stpd`).
    pub passes: Option<NonZeroU64>,
    /// At most so many records in all.
    pub records_max: Option<NonZeroU64>,
    /// The Host header for formats that hold URLs and not requests, unless the
    /// file says another.
    pub host: String,
    /// A record without an address goes to what its Host header says: there is
    /// no default address.
    pub address_from_host: bool,
    /// A record whose URL names a host goes there. Otherwise only the `address`
    /// key of a payload record does that, and of a URL the host is no more than
    /// its Host header: a file doesn't choose whom it hits.
    pub record_hosts: bool,
    /// Headers added to requests made from URLs, unless the file says others.
    pub headers: Vec<(String, Secret)>,
    /// The method of requests made from URLs, instead of GET.
    pub method: Option<String>,
    /// The body of requests made from URLs.
    pub body: Option<Bytes>,
    /// Texts for `${name}` in payload, label and address.
    pub values: BTreeMap<String, Secret>,
    /// Labels for records without one.
    pub auto_label: AutoLabel,
    /// Records without a label of their own are numbered in it: `label#7`.
    pub enumerate: bool,
    /// Only records with one of these labels; empty = all.
    pub chosen_labels: Vec<String>,
    /// What happens to records that have a script.
    pub scripts: Scripts,
    /// Past so many broken records the run ends.
    pub bad_limit: BadLimit,
    /// Payloads above are sent from the file, piece by piece.
    pub memory_payload_bytes_max: u64,
}

impl InputSettings {
    /// Whether a worker gets the records in their order, so that one may use what
    /// an earlier one's answer had.
    pub fn in_order(&self) -> bool {
        self.sharing == Sharing::PerWorker || self.one_worker
    }

    /// That file, recognised by content, read as often as needed.
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
    /// So many.
    Records(u64),
    /// So large a part of all records, from 0 to 1, once there were a thousand.
    Share(f64),
}

impl BadLimit {
    /// A share of fewer records says nothing.
    const RECORDS_MIN: u64 = 1000;

    /// Whether so many broken ones of all records are too many.
    pub fn is_exceeded(self, bad: u64, all: u64) -> bool {
        match self {
            Self::Records(max) => bad > max,
            Self::Share(share) => all >= Self::RECORDS_MIN && bad as f64 > all as f64 * share,
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

/// `100`, or `10%`.
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
    /// JSON objects: a line each, or spread over lines, or in an array.
    JsonLine,
    /// Plain URLs, each with an optional label before it.
    Urls,
    /// vegeta's targets: `METHOD URL`, headers, `@BODY`; or JSON objects.
    Vegeta,
    /// Our own binary format.
    Native,
}

impl InputFormat {
    /// Each format with the name that users give it.
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

    /// Whether records have URLs only: their method and body may be chosen.
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

/// Who gets a record of the input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sharing {
    /// One worker: the file is read once for all of them.
    #[default]
    Shared,
    /// Every worker: each reads the file for itself.
    PerWorker,
}

/// What happens to records that have a script.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scripts {
    /// Values that are known from the start are substituted; a record that
    /// needs its answer looked at ends the input.
    #[default]
    Refuse,
    /// They come with the record, as they are.
    Keep,
    /// The workers act on them; values that are the same for all are
    /// substituted before.
    Run,
}

/// Labels for records without one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AutoLabel {
    /// Leave them empty.
    #[default]
    None,
    /// The first so many segments of the request's path.
    Segments(u8),
    /// The request's path, whole; as Yandex.Tank writes it, `_a_b`.
    Uri,
    /// An id of its own for each record, in hex.
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
