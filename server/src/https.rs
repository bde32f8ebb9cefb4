//! HTTP clients of the command, for a server on this machine and for one elsewhere.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Empty;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

pub(crate) type HttpClient = Client<HttpsConnector<HttpConnector>, Empty<Bytes>>;

/// Who is believed to be the server at an `https:` address.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Trust<'a> {
    /// Whoever listens there. For addresses of this machine that are told nothing secret: a certificate names none of them.
    Anybody,
    /// Whom the system's authorities vouch for.
    System,
    /// Whom the authorities in a file vouch for, in PEM.
    File(&'a Path),
}

/// Why nobody can be asked by TLS.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    #[error("{path} holds no authorities that a server could be believed by")]
    NoAuthorities { path: PathBuf },
    #[error("the system's authorities cannot be read: {0}")]
    System(std::io::Error),
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
}

/// A client for `http:` and `https:`.
pub(crate) fn client(trust: Trust<'_>) -> Result<HttpClient, TrustError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let own = || ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
    let builder = match trust {
        Trust::System => HttpsConnectorBuilder::new()
            .with_provider_and_platform_verifier(provider)
            .map_err(TrustError::System)?,
        Trust::File(path) => {
            let tls = own()?.with_root_certificates(roots(path)?).with_no_client_auth();
            HttpsConnectorBuilder::new().with_tls_config(tls)
        }
        Trust::Anybody => {
            let verifier = Arc::new(Unjudged(provider.clone()));
            let tls = own()?.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
            HttpsConnectorBuilder::new().with_tls_config(tls)
        }
    };
    Ok(Client::builder(TokioExecutor::new()).build(builder.https_or_http().enable_http1().build()))
}

/// An error with what it comes from: that of a client alone does not say why.
pub(crate) fn reason(error: &dyn Error) -> String {
    let mut reason = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        reason = format!("{reason}: {error}");
        cause = error.source();
    }
    reason
}

fn roots(path: &Path) -> Result<RootCertStore, TrustError> {
    let unusable = || TrustError::NoAuthorities { path: path.to_owned() };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|_| unusable())? {
        roots.add(certificate.map_err(|_| unusable())?).map_err(|_| unusable())?;
    }
    if roots.is_empty() { Err(unusable()) } else { Ok(roots) }
}

/// Takes any certificate, of whoever has its key.
#[derive(Debug)]
struct Unjudged(Arc<CryptoProvider>);

impl ServerCertVerifier for Unjudged {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
