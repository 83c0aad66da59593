//! TLS as a client. By default, certificates are verified.

use std::sync::Arc;

use encarno_secret::FileOrText;
use encarno_trust::{Hints, Trust, system_roots};
use rustls::client::{Resumption, VerifierBuilderError};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};

use crate::TlsSettings;

/// Options that help after a failure, by their names on the command line.
const HINTS: Hints = Hints {
    authorities: "--ca-file, or -k to accept any",
    server_name: "--server-name",
    identity: "--certificate and --key",
};

/// Why TLS can't be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The highest version is an insecure one.
    #[error(
        "TLS up to version {0} isn't possible: 1.0 (769) and 1.1 (770) are broken and not implemented; \
         set maxversion to 771 (1.2) or 772 (1.3)"
    )]
    Version(u16),
    /// The lowest version is above the highest.
    #[error("TLS versions {0} to {1}: none is between them")]
    NoVersion(u16, u16),
    /// None of the cipher suites is supported.
    #[error("TLS cipher suites: {unknown} are not known; these are: {known}")]
    CipherSuites {
        /// The suites that were asked for.
        unknown: String,
        /// The supported suites.
        known: String,
    },
    /// A file doesn't contain what it must.
    #[error("can't read the {what} in {path}: {reason}")]
    File {
        /// What the file must contain.
        what: &'static str,
        /// The file.
        path: String,
        /// Why not.
        reason: String,
    },
    /// The trusted certificates can't be used.
    #[error("the certificates to trust can't be used: {0}")]
    Roots(#[source] VerifierBuilderError),
    /// There is a certificate without a key, or a key without a certificate.
    #[error("a client certificate needs both its chain and its key")]
    HalfAnIdentity,
    /// An error of rustls.
    #[error("TLS set-up: {0}")]
    Rustls(#[from] rustls::Error),
}

/// Makes the configuration. Root certificates are the system's, so that a company's own
/// authority works as in a browser; if there are none, Mozilla's list is used.
pub fn client_config(
    settings: &TlsSettings,
    protocols: &[&[u8]],
) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = Arc::new(provider(&settings.cipher_suites)?);
    let versions = versions(settings.version_min, settings.version_max)?;
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions)?;
    let trust = match &settings.ca_file {
        _ if settings.insecure => Trust::all(&provider),
        Some(ca_file) => Trust::given(certificates(ca_file)?, provider)?,
        None => Trust::roots(roots(), provider).map_err(TlsError::Roots)?,
    };
    let builder = builder
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(trust));
    let mut config = match (&settings.certificate_file, &settings.key_file) {
        (None, None) => builder.with_no_client_auth(),
        (Some(chain), Some(key)) => {
            let what = "private key";
            let key = PrivateKeyDer::from_pem_slice(pem(what, key)?.as_bytes())
                .map_err(|error| file_error(what, key, error))?;
            builder.with_client_auth_cert(certificates(chain)?, key)?
        }
        _ => return Err(TlsError::HalfAnIdentity),
    };
    if settings.no_resumption {
        config.resumption = Resumption::disabled();
    }
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    Ok(Arc::new(config))
}

/// Why TLS failed, in plain words.
pub fn reason(error: &rustls::Error) -> String {
    encarno_trust::reason(error, &HINTS)
}

/// The server name for TLS: a host's name, or its IP address.
pub fn server_name(name: &str) -> Option<ServerName<'static>> {
    ServerName::try_from(name.to_owned()).ok()
}

fn provider(suites: &[String]) -> Result<CryptoProvider, TlsError> {
    let mut provider = ring::default_provider();
    if suites.is_empty() {
        return Ok(provider);
    }
    let all = std::mem::take(&mut provider.cipher_suites);
    // rustls has other names than IANA for the suites of TLS 1.3.
    let name_of = |suite: &rustls::SupportedCipherSuite| {
        format!("{:?}", suite.suite()).replace("TLS13_", "TLS_")
    };
    let mut unknown = Vec::new();
    for wanted in suites {
        match all
            .iter()
            .find(|suite| name_of(suite) == wanted.to_ascii_uppercase())
        {
            Some(suite) => provider.cipher_suites.push(*suite),
            None => unknown.push(wanted.as_str()),
        }
    }
    let unknown = unknown.join(", ");
    let known = all.iter().map(name_of).collect::<Vec<_>>().join(", ");
    if provider.cipher_suites.is_empty() {
        return Err(TlsError::CipherSuites { unknown, known });
    }
    if !unknown.is_empty() {
        tracing::warn!(
            "TLS cipher suites that aren't there are left out: {unknown}; there are: {known}"
        );
    }
    // As in Go, a list chooses only suites of TLS 1.2; those of 1.3 are always enabled.
    let is_tls13 = |suite: &&rustls::SupportedCipherSuite| suite.tls13().is_some();
    if !provider.cipher_suites.iter().any(|suite| is_tls13(&suite)) {
        provider.cipher_suites.extend(all.iter().filter(is_tls13));
    }
    Ok(provider)
}

fn versions(min: u16, max: u16) -> Result<Vec<&'static SupportedProtocolVersion>, TlsError> {
    const TLS_12: u16 = 771;
    const TLS_13: u16 = 772;
    if max != 0 && max < TLS_12 {
        return Err(TlsError::Version(max));
    }
    let max = if max == 0 { TLS_13 } else { max };
    let mut versions = Vec::new();
    if min <= TLS_12 {
        versions.push(&rustls::version::TLS12);
    }
    if min <= TLS_13 && max >= TLS_13 {
        versions.push(&rustls::version::TLS13);
    }
    if versions.is_empty() || min > max {
        Err(TlsError::NoVersion(min, max))
    } else {
        Ok(versions)
    }
}

/// The system's root certificates; if there are none, Mozilla's list.
fn roots() -> RootCertStore {
    let mut roots = system_roots();
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}

fn certificates(path: &FileOrText) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let what = "certificates";
    let pem = pem(what, path)?;
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    let certificates = read.map_err(|error| file_error(what, path, error))?;
    if certificates.is_empty() {
        Err(file_error(what, path, "there are none"))
    } else {
        Ok(certificates)
    }
}

fn pem(what: &'static str, path: &FileOrText) -> Result<String, TlsError> {
    path.read().map_err(|error| file_error(what, path, error))
}

fn file_error(what: &'static str, path: &FileOrText, reason: impl ToString) -> TlsError {
    TlsError::File {
        what,
        path: path.to_string(),
        reason: reason.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::{TlsError, client_config};
    use crate::TlsSettings;

    #[test]
    fn versions_that_are_gone_are_an_error_at_start() {
        let with = |version_min, version_max| {
            client_config(
                &TlsSettings {
                    version_min,
                    version_max,
                    ..TlsSettings::default()
                },
                &[],
            )
        };
        assert!(matches!(with(769, 770), Err(TlsError::Version(770))));
        assert!(matches!(with(772, 771), Err(TlsError::NoVersion(772, 771))));
        assert!(with(769, 772).is_ok());
        assert!(with(0, 0).is_ok());
        let suites = TlsSettings {
            cipher_suites: vec!["TLS_NO".to_owned()],
            ..TlsSettings::default()
        };
        assert!(matches!(
            client_config(&suites, &[]),
            Err(TlsError::CipherSuites { .. })
        ));
        // Go's lists contain insecure suites.
        let go = [
            "TLS_RSA_WITH_AES_128_CBC_SHA",
            "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        ];
        let suites = TlsSettings {
            cipher_suites: go.map(str::to_owned).to_vec(),
            ..TlsSettings::default()
        };
        let config = client_config(&suites, &[]).expect("one is left");
        let left = &config.crypto_provider().cipher_suites;
        let tls13 = left.iter().filter(|suite| suite.tls13().is_some());
        // As in Go, a list of TLS 1.2 suites doesn't switch 1.3 off.
        assert_eq!((tls13.count(), left.len()), (3, 4));
        let suites = vec!["TLS_AES_128_GCM_SHA256".to_owned()];
        let settings = TlsSettings {
            cipher_suites: suites,
            version_min: 772,
            ..TlsSettings::default()
        };
        assert!(client_config(&settings, &[]).is_ok());
    }
}
