//! Encryption at rest: XChaCha20-Poly1305 for what is stored, and keyed hashes for the names it is found by.
//!
//! A sealed value is `mark, nonce, ciphertext, tag`. The mark begins no MessagePack value, so what is sealed is told
//! from what is not without a key. Nonces are a random half, drawn when the vault is made, and a count.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use ring::rand::SecureRandom;
use ring::{digest, hkdf, hmac, rand};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::StoreError;

/// Of a key, in bytes.
pub const KEY_BYTES: usize = 32;
/// What sealing adds to a value, in bytes.
pub(super) const SEAL_BYTES: usize = 1 + NONCE_BYTES + TAG_BYTES;
/// A name as it stands in the cache, in bytes.
pub(super) const NAME_BYTES: usize = 16;
/// What tells keys apart, in bytes.
pub(super) const KEY_ID_BYTES: usize = 12;

/// The one byte that MessagePack never uses.
const MARK: u8 = 0xC1;
const NONCE_BYTES: usize = 24;
const NONCE_RANDOM_BYTES: usize = 16;
const TAG_BYTES: usize = 16;

const SALT: &[u8] = b"syncline store 1";
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The key that a store is sealed with: 32 random bytes, in text as base64. The app keeps it, for example in the
/// Keychain or the Keystore; without it nothing of the store can be read.
#[derive(Clone, PartialEq, Eq)]
pub struct EncryptionKey(Zeroizing<[u8; KEY_BYTES]>);

impl EncryptionKey {
    pub fn from_bytes(bytes: [u8; KEY_BYTES]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// A new one, from the system's source of randomness; `None` where that does not answer.
    pub fn generate() -> Option<Self> {
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        rand::SystemRandom::new().fill(bytes.as_mut()).ok()?;
        Some(Self(bytes))
    }

    /// Its 32 bytes, for who keeps it.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_slice()
    }
}

/// Why a text is no [`EncryptionKey`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an encryption key is 32 bytes in base64")]
pub struct InvalidKey;

impl FromStr for EncryptionKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let bytes = Zeroizing::new(BASE64.decode(text).map_err(|_| InvalidKey)?);
        bytes.as_slice().try_into().map(Self::from_bytes).map_err(|_| InvalidKey)
    }
}

impl fmt::Debug for EncryptionKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("EncryptionKey(..)")
    }
}

impl Serialize for EncryptionKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&Zeroizing::new(BASE64.encode(self.0.as_slice())))
    }
}

impl<'de> Deserialize<'de> for EncryptionKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// What the store keeps of the name of an installation.
pub(crate) fn installation_hash(name: &str) -> u64 {
    let digest = digest::digest(&digest::SHA256, name.as_bytes());
    digest.as_ref().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// Tells which key something is sealed with, and nothing of the key.
pub(super) type KeyId = [u8; KEY_ID_BYTES];

/// Where a sealed value belongs: moved to another place, it does not open.
pub(super) struct Place<'a> {
    pub(super) kind: &'static [u8],
    pub(super) name: &'a [u8],
}

impl Place<'_> {
    fn associated_data(&self) -> Vec<u8> {
        [self.kind, &[0], self.name].concat()
    }
}

/// Seals and opens with one key.
pub(super) struct Vault {
    key_id: KeyId,
    cipher: XChaCha20Poly1305,
    names: hmac::Key,
    nonce_random: [u8; NONCE_RANDOM_BYTES],
    nonce_count: AtomicU64,
}

impl Vault {
    fn new(key: &EncryptionKey) -> Result<Self, StoreError> {
        let secret = hkdf::Salt::new(hkdf::HKDF_SHA256, SALT).extract(key.0.as_slice());
        let mut key_id = KeyId::default();
        key_id.copy_from_slice(&derive(&secret, b"id")?[..KEY_ID_BYTES]);
        let mut nonce_random = [0; NONCE_RANDOM_BYTES];
        rand::SystemRandom::new().fill(&mut nonce_random).map_err(|_| unavailable())?;
        Ok(Self {
            key_id,
            cipher: XChaCha20Poly1305::new(&(*derive(&secret, b"values")?).into()),
            names: hmac::Key::new(hmac::HMAC_SHA256, derive(&secret, b"names")?.as_slice()),
            nonce_random,
            nonce_count: AtomicU64::new(0),
        })
    }

    pub(super) fn key_id(&self) -> KeyId {
        self.key_id
    }

    pub(super) fn seal(&self, place: &Place<'_>, contents: &[u8]) -> Result<Vec<u8>, StoreError> {
        let mut nonce = [0; NONCE_BYTES];
        nonce[..NONCE_RANDOM_BYTES].copy_from_slice(&self.nonce_random);
        let count = self.nonce_count.fetch_add(1, Ordering::Relaxed);
        nonce[NONCE_RANDOM_BYTES..].copy_from_slice(&count.to_le_bytes());
        let payload = Payload { msg: contents, aad: &place.associated_data() };
        let encrypted = self
            .cipher
            .encrypt(&XNonce::from(nonce), payload)
            .map_err(|_| StoreError::Encode("it could not be sealed".to_owned()))?;
        let mut sealed = Vec::with_capacity(SEAL_BYTES + contents.len());
        sealed.push(MARK);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(&encrypted);
        Ok(sealed)
    }

    /// The contents; `None` if the value is not what was sealed, here and with this key.
    pub(super) fn open(&self, place: &Place<'_>, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, msg) = sealed.strip_prefix(&[MARK])?.split_first_chunk::<NONCE_BYTES>()?;
        self.cipher.decrypt(&XNonce::from(*nonce), Payload { msg, aad: &place.associated_data() }).ok()
    }

    /// What stands for a name. It is the same each time, and says nothing of the name to whoever lacks the key.
    pub(super) fn hide(&self, kind: &'static [u8], name: &[u8]) -> [u8; NAME_BYTES] {
        let mut context = hmac::Context::with_key(&self.names);
        context.update(kind);
        context.update(&[0]);
        context.update(name);
        let mut hidden = [0; NAME_BYTES];
        hidden.copy_from_slice(&context.sign().as_ref()[..NAME_BYTES]);
        hidden
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Vault(..)")
    }
}

fn derive(secret: &hkdf::Prk, purpose: &[u8]) -> Result<Zeroizing<[u8; KEY_BYTES]>, StoreError> {
    let mut derived = Zeroizing::new([0; KEY_BYTES]);
    let filled =
        secret.expand(&[purpose], hkdf::HKDF_SHA256).and_then(|okm| okm.fill(derived.as_mut_slice()));
    filled.map(|()| derived).map_err(|_| unavailable())
}

fn unavailable() -> StoreError {
    StoreError::Io(std::io::Error::other("the system has no random numbers"))
}

/// Whether a record or a value is sealed, with whatever key.
pub(super) fn is_sealed(stored: &[u8]) -> bool {
    stored.first() == Some(&MARK)
}

/// What things are sealed with from now on, and what they may still be sealed with.
#[derive(Debug, Clone, Default)]
pub struct Keyring {
    /// `None`: they are not sealed.
    current: Option<Arc<Vault>>,
    previous: Vec<Arc<Vault>>,
}

impl Keyring {
    /// A store sealed with one of the previous keys, or not sealed at all though a key is given, is written anew when
    /// it is opened. Without a key, one sealed with a previous key is written anew in the clear.
    pub fn new(current: Option<&EncryptionKey>, previous: &[EncryptionKey]) -> Result<Self, StoreError> {
        let vault = |key| Vault::new(key).map(Arc::new);
        Ok(Self {
            current: current.map(vault).transpose()?,
            previous: previous.iter().map(vault).collect::<Result<_, _>>()?,
        })
    }

    pub(super) fn current(&self) -> Option<&Arc<Vault>> {
        self.current.as_ref()
    }

    /// The vault of a key, if it is there.
    pub(super) fn find(&self, key_id: KeyId) -> Option<&Arc<Vault>> {
        self.vaults().find(|vault| vault.key_id == key_id)
    }

    /// The vault that opens a value, and what is in it.
    pub(super) fn open(&self, place: &Place<'_>, sealed: &[u8]) -> Option<(&Arc<Vault>, Vec<u8>)> {
        self.vaults().find_map(|vault| Some((vault, vault.open(place, sealed)?)))
    }

    fn vaults(&self) -> impl Iterator<Item = &Arc<Vault>> {
        self.current.iter().chain(&self.previous)
    }
}

#[cfg(test)]
#[path = "crypt_tests.rs"]
mod tests;
