//! What the fuzz targets call.

use rustls::pki_types::CertificateDer;

use crate::usage;

/// Any bytes are certificates of a chain, or none.
pub fn usage(own: &[u8], others: &[&[u8]]) {
    let others: Vec<_> = others
        .iter()
        .map(|&other| CertificateDer::from(other))
        .collect();
    let _checked = usage::check(&CertificateDer::from(own), &others);
}
