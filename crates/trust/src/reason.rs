//! Why TLS failed, in plain words.
//!
//! The same failure always has the same text: texts have no times, and little of the
//! peer's data.

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, PeerIncompatible};

/// The most characters; longer texts are cut.
const CHARS_MAX: usize = 160;
/// The most names of a certificate that are shown.
const NAMES_MAX: usize = 20;

/// Options that help after a failure, in the words of the program.
#[derive(Clone, Copy, Debug)]
pub struct Hints {
    /// The option for trusted certificates.
    pub authorities: &'static str,
    /// The option for the server's name.
    pub server_name: &'static str,
    /// The option for the client's certificate.
    pub identity: &'static str,
}

/// What failed, and the option that helps, if there is one.
pub fn reason(error: &Error, hints: &Hints) -> String {
    let known = match error {
        Error::InvalidMessage(
            InvalidMessage::InvalidContentType
            | InvalidMessage::UnknownProtocolVersion
            | InvalidMessage::MessageTooLarge
            | InvalidMessage::InvalidEmptyPayload,
        ) => "the server speaks no TLS on this port (or another protocol)",
        Error::InvalidCertificate(error) => return certificate(error, hints),
        Error::PeerIncompatible(
            PeerIncompatible::NoCipherSuitesInCommon
            | PeerIncompatible::NoKxGroupsInCommon
            | PeerIncompatible::NoEcPointFormatsInCommon,
        )
        | Error::AlertReceived(AlertDescription::InsufficientSecurity) => {
            "no cipher suite in common: the server may have only RSA key exchange or CBC, \
             which aren't supported"
        }
        // With TLS 1.2, servers send this too when a client shows no certificate.
        Error::AlertReceived(AlertDescription::HandshakeFailure) => {
            return format!(
                "the server ended the handshake: it may want a client certificate ({}), or have \
                 only RSA key exchange or CBC, which aren't supported",
                hints.identity
            );
        }
        Error::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
            | PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled,
        )
        | Error::AlertReceived(AlertDescription::ProtocolVersion) => {
            "no version in common: the server may speak only TLS 1.0 or 1.1, which aren't supported, \
             or only one that isn't to be used here"
        }
        Error::AlertReceived(
            AlertDescription::CertificateRequired | AlertDescription::NoCertificate,
        ) => return format!("the server wants a client certificate: {}", hints.identity),
        Error::AlertReceived(
            AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied,
        ) => "the server refuses the client's certificate, or requires one",
        Error::AlertReceived(AlertDescription::UnrecognisedName) => {
            return format!(
                "the server doesn't know the name that it was asked for: {}",
                hints.server_name
            );
        }
        Error::AlertReceived(AlertDescription::NoApplicationProtocol)
        | Error::NoApplicationProtocol => "the server doesn't speak that protocol over TLS (ALPN)",
        Error::AlertReceived(alert) => {
            return format!("the server ended it with the alert {}", u8::from(*alert));
        }
        other => return bounded(&other.to_string()),
    };
    known.to_owned()
}

fn certificate(error: &CertificateError, hints: &Hints) -> String {
    let known = match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the server's certificate has expired"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the server's certificate isn't valid yet"
        }
        error if is_self_signed(error) => {
            return format!(
                "the server's certificate is self-signed, or of an authority that isn't trusted: {}",
                hints.authorities
            );
        }
        CertificateError::NotValidForName => {
            return format!(
                "the server's certificate is for another name: {}",
                hints.server_name
            );
        }
        CertificateError::NotValidForNameContext {
            expected,
            presented,
        } => {
            // rustls shows names as `DnsName("…")`.
            let plain = |name: &String| name.split('"').nth(1).unwrap_or(name).to_owned();
            let presented: Vec<_> = presented.iter().take(NAMES_MAX).map(plain).collect();
            return format!(
                "the server's certificate isn't for {}, but for {}: {}",
                expected.to_str(),
                bounded(&presented.join(", ")),
                hints.server_name
            );
        }
        CertificateError::Revoked => "the server's certificate was revoked",
        CertificateError::BadEncoding => "the server's certificate can't be read",
        CertificateError::BadSignature => {
            return format!(
                "the server's certificate has a wrong signature, or it is self-signed and bears the \
                 name of another authority: {}",
                hints.authorities
            );
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "the server's certificate isn't one for servers"
        }
        other => return bounded(&format!("the server's certificate: {other}")),
    };
    known.to_owned()
}

/// Whether no trusted authority signed it. A self-signed certificate is often marked as
/// an authority.
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

    use super::{Hints, reason};

    const HINTS: Hints = Hints {
        authorities: "--ca",
        server_name: "--name",
        identity: "--cert",
    };

    #[test]
    fn the_same_failure_has_the_same_words() {
        let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let expired = |seconds| {
            let expired = CertificateError::ExpiredContext {
                time: at(seconds),
                not_after: at(1),
            };
            reason(&Error::InvalidCertificate(expired), &HINTS)
        };
        assert_eq!(expired(5), expired(6));
        assert_eq!(expired(5), "the server's certificate has expired");
        let names = CertificateError::NotValidForNameContext {
            expected: ServerName::try_from("h.test").expect("a name"),
            presented: vec!["x".repeat(100); 1000],
        };
        assert!(
            reason(&Error::InvalidCertificate(names), &HINTS)
                .chars()
                .count()
                < 300
        );
        let plain = reason(
            &Error::InvalidMessage(InvalidMessage::InvalidContentType),
            &HINTS,
        );
        assert!(plain.contains("speaks no TLS"), "{plain}");
    }
}
