//! The files of a run: they are put into the object store once, by content, and agents
//! keep them.

use std::path::{Component, Path, PathBuf};

use sha2::{Digest, Sha256};
use tokio::fs;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::FleetError;
use crate::bus::Bus;
use crate::words::PlanFile;

/// The size of the pieces in which files are read.
const PIECE: usize = 256 << 10;

/// A file that a run reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunFile {
    /// Where the run looks for it, below its folder.
    pub name: String,
    /// Where it lies.
    pub path: PathBuf,
}

/// Puts a file into the store, unless it is there.
pub(crate) async fn put(bus: &Bus, file: &RunFile) -> Result<PlanFile, FleetError> {
    check(&file.name)?;
    let path = &file.path;
    let shown = path.display().to_string();
    let (sha256, bytes) = sum(path).await.map_err(FleetError::of(&shown))?;
    let known = bus.files.info(&sha256).await;
    if !known.is_ok_and(|info| info.size as u64 == bytes) {
        let mut open = fs::File::open(path).await.map_err(FleetError::of(&shown))?;
        let put = bus.files.put(&*sha256, &mut open).await;
        put.map_err(FleetError::of(format!("{shown} can't be put into NATS")))?;
    }
    Ok(PlanFile {
        path: file.name.clone(),
        sha256,
        bytes,
    })
}

/// Puts a file of a run where the run looks for it.
pub(crate) async fn get(
    bus: &Bus,
    file: &PlanFile,
    cache: &Path,
    folder: &Path,
) -> Result<(), FleetError> {
    check(&file.path)?;
    let is_sum = file.sha256.len() == 64 && file.sha256.bytes().all(|b| b.is_ascii_hexdigit());
    if !is_sum {
        return Err(FleetError(format!(
            "{}: {:?} is no SHA-256",
            file.path, file.sha256
        )));
    }
    let failed = |what| FleetError::of(format!("{}: {what}", file.path));
    let kept = cache.join(&file.sha256);
    let is_kept = sum(&kept)
        .await
        .is_ok_and(|known| known == (file.sha256.clone(), file.bytes));
    if !is_kept {
        fs::create_dir_all(cache)
            .await
            .map_err(failed("no folder to store it"))?;
        let new = cache.join(format!("{}.{}", file.sha256, std::process::id()));
        let result = fetch(bus, file, &new).await;
        if result.is_err() {
            let _gone = fs::remove_file(&new).await;
        }
        result?;
        fs::rename(&new, &kept)
            .await
            .map_err(failed("no folder to store it"))?;
    }
    let place = folder.join(&file.path);
    if let Some(parent) = place.parent() {
        fs::create_dir_all(parent)
            .await
            .map_err(failed("no place for it"))?;
    }
    // Make a copy, so that changes to it don't change the cache.
    fs::copy(&kept, &place)
        .await
        .map_err(failed("no place for it"))?;
    Ok(())
}

async fn fetch(bus: &Bus, file: &PlanFile, new: &Path) -> Result<(), FleetError> {
    let mut object = bus
        .files
        .get(&file.sha256)
        .await
        .map_err(FleetError::of(format!(
            "{} isn't in NATS any more",
            file.path
        )))?;
    let mut out = fs::File::create(new)
        .await
        .map_err(FleetError::of(&file.path))?;
    let (mut piece, mut hasher, mut bytes) = (vec![0; PIECE], Sha256::new(), 0);
    loop {
        let read = object
            .read(&mut piece)
            .await
            .map_err(FleetError::of(&file.path))?;
        if read == 0 {
            break;
        }
        bytes += read as u64;
        if bytes > file.bytes {
            break;
        }
        hasher.update(&piece[..read]);
        out.write_all(&piece[..read])
            .await
            .map_err(FleetError::of(&file.path))?;
    }
    out.flush().await.map_err(FleetError::of(&file.path))?;
    if bytes != file.bytes || hex(&hasher.finalize()) != file.sha256 {
        return Err(FleetError(format!(
            "{} arrived damaged from NATS",
            file.path
        )));
    }
    Ok(())
}

/// Checks that the path is below the run's folder.
fn check(path: &str) -> Result<(), FleetError> {
    let below = Path::new(path)
        .components()
        .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if below && !path.is_empty() {
        return Ok(());
    }
    Err(FleetError(format!(
        "{path}: the files of a run on agents lie in this folder or below it: name it so, by a relative path"
    )))
}

async fn sum(path: &Path) -> std::io::Result<(String, u64)> {
    let mut file = fs::File::open(path).await?;
    let (mut piece, mut hasher, mut bytes) = (vec![0; PIECE], Sha256::new(), 0);
    loop {
        let read = file.read(&mut piece).await?;
        if read == 0 {
            return Ok((hex(&hasher.finalize()), bytes));
        }
        bytes += read as u64;
        hasher.update(&piece[..read]);
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
