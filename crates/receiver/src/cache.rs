//! Compiled components in a directory, by the content of their wasm files.
//!
//! The files are machine code that this process runs. So the directory must belong to the
//! user who runs it, and nobody else may write to it. A checksum detects files that were
//! truncated or altered by accident. Files for other versions of wasmtime or other
//! processors have other names.

#![allow(unsafe_code)]

use std::fs::{self, File};
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use wasmtime::component::Component;
use wasmtime::error::Context as _;
use wasmtime::{Engine, Result, bail};

const CHECKSUM_BYTES: usize = 32;

/// A directory of compiled components.
pub(crate) struct Cache {
    directory: PathBuf,
}

impl Cache {
    /// Opens the directory, and creates it if it doesn't exist.
    pub(crate) fn open(directory: &Path) -> Result<Self> {
        let what = || format!("--cache: cannot use {}", directory.display());
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .with_context(what)?;
        let metadata = fs::metadata(directory).with_context(what)?;
        let own = fs::metadata("/proc/self").map_or(metadata.uid(), |own| own.uid());
        if metadata.mode() & 0o022 != 0 || ![own, 0].contains(&metadata.uid()) {
            bail!(
                "--cache: others may write to {}, whose files are run: make it your own with \
                 chown and chmod 700",
                directory.display()
            );
        }
        Ok(Self {
            directory: directory.to_owned(),
        })
    }

    /// The component that was compiled from these bytes for such an engine; `None` if
    /// there is none.
    pub(crate) fn load(&self, engine: &Engine, wasm: &[u8]) -> Option<Component> {
        let file = self.file(engine, wasm);
        let content = fs::read(&file).ok()?;
        let loaded = match content.split_at_checked(CHECKSUM_BYTES) {
            Some((checksum, compiled)) if *checksum == *Sha256::digest(compiled) => {
                // SAFETY: the checksum shows that these are the bytes that `store` wrote,
                // which came from `Component::serialize`; and nobody else may write to
                // the directory.
                unsafe { Component::deserialize(engine, compiled) }
            }
            _ => Err(wasmtime::format_err!("it was truncated or altered")),
        };
        match loaded {
            Ok(component) => Some(component),
            Err(error) => {
                tracing::warn!("{} can't be used: {error:#}", file.display());
                None
            }
        }
    }

    /// Stores a component that was compiled from these bytes.
    pub(crate) fn store(&self, component: &Component, wasm: &[u8]) {
        let file = self.file(component.engine(), wasm);
        if let Err(error) = write(&file, component) {
            tracing::warn!("cannot keep the compiled component: {error:#}");
        }
    }

    fn file(&self, engine: &Engine, wasm: &[u8]) -> PathBuf {
        let hasher = BuildHasherDefault::<DefaultHasher>::default();
        let compatible = hasher.hash_one(engine.precompile_compatibility_hash());
        let content = Sha256::digest(wasm);
        let name = format!("{content:x}-{compatible:016x}.cwasm");
        self.directory.join(name)
    }
}

fn write(file: &Path, component: &Component) -> Result<()> {
    let compiled = component.serialize()?;
    // Write another file first, so that processes that use the name at the same time
    // never see a part of it.
    let new = file.with_extension(format!("{}.new", std::process::id()));
    let what = || format!("cannot write {}", new.display());
    let mut out = File::create(&new).with_context(what)?;
    out.write_all(&Sha256::digest(&compiled))
        .with_context(what)?;
    out.write_all(&compiled).with_context(what)?;
    fs::rename(&new, file).with_context(what)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use wasmtime::component::Component;
    use wasmtime::{Config, Engine};

    use super::Cache;

    #[test]
    fn what_was_stored_is_loaded_and_nothing_else() {
        let directory = encarno_test_peers::scratch("cache").join("made");
        let cache = Cache::open(&directory).expect("a cache");
        let engine = Engine::new(&Config::new()).expect("an engine");
        let wasm = wat::parse_str("(component)").expect("a component");
        assert!(cache.load(&engine, &wasm).is_none());
        let component = Component::from_binary(&engine, &wasm).expect("a component");
        cache.store(&component, &wasm);
        assert!(cache.load(&engine, &wasm).is_some());
        assert!(cache.load(&engine, b"others").is_none());
        let mut other = Config::new();
        other.epoch_interruption(true);
        let other = Engine::new(&other).expect("an engine");
        assert!(cache.load(&other, &wasm).is_none(), "compiled otherwise");

        let file = cache.file(&engine, &wasm);
        let whole = fs::read(&file).expect("the file");
        let mut altered = whole.clone();
        altered[whole.len() / 2] ^= 1;
        for broken in [&altered[..], &whole[..whole.len() - 1], &whole[..10], b""] {
            fs::write(&file, broken).expect("the file");
            assert!(cache.load(&engine, &wasm).is_none());
        }
        cache.store(&component, &wasm);
        assert!(cache.load(&engine, &wasm).is_some());

        let everybody = fs::Permissions::from_mode(0o777);
        fs::set_permissions(&directory, everybody).expect("the directory");
        let error = Cache::open(&directory).err().expect("not safe");
        assert!(error.to_string().contains("others may write"), "{error}");
        let _ = fs::remove_dir_all(&directory);
    }
}
