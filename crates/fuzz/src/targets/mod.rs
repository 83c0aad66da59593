//! The targets, by what they read.

#[cfg(feature = "receiver")]
pub(crate) mod codec;
pub(crate) mod grpc;
pub(crate) mod hpack;
pub(crate) mod http1;
pub(crate) mod http2;
pub(crate) mod http3;
pub(crate) mod input;
pub(crate) mod json;
#[cfg(feature = "receiver")]
pub(crate) mod needs;
pub(crate) mod results;
pub(crate) mod scripts;
pub(crate) mod texts;
pub(crate) mod websocket;
pub(crate) mod wrpc;

/// The first byte as a choice, and the rest.
fn choice(bytes: &[u8]) -> (usize, &[u8]) {
    match bytes.split_first() {
        Some((&first, rest)) => (usize::from(first), rest),
        None => (0, bytes),
    }
}

/// Checks that no value of a head has an end of a line.
fn assert_lines(head: &[u8]) {
    let ends_of = |byte| head.iter().filter(|&&other| other == byte).count();
    let lines = head.windows(2).filter(|two| two == b"\r\n").count();
    assert_eq!(
        (ends_of(b'\r'), ends_of(b'\n')),
        (lines, lines),
        "no value has an end of a line"
    );
}

/// The bytes as text; `None` if they aren't UTF-8.
fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

/// The parts between bytes that don't occur in UTF-8.
fn parts(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|&byte| byte == 0xff)
}

/// A file of frames with valid checksums, made from: kind, length as u16, payload, and so
/// on.
fn frames(magic: &[u8], bytes: &[u8]) -> Vec<u8> {
    let mut file = magic.to_vec();
    let mut rest = bytes;
    while let Some((&[kind, low, high], after)) = rest.split_first_chunk() {
        let length = usize::from(u16::from_le_bytes([low, high])).min(after.len());
        let (payload, after) = after.split_at(length);
        encarno_record::frame::append_frame(&mut file, u16::from(kind), |out| {
            out.extend_from_slice(payload);
        });
        rest = after;
    }
    file
}
