//! Files of authorities, by which the server believes others.

use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// Why a file gives no authorities.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AuthoritiesError {
    #[error("{0}")]
    Unreadable(String),
    #[error("it holds no certificate")]
    None,
}

/// The authorities in a PEM file.
pub(crate) fn read(path: &Path) -> Result<RootCertStore, AuthoritiesError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(unreadable)? {
        roots.add(certificate.map_err(unreadable)?).map_err(unreadable)?;
    }
    if roots.is_empty() { Err(AuthoritiesError::None) } else { Ok(roots) }
}

fn unreadable(error: impl std::fmt::Display) -> AuthoritiesError {
    AuthoritiesError::Unreadable(error.to_string())
}
