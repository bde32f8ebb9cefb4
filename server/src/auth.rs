//! Whose connection it is: tokens, and the keys that they are signed with.

mod jwks;
mod keys;
pub(crate) mod revocation;

use std::path::PathBuf;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, EncodingKey, Header, Validation};
use serde::Serialize;
use serde_json::{Map, Value};
use syncline_protocol::{ErrorCode, Room, WireError};

use self::jwks::Jwks;
use self::keys::Key;
pub use self::revocation::Revocation;
pub(crate) use self::revocation::Revocations;
pub(crate) use self::revocation::Revoked;
use crate::access::Identity;
use crate::config::{AuthConfig, SecurityConfig};

/// The shortest secret taken: as long as the hash it keys.
pub const SECRET_BYTES_MIN: usize = 32;

/// A longer token is refused unread.
pub const TOKEN_BYTES_MAX: usize = 16 << 10;

/// Checks and, in development mode, issues tokens: JSON Web Tokens of HS256, RS256 or ES256, as their keys are.
pub struct Authenticator {
    keys: Vec<Key>,
    jwks: Option<Jwks>,
    issuing: Option<EncodingKey>,
    audience: Vec<String>,
    issuer: Vec<String>,
    leeway_s: u64,
    revocations: Revocations,
}

/// Why there are no keys to check tokens with.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("the JWT secret has {bytes} bytes, at least {bytes_min} are needed")]
    SecretTooShort { bytes: usize, bytes_min: usize },
    #[error("there is neither a secret nor a public key nor a key set to check tokens with")]
    NoKeys,
    #[error("cannot read the key {path}: {source}")]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("{path} is no public key of RSA or P-256 in PEM")]
    NotAPublicKey { path: PathBuf },
    #[error("`{address}` is no address of a key set")]
    NotAnAddress { address: String },
    #[error("a key set of another machine is fetched by https: only, not from {address}")]
    NotSecure { address: String },
    #[error("{path} holds no certificates in PEM")]
    NotAuthorities { path: PathBuf },
    #[error("there is no authority to believe the key set's address by")]
    NoAuthorities,
}

/// The claims that the server itself signs.
#[derive(Serialize)]
struct Issued<'a> {
    sub: &'a str,
    /// Seconds since the epoch.
    exp: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rooms: Vec<String>,
}

/// Reads a key set, for `tests/fuzz`.
#[cfg(fuzzing)]
pub fn fuzz_key_set(text: &[u8]) {
    drop(Key::from_jwks(text));
}

impl Authenticator {
    /// Tokens are signed with a secret, and taken for `leeway_s` seconds after they expired.
    pub fn new(secret: &[u8], leeway_s: u64) -> Self {
        Self {
            keys: vec![Key::from_secret(secret)],
            jwks: None,
            issuing: Some(EncodingKey::from_secret(secret)),
            audience: Vec::new(),
            issuer: Vec::new(),
            leeway_s,
            revocations: Revocations::in_memory(&SecurityConfig::default()),
        }
    }

    /// Tokens are signed with a secret, or with any of the keys of the configuration.
    pub(crate) fn with_keys(
        secret: Option<&[u8]>,
        config: &AuthConfig,
        leeway_s: u64,
        revocations: Revocations,
    ) -> Result<Self, KeyError> {
        if let Some(bytes) = secret.map(<[u8]>::len).filter(|bytes| *bytes < SECRET_BYTES_MIN) {
            return Err(KeyError::SecretTooShort { bytes, bytes_min: SECRET_BYTES_MIN });
        }
        let mut keys: Vec<Key> = secret.map(Key::from_secret).into_iter().collect();
        for path in &config.public_key_files {
            keys.push(Key::from_pem_file(path)?);
        }
        let jwks = config.jwks.as_deref().map(|place| Jwks::new(place, config)).transpose()?;
        if keys.is_empty() && jwks.is_none() {
            return Err(KeyError::NoKeys);
        }
        Ok(Self {
            keys,
            jwks,
            issuing: secret.map(EncodingKey::from_secret),
            audience: config.audience.clone(),
            issuer: config.issuer.clone(),
            leeway_s,
            revocations,
        })
    }

    /// Reads a token. Every way in which it does not hold is `unauthorized`.
    pub async fn verify(&self, token: &str) -> Result<Identity, WireError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(unauthorized("the token is too long"));
        }
        let header = jsonwebtoken::decode_header(token).map_err(|error| refusal(&error))?;
        let mut keys: Vec<Key> =
            self.keys.iter().filter(|key| key.may_have_signed(&header)).cloned().collect();
        if let Some(jwks) = &self.jwks
            && header.alg != Algorithm::HS256
        {
            keys.extend(jwks.keys_for(&header).await?);
        }
        let mut refused = unauthorized("the token is signed with no key that this server knows");
        for key in keys {
            let validation = self.validation(key.algorithm);
            match jsonwebtoken::decode::<Map<String, Value>>(token, &key.decoding, &validation) {
                Ok(token) => {
                    let identity = identity_of(token.claims, self.leeway_s)?;
                    let is_revoked = self.revocations.is_revoked(&identity);
                    return if is_revoked {
                        Err(unauthorized("the token was revoked"))
                    } else {
                        Ok(identity)
                    };
                }
                Err(error) => refused = refusal(&error),
            }
        }
        Err(refused)
    }

    pub(crate) fn revocations(&self) -> &Revocations {
        &self.revocations
    }

    fn validation(&self, algorithm: Algorithm) -> Validation {
        let mut validation = Validation::new(algorithm);
        let mut required = vec!["exp", "sub"];
        validation.leeway = self.leeway_s;
        validation.validate_nbf = true;
        validation.validate_aud = !self.audience.is_empty();
        if !self.audience.is_empty() {
            required.push("aud");
            validation.set_audience(&self.audience);
        }
        if !self.issuer.is_empty() {
            required.push("iss");
            validation.set_issuer(&self.issuer);
        }
        validation.set_required_spec_claims(&required);
        validation
    }

    /// Signs a token that ends at `exp_s`, in seconds since the epoch.
    pub fn issue(&self, user: &str, rooms: Vec<String>, exp_s: u64) -> Result<String, WireError> {
        Room::new(format!("user:{user}"))
            .map_err(|error| WireError::new(ErrorCode::Invalid, format!("sub: {error}")))?;
        let claims = Issued { sub: user, exp: exp_s, rooms };
        let key = self.issuing.as_ref();
        let key =
            key.ok_or_else(|| WireError::new(ErrorCode::Internal, "there is no secret to sign with"))?;
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, key)
            .map_err(|_| WireError::new(ErrorCode::Internal, "the token cannot be signed"))
    }
}

/// Whose token it is whose claims hold.
fn identity_of(claims: Map<String, Value>, leeway_s: u64) -> Result<Identity, WireError> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str).map(str::to_owned);
    let user = text("sub").ok_or_else(|| unauthorized("the token has no subject"))?;
    Room::new(format!("user:{user}"))
        .map_err(|_| unauthorized("the token's subject does not make a room's name"))?;
    let ends_s = seconds(&claims, "exp").ok_or_else(|| unauthorized("the token has no end"))?;
    Ok(Identity {
        user,
        token_id: text("jti"),
        issued_s: seconds(&claims, "iat"),
        ends_s: ends_s.saturating_add(leeway_s),
        claims,
    })
}

/// A time of a token, which may have a fraction, in seconds since the epoch.
fn seconds(claims: &Map<String, Value>, name: &str) -> Option<u64> {
    let value = claims.get(name)?;
    // As a cast does it: what is below 0 becomes 0.
    value.as_u64().or_else(|| value.as_f64().map(|seconds| seconds as u64))
}

fn refusal(error: &jsonwebtoken::errors::Error) -> WireError {
    unauthorized(match error.kind() {
        ErrorKind::ExpiredSignature => "the token has expired",
        ErrorKind::ImmatureSignature => "the token is not valid yet",
        ErrorKind::InvalidSignature => "the token's signature does not match",
        ErrorKind::InvalidAudience => "the token is for another audience",
        ErrorKind::InvalidIssuer => "the token is of another issuer",
        _ => "the token is malformed",
    })
}

fn unauthorized(message: &str) -> WireError {
    WireError::new(ErrorCode::Unauthorized, message)
}

// The keys stay out of logs.
impl std::fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authenticator").finish_non_exhaustive()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
    const FAR_S: u64 = 4_000_000_000;

    #[tokio::test]
    async fn a_token_tells_whose_it_is_and_all_that_it_claims() {
        let auth = Authenticator::new(SECRET, 30);
        let identity =
            auth.verify(&auth.issue("42", vec!["list:9".to_owned()], FAR_S).unwrap()).await.unwrap();
        assert_eq!((identity.user.as_str(), identity.ends_s), ("42", FAR_S + 30));
        assert_eq!(identity.claims["rooms"], serde_json::json!(["list:9"]));
    }

    #[tokio::test]
    async fn a_token_that_does_not_hold_is_unauthorized() {
        let auth = Authenticator::new(SECRET, 30);
        let other = Authenticator::new(b"another secret, as long as the first", 30);
        let sign = |algorithm: Algorithm, claims: serde_json::Value| {
            jsonwebtoken::encode(&Header::new(algorithm), &claims, &EncodingKey::from_secret(SECRET)).unwrap()
        };
        // {"alg":"none","typ":"JWT"} and a body that would be fine.
        let none = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.eyJzdWIiOiI0MiIsImV4cCI6NDAwMDAwMDAwMH0.";
        let refused = [
            other.issue("42", Vec::new(), FAR_S).unwrap(),
            auth.issue("42", Vec::new(), 1000).unwrap(),
            sign(Algorithm::HS384, serde_json::json!({"sub": "42", "exp": FAR_S})),
            sign(Algorithm::HS256, serde_json::json!({"sub": "42"})),
            sign(Algorithm::HS256, serde_json::json!({"exp": FAR_S})),
            sign(Algorithm::HS256, serde_json::json!({"sub": "42", "exp": FAR_S, "nbf": FAR_S - 1})),
            sign(Algorithm::HS256, serde_json::json!({"sub": "a\u{0}b", "exp": FAR_S})),
            none.to_owned(),
            String::new(),
            "x".repeat(TOKEN_BYTES_MAX + 1),
        ];
        for token in refused {
            assert_eq!(auth.verify(&token).await.unwrap_err().code, ErrorCode::Unauthorized, "{token}");
        }
    }
}
