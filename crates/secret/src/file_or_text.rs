//! A file, or a text in its place, which no log, error or metric shows.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use crate::Secret;

/// The largest file.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The byte order mark.
const MARK: char = '\u{feff}';

/// A mark that PEM and credentials files contain, and no path.
const BEGIN: &str = "-----BEGIN ";

/// The longest path that is shown; a longer one, or one with a longer part without a dot,
/// may be something else.
const SHOWN_BYTES_MAX: usize = 256;
const SHOWN_PART_BYTES_MAX: usize = 40;

/// A file, or a text in its place: certificates, a key or credentials, in PEM.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum FileOrText {
    /// The name of a file.
    File(PathBuf),
    /// The text in its place.
    Text(Secret),
}

impl From<String> for FileOrText {
    /// Takes a text. If it contains the first line of PEM, it isn't the name of a file.
    fn from(given: String) -> Self {
        match given.contains(BEGIN) {
            true => Self::Text(Secret::new(given)),
            false => Self::File(given.into()),
        }
    }
}

impl From<PathBuf> for FileOrText {
    fn from(given: PathBuf) -> Self {
        match given.into_os_string().into_string() {
            Ok(given) => given.into(),
            Err(given) => Self::File(given.into()),
        }
    }
}

impl From<&str> for FileOrText {
    fn from(given: &str) -> Self {
        given.to_owned().into()
    }
}

impl FileOrText {
    /// The name of the file; `None` for a text.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File(file) => Some(file),
            Self::Text(_) => None,
        }
    }

    /// The text itself, or the content of the file. The error doesn't name the file.
    ///
    /// # Errors
    ///
    /// If the file can't be read, is longer than 1 MiB, or isn't UTF-8.
    pub fn read(&self) -> io::Result<String> {
        match self {
            Self::File(file) => read(file),
            Self::Text(text) => Ok(without_mark(text.expose().to_owned())),
        }
    }
}

/// Formats for errors: the name of the file, unless it may be a mistyped secret.
impl fmt::Display for FileOrText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::File(file) = self else {
            return formatter.write_str("the text that was given");
        };
        let shown = file.to_string_lossy();
        let is_odd = |part: &str| part.len() > SHOWN_PART_BYTES_MAX && !part.contains('.');
        let is_secret = shown.len() > SHOWN_BYTES_MAX
            || shown.contains(char::is_control)
            || shown.split('/').any(is_odd);
        match is_secret {
            true => formatter.write_str("the file that was named"),
            false => formatter.write_str(&shown),
        }
    }
}

impl fmt::Debug for FileOrText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(_) => write!(formatter, "{self}"),
            Self::Text(text) => fmt::Debug::fmt(text, formatter),
        }
    }
}

fn without_mark(mut text: String) -> String {
    if text.starts_with(MARK) {
        text.drain(..MARK.len_utf8());
    }
    text
}

/// The content of a file of at most 1 MiB, without the byte order mark of editors on
/// Windows.
///
/// # Errors
///
/// If the file can't be read, is longer than 1 MiB, or isn't UTF-8.
pub fn read(file: &Path) -> io::Result<String> {
    let mut text = String::new();
    let opened = File::open(file)?;
    opened.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::other("it is longer than 1 MiB"));
    }
    Ok(without_mark(text))
}

#[cfg(test)]
mod tests {
    use super::FileOrText;

    const KEY: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2Vw\n-----END PRIVATE KEY-----\n";

    #[test]
    fn a_text_is_read_as_a_file_would_be_and_never_shown() {
        let given = FileOrText::from(KEY);
        assert_eq!(given.read().expect("text"), KEY);
        let shown = format!("{given:?} {given}");
        assert!(
            !shown.contains("MC4C") && !shown.contains("BEGIN"),
            "{shown}"
        );
    }

    #[test]
    fn a_byte_order_mark_is_no_content() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("key.pem");
        let marked = format!("\u{feff}{KEY}");
        std::fs::write(&path, &marked).expect("written");
        for given in [FileOrText::from(path), FileOrText::from(marked)] {
            assert_eq!(given.read().expect("read"), KEY);
        }
    }

    #[test]
    fn only_what_looks_like_a_path_is_shown() {
        for path in [
            "/etc/ssl/ca.pem",
            "a.pem",
            "../keys/my-key",
            "/no/such/file",
        ] {
            let given = FileOrText::from(path);
            assert_eq!(given.to_string(), path);
        }
        for secret in [
            "SUACH75SWCM5D2JMJM6EKLR2WDARVGZT4QC6LX3AGHSWOMVAKERABBBRWM",
            "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC",
            "MC4CAQ\nAwBQYDK2Vw",
            "----BEGIN PRIVATE KEY-----\nMC4CAQAw\n",
        ] {
            let given = FileOrText::from(secret);
            let error = given.read().expect_err("no such file");
            let shown = format!("{given} {given:?} {error}");
            assert!(
                !shown.contains("MC4C") && !shown.contains("SUAC"),
                "{shown}"
            );
        }
    }
}
