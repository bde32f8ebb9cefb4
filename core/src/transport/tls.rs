//! Which certificates are believed.

use std::sync::Arc;

use once_cell::sync::OnceCell;
use rustls::client::danger::ServerCertVerifier;
use rustls::client::{VerifierBuilderError, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, KeyProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::SigningKey;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use thiserror::Error;

use super::pins::{PinVerifier, Pins};
use super::system_trust::SystemVerifier;

const ALPN_HTTP_1_1: &[u8] = b"http/1.1";
const ALPN_HTTP_2: &[u8] = b"h2";

/// Named, so that a feature of another crate adds none.
pub(super) const PROTOCOL_VERSIONS: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];

/// The authorities whose certificates are believed.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Roots {
    /// Those of the operating system, by its own rules.
    #[default]
    Platform,
    /// Those in a PEM text and no others: who runs an authority for one server has no reason to believe the
    /// public ones about it, and the verifiers of Android and iOS would not take additions alike.
    PrivateCa { pem: Vec<u8> },
}

impl std::fmt::Debug for Roots {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Platform => f.write_str("Platform"),
            Self::PrivateCa { pem } => write!(f, "PrivateCa({} bytes)", pem.len()),
        }
    }
}

/// How TLS connections are made. TLS 1.2 is the oldest version spoken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsOptions {
    /// Who signs the server's certificate.
    pub roots: Roots,
    /// Which keys it must have besides.
    pub pins: Pins,
}

/// Why no TLS connection can be made with the options.
#[derive(Debug, Error)]
pub enum TlsError {
    /// The text is not PEM.
    #[error("the private CA is not valid PEM")]
    Pem,
    /// The PEM text has no certificate in it.
    #[error("the private CA holds no certificate")]
    NoCertificate,
    /// A certificate that cannot be an authority's.
    #[error("a certificate of the private CA cannot be used: {0}")]
    Certificate(rustls::Error),
    /// The operating system's certificates could not be had.
    #[error("the platform's certificates are not available: {0}")]
    Platform(rustls::Error),
    /// The certificates of the private CA make no verifier.
    #[error("the private CA cannot be used: {0}")]
    Verifier(VerifierBuilderError),
    /// The cryptography does not cover the protocol versions.
    #[error("TLS is not available: {0}")]
    Unsupported(rustls::Error),
}

/// What a connection is for, and so what the server may choose to speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocols {
    /// A WebSocket, so that a server which also speaks HTTP/2 does not choose that.
    Upgrade,
    Requests,
}

/// TLS as the options say. The clones share what is made once.
#[derive(Clone)]
pub struct Tls {
    options: TlsOptions,
    configs: Arc<OnceCell<Configs>>,
}

struct Configs {
    upgrade: Arc<ClientConfig>,
    requests: Arc<ClientConfig>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.options.fmt(f)
    }
}

impl Tls {
    /// Fails on a private CA that is none. The platform's certificates are asked for at the first connection that needs
    /// them: a system may have none, and an app may need none.
    pub fn new(options: TlsOptions) -> Result<Self, TlsError> {
        let is_private = matches!(options.roots, Roots::PrivateCa { .. });
        let tls = Self { options, configs: Arc::default() };
        if is_private {
            tls.configs()?;
        }
        Ok(tls)
    }

    pub(super) fn config(&self, protocols: Protocols) -> Result<&Arc<ClientConfig>, TlsError> {
        let Configs { upgrade, requests } = self.configs()?;
        Ok(match protocols {
            Protocols::Upgrade => upgrade,
            Protocols::Requests => requests,
        })
    }

    fn configs(&self) -> Result<&Configs, TlsError> {
        self.configs.get_or_try_init(|| self.options.client_config().map(Configs::of))
    }

    /// With a verifier of a test's own.
    #[cfg(test)]
    pub(super) fn of_config(config: ClientConfig) -> Self {
        Self { options: TlsOptions::default(), configs: Arc::new(OnceCell::with_value(Configs::of(config))) }
    }
}

impl Configs {
    fn of(mut requests: ClientConfig) -> Self {
        let mut upgrade = requests.clone();
        upgrade.alpn_protocols = vec![ALPN_HTTP_1_1.to_vec()];
        requests.alpn_protocols = vec![ALPN_HTTP_2.to_vec(), ALPN_HTTP_1_1.to_vec()];
        Self { upgrade: Arc::new(upgrade), requests: Arc::new(requests) }
    }
}

impl TlsOptions {
    fn client_config(&self) -> Result<ClientConfig, TlsError> {
        let provider = Arc::new(provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(PROTOCOL_VERSIONS)
            .map_err(TlsError::Unsupported)?;
        let mut verifier: Arc<dyn ServerCertVerifier> = match &self.roots {
            Roots::Platform => Arc::new(SystemVerifier::new(provider).map_err(TlsError::Platform)?),
            Roots::PrivateCa { pem } => {
                let roots = Arc::new(read_roots(pem)?);
                let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider).build();
                verifier.map_err(TlsError::Verifier)?
            }
        };
        if !self.pins.is_empty() {
            verifier = Arc::new(PinVerifier::new(verifier, self.pins.clone()));
        }
        let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
        Ok(builder.with_no_client_auth())
    }
}

/// Named, not the process default: a library must not depend on who set that first. It reads no private keys, and so carries
/// no code to sign with them: a client proves nothing by a certificate of its own.
fn provider() -> CryptoProvider {
    CryptoProvider { key_provider: &NoKeys, ..ring::default_provider() }
}

#[derive(Debug)]
struct NoKeys;

impl KeyProvider for NoKeys {
    fn load_private_key(&self, _key: PrivateKeyDer<'static>) -> Result<Arc<dyn SigningKey>, rustls::Error> {
        Err(rustls::Error::General("client certificates are not supported".to_owned()))
    }
}

fn read_roots(pem: &[u8]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        roots.add(certificate.map_err(|_| TlsError::Pem)?).map_err(TlsError::Certificate)?;
    }
    if roots.is_empty() { Err(TlsError::NoCertificate) } else { Ok(roots) }
}
