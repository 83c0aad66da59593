//! The native result file: what is in its frames.
//!
//! | kind | payload (little endian) |
//! |---|---|
//! | 1 run | schema version u32, start of the run in unix ns u64, settings as text |
//! | 2 strings | number of the first u32, then for each: length u32, bytes |
//! | 3 hits | number of the first in this file u64, then [`HIT_BYTES`] for each |
//! | 4 end | hits u64, hits not recorded u64 |
//!
//! The run comes first; strings come before the hits that use them.

mod reader;

pub use reader::{Block, ResultReader, ResultSummary, ResultsError};

use crate::frame::append_frame;
use crate::{Hit, StringId};

/// The schema that is written. A reader refuses a newer one.
pub const SCHEMA_VERSION: u32 = 1;
/// The length of a hit on disk.
pub const HIT_BYTES: usize = 92;
/// Hits in one frame, at most.
pub const HITS_MAX: usize = 32 * 1024;

const KIND_RUN: u16 = 1;
const KIND_STRINGS: u16 = 2;
const KIND_HITS: u16 = 3;
const KIND_END: u16 = 4;
/// A longer text is cut: an error's text is a peer's to choose.
const TEXT_BYTES_MAX: usize = 64 * 1024;
const STRINGS_BYTES_MAX: usize = 1 << 20;

/// Appends the frame that says which run this is.
pub fn append_run(out: &mut Vec<u8>, started_unix_ns: u64, settings_text: &str) {
    append_frame(out, KIND_RUN, |out| {
        out.extend_from_slice(&SCHEMA_VERSION.to_le_bytes());
        out.extend_from_slice(&started_unix_ns.to_le_bytes());
        out.extend_from_slice(cut(settings_text, STRINGS_BYTES_MAX).as_bytes());
    });
}

/// Appends frames with texts, numbered from `first` on.
pub fn append_strings<T: AsRef<str>>(out: &mut Vec<u8>, first: StringId, texts: &[T]) {
    let mut next = 0;
    while next < texts.len() {
        append_frame(out, KIND_STRINGS, |out| {
            let start = out.len();
            out.extend_from_slice(&(first.0 + next as u32).to_le_bytes());
            while next < texts.len() && out.len() - start < STRINGS_BYTES_MAX {
                let text = cut(texts[next].as_ref(), TEXT_BYTES_MAX);
                out.extend_from_slice(&(text.len() as u32).to_le_bytes());
                out.extend_from_slice(text.as_bytes());
                next += 1;
            }
        });
    }
}

/// Appends frames with hits; `first` = how many hits the file already has.
pub fn append_hits(out: &mut Vec<u8>, first: u64, hits: &[Hit]) {
    for (chunk, hits) in hits.chunks(HITS_MAX).enumerate() {
        append_frame(out, KIND_HITS, |out| {
            out.extend_from_slice(&(first + (chunk * HITS_MAX) as u64).to_le_bytes());
            let start = out.len();
            out.resize(start + hits.len() * HIT_BYTES, 0);
            let (places, _) = out[start..].as_chunks_mut::<HIT_BYTES>();
            for (place, hit) in places.iter_mut().zip(hits) {
                encode(hit, place);
            }
        });
    }
}

/// Appends the frame that says that the file is whole.
pub fn append_end(out: &mut Vec<u8>, hits: u64, hits_lost: u64) {
    append_frame(out, KIND_END, |out| {
        out.extend_from_slice(&hits.to_le_bytes());
        out.extend_from_slice(&hits_lost.to_le_bytes());
    });
}

#[inline]
fn encode(hit: &Hit, out: &mut [u8; HIT_BYTES]) {
    let wide = [
        hit.scheduled_ns,
        hit.started_ns,
        hit.connected_ns,
        hit.sent_ns,
        hit.first_byte_ns,
        hit.ended_ns,
        hit.sent_bytes,
        hit.received_bytes,
    ];
    let narrow = [hit.label.0, hit.error.0, hit.concurrency, hit.worker];
    let (wides, rest) = out.split_at_mut(64);
    for (place, value) in wides.as_chunks_mut::<8>().0.iter_mut().zip(wide) {
        *place = value.to_le_bytes();
    }
    for (place, value) in rest.as_chunks_mut::<4>().0.iter_mut().zip(narrow) {
        *place = value.to_le_bytes();
    }
    out[80..82].copy_from_slice(&hit.net_code.to_le_bytes());
    out[82..84].copy_from_slice(&hit.protocol_code.to_le_bytes());
    out[84..88].copy_from_slice(&hit.dns_us.to_le_bytes());
    out[88..92].copy_from_slice(&hit.tls_us.to_le_bytes());
}

#[inline]
fn decode(bytes: &[u8; HIT_BYTES]) -> Hit {
    let wide = |n: usize| {
        let b = bytes.as_chunks::<8>().0[n];
        u64::from_le_bytes(b)
    };
    let narrow = |n: usize| {
        let b = bytes.as_chunks::<4>().0[n];
        u32::from_le_bytes(b)
    };
    Hit {
        scheduled_ns: wide(0),
        started_ns: wide(1),
        connected_ns: wide(2),
        sent_ns: wide(3),
        first_byte_ns: wide(4),
        ended_ns: wide(5),
        sent_bytes: wide(6),
        received_bytes: wide(7),
        label: StringId(narrow(16)),
        error: StringId(narrow(17)),
        concurrency: narrow(18),
        worker: narrow(19),
        net_code: u16::from_le_bytes([bytes[80], bytes[81]]),
        protocol_code: u16::from_le_bytes([bytes[82], bytes[83]]),
        dns_us: narrow(21),
        tls_us: narrow(22),
    }
}

fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}
