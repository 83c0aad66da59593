//! Compresses and decompresses messages with gzip.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

/// Compresses bytes.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    // Writing to memory can't fail.
    let _written = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default()
}

/// Decompresses bytes. Fails if the result is longer than `bytes_max`, or if the bytes
/// aren't gzip.
pub fn gunzip(bytes: &[u8], bytes_max: usize) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let limit = (bytes_max as u64).saturating_add(1);
    MultiGzDecoder::new(bytes)
        .take(limit)
        .read_to_end(&mut out)
        .map_err(|error| format!("it isn't gzip: {error}"))?;
    match out.len() > bytes_max {
        true => Err(format!("it is longer than {bytes_max} bytes decompressed")),
        false => Ok(out),
    }
}

#[cfg(test)]
mod tests {
    use super::{gunzip, gzip};

    #[test]
    fn a_bomb_is_an_error() {
        let bomb = gzip(&vec![0; 10 << 20]);
        assert!(bomb.len() < 20_000);
        let error = gunzip(&bomb, 1 << 20).expect_err("too long");
        assert!(error.contains("longer than 1048576"), "{error}");
        assert_eq!(gunzip(&bomb, 10 << 20).map(|it| it.len()), Ok(10 << 20));
        assert!(gunzip(b"no gzip", 100).is_err());
        assert!(gunzip(&bomb[..100], 100 << 20).is_err());
    }
}
