//! Framed blocks with checksums, the layout of the native files.
//!
//! A file consists of 8 bytes that give its kind, and frames. A frame is a header of 16
//! bytes (little endian: mark u32, kind u16, check of the header u16, length u32, CRC32C
//! of the payload u32) and its payload. After damage, a reader continues at the next mark
//! with a valid header, so one bad byte costs one frame.

use std::fmt;
use std::io::{self, Read};
use std::ops::Range;

/// The first bytes of every native result file.
pub const RESULT_MAGIC: [u8; 8] = *b"\x89encres\n";
/// The first bytes of every native input file.
pub const INPUT_MAGIC: [u8; 8] = *b"\x89encinp\n";
/// The most bytes of a payload; a larger length is damage.
pub const PAYLOAD_BYTES_MAX: usize = 8 << 20;

/// The first bytes of a frame.
pub const MARK: [u8; 4] = *b"\xf1ENB";
/// The length of a frame's header.
pub const HEADER_BYTES: usize = 16;
const READ_BYTES: usize = 1 << 20;

/// Appends a frame to `out`; `payload` appends its payload.
pub fn append_frame(out: &mut Vec<u8>, kind: u16, payload: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER_BYTES]);
    payload(out);
    let (header, payload) = out[start..].split_at_mut(HEADER_BYTES);
    assert!(
        payload.len() <= PAYLOAD_BYTES_MAX,
        "a frame holds at most {PAYLOAD_BYTES_MAX} bytes"
    );
    let length = payload.len() as u32;
    header[..4].copy_from_slice(&MARK);
    header[4..6].copy_from_slice(&kind.to_le_bytes());
    header[6..8].copy_from_slice(&header_check(kind, length).to_le_bytes());
    header[8..12].copy_from_slice(&length.to_le_bytes());
    header[12..].copy_from_slice(&crc32c::crc32c(payload).to_le_bytes());
}

/// A frame with valid checksums.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// The kind of the frame.
    pub kind: u16,
    /// Its place in the file.
    pub offset: u64,
    /// Its payload.
    pub payload: &'a [u8],
}

/// The bytes that don't belong to a valid frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Damage {
    /// The number of separate places.
    pub places: u64,
    /// The offset of the first place.
    pub first_offset: u64,
    /// The number of bytes in all places.
    pub bytes: u64,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            places,
            first_offset,
            bytes,
        } = self;
        let ending = if *places == 1 { "" } else { "s" };
        write!(
            f,
            "{bytes} bytes in {places} place{ending} are damaged, the first at offset {first_offset}"
        )
    }
}

/// Reads one frame after the other, with large reads and constant memory.
#[derive(Debug)]
pub struct FrameReader<R> {
    source: R,
    buffer: Vec<u8>,
    used: Range<usize>,
    offset: u64,
    damage: Damage,
    in_damage: bool,
}

impl<R: Read> FrameReader<R> {
    /// A reader of the frames after the first 8 bytes.
    pub fn new(source: R) -> Self {
        Self {
            source,
            buffer: Vec::new(),
            used: 0..0,
            offset: RESULT_MAGIC.len() as u64,
            damage: Damage::default(),
            in_damage: false,
        }
    }

    /// The next frame; `None` at the present end of the data. If the file grows, a later
    /// call continues.
    pub fn next_frame(&mut self) -> io::Result<Option<Frame<'_>>> {
        while let Some(header) = self.next_header()? {
            let length = header.length as usize;
            if !self.fill(HEADER_BYTES + length)? {
                return Ok(None);
            }
            let start = self.used.start + HEADER_BYTES;
            if crc32c::crc32c(&self.buffer[start..start + length]) == header.crc {
                let offset = self.offset;
                self.in_damage = false;
                self.advance(HEADER_BYTES + length);
                let payload = &self.buffer[start..start + length];
                return Ok(Some(Frame {
                    kind: header.kind,
                    offset,
                    payload,
                }));
            }
            self.lose(1);
        }
        Ok(None)
    }

    /// The damage so far.
    pub fn damage(&self) -> Damage {
        self.damage
    }

    /// The number of bytes at the end that begin an incomplete frame.
    pub fn incomplete_bytes(&self) -> u64 {
        self.used.len() as u64
    }

    /// The offset of the next frame.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    fn next_header(&mut self) -> io::Result<Option<Header>> {
        while self.fill(HEADER_BYTES)? {
            let bytes = &self.buffer[self.used.clone()];
            if let Some(header) = Header::parse(bytes) {
                return Ok(Some(header));
            }
            // Skip the first byte, up to the next byte that may begin a mark.
            let skipped = 1 + memchr::memchr(MARK[0], &bytes[1..]).unwrap_or(bytes.len() - 1);
            self.lose(skipped);
        }
        Ok(None)
    }

    fn lose(&mut self, bytes: usize) {
        if !self.in_damage {
            self.in_damage = true;
            self.damage.places += 1;
            if self.damage.places == 1 {
                self.damage.first_offset = self.offset;
            }
        }
        self.damage.bytes += bytes as u64;
        self.advance(bytes);
    }

    fn advance(&mut self, bytes: usize) {
        self.used.start += bytes;
        self.offset += bytes as u64;
    }

    /// Makes at least `wanted` bytes available; false if the file has no more.
    fn fill(&mut self, wanted: usize) -> io::Result<bool> {
        if self.used.len() >= wanted {
            return Ok(true);
        }
        self.buffer.copy_within(self.used.clone(), 0);
        self.used = 0..self.used.len();
        let room = wanted.next_multiple_of(READ_BYTES) + READ_BYTES;
        if self.buffer.len() < room {
            self.buffer.resize(room, 0);
        }
        while self.used.len() < wanted {
            match self.source.read(&mut self.buffer[self.used.end..]) {
                Ok(0) => return Ok(false),
                Ok(bytes) => self.used.end += bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

/// A frame's header.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    /// The kind of the frame.
    pub kind: u16,
    /// The length of its payload.
    pub length: u32,
    crc: u32,
}

impl Header {
    /// The header at the start of these bytes; `None` if its own checksum is wrong.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let (header, _) = bytes.split_first_chunk::<HEADER_BYTES>()?;
        let &[a, b, c, d, k0, k1, h0, h1, l0, l1, l2, l3, c0, c1, c2, c3] = header;
        let kind = u16::from_le_bytes([k0, k1]);
        let length = u32::from_le_bytes([l0, l1, l2, l3]);
        let right = [a, b, c, d] == MARK
            && u16::from_le_bytes([h0, h1]) == header_check(kind, length)
            && length as usize <= PAYLOAD_BYTES_MAX;
        right.then_some(Self {
            kind,
            length,
            crc: u32::from_le_bytes([c0, c1, c2, c3]),
        })
    }
}

impl Header {
    /// Whether the payload has the right checksum.
    pub fn is_of(&self, payload: &[u8]) -> bool {
        crc32c::crc32c(payload) == self.crc
    }
}

/// The checksum of the header. Without it, a damaged length would hide all later frames.
fn header_check(kind: u16, length: u32) -> u16 {
    let [k0, k1] = kind.to_le_bytes();
    let [l0, l1, l2, l3] = length.to_le_bytes();
    crc32c::crc32c(&[k0, k1, l0, l1, l2, l3]) as u16
}

#[cfg(test)]
mod tests {
    use super::{FrameReader, append_frame};

    fn file(frames: &[&[u8]]) -> Vec<u8> {
        let mut file = Vec::new();
        for (number, payload) in frames.iter().enumerate() {
            append_frame(&mut file, number as u16, |out| {
                out.extend_from_slice(payload)
            });
        }
        file
    }

    fn read(file: &[u8]) -> (Vec<(u16, Vec<u8>)>, u64, u64) {
        let mut reader = FrameReader::new(file);
        let mut frames = Vec::new();
        while let Some(frame) = reader.next_frame().expect("slices don't fail") {
            frames.push((frame.kind, frame.payload.to_vec()));
        }
        (frames, reader.damage().bytes, reader.incomplete_bytes())
    }

    #[test]
    fn cut_anywhere_the_frames_before_are_read() {
        let file = file(&[b"one", b"", b"three"]);
        let ends = [19, 35, 56];
        assert_eq!(file.len(), 56);
        for cut in 0..=file.len() {
            let (frames, damaged, incomplete) = read(&file[..cut]);
            let complete = ends.iter().filter(|&&end| end <= cut).count();
            assert_eq!(frames.len(), complete, "cut at {cut}");
            let complete_bytes = if complete == 0 { 0 } else { ends[complete - 1] };
            assert_eq!(damaged + incomplete, (cut - complete_bytes) as u64);
        }
    }

    #[test]
    fn a_flipped_bit_costs_one_frame() {
        let good = file(&[b"one", b"two", b"three", b"four"]);
        for position in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[position] ^= 1 << bit;
                let (frames, damaged, incomplete) = read(&bad);
                assert_eq!(frames.len(), 3, "byte {position} bit {bit}");
                assert!(damaged + incomplete >= 19);
            }
        }
    }

    #[test]
    fn a_file_that_grows_is_read_on() {
        let file = file(&[b"one", b"two"]);
        let (first, rest) = file.split_at(25);
        let growing = Growing {
            parts: vec![rest, b"", first],
        };
        let mut reader = FrameReader::new(growing);
        assert!(reader.next_frame().expect("no error").is_some());
        assert!(reader.next_frame().expect("no error").is_none());
        assert!(reader.next_frame().expect("no error").is_some());
        assert_eq!(reader.damage().bytes, 0);
    }

    struct Growing<'a> {
        parts: Vec<&'a [u8]>,
    }

    impl std::io::Read for Growing<'_> {
        fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
            let Some(part) = self.parts.pop() else {
                return Ok(0);
            };
            out[..part.len()].copy_from_slice(part);
            Ok(part.len())
        }
    }
}
