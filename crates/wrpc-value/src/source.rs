//! Files of WIT.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;

/// A longer file can't be meant.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// More files can't be meant.
const FILES_MAX: usize = 1000;

/// A file of WIT. Its path is relative to the folder of the package: files of dependencies
/// are `deps/NAME.wit` or `deps/NAME/FILE.wit`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its path, with `/` between its parts.
    pub path: String,
    /// What it says.
    pub text: String,
}

impl Source {
    /// A file that says this.
    pub fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            text: text.into(),
        }
    }

    /// A file, or those of a folder and of its folder `deps`.
    pub fn read(path: &Path) -> Result<Vec<Self>, String> {
        let mut sources = Vec::new();
        let about = fs::metadata(path).map_err(cannot_read(path))?;
        if !about.is_dir() {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            sources.push(read_file(path, name.into_owned())?);
            return Ok(sources);
        }
        read_folder(path, "", &mut sources)?;
        if sources.is_empty() {
            return Err(format!("there is no file *.wit in {}", path.display()));
        }
        let deps = path.join("deps");
        if deps.is_dir() {
            for folder in read_folder(&deps, "deps/", &mut sources)? {
                read_folder(
                    &deps.join(&folder),
                    &format!("deps/{folder}/"),
                    &mut sources,
                )?;
            }
        }
        Ok(sources)
    }

    /// The folder of a dependency; none for the package itself.
    pub(crate) fn dependency(&self) -> Option<&str> {
        let rest = self.path.strip_prefix("deps/")?;
        Some(rest.split_once('/').map_or(rest, |(folder, _)| folder))
    }
}

/// Adds the files of a folder, and gives the names of the folders in it.
fn read_folder(
    path: &Path,
    prefix: &str,
    sources: &mut Vec<Source>,
) -> Result<Vec<String>, String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path).map_err(cannot_read(path))? {
        let entry = entry.map_err(cannot_read(path))?;
        names.push(entry.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    let mut folders = Vec::new();
    for name in names {
        let at = path.join(&name);
        if at.is_dir() {
            folders.push(name);
        } else if name.ends_with(".wit") {
            if sources.len() == FILES_MAX {
                return Err(format!("there are more than {FILES_MAX} files of WIT"));
            }
            sources.push(read_file(&at, format!("{prefix}{name}"))?);
        }
    }
    Ok(folders)
}

fn read_file(path: &Path, name: String) -> Result<Source, String> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(cannot_read(path))?;
    let read = file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes);
    read.map_err(cannot_read(path))?;
    let path = path.display();
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(format!("{path} is longer than {FILE_BYTES_MAX} bytes"));
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Source::new(name, text)),
        Err(_) => Err(format!(
            "{path} is no text: give a file of WIT, or a folder with such files"
        )),
    }
}

fn cannot_read(path: &Path) -> impl Fn(std::io::Error) -> String {
    move |error| format!("can't read {}: {error}", path.display())
}
