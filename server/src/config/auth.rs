//! Settings of tokens and the keys that they are signed with.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Which tokens hold, beside those that are signed with the secret of [`Mode`](crate::Mode).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthConfig {
    /// Files with one public key in PEM each: of RSA for RS256, of the curve P-256 for ES256.
    pub public_key_files: Vec<PathBuf>,
    /// Where a JSON Web Key Set is: an `https:` address, an `http:` address of this machine, or a file.
    pub jwks: Option<String>,
    /// A file with the authorities, in PEM, that the address of the key set is believed by; the system's unless given.
    pub jwks_ca_file: Option<PathBuf>,
    /// How old a key set may be before it is fetched again, in seconds. While that fails, the last one counts.
    pub jwks_max_age_s: u64,
    /// The least time between two fetches, in milliseconds: a token may name any key.
    pub jwks_refetch_min_ms: u64,
    /// How long a fetch may take, in milliseconds.
    pub jwks_timeout_ms: u64,
    /// The largest key set taken, in bytes.
    pub jwks_bytes_max: usize,
    /// Of these, a token's `aud` must name one; not looked at when empty.
    pub audience: Vec<String>,
    /// Of these, a token's `iss` must be one; not looked at when empty.
    pub issuer: Vec<String>,
}

impl Default for AuthConfig {
    fn default() -> Self {
        Self {
            public_key_files: Vec::new(),
            jwks: None,
            jwks_ca_file: None,
            jwks_max_age_s: 600,
            jwks_refetch_min_ms: 10_000,
            jwks_timeout_ms: 5_000,
            jwks_bytes_max: 256 << 10,
            audience: Vec::new(),
            issuer: Vec::new(),
        }
    }
}
