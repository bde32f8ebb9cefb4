//! How documents and rooms are named and stored in the cache.
//!
//! A document is one value, unless it is too long for the database's comfort: then the value only says how its
//! chunks add up, and these stand in a tree of their own.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use syncline_protocol::message::{decode_compact, encode_compact};
use syncline_protocol::{Collection, Document, Room};

use super::crypt::{Place, Vault};
use super::envelope::{ENVELOPE_BYTES, seal, unseal};
use super::{DocumentKey, RoomState};

/// No value in the database is longer, in bytes.
const VALUE_BYTES_MAX: usize = 32 << 10;
const CHUNK_BYTES: usize = VALUE_BYTES_MAX - ENVELOPE_BYTES;
const INLINE_BYTES_MAX: usize = CHUNK_BYTES - 1;

const INLINE: u8 = 0;
const CHUNKED: u8 = 1;
// Count and checksum, 4 bytes each.
const CHUNKED_HEAD_BYTES: usize = 8;

const ROOMS: &[u8] = b"room";
const DOCUMENTS: &[u8] = b"document";

/// Names hold no control characters, so a zero separates them without doubt.
const SEPARATOR: u8 = 0;

/// A room as it is stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CachedRoom {
    pub(super) state: RoomState,
    /// Of the room's documents.
    pub(super) digest: Digest,
    #[serde(default)]
    pub(super) index: CachedIndex,
    /// What the documents take, without the database's own overhead.
    #[serde(default)]
    pub(super) bytes: u64,
}

/// What was built of the indexes of a room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CachedIndex {
    /// Of the indexes that were built; 0 for none.
    pub(super) fingerprint: u64,
    /// Of the entries.
    pub(super) digest: Digest,
}

/// Tells whether all documents of a room are there: sled may take damage for a page that was never written, and
/// then documents are missing without a word.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Digest {
    count: u64,
    /// Of the checksums of keys and values.
    sum: u64,
}

impl Digest {
    pub(super) fn add(&mut self, key: &[u8], value: &[u8]) {
        self.count = self.count.wrapping_add(1);
        self.sum = self.sum.wrapping_add(checksum(key, value));
    }

    pub(super) fn remove(&mut self, key: &[u8], value: &[u8]) {
        self.count = self.count.wrapping_sub(1);
        self.sum = self.sum.wrapping_sub(checksum(key, value));
    }
}

fn checksum(key: &[u8], value: &[u8]) -> u64 {
    crc32c::crc32c_append(crc32c::crc32c(key), value).into()
}

/// How a database names and stores things: in the clear, or sealed with names that say nothing.
#[derive(Debug, Clone, Default)]
pub(super) struct Layout {
    pub(super) vault: Option<Arc<Vault>>,
}

impl Layout {
    /// The key of a room.
    pub(super) fn room_key(&self, room: &Room) -> Vec<u8> {
        self.part(&[room.as_str()])
    }

    /// The first part of the keys of a room's documents.
    pub(super) fn room_prefix(&self, room: &Room) -> Vec<u8> {
        let mut prefix = self.room_key(room);
        prefix.push(SEPARATOR);
        prefix
    }

    /// The first part of the keys of a collection's documents.
    pub(super) fn collection_prefix(&self, room: &Room, collection: &Collection) -> Vec<u8> {
        let mut prefix = self.room_prefix(room);
        prefix.extend_from_slice(&self.part(&[room.as_str(), collection.as_str()]));
        prefix.push(SEPARATOR);
        prefix
    }

    pub(super) fn key(&self, key: &DocumentKey) -> Vec<u8> {
        let DocumentKey { room, collection, id } = key;
        let mut stored = self.collection_prefix(room, collection);
        stored.extend_from_slice(&self.part(&[room.as_str(), collection.as_str(), id.as_str()]));
        stored
    }

    /// The key of an index's entry.
    pub(super) fn index_key(
        &self,
        room: &Room,
        collection: &Collection,
        number: u8,
        entry: &[u8],
    ) -> Vec<u8> {
        [&self.collection_prefix(room, collection)[..], &[number], entry].concat()
    }

    /// What stands in a key for the last of these names, within those before it.
    fn part(&self, names: &[&str]) -> Vec<u8> {
        match &self.vault {
            None => names.last().map(|name| name.as_bytes().to_vec()).unwrap_or_default(),
            Some(vault) => vault.hide(b"cache", names.join("\0").as_bytes()).to_vec(),
        }
    }

    pub(super) fn encode_room(&self, room: &Room, cached: &CachedRoom) -> Result<Vec<u8>, String> {
        if self.vault.is_none() {
            return encode_compact(cached).map(|encoded| seal(&encoded)).map_err(|error| error.to_string());
        }
        let encoded = encode_compact(&(room, cached)).map_err(|error| error.to_string())?;
        Ok(seal(&self.seal(ROOMS, &self.room_key(room), encoded)?))
    }

    /// A room by its key and its value.
    pub(super) fn decode_room(&self, key: &[u8], value: &[u8]) -> Result<(Room, CachedRoom), String> {
        let contents = unseal(value)?;
        if self.vault.is_some() {
            let encoded = self.open(ROOMS, key, contents.to_vec())?;
            return decode_compact(&encoded).map_err(|error| error.to_string());
        }
        let name = std::str::from_utf8(key).map_err(|error| error.to_string())?;
        let name = Room::new(name).map_err(|error| error.to_string())?;
        Ok((name, decode_compact(contents).map_err(|error| error.to_string())?))
    }

    fn seal(&self, kind: &'static [u8], key: &[u8], contents: Vec<u8>) -> Result<Vec<u8>, String> {
        match &self.vault {
            None => Ok(contents),
            Some(vault) => {
                vault.seal(&Place { kind, name: key }, &contents).map_err(|error| error.to_string())
            }
        }
    }

    fn open(&self, kind: &'static [u8], key: &[u8], stored: Vec<u8>) -> Result<Vec<u8>, String> {
        match &self.vault {
            None => Ok(stored),
            Some(vault) => vault
                .open(&Place { kind, name: key }, &stored)
                .ok_or_else(|| "the seal of a value is broken".to_owned()),
        }
    }

    pub(super) fn encode(&self, key: &[u8], document: &Document) -> Result<Stored, String> {
        let encoded = encode_compact(document).map_err(|error| error.to_string())?;
        let encoded = self.seal(DOCUMENTS, key, encoded)?;
        if encoded.len() <= INLINE_BYTES_MAX {
            let contents = [&[INLINE], &encoded[..]].concat();
            return Ok(Stored { value: seal(&contents), chunks: Vec::new() });
        }
        let chunks: Vec<_> = encoded.chunks(CHUNK_BYTES).map(seal).collect();
        let count = u32::try_from(chunks.len()).map_err(|_| "the document is too long".to_owned())?;
        let contents =
            [&[CHUNKED][..], &count.to_le_bytes(), &crc32c::crc32c(&encoded).to_le_bytes()].concat();
        Ok(Stored { value: seal(&contents), chunks })
    }

    /// Puts a document together; `chunk` fetches the chunk with an index.
    pub(super) fn decode<E: From<String>>(
        &self,
        key: &[u8],
        value: &[u8],
        mut chunk: impl FnMut(u32) -> Result<Option<Vec<u8>>, E>,
    ) -> Result<Document, E> {
        let contents = unseal(value).map_err(|reason| E::from(reason.to_owned()))?;
        let Some((count, crc)) = chunked_head(contents).map_err(E::from)? else {
            return self.decode_whole(key, &contents[1..]).map_err(E::from);
        };
        let mut encoded = Vec::new();
        for index in 0..count {
            let sealed = chunk(index)?.ok_or_else(|| E::from("a chunk is missing".to_owned()))?;
            encoded.extend_from_slice(unseal(&sealed).map_err(|reason| E::from(reason.to_owned()))?);
        }
        if crc32c::crc32c(&encoded) != crc {
            return Err(E::from("a document's chunks do not belong together".to_owned()));
        }
        self.decode_whole(key, &encoded).map_err(E::from)
    }

    fn decode_whole(&self, key: &[u8], stored: &[u8]) -> Result<Document, String> {
        match &self.vault {
            None => decode_compact(stored),
            Some(_) => decode_compact(&self.open(DOCUMENTS, key, stored.to_vec())?),
        }
        .map_err(|error| error.to_string())
    }
}

pub(super) fn chunk_key(document_key: &[u8], index: u32) -> Vec<u8> {
    let mut key = document_key.to_vec();
    key.push(SEPARATOR);
    key.extend_from_slice(&index.to_be_bytes());
    key
}

/// A document as it is stored.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) value: Vec<u8>,
    pub(super) chunks: Vec<Vec<u8>>,
}

impl Stored {
    pub(super) fn byte_len(&self) -> u64 {
        (self.value.len() + self.chunks.iter().map(Vec::len).sum::<usize>()) as u64
    }
}

/// What a stored document takes, at most, in bytes.
pub(super) fn stored_bytes(key: &[u8], value: &[u8]) -> Result<u64, String> {
    let chunk_bytes = u64::from(chunk_count(value)?) * CHUNK_BYTES as u64;
    Ok((key.len() + value.len()) as u64 + chunk_bytes)
}

/// How many chunks belong to a stored value.
pub(super) fn chunk_count(value: &[u8]) -> Result<u32, String> {
    Ok(chunked_head(unseal(value)?)?.map_or(0, |(count, _)| count))
}

/// The count and the checksum of a chunked document; `None` for one that is not chunked.
fn chunked_head(contents: &[u8]) -> Result<Option<(u32, u32)>, String> {
    match contents.split_first() {
        Some((&INLINE, _)) => Ok(None),
        Some((&CHUNKED, rest)) => {
            let head: &[u8; CHUNKED_HEAD_BYTES] =
                rest.try_into().map_err(|_| "a chunked value has the wrong length".to_owned())?;
            let [a, b, c, d, crc @ ..] = *head;
            Ok(Some((u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes(crc))))
        }
        _ => Err("a value has an unknown layout".to_owned()),
    }
}
