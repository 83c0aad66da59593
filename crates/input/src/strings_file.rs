//! The strings file (`.istr`) of indexed payload records: a string on each line. The
//! first one has number 1; 0 is the empty string.

use std::path::Path;

use encarno_record::files::read_text;

use super::{InputError, RecordError};

/// The most bytes of the file, which is held in memory.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// The lines of a strings file.
#[derive(Debug, Default)]
pub(super) struct StringsFile {
    lines: Vec<String>,
    given: bool,
}

impl StringsFile {
    pub(super) fn read(file: &Path) -> Result<Self, InputError> {
        let bytes = read_text(file, FILE_BYTES_MAX).map_err(|source| InputError {
            operation: "read the strings file",
            file: file.into(),
            reason: source.to_string(),
        })?;
        let text = String::from_utf8_lossy(&bytes);
        Ok(Self {
            lines: text.lines().map(str::to_owned).collect(),
            given: true,
        })
    }

    pub(super) fn get(&self, index: u32) -> Result<&str, RecordError> {
        match (index as usize).checked_sub(1) {
            None => Ok(""),
            Some(line) => self.lines.get(line).map(String::as_str).ok_or_else(|| {
                RecordError::new(if self.given {
                    format!("there is no string {index}: the strings file has {} lines", self.lines.len())
                } else {
                    format!("it refers to string {index}, and there is no strings file: name it in `stringsfile`")
                })
            }),
        }
    }
}
