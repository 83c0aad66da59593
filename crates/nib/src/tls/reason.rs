//! Why TLS failed, in people's words.
//!
//! The same failure has the same words: they have no times in them, and little
//! of what the peer says.

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, PeerIncompatible};

/// Longer texts are cut.
const CHARS_MAX: usize = 160;

/// What went wrong, and the way out if there is one.
pub fn reason(error: &Error) -> String {
    let known = match error {
        Error::InvalidMessage(
            InvalidMessage::InvalidContentType
            | InvalidMessage::UnknownProtocolVersion
            | InvalidMessage::MessageTooLarge
            | InvalidMessage::InvalidEmptyPayload,
        ) => "the server speaks no TLS on this port (or another protocol)",
        Error::InvalidCertificate(error) => return certificate(error),
        Error::PeerIncompatible(
            PeerIncompatible::NoCipherSuitesInCommon
            | PeerIncompatible::NoKxGroupsInCommon
            | PeerIncompatible::NoEcPointFormatsInCommon,
        )
        | Error::AlertReceived(
            AlertDescription::HandshakeFailure | AlertDescription::InsufficientSecurity,
        ) => {
            "no cipher suite in common: the server may have only RSA key exchange or CBC, \
             which aren't supported"
        }
        Error::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
            | PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled,
        )
        | Error::AlertReceived(AlertDescription::ProtocolVersion) => {
            "no version in common: the server may speak only TLS 1.0 or 1.1, which aren't supported"
        }
        Error::AlertReceived(
            AlertDescription::CertificateRequired | AlertDescription::NoCertificate,
        ) => "the server wants a client certificate: --certificate and --key",
        Error::AlertReceived(
            AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied,
        ) => "the server refuses the client's certificate, or that there is none",
        Error::AlertReceived(AlertDescription::UnrecognisedName) => {
            "the server doesn't know the name that it was asked for: --server-name"
        }
        Error::AlertReceived(AlertDescription::NoApplicationProtocol)
        | Error::NoApplicationProtocol => "the server doesn't speak HTTP/1.1 over TLS",
        Error::AlertReceived(alert) => return format!("the server says: {alert:?}"),
        other => return bounded(&other.to_string()),
    };
    known.to_owned()
}

fn certificate(error: &CertificateError) -> String {
    let known = match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the server's certificate has expired"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the server's certificate isn't valid yet"
        }
        error if is_self_signed(error) => {
            "the server's certificate is self-signed, or of an authority that isn't trusted: \
             --ca-file, or -k to accept any"
        }
        CertificateError::NotValidForName => {
            "the server's certificate is for another name: --server-name"
        }
        CertificateError::NotValidForNameContext {
            expected,
            presented,
        } => {
            let presented = bounded(&presented.join(", "));
            return format!(
                "the server's certificate isn't for {}, but for {presented}: --server-name",
                expected.to_str()
            );
        }
        CertificateError::Revoked => "the server's certificate was revoked",
        CertificateError::BadEncoding => "the server's certificate can't be read",
        CertificateError::BadSignature => "the server's certificate has a wrong signature",
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "the server's certificate isn't one for servers"
        }
        other => return bounded(&format!("the server's certificate: {other}")),
    };
    known.to_owned()
}

/// Whether it is of nobody who is trusted. A certificate that signs itself is
/// often marked as an authority.
fn is_self_signed(error: &CertificateError) -> bool {
    match error {
        CertificateError::UnknownIssuer => true,
        CertificateError::Other(other) => format!("{other:?}").contains("CaUsedAsEndEntity"),
        _ => false,
    }
}

fn bounded(text: &str) -> String {
    match text.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustls::pki_types::{ServerName, UnixTime};
    use rustls::{CertificateError, Error, InvalidMessage};

    use super::reason;

    #[test]
    fn the_same_failure_has_the_same_words() {
        let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let expired = |seconds| {
            reason(&Error::InvalidCertificate(
                CertificateError::ExpiredContext {
                    time: at(seconds),
                    not_after: at(1),
                },
            ))
        };
        assert_eq!(expired(5), expired(6));
        assert_eq!(expired(5), "the server's certificate has expired");
        let names = CertificateError::NotValidForNameContext {
            expected: ServerName::try_from("h.test").expect("a name"),
            presented: vec!["x".repeat(100); 1000],
        };
        assert!(reason(&Error::InvalidCertificate(names)).chars().count() < 300);
        let plain = reason(&Error::InvalidMessage(InvalidMessage::InvalidContentType));
        assert!(plain.contains("speaks no TLS"), "{plain}");
    }
}
