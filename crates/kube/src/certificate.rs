//! The certificate of a run's NATS server. It vouches for itself: it is the only authority
//! that the agents and the coordinator of the run trust.

use std::net::IpAddr;

use rcgen::{CertifiedKey, generate_simple_self_signed};

use crate::KubeError;

/// A certificate and its key, as PEM.
pub(crate) struct Certificate {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// A certificate for these names and addresses, and for a forwarded port of this machine.
pub(crate) fn make(names: &[String]) -> Result<Certificate, KubeError> {
    let own = IpAddr::from([127, 0, 0, 1]).to_string();
    let names: Vec<_> = names.iter().cloned().chain([own]).collect();
    let failed = KubeError::of("no certificate for the NATS server");
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names).map_err(failed)?;
    Ok(Certificate {
        certificate: cert.pem(),
        key: signing_key.serialize_pem(),
    })
}
