//! The certificates that each end of TLS trusts, and the reasons of failures.
//!
//! It is always checked that the peer has the key of its certificate.
//!
//! - usage: checks the purposes of certificates' keys
//! - clients: the trust of a server in clients
//! - reason: why TLS failed
//! - [`fuzz`]: the entry points of the fuzz targets

mod usage;

mod clients;
#[doc(hidden)]
pub mod fuzz;
mod reason;

use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{VerifierBuilderError, WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, RootCertStore, SignatureScheme};

pub use clients::ClientTrust;
pub use reason::{Hints, reason};

/// The trust of a client in servers.
#[derive(Debug)]
pub struct Trust {
    believed: Believed,
    algorithms: WebPkiSupportedAlgorithms,
}

#[derive(Debug)]
enum Believed {
    All,
    These {
        authorities: Arc<WebPkiServerVerifier>,
        /// Certificates that are trusted themselves, not only as authorities. A
        /// self-signed certificate is often marked as an authority, which rustls refuses
        /// from a server although it is the given one.
        given: Vec<CertificateDer<'static>>,
    },
}

impl Trust {
    /// Trusts any certificate.
    pub fn all(provider: &CryptoProvider) -> Self {
        Self {
            believed: Believed::All,
            algorithms: provider.signature_verification_algorithms,
        }
    }

    /// Trusts certificates that these authorities signed.
    ///
    /// # Errors
    ///
    /// If there are no authorities.
    pub fn roots(
        roots: RootCertStore,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, VerifierBuilderError> {
        Self::these(roots, Vec::new(), provider)
    }

    /// Trusts these certificates, and certificates that they signed.
    ///
    /// # Errors
    ///
    /// If there are none, or one of them isn't a certificate.
    pub fn given(
        given: Vec<CertificateDer<'static>>,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, rustls::Error> {
        let mut roots = RootCertStore::empty();
        for certificate in &given {
            roots.add(certificate.clone())?;
        }
        Self::these(roots, given, provider)
            .map_err(|error| rustls::Error::General(error.to_string()))
    }

    fn these(
        roots: RootCertStore,
        given: Vec<CertificateDer<'static>>,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, VerifierBuilderError> {
        let algorithms = provider.signature_verification_algorithms;
        let authorities =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build()?;
        Ok(Self {
            believed: Believed::These { authorities, given },
            algorithms,
        })
    }
}

/// The authorities that the system trusts. They are read once for a process, because
/// there are some hundred. Empty if the system has none.
pub fn system_roots() -> RootCertStore {
    static ROOTS: OnceLock<RootCertStore> = OnceLock::new();
    let read = || {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        roots
    };
    match ROOTS.get() {
        Some(roots) => roots.clone(),
        None => {
            let roots = read();
            // The system may get them later.
            if !roots.is_empty() {
                return ROOTS.get_or_init(|| roots).clone();
            }
            roots
        }
    }
}

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Believed::These { authorities, given } = &self.believed else {
            return Ok(ServerCertVerified::assertion());
        };
        let result = authorities.verify_server_cert(certificate, intermediates, name, ocsp, now);
        // Accept only this complaint; an expired certificate stays refused.
        let as_authority = matches!(
            result,
            Err(rustls::Error::InvalidCertificate(CertificateError::Other(
                _
            )))
        );
        if as_authority && given.iter().any(|given| given == certificate) {
            verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
            return Ok(ServerCertVerified::assertion());
        }
        let verified = result?;
        usage::check(certificate, intermediates)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
