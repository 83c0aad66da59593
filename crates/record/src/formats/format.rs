//! The formats, by their names, and the files of each.

use std::path::{Path, PathBuf};

use super::{
    CsvSink, GoBinarySettings, GoBinarySink, LdjsonSink, OutputError, PhoutSink, SecondsSink, Sink,
};
use crate::Expected;

/// A format of hits other than the native one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResultFormat {
    /// Go-encarno's binary records; their strings go to a file beside them
    /// that ends in `.ostr`.
    GoBinary,
    /// Go-encarno's LDJSON.
    Ldjson,
    /// CSV with all fields of a hit.
    Csv,
    /// phout.
    Phout,
    /// Sums by second, as JSON lines.
    Seconds,
    /// Parquet, with the columns of the CSV.
    #[cfg(feature = "parquet")]
    Parquet,
}

impl ResultFormat {
    /// The format for a file name.
    pub fn of_name(path: &Path) -> Option<Self> {
        Self::of_text(path.extension()?.to_str()?)
    }

    /// The strings file of this format, beside the first file.
    pub fn strings_file(self, path: &Path) -> Option<PathBuf> {
        (self == Self::GoBinary).then(|| path.with_extension("ostr"))
    }

    /// The format with this name.
    pub fn of_text(name: &str) -> Option<Self> {
        Some(match name {
            "bin" | "go" | "go-binary" => Self::GoBinary,
            "ldjson" | "jsonl" | "ndjson" => Self::Ldjson,
            "csv" => Self::Csv,
            "phout" => Self::Phout,
            "seconds" => Self::Seconds,
            #[cfg(feature = "parquet")]
            "parquet" => Self::Parquet,
            _ => return None,
        })
    }

    /// Creates a file of this format; `started_unix_ns` is the wall clock at the run's
    /// start.
    pub fn create(
        self,
        to: &Path,
        started_unix_ns: u64,
        expected: &Expected,
    ) -> Result<Box<dyn Sink>, OutputError> {
        Ok(match self {
            Self::GoBinary => {
                let settings = GoBinarySettings {
                    file: to.into(),
                    strings_file: to.with_extension("ostr"),
                    input_strings_file: None,
                };
                Box::new(GoBinarySink::create(&settings, started_unix_ns)?)
            }
            Self::Ldjson => Box::new(LdjsonSink::create(to, started_unix_ns)?),
            Self::Csv => Box::new(CsvSink::create(to, started_unix_ns)?),
            Self::Phout => Box::new(PhoutSink::create(to, started_unix_ns)?),
            Self::Seconds => Box::new(SecondsSink::create(to, started_unix_ns, expected)?),
            #[cfg(feature = "parquet")]
            Self::Parquet => Box::new(super::ParquetSink::create(to, started_unix_ns)?),
        })
    }
}
