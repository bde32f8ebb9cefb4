//! How the journal's records are sealed and opened. A record belongs to its segment: in another one it does not open.

use std::borrow::Cow;
use std::sync::Arc;

use super::StoreError;
use super::crypt::{KeyId, Keyring, Place, SEAL_BYTES, Vault, is_sealed};

/// What tells a segment's records from others, and what they are sealed with, if they are.
#[derive(Debug, Clone)]
pub(super) struct Sealing {
    pub(super) tag: u32,
    pub(super) vault: Option<Arc<Vault>>,
}

impl Sealing {
    /// The record as it is stored.
    pub(super) fn seal<'r>(&self, record: &'r [u8]) -> Result<Cow<'r, [u8]>, StoreError> {
        match &self.vault {
            None => Ok(Cow::Borrowed(record)),
            Some(vault) => vault.seal(&place(&self.tag.to_le_bytes()), record).map(Cow::Owned),
        }
    }

    /// The record that was stored; `None` if it is not of this segment.
    pub(super) fn open<'s>(&self, stored: &'s [u8]) -> Option<Cow<'s, [u8]>> {
        match &self.vault {
            None => Some(Cow::Borrowed(stored)),
            Some(vault) => vault.open(&place(&self.tag.to_le_bytes()), stored).map(Cow::Owned),
        }
    }

    pub(super) fn key_id(&self) -> Option<KeyId> {
        self.vault.as_ref().map(|vault| vault.key_id())
    }

    /// What a record is longer by when it is stored, in bytes.
    pub(super) fn added_bytes(&self) -> usize {
        if self.vault.is_some() { SEAL_BYTES } else { 0 }
    }
}

fn place(tag: &[u8]) -> Place<'_> {
    Place { kind: b"journal", name: tag }
}

/// Opens the records of one segment, whose key is known by its header or found out by its first record.
#[derive(Debug)]
pub(super) struct Opener<'k> {
    keyring: &'k Keyring,
    /// `Some(None)`: the segment is not sealed.
    vault: Option<Option<Arc<Vault>>>,
    /// Whether something is sealed with a key that is not there.
    met_foreign: bool,
}

impl<'k> Opener<'k> {
    pub(super) fn new(keyring: &'k Keyring) -> Self {
        Self { keyring, vault: None, met_foreign: false }
    }

    /// Notes what the header says.
    ///
    /// # Errors
    /// `WrongKey`: it names a key that is not there.
    pub(super) fn expect(&mut self, key_id: Option<KeyId>) -> Result<(), StoreError> {
        let vault = match key_id {
            None => None,
            Some(key_id) => Some(Arc::clone(self.keyring.find(key_id).ok_or(StoreError::WrongKey)?)),
        };
        self.vault = Some(vault);
        Ok(())
    }

    /// The record; `None` if it does not belong to this segment, or is sealed with another key.
    pub(super) fn open<'s>(&mut self, tag: u32, stored: &'s [u8]) -> Option<Cow<'s, [u8]>> {
        let tag = tag.to_le_bytes();
        match &self.vault {
            Some(Some(vault)) => vault.open(&place(&tag), stored).map(Cow::Owned),
            Some(None) => (!is_sealed(stored)).then_some(Cow::Borrowed(stored)),
            None if !is_sealed(stored) => {
                self.vault = Some(None);
                Some(Cow::Borrowed(stored))
            }
            None => {
                let Some((vault, record)) = self.keyring.open(&place(&tag), stored) else {
                    self.met_foreign = true;
                    return None;
                };
                self.vault = Some(Some(Arc::clone(vault)));
                Some(Cow::Owned(record))
            }
        }
    }

    /// What the segment is sealed with, once its records were visited. One of which nothing tells goes on with the
    /// key of today. `is_spare_locked`: whether what is kept beside the journal is sealed with a key that is not there.
    ///
    /// # Errors
    /// `WrongKey`: nothing opened, and something is sealed.
    pub(super) fn finish(self, is_spare_locked: bool) -> Result<Option<Arc<Vault>>, StoreError> {
        match self.vault {
            Some(vault) => Ok(vault),
            None if self.met_foreign || is_spare_locked => Err(StoreError::WrongKey),
            None => Ok(self.keyring.current().cloned()),
        }
    }
}
