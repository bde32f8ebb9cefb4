//! Signatures by the convention of Standard Webhooks: HMAC-SHA256 over the message's id, its time and its body.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// What the convention writes before a secret in base64.
const SECRET_PREFIX: &str = "whsec_";

/// The shortest secret taken.
const SECRET_BYTES_MIN: usize = 24;

/// Secrets that one message is signed with at most: the new one and the old one, and some to spare.
const SECRETS_MAX: usize = 4;

/// What messages are signed with.
#[derive(Clone)]
pub(super) struct Secret(Vec<u8>);

/// Why a secret cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    #[error("it is not base64 behind whsec_")]
    NotBase64,
    #[error("it has {bytes} bytes, at least {SECRET_BYTES_MIN} are needed")]
    TooShort { bytes: usize },
    #[error("there are {count}, and 1 to {SECRETS_MAX} are taken")]
    Count { count: usize },
}

impl Secret {
    /// Reads a secret per line.
    pub(super) fn read_all(text: &str) -> Result<Vec<Self>, SecretError> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let secrets = lines.map(Self::read).collect::<Result<Vec<_>, _>>()?;
        if (1..=SECRETS_MAX).contains(&secrets.len()) {
            Ok(secrets)
        } else {
            Err(SecretError::Count { count: secrets.len() })
        }
    }

    fn read(line: &str) -> Result<Self, SecretError> {
        let bytes = match line.strip_prefix(SECRET_PREFIX) {
            Some(encoded) => STANDARD.decode(encoded).map_err(|_| SecretError::NotBase64)?,
            None => line.as_bytes().to_vec(),
        };
        if bytes.len() < SECRET_BYTES_MIN {
            return Err(SecretError::TooShort { bytes: bytes.len() });
        }
        Ok(Self(bytes))
    }

    fn sign(&self, id: &str, timestamp_s: u64, body: &[u8]) -> Option<String> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).ok()?;
        mac.update(format!("{id}.{timestamp_s}.").as_bytes());
        mac.update(body);
        Some(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
    }
}

/// The value of `webhook-signature`: one signature for each secret.
pub(super) fn signature(secrets: &[Secret], id: &str, timestamp_s: u64, body: &[u8]) -> String {
    let signatures: Vec<String> =
        secrets.iter().filter_map(|secret| secret.sign(id, timestamp_s, body)).collect();
    signatures.join(" ")
}

// The secret stays out of logs.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_signed_as_the_conventions_own_example() {
        // The test vector of the Standard Webhooks specification's reference libraries.
        let secrets = Secret::read_all("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").unwrap();
        let signed =
            signature(&secrets, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn while_secrets_change_both_sign() {
        let secrets =
            Secret::read_all("the old secret, long enough\n\nthe new secret, long enough\n").unwrap();
        assert_eq!(signature(&secrets, "a", 1, b"").split(' ').count(), 2);
    }

    #[test]
    fn a_secret_that_is_no_use_is_refused() {
        for text in ["", "short", "whsec_*", "whsec_c2hvcnQ=", &"a secret of some length, again\n".repeat(5)]
        {
            assert!(Secret::read_all(text).is_err(), "{text}");
        }
    }
}
