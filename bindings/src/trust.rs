//! Which servers are believed where Rust cannot ask the system.

use std::sync::Arc;

use syncline::transport::{self, Distrust, SystemJudge};

/// Says by the system's rules whether a server's certificate is believed: on Android, where only code of the Java machine
/// can ask the system. See `set_certificate_judge`.
#[uniffi::export(with_foreign)]
pub trait CertificateJudge: Send + Sync {
    /// `chain` is in DER, the server's own certificate first. Returns if it is believed; that it names the server is
    /// checked besides.
    fn judge(&self, chain: Vec<Vec<u8>>, server: String) -> Result<(), CertificateDistrust>;
}

/// Why a certificate is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, uniffi::Error)]
pub enum CertificateDistrust {
    #[error("not trusted: {reason}")]
    NotTrusted { reason: String },
    #[error("not valid at this time")]
    Expired,
    #[error("the system could not be asked: {reason}")]
    Unavailable { reason: String },
}

impl From<uniffi::UnexpectedUniFFICallbackError> for CertificateDistrust {
    fn from(error: uniffi::UnexpectedUniFFICallbackError) -> Self {
        Self::Unavailable { reason: error.reason }
    }
}

impl From<CertificateDistrust> for Distrust {
    fn from(distrust: CertificateDistrust) -> Self {
        match distrust {
            CertificateDistrust::NotTrusted { reason } => Self::NotTrusted { reason },
            CertificateDistrust::Expired => Self::Expired,
            CertificateDistrust::Unavailable { reason } => Self::Unavailable { reason },
        }
    }
}

struct ForeignJudge(Arc<dyn CertificateJudge>);

impl SystemJudge for ForeignJudge {
    fn judge(&self, chain: Vec<Vec<u8>>, server: &str) -> Result<(), Distrust> {
        Ok(self.0.judge(chain, server.to_owned())?)
    }
}

/// Sets who judges servers' certificates in this process, from the next handshake on; nobody leaves it to Rust. On Android
/// Rust cannot: there every TLS connection fails with `tls_not_ready` until this was called.
#[uniffi::export]
pub fn set_certificate_judge(judge: Option<Arc<dyn CertificateJudge>>) {
    transport::set_system_judge(judge.map(|judge| {
        let judge: Arc<dyn SystemJudge> = Arc::new(ForeignJudge(judge));
        judge
    }));
}
