//! HTTP clients, for `http:` and `https:`: those of the command, for a server on this machine and for one elsewhere, and what
//! others are made of.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::body::Body;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ConfigBuilder, DigitallySignedStruct, RootCertStore, SignatureScheme, WantsVerifier,
};

use crate::authorities;

pub(crate) type Connector = HttpsConnector<HttpConnector>;
pub(crate) type HttpClient<B> = Client<Connector, B>;

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
    System(io::Error),
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
}

/// A client of the command.
pub(crate) fn client(trust: Trust<'_>) -> Result<HttpClient<Empty<Bytes>>, TrustError> {
    let connector = match trust {
        Trust::System => by_system().map_err(TrustError::System)?,
        Trust::File(path) => {
            let roots = authorities::read(path);
            by_roots(roots.map_err(|_| TrustError::NoAuthorities { path: path.to_owned() })?)?
        }
        Trust::Anybody => {
            let verifier = Arc::new(Unjudged(provider()));
            connector(tls()?.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
        }
    };
    Ok(client_over(connector))
}

/// Over connections that are made so.
pub(crate) fn client_over<B: Body<Data: Send> + Send>(connector: Connector) -> HttpClient<B> {
    Client::builder(TokioExecutor::new()).build(connector)
}

/// By the system's authorities.
pub(crate) fn by_system() -> io::Result<Connector> {
    let builder = HttpsConnectorBuilder::new().with_provider_and_platform_verifier(provider())?;
    Ok(builder.https_or_http().enable_http1().build())
}

/// By these authorities.
pub(crate) fn by_roots(roots: RootCertStore) -> Result<Connector, rustls::Error> {
    Ok(connector(tls()?.with_root_certificates(roots).with_no_client_auth()))
}

fn connector(tls: ClientConfig) -> Connector {
    HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build()
}

fn tls() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, rustls::Error> {
    ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
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
