//! The entry points of the fuzz targets.

use rustls::pki_types::CertificateDer;

use crate::usage;

/// Reads any bytes as the certificates of a chain.
pub fn usage(own: &[u8], others: &[&[u8]]) {
    let others: Vec<_> = others
        .iter()
        .map(|&other| CertificateDer::from(other))
        .collect();
    let _checked = usage::check(&CertificateDer::from(own), &others);
}
