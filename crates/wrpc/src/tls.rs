//! TLS at either end, from PEM.

use std::sync::Arc;

use encarno_trust::{ClientTrust, Trust, system_roots};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};

use crate::{Error, ErrorCode};
use encarno_secret::FileOrText;

/// A caller's TLS settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientTls {
    /// Certificates that are trusted instead of the system's.
    pub ca: Option<FileOrText>,
    /// The certificate chain of the caller.
    pub cert: Option<FileOrText>,
    /// The key of `cert`.
    pub key: Option<FileOrText>,
    /// The name that the peer's certificate must have; by default that of the address.
    pub server_name: Option<String>,
    /// Whether any certificate is accepted.
    pub insecure_skip_verify: bool,
}

/// A receiver's TLS settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerTls {
    /// The chain of certificates.
    pub cert: FileOrText,
    /// The key of `cert`.
    pub key: FileOrText,
    /// The authorities of callers' certificates, if callers must have one.
    pub client_ca: Option<FileOrText>,
}

impl ClientTls {
    /// Reads the files, which may block. The error names the invalid one.
    pub fn config(&self) -> Result<Arc<ClientConfig>, Error> {
        let provider = provider();
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| failure(&error))?;
        let trust = match &self.ca {
            _ if self.insecure_skip_verify => Trust::all(&provider),
            Some(path) => Trust::given(certificates(path)?, provider)
                .map_err(|error| file_failure("certificates", path, &error))?,
            None => system_trust(provider)?,
        };
        let builder = builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(trust));
        let config = match (&self.cert, &self.key) {
            (None, None) => builder.with_no_client_auth(),
            (Some(chain), Some(key)) => builder
                .with_client_auth_cert(certificates(chain)?, private_key(key)?)
                .map_err(|error| failure(&error))?,
            _ => {
                let text = "your own certificate needs both `cert` and `key`";
                return Err(Error::new(ErrorCode::TlsFailure, text));
            }
        };
        Ok(Arc::new(config))
    }
}

impl ServerTls {
    /// Reads the files, which may block. The error names the invalid one.
    pub fn config(&self) -> Result<Arc<ServerConfig>, Error> {
        let builder = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| failure(&error))?;
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let trust = ClientTrust::roots(roots(path)?, provider())
                    .map_err(|error| file_failure("certificates", path, &error))?;
                builder.with_client_cert_verifier(Arc::new(trust))
            }
        };
        let config = builder
            .with_single_cert(certificates(&self.cert)?, private_key(&self.key)?)
            .map_err(|error| file_failure("certificate and key", &self.cert, &error))?;
        Ok(Arc::new(config))
    }
}

/// The server name for TLS: a host's name, or its IP address.
pub(crate) fn server_name(name: &str) -> Result<ServerName<'static>, Error> {
    ServerName::try_from(name.to_owned()).map_err(|_| {
        let text = format!("{name:?} is neither a host name nor an IP address");
        Error::new(ErrorCode::TlsFailure, text)
    })
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn certificates(path: &FileOrText) -> Result<Vec<CertificateDer<'static>>, Error> {
    let failed = |error: &dyn std::fmt::Display| file_failure("certificates", path, error);
    let pem = path.read().map_err(|error| failed(&error))?;
    let found = CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| failed(&error))?;
    match found.is_empty() {
        true => Err(failed(&"it has none")),
        false => Ok(found),
    }
}

fn private_key(path: &FileOrText) -> Result<PrivateKeyDer<'static>, Error> {
    let failed = |error: &dyn std::fmt::Display| file_failure("private key", path, error);
    let pem = path.read().map_err(|error| failed(&error))?;
    PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|error| failed(&error))
}

fn roots(path: &FileOrText) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots
            .add(certificate)
            .map_err(|error| file_failure("certificates", path, &error))?;
    }
    Ok(roots)
}

fn system_trust(provider: Arc<CryptoProvider>) -> Result<Trust, Error> {
    let roots = system_roots();
    if roots.is_empty() {
        return Err(Error::new(
            ErrorCode::TlsFailure,
            "the system has no certificates to trust: name a file in `ca`",
        ));
    }
    Trust::roots(roots, provider).map_err(|error| failure(&error))
}

fn failure(error: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorCode::TlsFailure, format!("TLS set-up: {error}"))
}

fn file_failure(what: &str, path: &FileOrText, reason: &dyn std::fmt::Display) -> Error {
    Error::new(
        ErrorCode::TlsFailure,
        format!("cannot read the {what} in {}: {reason}", path),
    )
}
