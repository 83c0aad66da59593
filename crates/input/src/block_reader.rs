//! Blocks, lines and payloads of a file that may be compressed.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use encarno_record::Payload;
use encarno_record::files::MARK;
use flate2::read::MultiGzDecoder;

use super::RecordError;

/// The longest line.
pub(super) const LINE_BYTES_MAX: usize = 1 << 20;

/// A file, read in blocks.
pub(super) struct BlockReader {
    reader: Reader,
    /// The unused data start at `at`.
    block: Bytes,
    at: usize,
    offset: u64,
    /// Whether anything was read yet.
    started: bool,
    at_end: bool,
    block_bytes: usize,
    memory_bytes_max: u64,
}

enum Reader {
    /// A plain file. Payloads can be sent from it, and its size shows wrong lengths at
    /// once.
    Plain {
        file: Arc<File>,
        position: u64,
        bytes: u64,
    },
    Gzip(Box<MultiGzDecoder<BufReader<At>>>, Arc<File>),
    /// A pipe or the standard input: read once.
    Stream(File),
}

/// A file that is read at its own position, independent of other readers.
struct At(Arc<File>, u64);

impl Read for At {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let bytes = self.0.read_at(out, self.1)?;
        self.1 += bytes as u64;
        Ok(bytes)
    }
}

impl BlockReader {
    pub(super) fn open(path: &Path, block_bytes: usize, memory_bytes_max: u64) -> io::Result<Self> {
        let actual = if path == Path::new("-") {
            Path::new("/dev/stdin")
        } else {
            path
        };
        let file = File::open(actual)?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let reader = if metadata.is_file() {
            let file = Arc::new(file);
            let mut magic = [0; 2];
            match file.read_at(&mut magic, 0)? {
                2 if magic == [0x1f, 0x8b] => gzip(file),
                _ => Reader::Plain {
                    file,
                    position: 0,
                    bytes: metadata.len(),
                },
            }
        } else {
            Reader::Stream(file)
        };
        Ok(Self::new(reader, block_bytes, memory_bytes_max))
    }

    fn new(reader: Reader, block_bytes: usize, memory_bytes_max: u64) -> Self {
        Self {
            reader,
            block: Bytes::new(),
            at: 0,
            offset: 0,
            started: false,
            at_end: false,
            block_bytes,
            memory_bytes_max,
        }
    }

    /// The file from its start. A compressed file is decompressed to a temporary one,
    /// because each reader of a compressed file would need its own window.
    pub(super) fn unpacked(self) -> io::Result<Self> {
        let Reader::Gzip(_, file) = self.reader else {
            return Ok(self);
        };
        let mut unpacked = tempfile::tempfile()?;
        let mut packed = MultiGzDecoder::new(BufReader::new(At(file, 0)));
        let bytes = io::copy(&mut packed, &mut unpacked)?;
        let reader = Reader::Plain {
            file: Arc::new(unpacked),
            position: 0,
            bytes,
        };
        Ok(Self::new(reader, self.block_bytes, self.memory_bytes_max))
    }

    /// The same file from its start, for another reader.
    pub(super) fn again(&self) -> io::Result<Self> {
        let reader = match &self.reader {
            Reader::Plain { file, bytes, .. } => Reader::Plain {
                file: Arc::clone(file),
                position: 0,
                bytes: *bytes,
            },
            Reader::Gzip(_, file) => gzip(Arc::clone(file)),
            Reader::Stream(_) => {
                return Err(io::Error::new(
                    io::ErrorKind::NotSeekable,
                    "a pipe can be read once only",
                ));
            }
        };
        Ok(Self::new(reader, self.block_bytes, self.memory_bytes_max))
    }

    /// The offset of the next byte in the (decompressed) file.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    pub(super) fn can_rewind(&self) -> bool {
        !matches!(self.reader, Reader::Stream(_))
    }

    pub(super) fn rewind(&mut self) -> io::Result<()> {
        match &mut self.reader {
            Reader::Plain { position, .. } => *position = 0,
            Reader::Gzip(_, file) => self.reader = gzip(Arc::clone(file)),
            Reader::Stream(_) => return Err(io::ErrorKind::NotSeekable.into()),
        }
        (self.block, self.at, self.offset) = (Bytes::new(), 0, 0);
        (self.started, self.at_end) = (false, false);
        Ok(())
    }

    /// Up to this many of the next bytes; fewer at the end of the file.
    pub(super) fn peek(&mut self, bytes: usize) -> io::Result<&[u8]> {
        while self.rest().len() < bytes && self.read_block(bytes)? {}
        let rest = self.rest();
        Ok(&rest[..rest.len().min(bytes)])
    }

    /// The next line without its end; `None` at the end of the file. Get its bytes with
    /// [`BlockReader::bytes`] before you read anything else.
    pub(super) fn line(&mut self) -> Result<Option<Range<usize>>, RecordError> {
        let mut searched = 0;
        loop {
            let rest = &self.block[self.at..];
            if let Some(length) = memchr::memchr(b'\n', &rest[searched..]) {
                return Ok(Some(self.use_line(searched + length, 1)));
            }
            searched = rest.len();
            if searched > LINE_BYTES_MAX {
                let start = self.offset;
                self.skip_line()?;
                let reason = format!("a line of more than {LINE_BYTES_MAX} bytes");
                return Err(RecordError::new(reason).at(start));
            }
            if !self.read_block(searched + 1)? {
                return Ok((searched > 0).then(|| self.use_line(searched, 0)));
            }
        }
    }

    /// The bytes of the line that was just read.
    pub(super) fn bytes(&self, line: Range<usize>) -> &[u8] {
        &self.block[line]
    }

    /// Skips line ends.
    pub(super) fn skip_line_ends(&mut self) -> io::Result<()> {
        loop {
            let rest = self.rest();
            let ends = rest
                .iter()
                .take_while(|&&byte| byte == b'\n' || byte == b'\r')
                .count();
            let whole = ends == rest.len();
            self.use_bytes(ends);
            if !whole || !self.read_block(1)? {
                return Ok(());
            }
        }
    }

    /// Skips to the next line that satisfies the condition, or to the end. The next
    /// record may start there after a broken one.
    pub(super) fn skip_until(&mut self, start: impl Fn(&[u8]) -> bool) -> io::Result<()> {
        loop {
            // A condition checks only the start of a line.
            self.peek(4096)?;
            let rest = self.rest();
            let line = &rest[..memchr::memchr(b'\n', rest).unwrap_or(rest.len())];
            if rest.is_empty() || start(line.trim_ascii_end()) {
                return Ok(());
            }
            self.skip_line()?;
        }
    }

    /// A payload of this length. If the file is too short, no data are consumed (unless
    /// only reading could show it).
    pub(super) fn payload(&mut self, length: u64) -> Result<Payload, RecordError> {
        if length <= self.memory_bytes_max {
            return Ok(Payload::Memory(self.take(length as usize)?));
        }
        let start = self.offset;
        if let Reader::Plain {
            file,
            position,
            bytes,
        } = &mut self.reader
        {
            if length > bytes.saturating_sub(start) {
                return Err(too_short(length, bytes.saturating_sub(start)));
            }
            let payload = Payload::File {
                file: Arc::clone(file),
                range: start..start + length,
            };
            let rest = self.block.len() - self.at;
            if length <= rest as u64 {
                self.use_bytes(length as usize);
            } else {
                *position = start + length;
                (self.block, self.at, self.offset) = (Bytes::new(), 0, start + length);
            }
            return Ok(payload);
        }
        self.spool(length)
    }

    /// This many bytes, in memory.
    pub(super) fn take(&mut self, length: usize) -> Result<Bytes, RecordError> {
        let there = self.peek(length)?.len();
        if there < length {
            return Err(too_short(length as u64, there as u64));
        }
        let bytes = self.block.slice(self.at..self.at + length);
        self.use_bytes(length);
        Ok(bytes)
    }

    /// Copies a payload of a compressed file to a temporary file, from which it is sent.
    fn spool(&mut self, length: u64) -> Result<Payload, RecordError> {
        let mut file = tempfile::tempfile().map_err(|error| {
            RecordError::fatal(format!(
                "a payload of {length} bytes needs a temporary file: {error}"
            ))
        })?;
        let mut left = length;
        while left > 0 {
            let some = self.peek(1)?.len() as u64;
            if some == 0 {
                return Err(too_short(length, length - left));
            }
            let rest = self.rest();
            let piece = &rest[..rest.len().min(usize::try_from(left).unwrap_or(usize::MAX))];
            io::Write::write_all(&mut file, piece).map_err(|error| {
                RecordError::fatal(format!(
                    "can't write a payload to a temporary file: {error}"
                ))
            })?;
            let used = piece.len();
            left -= used as u64;
            self.use_bytes(used);
        }
        Ok(Payload::File {
            file: Arc::new(file),
            range: 0..length,
        })
    }

    fn rest(&self) -> &[u8] {
        &self.block[self.at..]
    }

    fn use_bytes(&mut self, bytes: usize) {
        self.at += bytes;
        self.offset += bytes as u64;
    }

    fn use_line(&mut self, length: usize, end: usize) -> Range<usize> {
        let start = self.at;
        self.use_bytes(length + end);
        let line = &self.block[start..start + length];
        start..start + length - usize::from(line.ends_with(b"\r"))
    }

    pub(super) fn skip_line(&mut self) -> io::Result<()> {
        loop {
            match memchr::memchr(b'\n', self.rest()) {
                Some(length) => {
                    self.use_bytes(length + 1);
                    return Ok(());
                }
                None => self.use_bytes(self.rest().len()),
            }
            if !self.read_block(1)? {
                return Ok(());
            }
        }
    }

    /// Reads on: the rest and the following data become the block, with at least `wanted`
    /// bytes unless the file ends. False if there was nothing more.
    fn read_block(&mut self, wanted: usize) -> io::Result<bool> {
        if self.at_end {
            return Ok(false);
        }
        let rest = self.block.slice(self.at..);
        let more = self.block_bytes.max(wanted.saturating_sub(rest.len()));
        // One byte more than needed, so that the end of the file is seen without growing.
        let mut block = Vec::with_capacity(rest.len() + more + 32);
        block.extend_from_slice(&rest);
        let bytes = match &mut self.reader {
            Reader::Plain { file, position, .. } => {
                let bytes = At(Arc::clone(file), *position)
                    .take(more as u64)
                    .read_to_end(&mut block)?;
                *position += bytes as u64;
                bytes
            }
            Reader::Gzip(decoder, _) => decoder.take(more as u64).read_to_end(&mut block)?,
            // Take what is available now, because the rest may come late.
            Reader::Stream(file) => {
                let start = block.len();
                block.resize(start + more, 0);
                let bytes = file.read(&mut block[start..])?;
                block.truncate(start + bytes);
                bytes
            }
        };
        self.block = block.into();
        self.at = 0;
        self.at_end = match self.reader {
            Reader::Stream(_) => bytes == 0,
            _ => bytes < more,
        };
        if !self.started {
            if MARK.starts_with(self.rest()) && !self.at_end {
                // A pipe may give a few bytes at a time, so the mark may be incomplete.
                return self.read_block(MARK.len());
            }
            self.started = true;
            if self.rest().starts_with(MARK) {
                self.use_bytes(MARK.len());
            }
        }
        Ok(bytes > 0)
    }
}

fn gzip(file: Arc<File>) -> Reader {
    let at = BufReader::with_capacity(128 << 10, At(Arc::clone(&file), 0));
    Reader::Gzip(Box::new(MultiGzDecoder::new(at)), file)
}

fn too_short(length: u64, there: u64) -> RecordError {
    RecordError::new(format!(
        "{length} bytes are announced, and only {there} are there"
    ))
}

/// Stores generated bytes for sending: in memory, or in a temporary file if there are
/// many.
pub(super) fn made(
    head: Vec<u8>,
    body: Payload,
    memory_bytes_max: u64,
) -> Result<Payload, RecordError> {
    let (body_file, range) = match body {
        Payload::Memory(bytes) => {
            let mut whole = head;
            whole.extend_from_slice(&bytes);
            return Ok(Payload::Memory(whole.into()));
        }
        Payload::File { file, range } => (file, range),
    };
    debug_assert!(range.end - range.start > memory_bytes_max);
    let spool = || -> io::Result<Payload> {
        let mut file = tempfile::tempfile()?;
        io::Write::write_all(&mut file, &head)?;
        io::copy(
            &mut At(body_file, range.start).take(range.end - range.start),
            &mut file,
        )?;
        let end = file.stream_position()?;
        Ok(Payload::File {
            file: Arc::new(file),
            range: 0..end,
        })
    };
    spool().map_err(|error| {
        RecordError::fatal(format!("a large request needs a temporary file: {error}"))
    })
}
