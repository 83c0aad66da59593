//! The files that a command reads and writes. No output may be an input, another output,
//! or the file to which the standard output already leads.

use std::fmt;
use std::fs::{File, Metadata};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use encarno_record::files::is_stdout;

const STDERR: &str = "the standard error";

/// The most symbolic links that are followed to the place of a new file.
const LINKS_MAX: usize = 40;

/// The files of a command. Check them before you open one, because opening an output
/// empties it.
#[derive(Debug, Default)]
pub struct Files {
    uses: Vec<Use>,
}

#[derive(Debug)]
struct Use {
    what: &'static str,
    path: PathBuf,
    written: bool,
    place: Option<Place>,
}

/// The identity of a file, whatever its name; `None` for devices, which store nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    There {
        device: u64,
        inode: u64,
    },
    New {
        folder: Box<Place>,
        name: std::ffi::OsString,
    },
    Stdout,
}

/// Two uses of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clash {
    path: PathBuf,
    output: &'static str,
    other: &'static str,
}

impl Clash {
    /// Whether the standard error leads into one of the files, so that messages would end
    /// up in it.
    pub fn is_of_stderr(&self) -> bool {
        self.output == STDERR
    }
}

impl fmt::Display for Clash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} would be written over {}: name another file",
            self.path.display(),
            self.output,
            self.other
        )
    }
}

impl Files {
    /// Adds a file that is read. `what` is its name in messages, such as `the input`.
    pub fn reads(&mut self, what: &'static str, path: &Path) -> &mut Self {
        let place = match path {
            path if path == Path::new("-") || path == Path::new("/dev/stdin") => {
                place_of_descriptor(io::stdin().as_fd())
            }
            path => place_of(path),
        };
        self.push(what, path, false, place)
    }

    /// Adds a file that is written.
    pub fn writes(&mut self, what: &'static str, path: &Path) -> &mut Self {
        let place = match path {
            path if is_stdout(path) => Some(Place::Stdout),
            // If you name /dev/stderr, you want messages and output there.
            path if path == Path::new("/dev/stderr") => None,
            path => place_of(path),
        };
        self.push(what, path, true, place)
    }

    /// Whether an output is the standard output, so that texts for people go to the
    /// standard error.
    pub fn write_stdout(&self) -> bool {
        self.uses.iter().any(|one| one.place == Some(Place::Stdout))
    }

    /// All files.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.uses.iter().map(|one| &*one.path)
    }

    /// The files that are read.
    pub fn read_paths(&self) -> impl Iterator<Item = &Path> {
        let read = self.uses.iter().filter(|one| !one.written);
        read.map(|one| &*one.path)
    }

    /// Outputs that exist and aren't empty; their content will be lost.
    pub fn replaced(&self) -> impl Iterator<Item = &Path> {
        let is_full = |path: &Path| {
            std::fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() > 0)
        };
        let written = self.uses.iter().filter(|one| one.written);
        let files = written.filter(|one| matches!(one.place, Some(Place::There { .. })));
        files
            .map(|one| &*one.path)
            .filter(move |path| is_full(path))
    }

    /// Fails if an output is one of the other files. The files to which the shell leads
    /// the standard output and the standard error count as outputs.
    pub fn check(&self) -> Result<(), Clash> {
        let stream = |what, place| Use {
            what,
            path: "-".into(),
            written: true,
            place,
        };
        let stdout = place_of_descriptor(io::stdout().as_fd());
        let stdout = stream("the standard output", stdout);
        let stderr = stream(STDERR, place_of_descriptor(io::stderr().as_fd()));
        // Check this first, because the message can't go there.
        let of_stdout = |one: &&Use| {
            let one_file = stderr.is_same(&stdout) && is_file(io::stderr().as_fd());
            one.place == Some(Place::Stdout) && one_file
        };
        let mut uses = self.uses.iter();
        if let Some(one) = uses.find(|one| stderr.is_same(one) || of_stdout(one)) {
            return Err(stderr.clash_with(one));
        }
        for (number, output) in self.uses.iter().enumerate().filter(|(_, one)| one.written) {
            let before = self.uses[..number].iter();
            let inputs_after = self.uses[number..].iter().filter(|one| !one.written);
            for other in before.chain(inputs_after).chain([&stdout]) {
                if output.is_same(other) {
                    return Err(output.clash_with(other));
                }
            }
        }
        match self.uses.iter().find(|one| stdout.is_same(one)) {
            Some(one) => Err(stdout.clash_with(one)),
            None => Ok(()),
        }
    }

    fn push(
        &mut self,
        what: &'static str,
        path: &Path,
        written: bool,
        place: Option<Place>,
    ) -> &mut Self {
        self.uses.push(Use {
            what,
            path: path.into(),
            written,
            place,
        });
        self
    }
}

impl Use {
    fn is_same(&self, other: &Self) -> bool {
        self.place.is_some() && self.place == other.place
    }

    fn clash_with(&self, other: &Self) -> Clash {
        Clash {
            path: if self.path == Path::new("-") {
                other.path.clone()
            } else {
                self.path.clone()
            },
            output: self.what,
            other: other.what,
        }
    }
}

fn place_of(path: &Path) -> Option<Place> {
    let mut path = path.to_path_buf();
    for _ in 0..LINKS_MAX {
        match std::fs::metadata(&path) {
            Ok(metadata) => return place_of_metadata(&metadata),
            // A link to a missing file: the new file will be at the end of the link.
            Err(_) => match std::fs::read_link(&path) {
                Ok(target) => path = path.parent().unwrap_or(Path::new("")).join(target),
                Err(_) => break,
            },
        }
    }
    let folder = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let name = path.file_name()?.to_owned();
    let folder = Box::new(place_of_metadata(&std::fs::metadata(folder).ok()?)?);
    Some(Place::New { folder, name })
}

fn place_of_descriptor(descriptor: BorrowedFd<'_>) -> Option<Place> {
    let file = File::from(descriptor.try_clone_to_owned().ok()?);
    place_of_metadata(&file.metadata().ok()?)
}

fn is_file(descriptor: BorrowedFd<'_>) -> bool {
    let file = descriptor.try_clone_to_owned().map(File::from);
    file.and_then(|file| file.metadata())
        .is_ok_and(|metadata| metadata.is_file())
}

fn place_of_metadata(metadata: &Metadata) -> Option<Place> {
    let kind = metadata.file_type();
    let holds = kind.is_file() || kind.is_dir() || kind.is_fifo() || kind.is_block_device();
    holds.then(|| Place::There {
        device: metadata.dev(),
        inode: metadata.ino(),
    })
}
