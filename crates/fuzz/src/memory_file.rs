//! A file in memory, for parsers that read files.

use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::path::PathBuf;

/// A file that has a path, and is nowhere on a disk.
pub(crate) struct MemoryFile(File);

impl MemoryFile {
    /// With these bytes in it. None: the system gives no more files, which is no fault
    /// of a parser.
    pub(crate) fn new(bytes: &[u8]) -> Option<Self> {
        let flags = rustix::fs::MemfdFlags::CLOEXEC;
        let mut file = File::from(rustix::fs::memfd_create("fuzz", flags).ok()?);
        file.write_all(bytes).ok()?;
        file.rewind().ok()?;
        Some(Self(file))
    }

    /// Where it can be opened.
    pub(crate) fn path(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.0.as_raw_fd()).into()
    }

    /// The file, open once more.
    pub(crate) fn open(&self) -> Option<File> {
        File::open(self.path()).ok()
    }
}
