//! A file in memory, for parsers that read files.

use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::path::PathBuf;

/// A file with a path that is in memory only.
pub(crate) struct MemoryFile(File);

impl MemoryFile {
    /// A file with these bytes; `None` if the system gives no more files, which isn't the
    /// parser's fault.
    pub(crate) fn new(bytes: &[u8]) -> Option<Self> {
        let flags = rustix::fs::MemfdFlags::CLOEXEC;
        let mut file = File::from(rustix::fs::memfd_create("fuzz", flags).ok()?);
        file.write_all(bytes).ok()?;
        file.rewind().ok()?;
        Some(Self(file))
    }

    /// Its path.
    pub(crate) fn path(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.0.as_raw_fd()).into()
    }

    /// Opens the file once more.
    pub(crate) fn open(&self) -> Option<File> {
        File::open(self.path()).ok()
    }
}
