//! Keys that a server must have, beyond a certificate that is believed.
//!
//! A pin is the SHA-256 of a certificate's SubjectPublicKeyInfo (RFC 7469, section 2.4), so it survives a renewal with the
//! same key. It is the server's own key that must be pinned: which authorities stand between it and a root is known to the
//! platform's verifier only, and anybody can send along a certificate that is no part of the chain.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ring::digest::{SHA256, digest};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error as RustlsError, OtherError, SignatureScheme};
use thiserror::Error;

const PREFIX: &str = "sha256/";
const SHA256_BYTES: usize = 32;
/// One in use and one in reserve: a lost key must not shut the app out.
const PINS_MIN: usize = 2;
const PINS_MAX: usize = 32;

/// Why pins cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PinError {
    #[error("a pin is `sha256/` and the base64 of 32 bytes")]
    Malformed,
    #[error("at least {PINS_MIN} different pins are needed: one in use, one in reserve")]
    NoBackup,
    #[error("more than {PINS_MAX} pins")]
    TooMany,
}

/// Pins that are well formed; none when a server needs no pinned key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pins(Vec<[u8; SHA256_BYTES]>);

impl Pins {
    /// From `sha256/BASE64` each.
    pub fn parse(pins: &[String]) -> Result<Self, PinError> {
        if pins.len() > PINS_MAX {
            return Err(PinError::TooMany);
        }
        let mut parsed = pins.iter().map(|pin| parse(pin)).collect::<Result<Vec<_>, _>>()?;
        parsed.sort_unstable();
        parsed.dedup();
        if !pins.is_empty() && parsed.len() < PINS_MIN {
            return Err(PinError::NoBackup);
        }
        Ok(Self(parsed))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn holds_key_of(&self, certificate: &CertificateDer<'_>) -> bool {
        let Ok(parsed) = ParsedCertificate::try_from(certificate) else { return false };
        let key = parsed.subject_public_key_info();
        let hash = digest(&SHA256, key.as_ref());
        self.0.iter().any(|pin| pin == hash.as_ref())
    }
}

fn parse(pin: &str) -> Result<[u8; SHA256_BYTES], PinError> {
    let encoded = pin.strip_prefix(PREFIX).ok_or(PinError::Malformed)?;
    let bytes = BASE64_STANDARD.decode(encoded).map_err(|_| PinError::Malformed)?;
    bytes.try_into().map_err(|_| PinError::Malformed)
}

/// Marks the refusal, so that it is told apart from a bad certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("none of the server's keys is pinned")]
struct Mismatch;

pub(super) fn is_mismatch(error: &OtherError) -> bool {
    error.0.is::<Mismatch>()
}

/// Asks another verifier first, and then whether the server's key is pinned.
pub(super) struct PinVerifier {
    inner: Arc<dyn ServerCertVerifier>,
    pins: Pins,
}

impl PinVerifier {
    pub(super) fn new(inner: Arc<dyn ServerCertVerifier>, pins: Pins) -> Self {
        Self { inner, pins }
    }
}

impl fmt::Debug for PinVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PinVerifier({} pins)", self.pins.0.len())
    }
}

impl ServerCertVerifier for PinVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, RustlsError> {
        let verified =
            self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)?;
        if self.pins.holds_key_of(end_entity) {
            return Ok(verified);
        }
        Err(CertificateError::Other(OtherError(Arc::new(Mismatch))).into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, RustlsError> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, RustlsError> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pin(byte: u8) -> String {
        format!("{PREFIX}{}", BASE64_STANDARD.encode([byte; SHA256_BYTES]))
    }

    #[test]
    fn a_pin_needs_another_in_reserve() {
        assert_eq!(Pins::parse(&[]), Ok(Pins::default()));
        assert_eq!(Pins::parse(&[pin(1)]), Err(PinError::NoBackup));
        assert_eq!(Pins::parse(&[pin(1), pin(1)]), Err(PinError::NoBackup));
        assert!(Pins::parse(&[pin(1), pin(2)]).is_ok());
        assert_eq!(Pins::parse(&vec![pin(1); PINS_MAX + 1]), Err(PinError::TooMany));
    }

    #[test]
    fn a_malformed_pin_is_refused() {
        for bad in ["", "sha256/", "sha1/AAAA", "sha256/AAAA", "sha256/!!!!"] {
            assert_eq!(Pins::parse(&[pin(1), bad.to_owned()]), Err(PinError::Malformed), "{bad}");
        }
    }
}
