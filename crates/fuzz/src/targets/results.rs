//! Result files: complete, damaged and generated ones.

use encarno_record::Texts;
use encarno_record::frame::RESULT_MAGIC;
use encarno_record::results::{Block, ResultReader, SumsReader};
use encarno_report::Run;

use super::frames;
use crate::memory_file::MemoryFile;

/// Reads frames with valid checksums.
pub(crate) fn blocks(bytes: &[u8]) {
    read(&frames(&RESULT_MAGIC, bytes));
}

/// Reads any bytes as a file.
pub(crate) fn any(bytes: &[u8]) {
    read(bytes);
    read(&[&RESULT_MAGIC, bytes].concat());
}

fn read(bytes: &[u8]) {
    let hits = hit_by_hit(bytes);
    let Some(file) = MemoryFile::new(bytes) else {
        return;
    };
    let Some(sums) = file.open().and_then(|file| SumsReader::new(file).ok()) else {
        return;
    };
    assert!(hits.is_some(), "both read the file or neither does");
    by_sums(sums);
    if let Ok(run) = Run::of_file(&file.path(), "a <name>".to_owned()) {
        let mut page = Counted(0);
        let _ = encarno_report::write(&[run], &[], &mut page);
    }
}

/// The number of hits; `None` if the file can't be read.
fn hit_by_hit(bytes: &[u8]) -> Option<u64> {
    let mut reader = ResultReader::new(bytes).ok()?;
    let mut hits = 0;
    let mut texts = Texts::default();
    while let Ok(Some(block)) = reader.next_block() {
        match block {
            Block::Strings(block) => block.add_to(&mut texts),
            Block::Hits(block) => hits += block.iter().count() as u64,
            Block::Mark(mark) => drop(format!("{mark:?}")),
            Block::Other | Block::End => {}
        }
    }
    let _ = reader.summary().to_string();
    Some(hits)
}

fn by_sums(mut reader: SumsReader) {
    let mut texts = Texts::default();
    while let Ok(Some(sums)) = reader.next_sums(&mut texts) {
        let _ = format!("{sums:?}");
    }
    let mut seconds = 0_u64;
    let _ = reader.rest(|sums| sums.for_each(|_, _, _| seconds += 1));
    let _ = reader.whole_until_ns();
    let _ = reader.summary().to_string();
}

/// Counts the bytes that are written, and refuses more than a page may have.
struct Counted(usize);

impl std::io::Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        assert!(self.0 < 256 << 20, "a page without an end");
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
