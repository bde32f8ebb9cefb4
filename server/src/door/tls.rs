//! The server's certificate, read again when its files change.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::current::Current;

/// Why there is no certificate to show.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("`tls_cert_file` and `tls_key_file` belong together")]
    OnlyOneFile,
    #[error("{path} holds no certificate in PEM: {reason}")]
    Certificate { path: PathBuf, reason: String },
    #[error("{path} holds no private key in PEM")]
    Key { path: PathBuf },
    #[error("the certificate cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
}

/// A certificate and its key, as they are now. TLS 1.2 is the least that is spoken.
pub struct Tls {
    files: Files,
    config: Current<ServerConfig>,
}

struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

impl Tls {
    /// Reads the files; none, if neither is given.
    pub fn load(certificate: Option<&Path>, key: Option<&Path>) -> Result<Option<Arc<Self>>, TlsError> {
        let files = match (certificate, key) {
            (None, None) => return Ok(None),
            (Some(certificate), Some(key)) => {
                Files { certificate: certificate.to_owned(), key: key.to_owned() }
            }
            _ => return Err(TlsError::OnlyOneFile),
        };
        let config = Current::new(files.read()?);
        Ok(Some(Arc::new(Self { files, config })))
    }

    pub(super) fn config(&self) -> Arc<ServerConfig> {
        self.config.get()
    }

    /// Reads the files whenever they change, for ever. Files that cannot be used change nothing.
    pub(super) async fn follow(&self, interval: Duration) {
        let mut seen = self.files.changed();
        loop {
            tokio::time::sleep(interval).await;
            let now = self.files.changed();
            if now == seen {
                continue;
            }
            match self.reload() {
                Ok(()) => tracing::info!("the certificate was read anew"),
                Err(error) => tracing::error!(%error, "the new certificate cannot be used"),
            }
            seen = now;
        }
    }

    /// Reads the files now.
    pub(crate) fn reload(&self) -> Result<(), TlsError> {
        self.config.set(self.files.read()?);
        Ok(())
    }
}

impl Files {
    fn read(&self) -> Result<ServerConfig, TlsError> {
        let unusable = |reason: String| TlsError::Certificate { path: self.certificate.clone(), reason };
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(&self.certificate)
            .and_then(Iterator::collect)
            .map_err(|error| unusable(error.to_string()))?;
        let key =
            PrivateKeyDer::from_pem_file(&self.key).map_err(|_| TlsError::Key { path: self.key.clone() })?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }

    fn changed(&self) -> [Option<SystemTime>; 2] {
        [&self.certificate, &self.key]
            .map(|path| std::fs::metadata(path).and_then(|file| file.modified()).ok())
    }
}

// The key stays out of logs.
impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("certificate", &self.files.certificate).finish_non_exhaustive()
    }
}
