//! The file of a calibration, in the user's state directory.

use std::ffi::OsString;
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use super::{Calibration, VERSION, machine::Machine};

/// The most bytes that a calibration file may have.
const BYTES_MAX: u64 = 1 << 20;

/// Why the calibration of this machine isn't used.
#[derive(Debug, thiserror::Error)]
pub enum CalibrationError {
    /// The file can't be read.
    #[error("{file}: {source}", file = file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The file isn't a calibration.
    #[error("{file}: this isn't a calibration ({reason}): `encarno calibrate` makes a new one", file = file.display())]
    Broken {
        /// The file.
        file: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The figures are those of another machine.
    #[error("{file}: it was made on {machine}, and this is {this}: `encarno calibrate` makes a new one", file = file.display())]
    OtherMachine {
        /// The file.
        file: PathBuf,
        /// The machine that was measured.
        machine: Box<Machine>,
        /// This machine.
        this: Box<Machine>,
    },
}

/// `$XDG_STATE_HOME/encarno/calibration.json`, usually below `~/.local/state`; `None` if
/// there is no home directory.
pub fn place() -> Option<PathBuf> {
    place_of(std::env::var_os("XDG_STATE_HOME"), std::env::var_os("HOME"))
}

fn place_of(state: Option<OsString>, home: Option<OsString>) -> Option<PathBuf> {
    // The XDG base directory specification says that relative paths don't count.
    let absolute = |path: OsString| Some(PathBuf::from(path)).filter(|path| path.is_absolute());
    let state = state.and_then(absolute);
    let home = || {
        home.and_then(absolute)
            .map(|home| home.join(".local/state"))
    };
    Some(state.or_else(home)?.join("encarno/calibration.json"))
}

/// This machine's calibration; `None` if it wasn't calibrated.
pub fn read() -> Result<Option<Calibration>, CalibrationError> {
    let Some(file) = place() else {
        return Ok(None);
    };
    let calibration = match read_from(&file) {
        Err(CalibrationError::Read { source, .. })
            if matches!(
                source.kind(),
                ErrorKind::NotFound | ErrorKind::NotADirectory
            ) =>
        {
            return Ok(None);
        }
        read => read?,
    };
    let this = Machine::this();
    match calibration.machine == this {
        true => Ok(Some(calibration)),
        false => Err(CalibrationError::OtherMachine {
            file,
            machine: Box::new(calibration.machine),
            this: Box::new(this),
        }),
    }
}

/// Reads a calibration, of any machine.
pub fn read_from(file: &Path) -> Result<Calibration, CalibrationError> {
    let failed = |source| CalibrationError::Read {
        file: file.into(),
        source,
    };
    let broken = |reason: String| CalibrationError::Broken {
        file: file.into(),
        reason,
    };
    let mut text = String::new();
    let open = std::fs::File::open(file).map_err(failed)?;
    if !open.metadata().map_err(failed)?.is_file() {
        return Err(broken("it isn't a file".to_owned()));
    }
    open.take(BYTES_MAX)
        .read_to_string(&mut text)
        .map_err(failed)?;
    let calibration: Calibration =
        serde_json::from_str(&text).map_err(|error| broken(error.to_string()))?;
    match calibration.version {
        VERSION => Ok(calibration),
        other => Err(broken(format!(
            "its version is {other} instead of {VERSION}"
        ))),
    }
}

/// Writes the file, as a whole or not at all.
pub fn write(file: &Path, calibration: &Calibration) -> io::Result<()> {
    let folder = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut new = tempfile::NamedTempFile::new_in(folder)?;
    let text = serde_json::to_string_pretty(calibration).map_err(io::Error::other)?;
    writeln!(new, "{text}")?;
    new.persist(file)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{CalibrationError, place_of, read_from};

    #[test]
    fn it_lies_where_the_system_keeps_state() {
        let place = |state: Option<&str>, home: Option<&str>| {
            let place = place_of(state.map(Into::into), home.map(Into::into));
            place.map(|place| place.display().to_string())
        };
        let (state, home) = (Some("/s"), Some("/h"));
        let at = |folder: &str| Some(format!("{folder}/encarno/calibration.json"));
        assert_eq!(place(state, home), at("/s"));
        assert_eq!(place(None, home), at("/h/.local/state"));
        assert_eq!(place(Some("relative"), home), at("/h/.local/state"));
        assert_eq!(place(Some(""), None), None);
    }

    #[test]
    fn what_is_no_calibration_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("c.json");
        for (text, word) in [
            ("", "EOF"),
            ("[]", "isn't a calibration"),
            (
                r#"{"version": 9, "machine": {"processor": "", "cores": 1, "encarno": ""}, "measured_unix_s": 0, "run_seconds": 1, "entries": []}"#,
                "version is 9",
            ),
        ] {
            std::fs::write(&file, text).expect("written");
            let error = read_from(&file).expect_err("it is none").to_string();
            assert!(error.contains(word) && error.contains("c.json"), "{error}");
        }
        let missing = read_from(&folder.path().join("none"));
        assert!(matches!(missing, Err(CalibrationError::Read { .. })));
        assert!(matches!(
            read_from(Path::new("/")),
            Err(CalibrationError::Broken { .. })
        ));
    }
}
