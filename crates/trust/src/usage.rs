//! Checks the purposes of certificates' keys (RFC 5280, 4.2.1.3), which rustls doesn't.

use std::fmt;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::{CertificateError, OtherError};

/// A key that is used for a purpose that its certificate doesn't allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Misuse {
    /// The peer's own key, which signs the handshake.
    Own,
    /// The key of an authority between it and a trusted one.
    Authority,
}

impl fmt::Display for Misuse {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Own => "its key isn't for signatures (keyUsage without digitalSignature)",
            Self::Authority => {
                "it is signed by a key that isn't for certificates (keyUsage without keyCertSign)"
            }
        })
    }
}

impl std::error::Error for Misuse {}

/// Checks whether the keys of a chain are used for their purposes. The signatures were
/// checked before.
pub(super) fn check(
    certificate: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
) -> Result<(), CertificateError> {
    let misused = |misuse| CertificateError::Other(OtherError(Arc::new(misuse)));
    let own = Parts::read(certificate).ok_or(CertificateError::BadEncoding)?;
    if !own.may(DIGITAL_SIGNATURE) {
        return Err(misused(Misuse::Own));
    }
    let others = intermediates.iter().filter_map(|other| Parts::read(other));
    let others: Vec<_> = others.collect();
    // Go up to an issuer that wasn't sent, which is a trusted authority.
    let mut issuer = own.issuer;
    for _ in 0..others.len() {
        let issuers = || others.iter().filter(|other| other.subject == issuer);
        let Some(first) = issuers().next() else { break };
        if !issuers().any(|issuer| issuer.may(KEY_CERT_SIGN)) {
            return Err(misused(Misuse::Authority));
        }
        issuer = first.issuer;
    }
    Ok(())
}

/// Bits of a keyUsage, the first one first.
const DIGITAL_SIGNATURE: u8 = 0x80;
const KEY_CERT_SIGN: u8 = 0x04;

/// The parts of a certificate that are checked.
struct Parts<'a> {
    issuer: &'a [u8],
    subject: &'a [u8],
    /// The first eight bits; `None` if the certificate has none, so that all purposes are
    /// allowed.
    usage: Option<u8>,
}

impl<'a> Parts<'a> {
    /// Reads a certificate; `None` if it doesn't follow RFC 5280.
    fn read(certificate: &'a [u8]) -> Option<Self> {
        const VERSION: u8 = 0xa0;
        const EXTENSIONS: u8 = 0xa3;
        let mut signed = take(&mut take(&mut &*certificate, SEQUENCE)?, SEQUENCE)?;
        if signed.first() == Some(&VERSION) {
            take(&mut signed, VERSION)?;
        }
        take(&mut signed, INTEGER)?; // its number
        take(&mut signed, SEQUENCE)?; // the algorithm of its signature
        let issuer = take(&mut signed, SEQUENCE)?;
        take(&mut signed, SEQUENCE)?; // when it is valid
        let subject = take(&mut signed, SEQUENCE)?;
        take(&mut signed, SEQUENCE)?; // its key
        let mut usage = None;
        while let Some(&tag) = signed.first() {
            let mut part = take(&mut signed, tag)?;
            if tag == EXTENSIONS {
                let mut extensions = take(&mut part, SEQUENCE)?;
                while !extensions.is_empty() {
                    let extension = take(&mut extensions, SEQUENCE)?;
                    usage = usage.or(key_usage(extension)?);
                }
            }
        }
        Some(Self {
            issuer,
            subject,
            usage,
        })
    }

    fn may(&self, purpose: u8) -> bool {
        self.usage.is_none_or(|usage| usage & purpose != 0)
    }
}

const BOOLEAN: u8 = 0x01;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const OID: u8 = 0x06;
const SEQUENCE: u8 = 0x30;

/// The first bits of an extension, if it is a keyUsage. The outer `None` means that it
/// can't be read.
fn key_usage(mut extension: &[u8]) -> Option<Option<u8>> {
    const KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f]; // 2.5.29.15
    if take(&mut extension, OID)? != KEY_USAGE {
        return Some(None);
    }
    if extension.first() == Some(&BOOLEAN) {
        take(&mut extension, BOOLEAN)?; // whether it is critical
    }
    let bits = take(&mut take(&mut extension, OCTET_STRING)?, BIT_STRING)?;
    // The first byte is the number of unused bits in the last byte; the bits follow.
    let (_unused, bits) = bits.split_first()?;
    Some(Some(bits.first().copied().unwrap_or(0)))
}

/// Takes the value with this tag from the start of DER data.
fn take<'a>(der: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    let (&[found, length], rest) = der.split_first_chunk()?;
    if found != tag {
        return None;
    }
    let (length, rest) = match length {
        0..=0x7f => (usize::from(length), rest),
        // A length that takes 1 to 4 bytes.
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
            let length = bytes
                .iter()
                .fold(0, |length, byte| length << 8 | usize::from(*byte));
            (length, rest)
        }
        _ => return None,
    };
    let (value, rest) = rest.split_at_checked(length)?;
    *der = rest;
    Some(value)
}

#[cfg(test)]
mod tests {
    use rcgen::{
        BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair,
        KeyUsagePurpose,
    };
    use rustls::CertificateError;
    use rustls::pki_types::CertificateDer;

    use super::check;

    /// A server's certificate with these purposes, and that of its authority.
    fn chain(
        authority: &[KeyUsagePurpose],
        server: &[KeyUsagePurpose],
    ) -> [CertificateDer<'static>; 2] {
        let params = |name: &str, purposes: &[KeyUsagePurpose]| {
            let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
            params.distinguished_name.push(DnType::CommonName, name);
            params.key_usages = purposes.to_vec();
            params
        };
        let key = || KeyPair::generate().expect("a key");
        let mut between = params("authority", authority);
        between.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let between = CertifiedIssuer::self_signed(between, key()).expect("an authority");
        let server = params("localhost", server).signed_by(&key(), &between);
        [
            server.expect("a certificate").der().clone(),
            between.der().clone(),
        ]
    }

    #[test]
    fn keys_are_used_for_what_they_are_for() {
        use KeyUsagePurpose::{CrlSign, DigitalSignature, KeyCertSign, KeyEncipherment};
        for (authority, server, error) in [
            (&[][..], &[][..], None),
            (&[KeyCertSign], &[DigitalSignature], None),
            (
                &[KeyCertSign, CrlSign],
                &[DigitalSignature, KeyEncipherment],
                None,
            ),
            (&[KeyCertSign], &[KeyEncipherment], Some("digitalSignature")),
            (&[CrlSign], &[DigitalSignature], Some("keyCertSign")),
        ] {
            let [server, between] = chain(authority, server);
            let checked = check(&server, &[between]);
            match (checked, error) {
                (Ok(()), None) => {}
                (Err(CertificateError::Other(misuse)), Some(error)) => {
                    assert!(misuse.to_string().contains(error), "{misuse}");
                }
                (checked, _) => panic!("{checked:?}, expected: {error:?}"),
            }
        }
        let [server, _] = chain(&[KeyCertSign], &[DigitalSignature]);
        let [_, stranger] = chain(&[CrlSign], &[]);
        assert_eq!(check(&server, &[]), Ok(()), "its authority is a root");
        // Other certificates that were sent don't matter.
        let nonsense = CertificateDer::from(vec![0; 9]);
        assert_eq!(check(&nonsense, &[]), Err(CertificateError::BadEncoding));
        let checked = check(&server, &[nonsense, stranger]);
        assert!(
            matches!(checked, Err(CertificateError::Other(_))),
            "{checked:?}"
        );
    }

    #[test]
    fn any_bytes_are_parts_or_none() {
        let [server, _] = chain(&[], &[KeyUsagePurpose::DigitalSignature]);
        for end in 0..server.len() {
            assert!(super::Parts::read(&server[..end]).is_none(), "{end}");
            for byte in [0, 0x7f, 0x80, 0x84, 0xff] {
                let mut changed = server.to_vec();
                changed[end] = byte;
                let _parts = super::Parts::read(&changed);
            }
        }
    }
}
