//! A file of wasm, read, checked and compiled.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use encarno_record::files::read_whole;
use sha2::{Digest as _, Sha256};
use wasmtime::component::Component;
use wasmtime::{Config, Engine};

/// A longer file isn't read.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// How long a guest runs before its time is looked at.
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// Why a component can't be used.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{file}: {reason}", file = file.display())]
pub struct ComponentError {
    /// The file.
    pub file: PathBuf,
    /// What is wrong, and what to do.
    pub reason: String,
}

/// A component, compiled.
#[derive(Clone)]
pub struct Loaded {
    pub(crate) file: PathBuf,
    pub(crate) component: Component,
    pub(crate) sha256: String,
    pub(crate) bytes: usize,
}

impl std::fmt::Debug for Loaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.file.display(), self.sha256)
    }
}

impl Loaded {
    /// Reads and compiles it. With a checksum, it has to have that one.
    pub fn open(file: &Path, sha256: Option<&str>) -> Result<Self, ComponentError> {
        let error = |reason: String| ComponentError {
            file: file.into(),
            reason,
        };
        let wasm = read_whole(file, FILE_BYTES_MAX).map_err(|source| error(source.to_string()))?;
        let digest = Sha256::digest(&wasm)
            .iter()
            .fold(String::new(), |mut text, byte| {
                let _written = write!(text, "{byte:02x}");
                text
            });
        if let Some(expected) = sha256
            && !expected.trim().eq_ignore_ascii_case(&digest)
        {
            return Err(error(format!(
                "its sha256 is {digest}, and {expected} was asked for: it is another file"
            )));
        }
        let is_module = wasm.starts_with(b"\0asm\x01\0\0\0");
        if is_module {
            let reason = "it is a core module: make a component of it, for example with \
                          wasm-tools component new";
            return Err(error(reason.to_owned()));
        }
        if !wasm.starts_with(b"\0asm") {
            return Err(error("it isn't a file of wasm".to_owned()));
        }
        let engine = engine().map_err(error)?;
        let component = Component::from_binary(engine, &wasm)
            .map_err(|source| error(format!("it can't be compiled: {}", said(&source))))?;
        Ok(Self {
            file: file.into(),
            component,
            sha256: digest,
            bytes: wasm.len(),
        })
    }

    pub(crate) fn error(&self, reason: impl Into<String>) -> ComponentError {
        ComponentError {
            file: self.file.clone(),
            reason: reason.into(),
        }
    }
}

/// What an error of wasmtime says last, on one line.
pub(crate) fn said(error: &wasmtime::Error) -> String {
    let text = error.root_cause().to_string();
    let lines: Vec<_> = text.split_whitespace().collect();
    lines.join(" ")
}

/// A guest's text on one line, with so many characters at most.
pub(crate) fn cut(text: &str, chars_max: usize) -> String {
    let text = text.chars().take(chars_max);
    text.map(|it| if it.is_control() { ' ' } else { it })
        .collect()
}

/// The one engine of this process, with the thread that ends its slices.
pub(crate) fn engine() -> Result<&'static Engine, String> {
    static ENGINE: OnceLock<Result<Engine, String>> = OnceLock::new();
    let made = ENGINE.get_or_init(|| {
        let mut config = Config::new();
        config.epoch_interruption(true);
        // Guests are called one at a time, and wait for nothing.
        config.concurrency_support(false);
        let engine = Engine::new(&config).map_err(|error| said(&error))?;
        let ticking = engine.clone();
        let ticker = thread::Builder::new().name("guests".to_owned());
        let ticker = ticker.spawn(move || {
            loop {
                thread::sleep(TICK);
                ticking.increment_epoch();
            }
        });
        ticker.map_err(|error| format!("can't start a thread: {error}"))?;
        Ok(engine)
    });
    made.as_ref().map_err(Clone::clone)
}
