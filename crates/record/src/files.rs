//! Opens files to write them, and reads files as a whole.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// The byte order mark of UTF-8.
pub const MARK: &[u8] = b"\xef\xbb\xbf";

/// Whether a file may contain requests, and with them passwords and cookies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contents {
    /// Without requests; the file has the usual mode.
    Results,
    /// With requests; only its owner may read the file.
    Requests,
}

/// Whether a path means the standard output.
pub fn is_stdout(path: &Path) -> bool {
    path == Path::new("-") || path == Path::new("/dev/stdout")
}

/// Creates the file, or empties it. The standard output is used as it was inherited: it
/// isn't emptied, and writing starts at its present position.
pub fn create(path: &Path, contents: Contents) -> io::Result<File> {
    if is_stdout(path) {
        return Ok(io::stdout().as_fd().try_clone_to_owned()?.into());
    }
    if path == Path::new("/dev/stderr") {
        return Ok(io::stderr().as_fd().try_clone_to_owned()?.into());
    }
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    if contents == Contents::Results {
        return options.open(path);
    }
    let file = options.mode(0o600).open(path)?;
    let metadata = file.metadata()?;
    // An existing file keeps its mode, so that others may be able to read it.
    if metadata.is_file() && metadata.permissions().mode() & 0o077 != 0 {
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    Ok(file)
}

/// Reads a whole file.
///
/// # Errors
///
/// If the file is longer than `bytes_max`, or a device, which may be endless; then
/// nothing is read.
pub fn read_whole(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let too_long = || io::Error::other(format!("it has more than {bytes_max} bytes"));
    // Check this first, because opening a pipe waits for its other end.
    let metadata = std::fs::metadata(path)?;
    let kind = metadata.file_type();
    if kind.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if kind.is_char_device() && path != Path::new("/dev/stdin") || kind.is_block_device() {
        return Err(io::Error::other("it is a device, not a file"));
    }
    if metadata.len() > bytes_max {
        return Err(too_long());
    }
    let mut bytes = Vec::new();
    File::open(path)?
        .take(bytes_max.saturating_add(1))
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        return Err(too_long());
    }
    Ok(bytes)
}

/// Reads a whole text, without the byte order mark that editors on Windows write.
pub fn read_text(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = read_whole(path, bytes_max)?;
    if bytes.starts_with(MARK) {
        bytes.drain(..MARK.len());
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use super::{Contents, create, read_whole};

    #[test]
    fn files_with_requests_are_their_owners() {
        let folder = tempfile::tempdir().expect("a folder");
        let old = folder.path().join("old");
        std::fs::write(&old, "x").expect("written");
        for path in [folder.path().join("new"), old] {
            create(&path, Contents::Requests).expect("created");
            let mode = std::fs::metadata(&path)
                .expect("there")
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn what_has_no_end_is_not_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let sparse = folder.path().join("sparse");
        let file = std::fs::File::create(&sparse).expect("created");
        file.set_len(3 << 30).expect("sparse");
        let error = |path: &Path| read_whole(path, 1 << 20).expect_err("refused").to_string();
        assert!(error(&sparse).contains("more than 1048576 bytes"));
        assert!(error(Path::new("/dev/zero")).contains("device"));
        assert!(error(folder.path()).contains("directory"));
        file.set_len(3).expect("short");
        assert_eq!(read_whole(&sparse, 3).expect("read"), [0; 3]);
        assert!(read_whole(&sparse, 2).is_err());
    }
}
