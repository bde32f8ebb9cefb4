//! Keys that tokens are signed with. A key knows its algorithm; what a token says of its own only narrows the choice.

use std::path::Path;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Header};
use serde_json::Value;

use super::KeyError;

/// The most keys taken from one set.
const KEYS_MAX: usize = 100;

/// One key, for one algorithm.
#[derive(Clone)]
pub(super) struct Key {
    id: Option<String>,
    pub(super) algorithm: Algorithm,
    pub(super) decoding: DecodingKey,
}

impl Key {
    pub(super) fn from_secret(secret: &[u8]) -> Self {
        Self { id: None, algorithm: Algorithm::HS256, decoding: DecodingKey::from_secret(secret) }
    }

    pub(super) fn from_pem_file(path: &Path) -> Result<Self, KeyError> {
        let pem =
            std::fs::read(path).map_err(|source| KeyError::Unreadable { path: path.to_owned(), source })?;
        let rsa = DecodingKey::from_rsa_pem(&pem).map(|decoding| (Algorithm::RS256, decoding));
        let key =
            rsa.or_else(|_| DecodingKey::from_ec_pem(&pem).map(|decoding| (Algorithm::ES256, decoding)));
        let (algorithm, decoding) = key.map_err(|_| KeyError::NotAPublicKey { path: path.to_owned() })?;
        Ok(Self { id: None, algorithm, decoding })
    }

    /// A key of a public set; those for anything else, and symmetric ones, which cannot be public, are none.
    fn from_jwk(jwk: &Jwk) -> Option<Self> {
        let common = &jwk.common;
        if common.public_key_use.as_ref().is_some_and(|for_what| *for_what != PublicKeyUse::Signature) {
            return None;
        }
        let (algorithm, declared) = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => (Algorithm::RS256, KeyAlgorithm::RS256),
            AlgorithmParameters::EllipticCurve(curve) if curve.curve == EllipticCurve::P256 => {
                (Algorithm::ES256, KeyAlgorithm::ES256)
            }
            _ => return None,
        };
        if common.key_algorithm.is_some_and(|it| it != declared) {
            return None;
        }
        let decoding = DecodingKey::from_jwk(jwk).ok()?;
        Some(Self { id: common.key_id.clone(), algorithm, decoding })
    }

    /// The usable keys of a key set; the others are passed over.
    pub(super) fn from_jwks(text: &[u8]) -> Result<Vec<Self>, serde_json::Error> {
        #[derive(serde::Deserialize)]
        struct Set {
            keys: Vec<Value>,
        }
        let set: Set = serde_json::from_slice(text)?;
        let keys = set.keys.into_iter().take(KEYS_MAX);
        let keys = keys.filter_map(|key| serde_json::from_value::<Jwk>(key).ok());
        Ok(keys.filter_map(|jwk| Self::from_jwk(&jwk)).collect())
    }

    /// Whether a token may be signed with this key, by what it says.
    pub(super) fn may_have_signed(&self, header: &Header) -> bool {
        let is_named = match (&self.id, &header.kid) {
            (Some(own), Some(named)) => own == named,
            _ => true,
        };
        is_named && self.algorithm == header.alg
    }
}

// The keys stay out of logs.
impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key")
            .field("id", &self.id)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}
