//! Parquet files in folders by run and second (or minute), as Hive lays them out:
//! `run=NAME/second=UNIX/0.parquet`. A question of a few seconds then reads only these.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::ParquetSink;
use super::sink::{OutputError, Sink};
use crate::results::Ending;
use crate::{Hit, Texts};

/// The number of hits that are kept until the files of their seconds are written: 16 MB.
const KEPT_HITS: usize = 128 * 1024;

/// The most folders of a run: more than a day of seconds.
const FOLDERS_MAX: usize = 100_000;

/// The length of the time that one folder holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Partition {
    /// Folders `second=UNIX`: seconds since 1970.
    Second,
    /// Folders `minute=UNIX`: minutes since 1970.
    Minute,
}

impl Partition {
    fn name(self) -> &'static str {
        match self {
            Self::Second => "second",
            Self::Minute => "minute",
        }
    }

    fn length_ns(self) -> u64 {
        match self {
            Self::Second => 1_000_000_000,
            Self::Minute => 60_000_000_000,
        }
    }
}

/// A folder of Parquet files. It has a hidden name until it is whole, so that nobody reads half
/// of a run.
#[derive(Debug)]
pub struct PartitionedSink {
    partition: Partition,
    started_unix_ns: u64,
    growing: PathBuf,
    run: PathBuf,
    kept: BTreeMap<u64, Vec<Hit>>,
    kept_hits: usize,
    /// How many files each folder has. Hits of other event loops may come after the first one
    /// was written.
    files: BTreeMap<u64, u32>,
    bytes: u64,
}

impl PartitionedSink {
    /// Creates the folder `run=NAME` in another one, which may be there already.
    ///
    /// # Errors
    ///
    /// If it is there already: two runs in one folder would be taken for one.
    pub fn create(
        to: &Path,
        run: &str,
        partition: Partition,
        started_unix_ns: u64,
    ) -> Result<Self, OutputError> {
        let growing = to.join(format!(".run={run}"));
        let run = to.join(format!("run={run}"));
        if run.exists() {
            return Err(failure("create", &run, io::ErrorKind::AlreadyExists.into()));
        }
        fs::create_dir_all(to).map_err(|error| failure("create", to, error))?;
        // What a conversion left that was stopped.
        match fs::remove_dir_all(&growing) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failure("remove", &growing, error));
            }
            _ => {}
        }
        fs::create_dir(&growing).map_err(|error| failure("create", &growing, error))?;
        Ok(Self {
            partition,
            started_unix_ns,
            growing,
            run,
            kept: BTreeMap::new(),
            kept_hits: 0,
            files: BTreeMap::new(),
            bytes: 0,
        })
    }

    fn write_out(
        &mut self,
        period: u64,
        hits: &[Hit],
        texts: &mut Texts,
    ) -> Result<(), OutputError> {
        let name = format!("{}={period}", self.partition.name());
        let folder = self.growing.join(name);
        if self.files.len() == FOLDERS_MAX && !self.files.contains_key(&period) {
            let text =
                format!("the run has more than {FOLDERS_MAX} folders: partition it by minute");
            return Err(failure("create", &folder, io::Error::other(text)));
        }
        let number = self.files.entry(period).or_default();
        if *number == 0 {
            fs::create_dir(&folder).map_err(|error| failure("create", &folder, error))?;
        }
        let path = folder.join(format!("{number}.parquet"));
        *number += 1;
        let mut file = ParquetSink::create(&path, self.started_unix_ns)?;
        file.hits(hits, texts)?;
        self.bytes += file.finish(Ending::default(), texts)?;
        Ok(())
    }

    /// Writes the earlier half of the periods, or the only one.
    fn make_room(&mut self, texts: &mut Texts) -> Result<(), OutputError> {
        for _ in 0..self.kept.len().div_ceil(2) {
            let Some((period, hits)) = self.kept.pop_first() else {
                break;
            };
            self.kept_hits -= hits.len();
            self.write_out(period, &hits, texts)?;
        }
        Ok(())
    }
}

impl Sink for PartitionedSink {
    fn hits(&mut self, hits: &[Hit], texts: &mut Texts) -> Result<(), OutputError> {
        for hit in hits {
            let ended_unix_ns = self.started_unix_ns.saturating_add(hit.ended_ns);
            let period = ended_unix_ns / self.partition.length_ns();
            self.kept.entry(period).or_default().push(*hit);
            self.kept_hits += 1;
            if self.kept_hits >= KEPT_HITS {
                self.make_room(texts)?;
            }
        }
        Ok(())
    }

    fn finish(&mut self, _ending: Ending, texts: &mut Texts) -> Result<u64, OutputError> {
        while !self.kept.is_empty() {
            self.make_room(texts)?;
        }
        fs::rename(&self.growing, &self.run)
            .map_err(|error| failure("rename", &self.run, error))?;
        Ok(self.bytes)
    }
}

fn failure(operation: &'static str, path: &Path, source: io::Error) -> OutputError {
    OutputError {
        operation,
        path: path.into(),
        source,
    }
}
