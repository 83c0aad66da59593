//! Rows of files, whose fields become variables. A worker takes a new row in each pass.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use csv::{ByteRecord, ReaderBuilder};
use encarno_nib::delay::uniform;
use encarno_record::{VariableId, Variables};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::names::Names;
use crate::settings::{DataOrder, DataSettings};

/// The most bytes of a file of rows, which is held in memory.
const FILE_BYTES_MAX: u64 = 512 << 20;

/// A file of rows, shared by all workers.
#[derive(Debug)]
pub struct DataSource {
    rows: Vec<ByteRecord>,
    ids: Vec<VariableId>,
    order: DataOrder,
    next: AtomicUsize,
    /// The step from one row to the next; other parts of the run may take the rows
    /// between.
    step: AtomicUsize,
}

/// Why a file of rows can't be used.
#[derive(Debug, thiserror::Error)]
#[error("data file {file}: {reason}", file = file.display())]
pub struct DataError {
    /// The file.
    pub file: PathBuf,
    /// Why not.
    pub reason: String,
}

impl DataSource {
    /// Reads the whole file.
    pub(super) fn read(settings: &DataSettings, names: &mut Names) -> Result<Self, DataError> {
        let error = |reason: String| DataError {
            file: settings.file.clone(),
            reason,
        };
        let bytes = std::fs::metadata(&settings.file)
            .map_err(|source| error(source.to_string()))?
            .len();
        if bytes > FILE_BYTES_MAX {
            let most = FILE_BYTES_MAX >> 20;
            return Err(error(format!("it has more than {most} MiB")));
        }
        let mut reader = ReaderBuilder::new()
            .delimiter(settings.delimiter)
            .quoting(settings.quoted)
            .has_headers(false)
            .flexible(true)
            .from_path(&settings.file)
            .map_err(|source| error(source.to_string()))?;
        let mut rows = Vec::new();
        let mut columns = settings.names.clone();
        for row in reader.byte_records() {
            let row = row.map_err(|source| error(source.to_string()))?;
            if columns.is_empty() {
                let text = |field: &[u8]| String::from_utf8_lossy(field).trim().to_owned();
                columns = row.iter().map(text).collect();
                // Some editors put a byte order mark before the first letter.
                if let Some(first) = columns.first_mut() {
                    *first = first.trim_start_matches('\u{feff}').to_owned();
                }
                continue;
            }
            if row.len() < columns.len() {
                let line = row.position().map_or(0, csv::Position::line);
                return Err(error(format!(
                    "line {line} has {} fields, and there are {} names: {}",
                    row.len(),
                    columns.len(),
                    columns.join(", ")
                )));
            }
            rows.push(row);
        }
        if rows.is_empty() {
            return Err(error("it has no rows".to_owned()));
        }
        let ids = columns.iter().map(|name| names.id_of(name));
        let ids = ids.collect::<Result<_, _>>().map_err(error)?;
        Ok(Self {
            rows,
            ids,
            order: settings.order,
            next: AtomicUsize::new(0),
            step: AtomicUsize::new(1),
        })
    }

    /// Takes the rows number, number + count, … from now on.
    pub(super) fn take_part(&self, number: usize, count: usize) {
        self.next.store(number, Ordering::Relaxed);
        self.step.store(count, Ordering::Relaxed);
    }

    /// Sets the variables to the next row; false if no row is left.
    pub(super) fn next(&self, variables: &mut Variables, random: &mut Xoshiro256PlusPlus) -> bool {
        let count = self.rows.len();
        let step = self.step.load(Ordering::Relaxed);
        let index = match self.order {
            DataOrder::Loop => self.next.fetch_add(step, Ordering::Relaxed) % count,
            DataOrder::Once => self.next.fetch_add(step, Ordering::Relaxed),
            DataOrder::Random => (uniform(random) * count as f64) as usize,
        };
        let Some(row) = self.rows.get(index) else {
            // Stop counting, so that the counter can't overflow.
            self.next.store(count, Ordering::Relaxed);
            return false;
        };
        for (id, field) in self.ids.iter().zip(row) {
            variables.set(*id, field);
        }
        true
    }
}
