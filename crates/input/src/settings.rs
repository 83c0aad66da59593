//! What is read, and how: validated, and not validated again further on.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::path::PathBuf;

/// Where records come from, and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputSettings {
    /// The file; `-` is the standard input.
    pub file: PathBuf,
    /// Its format, when it was named; otherwise it is recognised by content.
    pub format: Option<InputFormat>,
    /// The strings file (`.istr`) that indexed payload records refer to.
    pub strings_file: Option<PathBuf>,
    /// Who gets a record.
    pub sharing: Sharing,
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
    /// Headers added to requests made from URLs, unless the file says others.
    pub headers: Vec<(String, String)>,
    /// Texts for `${name}` in payload, label and address.
    pub values: BTreeMap<String, String>,
    /// Labels for records without one.
    pub auto_label: AutoLabel,
    /// Only records with one of these labels; empty = all.
    pub chosen_labels: Vec<String>,
    /// What happens to records that have a script.
    pub scripts: Scripts,
    /// Past so many broken records the run ends.
    pub bad_max: u64,
    /// Payloads above are sent from the file, piece by piece.
    pub memory_payload_bytes_max: u64,
}

impl InputSettings {
    /// That file, recognised by content, read as often as needed.
    pub fn of_file(file: impl Into<PathBuf>) -> Self {
        Self {
            file: file.into(),
            format: None,
            strings_file: None,
            sharing: Sharing::Shared,
            passes: None,
            records_max: None,
            host: String::new(),
            address_from_host: false,
            headers: Vec::new(),
            values: BTreeMap::new(),
            auto_label: AutoLabel::None,
            chosen_labels: Vec::new(),
            scripts: Scripts::Refuse,
            bad_max: 100,
            memory_payload_bytes_max: 1 << 20,
        }
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
    /// A JSON object a line.
    JsonLine,
    /// Plain URLs, each with an optional label before it.
    Urls,
    /// Our own binary format.
    Native,
}

impl InputFormat {
    /// Each format with the name that users give it.
    pub const NAMES: [(&str, Self); 9] = [
        ("payload", Self::Payload),
        ("raw", Self::Raw),
        ("stpd", Self::Stpd),
        ("uri", Self::Uri),
        ("uripost", Self::UriPost),
        ("access", Self::Access),
        ("jsonline", Self::JsonLine),
        ("urls", Self::Urls),
        ("native", Self::Native),
    ];
}

impl std::str::FromStr for InputFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::NAMES
            .iter()
            .find(|(name, _)| *name == text || *name == "raw" && text == "phantom");
        known.map(|&(_, format)| format).ok_or_else(|| {
            let names: Vec<_> = Self::NAMES.iter().map(|(name, _)| *name).collect();
            format!("{text:?} isn't a format: write {}", names.join(", "))
        })
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
    /// The request's path, whole.
    Uri,
    /// A number of its own for each record.
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
