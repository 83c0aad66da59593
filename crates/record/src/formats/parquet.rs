//! Parquet with the columns of the CSV: numbers as INT64 (unsigned), texts as
//! UTF-8, compressed with Snappy.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::basic::{Compression, LogicalType, Repetition, Type as PhysicalType};
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::{Type, TypePtr};

use super::csv::{COLUMNS, numbers};
use super::sink::{OutputError, Sink};
use crate::files::{self, Contents};
use crate::results::Ending;
use crate::{Hit, Texts};

/// The number of hits in a row group, which takes about 20 MB of memory.
const GROUP_HITS: usize = 128 * 1024;

/// A Parquet file.
pub struct ParquetSink {
    writer: SerializedFileWriter<File>,
    path: PathBuf,
    started_unix_ns: u64,
    columns: Vec<Vec<i64>>,
    labels: Vec<ByteArray>,
    errors: Vec<ByteArray>,
}

impl ParquetSink {
    /// Creates the file.
    pub fn create(path: &Path, started_unix_ns: u64) -> Result<Self, OutputError> {
        let file = files::create(path, Contents::Results).map_err(|source| OutputError {
            operation: "create",
            path: path.into(),
            source,
        })?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .build();
        let writer = schema()
            .and_then(|schema| SerializedFileWriter::new(file, schema, Arc::new(properties)))
            .map_err(|error| failure(path, error))?;
        Ok(Self {
            writer,
            path: path.into(),
            started_unix_ns,
            columns: vec![Vec::new(); COLUMNS.len() - 2],
            labels: Vec::new(),
            errors: Vec::new(),
        })
    }

    fn write_group(&mut self) -> Result<(), ParquetError> {
        let mut group = self.writer.next_row_group()?;
        for column in &mut self.columns {
            if let Some(mut writer) = group.next_column()? {
                writer
                    .typed::<Int64Type>()
                    .write_batch(column, None, None)?;
                writer.close()?;
            }
            column.clear();
        }
        for column in [&mut self.labels, &mut self.errors] {
            if let Some(mut writer) = group.next_column()? {
                writer
                    .typed::<ByteArrayType>()
                    .write_batch(column, None, None)?;
                writer.close()?;
            }
            column.clear();
        }
        group.close().map(drop)
    }
}

impl Sink for ParquetSink {
    fn hits(&mut self, hits: &[Hit], texts: &mut Texts) -> Result<(), OutputError> {
        for hit in hits {
            for (column, number) in self
                .columns
                .iter_mut()
                .zip(numbers(hit, self.started_unix_ns))
            {
                column.push(number.cast_signed());
            }
            self.labels.push(ByteArray::from(&*texts.get(hit.label)));
            self.errors.push(ByteArray::from(&*texts.get(hit.error)));
        }
        if self.labels.len() >= GROUP_HITS {
            self.write_group()
                .map_err(|error| failure(&self.path, error))?;
        }
        Ok(())
    }

    fn finish(&mut self, _ending: Ending, _texts: &mut Texts) -> Result<u64, OutputError> {
        if !self.labels.is_empty() {
            self.write_group()
                .map_err(|error| failure(&self.path, error))?;
        }
        self.writer
            .finish()
            .map_err(|error| failure(&self.path, error))?;
        Ok(self.writer.bytes_written() as u64)
    }
}

fn schema() -> Result<TypePtr, ParquetError> {
    let text_from = COLUMNS.len() - 2;
    let columns = COLUMNS.iter().enumerate().map(|(place, name)| {
        let (physical, logical) = if place < text_from {
            (PhysicalType::INT64, LogicalType::integer(64, false))
        } else {
            (PhysicalType::BYTE_ARRAY, LogicalType::String)
        };
        let column = Type::primitive_type_builder(name, physical)
            .with_repetition(Repetition::REQUIRED)
            .with_logical_type(Some(logical));
        column.build().map(Arc::new)
    });
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    Type::group_type_builder("hit")
        .with_fields(columns)
        .build()
        .map(Arc::new)
}

fn failure(path: &Path, error: ParquetError) -> OutputError {
    OutputError {
        operation: "write",
        path: path.into(),
        source: std::io::Error::other(error),
    }
}
