//! The system's rules about certificates: by a verifier in Rust, or by the host's own code where Rust cannot ask the system.
//!
//! On Android only code of the Java machine can, so the host gives it to [`set_system_judge`]. Until then no server is believed
//! there: a handshake fails, with an error that says why.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, PoisonError, RwLock};

use once_cell::sync::Lazy;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error as RustlsError, OtherError, SignatureScheme};
use thiserror::Error;

/// Decides by the system's rules whether a chain of certificates is believed.
pub trait SystemJudge: Send + Sync + 'static {
    /// `chain` is in DER, the server's own certificate first. That it names the server is checked besides.
    fn judge(&self, chain: Vec<Vec<u8>>, server: &str) -> Result<(), Distrust>;
}

/// Why the system does not believe a server.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Distrust {
    /// No authority that is believed signed it, or it may not be used so.
    #[error("not trusted: {reason}")]
    NotTrusted { reason: String },
    /// Also what a device with a wrong clock sees.
    #[error("not valid at this time")]
    Expired,
    /// The system could not be asked.
    #[error("the system could not be asked: {reason}")]
    Unavailable { reason: String },
}

/// Marks a handshake that nobody could judge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the system's certificate check is not set up")]
struct NoJudge;

pub(super) fn is_missing(error: &OtherError) -> bool {
    error.0.is::<NoJudge>()
}

/// Where the host's judge is put; it may come after the verifiers that ask for it.
#[derive(Default)]
pub(super) struct JudgeSlot(RwLock<Option<Arc<dyn SystemJudge>>>);

impl JudgeSlot {
    pub(super) fn set(&self, judge: Option<Arc<dyn SystemJudge>>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = judge;
    }

    fn get(&self) -> Option<Arc<dyn SystemJudge>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

static OF_THE_PROCESS: Lazy<Arc<JudgeSlot>> = Lazy::new(Arc::default);

/// Sets who answers for the system in this process, from the next handshake on; `None` leaves it to Rust again, which on
/// Android believes nobody.
pub fn set_system_judge(judge: Option<Arc<dyn SystemJudge>>) {
    OF_THE_PROCESS.set(judge);
}

/// Asks the host's judge, or else the verifier in Rust, if there is one for this system.
pub(super) struct SystemVerifier {
    judge: Arc<JudgeSlot>,
    rust: Option<Arc<dyn ServerCertVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl SystemVerifier {
    pub(super) fn new(provider: Arc<CryptoProvider>) -> Result<Self, RustlsError> {
        let rust = in_rust(&provider)?;
        Ok(Self::with(Arc::clone(&OF_THE_PROCESS), rust, provider))
    }

    pub(super) fn with(
        judge: Arc<JudgeSlot>,
        rust: Option<Arc<dyn ServerCertVerifier>>,
        provider: Arc<CryptoProvider>,
    ) -> Self {
        Self { judge, rust, provider }
    }
}

#[cfg(not(target_os = "android"))]
fn in_rust(provider: &Arc<CryptoProvider>) -> Result<Option<Arc<dyn ServerCertVerifier>>, RustlsError> {
    Ok(Some(Arc::new(rustls_platform_verifier::Verifier::new(Arc::clone(provider))?)))
}

#[cfg(target_os = "android")]
#[allow(clippy::unnecessary_wraps)]
fn in_rust(_: &Arc<CryptoProvider>) -> Result<Option<Arc<dyn ServerCertVerifier>>, RustlsError> {
    Ok(None)
}

impl fmt::Debug for SystemVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SystemVerifier")
    }
}

fn ask(judge: &dyn SystemJudge, chain: Vec<Vec<u8>>, server: &str) -> Result<(), RustlsError> {
    // The judge is foreign code: if it panics, nobody is believed.
    let verdict = std::panic::catch_unwind(AssertUnwindSafe(|| judge.judge(chain, server)))
        .unwrap_or_else(|_| Err(Distrust::Unavailable { reason: "it panicked".to_owned() }));
    verdict.map_err(|distrust| {
        tracing::warn!(reason = %distrust, "the system does not believe the server");
        match distrust {
            Distrust::NotTrusted { .. } => CertificateError::UnknownIssuer.into(),
            Distrust::Expired => CertificateError::Expired.into(),
            Distrust::Unavailable { .. } => CertificateError::Other(OtherError(Arc::new(distrust))).into(),
        }
    })
}

impl ServerCertVerifier for SystemVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, RustlsError> {
        let Some(judge) = self.judge.get() else {
            return match &self.rust {
                Some(verifier) => {
                    verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
                }
                None => Err(CertificateError::Other(OtherError(Arc::new(NoJudge))).into()),
            };
        };
        let chain = std::iter::once(end_entity).chain(intermediates).map(|part| part.to_vec()).collect();
        ask(&*judge, chain, &server_name.to_str())?;
        verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, RustlsError> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, RustlsError> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
